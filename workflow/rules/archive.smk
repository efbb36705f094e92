"""The study as one archive for publication; not part of a plain run."""


rule pack:
    """Pack results, records and configuration, without images and restricted labels."""
    input:
        rules.all.input,
        citation="CITATION.cff",
        code=code("publishing.archive"),
    output:
        archive="results/archive.zip",
        croissant="results/croissant.json",
    log:
        "results/logs/pack.log",
    conda:
        "../../envs/paper.yaml"
    params:
        left_out=json.dumps(restricted.left_out(GRID)),
        configs=CONFIGS,
    shell:
        "python -m labelwise.publishing.archive --left-out {params.left_out:q} --configs {params.configs:q}"
        " --out {output.archive} 2>&1 | tee {log} >&2"
