"""Images, class names, label sets and weights: from wherever they come to one form each."""


rule list_images:
    """List an image set: id, file, checksum and size of each image; every file is decoded once."""
    input:
        unpack(lambda w: GRID.image_inputs(w.images)),
        code=code("images"),
    output:
        "results/images/{images}.csv",
    log:
        "results/logs/list_images/{images}.log",
    benchmark:
        "results/benchmarks/list_images/{images}.jsonl"
    conda:
        "../../envs/inference.yaml"
    params:
        spec=lambda w: GRID.spec("images", w.images),
        more=options("labels"),
    shell:
        "python -m labelwise.images --name {wildcards.images} --spec {params.spec:q}"
        " {params.more} --out {output} 2>&1 | tee {log} >&2"


rule list_classes:
    """Write a class-name set: class id and name."""
    input:
        lambda w: GRID.class_inputs(w.classes),
        code=code("classnames"),
    output:
        "results/classes/{classes}.csv",
    log:
        "results/logs/list_classes/{classes}.log",
    benchmark:
        "results/benchmarks/list_classes/{classes}.jsonl"
    conda:
        "../../envs/inference.yaml"
    params:
        spec=lambda w: GRID.spec("class_names", w.classes),
    shell:
        "python -m labelwise.classnames --spec {params.spec:q} --out {output}"
        " 2>&1 | tee {log} >&2"


rule read_labels:
    """Turn a label file of any format into the canonical one."""
    input:
        unpack(lambda w: GRID.label_inputs(w.labels)),
        code=code("labels"),
    output:
        "results/labels/{labels}.csv",
    log:
        "results/logs/read_labels/{labels}.log",
    benchmark:
        "results/benchmarks/read_labels/{labels}.jsonl"
    wildcard_constraints:
        labels=GRID.names("labels", set(config["labels"]) - set(ANNOTATIONS.label_sets())),
    conda:
        "../../envs/paper.yaml"
    params:
        spec=lambda w: GRID.spec("labels", w.labels),
        more=options("images", "classes"),
    shell:
        "python -m labelwise.labels --name {wildcards.labels} --spec {params.spec:q}"
        " {params.more} --out {output} 2>&1 | tee {log} >&2"


rule fetch_weights:
    """Fetch pinned weights, check their digests and convert them once."""
    input:
        code=code("weights"),
    output:
        "results/weights/{weights}.json",
    log:
        "results/logs/fetch_weights/{weights}.log",
    conda:
        "../../envs/inference.yaml"
    params:
        spec=lambda w: GRID.weights_option(w.weights),
    shell:
        "python -m labelwise.weights {wildcards.weights} {params.spec} --out {output}"
        " 2>&1 | tee {log} >&2"
