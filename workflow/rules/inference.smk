"""Multimodal LLMs: the prompts of each protocol, and the answers of each model."""


rule write_requests:
    """Write every prompt of a protocol over an image set; no model is needed."""
    input:
        unpack(lambda w: GRID.request_inputs(w.images, w.protocol, w.batching)),
        images="results/images/{images}.csv",
        classes=lambda w: GRID.classes(w.protocol),
        code=code("requests"),
    output:
        "results/requests/{images}/{protocol}/{batching}.jsonl",
    log:
        "results/logs/write_requests/{images}/{protocol}/{batching}.log",
    benchmark:
        "results/benchmarks/write_requests/{images}/{protocol}/{batching}.jsonl"
    conda:
        "../../envs/inference.yaml"
    params:
        spec=lambda w: GRID.spec("protocols", w.protocol),
        batching=lambda w: batching_options(w.batching),
        more=options("original", "corrected", "confusions", "embeddings", "candidates"),
    shell:
        "python -m labelwise.requests --protocol {wildcards.protocol} --spec {params.spec:q}"
        " --images {input.images} --classes {input.classes}"
        " {params.batching} {params.more} --out {output}"
        " 2>&1 | tee {log} >&2"


rule narrow:
    """Choose the class names that a narrowed list offers for each image."""
    input:
        unpack(lambda w: GRID.looks.narrow_inputs(w.images, w.protocol)),
        classes=lambda w: GRID.classes(w.protocol),
        code=code("narrow"),
    output:
        "results/candidates/{images}/{protocol}.csv",
    log:
        "results/logs/narrow/{images}/{protocol}.log",
    benchmark:
        "results/benchmarks/narrow/{images}/{protocol}.jsonl"
    conda:
        "../../envs/inference.yaml"
    threads: 1
    params:
        model=lambda w: GRID.spec("models", config["protocols"][w.protocol]["candidates"]["model"]),
        n=lambda w: config["protocols"][w.protocol]["candidates"]["n"],
        more=options("embeddings", "targets"),
    shell:
        "python -m labelwise.narrow {input.logits} --model {params.model:q} --n {params.n}"
        " --classes {input.classes} {params.more} --out {output} 2>&1 | tee {log} >&2"


rule infer:
    """Ask one model every request of one run; a killed job resumes from its journal."""
    input:
        unpack(lambda w: GRID.control_labels(w.model)),
        requests="results/requests/{images}/{protocol}/{batching}.jsonl",
        images="results/images/{images}.csv",
        classes=lambda w: GRID.classes(w.protocol),
        weights=lambda w: GRID.weights_of("models", w.model),
        code=lambda w: code("infer", f"engines.{GRID.engine_module(w.model)}"),
    output:
        responses="results/responses/{images}/{model}/{protocol}/{batching}.jsonl",
        meta="results/responses/{images}/{model}/{protocol}/{batching}.meta.json",
    log:
        "results/logs/infer/{images}/{model}/{protocol}/{batching}.log",
    benchmark:
        "results/benchmarks/infer/{images}/{model}/{protocol}/{batching}.jsonl"
    wildcard_constraints:
        model=GRID.names("models", GRID.writers(sharded=False)),
    conda:
        "../../envs/inference.yaml"
    threads: lambda w: 8 if config["models"][w.model].get("gpus") else 1
    resources:
        gpu=lambda w: config["models"][w.model].get("gpus", 0),
        mem=lambda w: config["models"][w.model].get("memory", "4GB"),
        runtime="12h",
    params:
        model=lambda w: GRID.spec("models", w.model),
        axes=lambda w: json.dumps(dict(w), sort_keys=True),
        journal="results/journal/{images}/{model}/{protocol}/{batching}.jsonl",
        more=options("labels", "weights"),
        shard="",
    shell:
        "python -m labelwise.infer {input.requests} --images {input.images}"
        " --classes {input.classes} {params.more} --model {params.model:q} --axes {params.axes:q}"
        " {params.shard} --gpus {resources.gpu}"
        " --journal {params.journal} --cache results/journal/looks"
        " --out {output.responses} --meta {output.meta}"
        " 2>&1 | tee {log} >&2"


use rule infer as infer_shard with:
    output:
        responses="results/shards/{images}/{model}/{protocol}/{batching}/{shard}.jsonl",
        meta="results/shards/{images}/{model}/{protocol}/{batching}/{shard}.meta.json",
    log:
        "results/logs/infer/{images}/{model}/{protocol}/{batching}.{shard}.log",
    benchmark:
        "results/benchmarks/infer/{images}/{model}/{protocol}/{batching}.{shard}.jsonl"
    wildcard_constraints:
        model=GRID.names("models", GRID.writers(sharded=True)),
    params:
        journal="results/journal/{images}/{model}/{protocol}/{batching}.{shard}.jsonl",
        shard="--shard {shard}",


rule merge_shards:
    """Put the answers of a run's shards together: the same file as without shards."""
    input:
        shards=lambda w: GRID.shard_files(**w),
        requests="results/requests/{images}/{protocol}/{batching}.jsonl",
        code=code("merge_shards"),
    output:
        responses="results/responses/{images}/{model}/{protocol}/{batching}.jsonl",
        meta="results/responses/{images}/{model}/{protocol}/{batching}.meta.json",
    log:
        "results/logs/merge_shards/{images}/{model}/{protocol}/{batching}.log",
    wildcard_constraints:
        model=GRID.names("models", GRID.writers(sharded=True)),
    conda:
        "../../envs/inference.yaml"
    params:
        axes=lambda w: json.dumps(dict(w), sort_keys=True),
    shell:
        "python -m labelwise.merge_shards {input.shards} --requests {input.requests}"
        " --axes {params.axes:q} --out {output.responses} --meta {output.meta}"
        " 2>&1 | tee {log} >&2"
