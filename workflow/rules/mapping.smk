"""Text to class ids: exact names, a text-embedding space, or a question's own options."""


rule embed_classes:
    """Embed a class-name set with one mapper's text encoder and templates."""
    input:
        classes="results/classes/{classes}.csv",
        weights=lambda w: GRID.weights_of("encoders", config["mappers"][w.mapper]["encoder"]),
        templates=lambda w: GRID.templates(w.mapper),
        code=code("embed_classes"),
    output:
        "results/embeddings/{mapper}/{classes}.npz",
    log:
        "results/logs/embed_classes/{mapper}/{classes}.log",
    benchmark:
        "results/benchmarks/embed_classes/{mapper}/{classes}.jsonl"
    conda:
        "../../envs/inference.yaml"
    threads: lambda w: 8 if GRID.encoder_needs(w.mapper).get("gpus") else 1
    resources:
        gpu=lambda w: GRID.encoder_needs(w.mapper).get("gpus", 0),
        mem=lambda w: GRID.encoder_needs(w.mapper).get("memory", "4GB"),
    params:
        mapper=lambda w: GRID.mapper_spec(w.mapper),
        encoder=lambda w: GRID.encoder_options(w.mapper),
    shell:
        "python -m labelwise.embed_classes --classes {input.classes} --mapper {params.mapper:q}"
        " {params.encoder} --gpus {resources.gpu} --out {output} 2>&1 | tee {log} >&2"


rule map_responses:
    """Parse the answers of a run and turn each into class ids and an outcome."""
    input:
        unpack(lambda w: GRID.map_inputs(w.protocol, w.mapper)),
        responses="results/responses/{images}/{model}/{protocol}/{batching}.jsonl",
        requests="results/requests/{images}/{protocol}/{batching}.jsonl",
        images="results/images/{images}.csv",
        classes=lambda w: GRID.classes(w.protocol),
        code=code("mapping"),
    output:
        "results/predictions/{images}/{model}/{protocol}/{batching}/{mapper}.csv",
    log:
        "results/logs/map_responses/{images}/{model}/{protocol}/{batching}/{mapper}.log",
    benchmark:
        "results/benchmarks/map_responses/{images}/{model}/{protocol}/{batching}/{mapper}.jsonl"
    wildcard_constraints:
        model=GRID.names("models", GRID.writers()),
    conda:
        "../../envs/inference.yaml"
    threads: lambda w: 8 if GRID.encoder_needs(w.mapper).get("gpus") else 1
    resources:
        gpu=lambda w: GRID.encoder_needs(w.mapper).get("gpus", 0),
        mem=lambda w: GRID.encoder_needs(w.mapper).get("memory", "4GB"),
    params:
        mapper=lambda w: GRID.mapper_spec(w.mapper),
        encoder=lambda w: GRID.encoder_options(w.mapper),
        cache=lambda w: GRID.encoder_cache(w.mapper),
        more=options("embeddings"),
    shell:
        "python -m labelwise.mapping {input.responses} --requests {input.requests}"
        " --images {input.images} --classes {input.classes} --mapper {params.mapper:q}"
        " {params.encoder} {params.cache} {params.more} --gpus {resources.gpu} --out {output} 2>&1 | tee {log} >&2"
