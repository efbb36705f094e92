"""Models that score classes: supervised, dual encoders, ConSE, k-NN, and predictions made elsewhere.

What a model sees is computed once a look (labelwise.planning.looks): logits and features of the asked images,
shards of features of reference images. Names, templates, k, votes and labels only change what is
made from them.
"""


rule classify:
    """Compute a classifier's scores and features of every image, once for all that use them."""
    input:
        unpack(lambda w: GRID.looks.weights(w.look)),
        images="results/images/{images}.csv",
        code=lambda w: look_code("classify", w.look),
    output:
        logits="results/logits/{images}/{look}.npz",
        meta="results/logits/{images}/{look}.meta.json",
    log:
        "results/logs/classify/{images}/{look}.log",
    benchmark:
        "results/benchmarks/classify/{images}/{look}.jsonl"
    conda:
        "../../envs/inference.yaml"
    threads: lambda w: 8 if GRID.looks.most(w.look, "gpus", 0) else 1
    resources:
        gpu=lambda w: GRID.looks.most(w.look, "gpus", 0),
        mem=lambda w: GRID.looks.most(w.look, "memory", "4GB"),
        runtime="4h",
    params:
        model=lambda w: GRID.looks.spec(w.look),
        axes=lambda w: json.dumps(dict(w), sort_keys=True),
    shell:
        "python -m labelwise.classify --model {params.model:q} --images {input.images}"
        " --axes {params.axes:q} --gpus {resources.gpu}"
        " --out {output.logits} --meta {output.meta} 2>&1 | tee {log} >&2"


rule embed_references:
    """Store the features of a reference image set, once for every k-NN that uses them."""
    input:
        unpack(lambda w: GRID.looks.weights(w.look)),
        images="results/images/{images}.csv",
        code=lambda w: look_code("classifiers.references", w.look),
    output:
        shards=directory("results/references/{images}/{look}"),
        meta="results/references/{images}/{look}.meta.json",
    log:
        "results/logs/embed_references/{images}/{look}.log",
    benchmark:
        "results/benchmarks/embed_references/{images}/{look}.jsonl"
    conda:
        "../../envs/inference.yaml"
    threads: 8
    resources:
        gpu=lambda w: GRID.looks.most(w.look, "gpus", 0),
        mem=lambda w: GRID.looks.most(w.look, "memory", "8GB"),
        runtime="24h",
    params:
        model=lambda w: GRID.looks.spec(w.look),
        axes=lambda w: json.dumps(dict(w), sort_keys=True),
        journal="results/journal/references",
    shell:
        "python -m labelwise.classifiers.references --model {params.model:q} --images {input.images}"
        " --axes {params.axes:q} --gpus {resources.gpu} --journal {params.journal}"
        " --out {output.shards} --meta {output.meta} 2>&1 | tee {log} >&2"


rule find_neighbours:
    """Find the references nearest to each image, once for every k and every kind of vote."""
    input:
        unpack(lambda w: GRID.looks.neighbour_inputs(w.images, w.reference, w.look)),
        code=code("classifiers.neighbours"),
    output:
        nearest="results/neighbours/{images}/{reference}/{look}.npz",
        table="results/neighbours/{images}/{reference}/{look}.csv",
    log:
        "results/logs/find_neighbours/{images}/{reference}/{look}.log",
    benchmark:
        "results/benchmarks/find_neighbours/{images}/{reference}/{look}.jsonl"
    conda:
        "../../envs/inference.yaml"
    threads: lambda w: 1 if w.images == w.reference else 8
    resources:
        gpu=lambda w: min(GRID.looks.most(w.look, "gpus", 0), 1),
        mem="8GB",
        runtime="4h",
    params:
        more=options("images", "references", "reference_images", "labels"),
    shell:
        "python -m labelwise.classifiers.neighbours {input.queries} {params.more} --gpus {resources.gpu}"
        " --out {output.nearest} --table {output.table} 2>&1 | tee {log} >&2"


rule predict:
    """Turn a classifier's scores into predictions, in the form of all other models."""
    input:
        unpack(lambda w: GRID.looks.predict_inputs(w.images, w.model)),
        images="results/images/{images}.csv",
        code=code("predict"),
    output:
        predictions="results/predictions/{images}/{model}/classify/b1/argmax.csv",
        top5="results/predictions/{images}/{model}/classify/b1/top5.csv",
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
        more=options("logits", "embeddings", "classes", "targets", "neighbours", "labels", "file"),
    shell:
        "python -m labelwise.predict --model {params.model:q} --images {input.images} {params.more}"
        " --out {output.predictions} --top5 {output.top5} 2>&1 | tee {log} >&2"


rule confuse:
    """Count which classes a classifier takes for which, by a label set."""
    input:
        unpack(lambda w: GRID.looks.confuse_inputs(w.images, w.model)),
        labels="results/labels/{labels}.csv",
        code=code("confuse"),
    output:
        "results/confusions/{images}/{model}/{labels}.csv",
    log:
        "results/logs/confuse/{images}/{model}/{labels}.log",
    benchmark:
        "results/benchmarks/confuse/{images}/{model}/{labels}.jsonl"
    wildcard_constraints:
        model=GRID.names("models", GRID.classifiers()),
    conda:
        "../../envs/inference.yaml"
    params:
        axes=lambda w: json.dumps(dict(w), sort_keys=True),
        more=options("logits", "embeddings", "classes", "predictions"),
    shell:
        "python -m labelwise.confuse {params.more} --labels {input.labels} --axes {params.axes:q}"
        " --out {output} 2>&1 | tee {log} >&2"
