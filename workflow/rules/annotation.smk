"""People correct labels: the cases they see, what their decisions say, and the labels they make."""


rule select_cases:
    """Choose the images that people look at again, and seal where each suggestion comes from."""
    input:
        unpack(lambda w: ANNOTATIONS.select_inputs(w.annotation)),
        code=code("annotation.select"),
    output:
        cases="results/annotation/{annotation}/cases.jsonl",
        key="results/annotation/{annotation}/key.csv",
    log:
        "results/logs/select_cases/{annotation}.log",
    benchmark:
        "results/benchmarks/select_cases/{annotation}.jsonl"
    conda:
        "../../envs/annotation.yaml"
    threads: 1
    params:
        spec=lambda w: ANNOTATIONS.spec(w.annotation),
        rules=lambda w: ANNOTATIONS.rules(w.annotation),
        files=lambda w: ANNOTATIONS.select_options(w.annotation),
        more=options("guidelines"),
    shell:
        "python -m labelwise.annotation.select --spec {params.spec:q} --rules {params.rules:q}"
        " --images {input.images} --classes {input.classes} --original {input.original}"
        " --corrected {input.corrected} {params.files} {params.more}"
        " --out {output.cases} --key {output.key} 2>&1 | tee {log} >&2"


rule tally_cases:
    """Count what the decisions say of the labels, of the models and of each other."""
    input:
        cases="results/annotation/{annotation}/cases.jsonl",
        key="results/annotation/{annotation}/key.csv",
        decisions=lambda w: ANNOTATIONS.decisions(w.annotation),
        code=code("annotation.tally"),
    output:
        "results/annotation/{annotation}/tally.csv",
    log:
        "results/logs/tally_cases/{annotation}.log",
    benchmark:
        "results/benchmarks/tally_cases/{annotation}.jsonl"
    conda:
        "../../envs/annotation.yaml"
    threads: 1
    params:
        spec=lambda w: ANNOTATIONS.spec(w.annotation),
        rules=lambda w: ANNOTATIONS.rules(w.annotation),
    shell:
        "python -m labelwise.annotation.tally {input.decisions} --cases {input.cases}"
        " --key {input.key} --spec {params.spec:q} --rules {params.rules:q} --out {output}"
        " 2>&1 | tee {log} >&2"


rule relabel:
    """Turn decisions into a label set, and say who decided what."""
    input:
        unpack(lambda w: ANNOTATIONS.relabel_inputs(w.labels)),
        code=code("annotation.relabel"),
    output:
        labels="results/labels/{labels}.csv",
        decided="results/labels/{labels}.decided.csv",
        meta="results/labels/{labels}.meta.json",
    log:
        "results/logs/relabel/{labels}.log",
    benchmark:
        "results/benchmarks/relabel/{labels}.jsonl"
    wildcard_constraints:
        labels=GRID.names("labels", ANNOTATIONS.label_sets()),
    conda:
        "../../envs/annotation.yaml"
    threads: 1
    params:
        annotation=lambda w: ANNOTATIONS.spec(ANNOTATIONS.of_labels(w.labels)),
        spec=lambda w: GRID.spec("labels", w.labels),
    shell:
        "python -m labelwise.annotation.relabel {input.decisions} --name {wildcards.labels}"
        " --base {input.base} --annotation {params.annotation:q} --spec {params.spec:q}"
        " --out {output.labels} --decided {output.decided} --meta {output.meta}"
        " 2>&1 | tee {log} >&2"
