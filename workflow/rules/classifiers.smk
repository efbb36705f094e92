"""Models that score classes: supervised, ConSE, k-NN, and predictions made elsewhere."""


rule classify:
    """Compute a classifier's scores and features of every image, once for all that use them."""
    input:
        images="results/images/{images}.csv",
        weights=lambda w: GRID.weights_of("models", w.model),
        code=code("classify"),
    output:
        logits="results/logits/{images}/{model}.npz",
        meta="results/logits/{images}/{model}.meta.json",
    log:
        "results/logs/classify/{images}/{model}.log",
    benchmark:
        "results/benchmarks/classify/{images}/{model}.jsonl"
    wildcard_constraints:
        model=GRID.names("models", GRID.classifiers()),
    conda:
        "../../envs/inference.yaml"
    threads: 1
    resources:
        gpu=lambda w: config["models"][w.model].get("gpus", 0),
        mem=lambda w: config["models"][w.model].get("memory", "4GB"),
        runtime="4h",
    params:
        model=lambda w: GRID.spec("models", w.model),
        axes=lambda w: json.dumps(dict(w), sort_keys=True),
    shell:
        "python -m labelwise.classify --model {params.model:q} --images {input.images}"
        " --axes {params.axes:q} --gpus {resources.gpu}"
        " --out {output.logits} --meta {output.meta} 2>&1 | tee {log} >&2"


rule predict:
    """Turn a classifier's scores into predictions, in the form of all other models."""
    input:
        unpack(lambda w: GRID.predict_inputs(w.images, w.model)),
        images="results/images/{images}.csv",
        code=code("predict"),
    output:
        "results/predictions/{images}/{model}/classify/b1/argmax.csv",
    log:
        "results/logs/predict/{images}/{model}.log",
    benchmark:
        "results/benchmarks/predict/{images}/{model}.jsonl"
    wildcard_constraints:
        model=GRID.names("models", GRID.classifiers()),
    conda:
        "../../envs/inference.yaml"
    params:
        model=lambda w: GRID.spec("models", w.model),
        logits=lambda w, input: input.get("logits", ""),
        more=options("embeddings", "classes", "labels", "file"),
    shell:
        "python -m labelwise.predict {params.logits} --model {params.model:q}"
        " --images {input.images} {params.more} --out {output} 2>&1 | tee {log} >&2"


rule confuse:
    """Count which classes a classifier takes for which, by the original labels."""
    input:
        logits="results/logits/{images}/{model}.npz",
        labels=lambda w: GRID.original(w.images),
        code=code("confuse"),
    output:
        "results/confusions/{images}/{model}.csv",
    log:
        "results/logs/confuse/{images}/{model}.log",
    benchmark:
        "results/benchmarks/confuse/{images}/{model}.jsonl"
    wildcard_constraints:
        model=GRID.names("models", GRID.classifiers()),
    conda:
        "../../envs/inference.yaml"
    shell:
        "python -m labelwise.confuse {input.logits} --labels {input.labels} --out {output}"
        " 2>&1 | tee {log} >&2"
