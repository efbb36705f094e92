"""Class ids to numbers: one score a point, one tidy table an experiment."""


rule score:
    """Score the predictions of one run against one label set, by the set's rules."""
    input:
        predictions="results/predictions/{images}/{model}/{protocol}/{batching}/{mapper}.csv",
        labels="results/labels/{labels}.csv",
        original=lambda w: GRID.original(w.images),
        images="results/images/{images}.csv",
        equivalents=lambda w: GRID.equivalents(w.labels),
        code=code("score"),
    output:
        "results/scores/{images}/{model}/{protocol}/{batching}/{mapper}/{labels}.json",
    log:
        "results/logs/score/{images}/{model}/{protocol}/{batching}/{mapper}/{labels}.log",
    benchmark:
        "results/benchmarks/score/{images}/{model}/{protocol}/{batching}/{mapper}/{labels}.jsonl"
    wildcard_constraints:
        protocol=GRID.names("protocols", [*config["protocols"], CLASSIFY]),
    conda:
        "../../envs/paper.yaml"
    params:
        spec=lambda w: GRID.score_spec(**w),
    shell:
        "python -m labelwise.score {input.predictions} --labels {input.labels}"
        " --original {input.original} --images {input.images} --spec {params.spec:q}"
        " --out {output} 2>&1 | tee {log} >&2"


rule gather:
    """Gather the scores of one experiment: a row a score and category, a column an axis."""
    input:
        scores=lambda w: [point.scores for point in GRID.points_of[w.experiment]],
        code=code("gather"),
    output:
        "results/experiments/{experiment}.csv",
    log:
        "results/logs/gather/{experiment}.log",
    benchmark:
        "results/benchmarks/gather/{experiment}.jsonl"
    conda:
        "../../envs/paper.yaml"
    params:
        describe=lambda w: GRID.describe(w.experiment),
    shell:
        "python -m labelwise.gather {input.scores} --experiment {wildcards.experiment}"
        " --describe {params.describe:q} --out {output} 2>&1 | tee {log} >&2"


rule analyse_oop:
    """Tell apart the answers outside the class list, and count those an encoder maps rightly."""
    input:
        unpack(lambda w: GRID.other_names(w.protocol)),
        exact="results/predictions/{images}/{model}/{protocol}/{batching}/exact.csv",
        mapped="results/predictions/{images}/{model}/{protocol}/{batching}/{mapper}.csv",
        labels="results/labels/{labels}.csv",
        original=lambda w: GRID.original(w.images),
        images="results/images/{images}.csv",
        classes=lambda w: GRID.classes(w.protocol),
        equivalents=lambda w: GRID.equivalents(w.labels),
        code=code("oop"),
    output:
        "results/oop/{images}/{model}/{protocol}/{batching}/{mapper}/{labels}.csv",
    log:
        "results/logs/analyse_oop/{images}/{model}/{protocol}/{batching}/{mapper}/{labels}.log",
    conda:
        "../../envs/paper.yaml"
    params:
        spec=lambda w: GRID.spec("labels", w.labels),
        more=options("others"),
    shell:
        "python -m labelwise.oop {input.exact} --mapped {input.mapped} --images {input.images}"
        " --labels {input.labels} --original {input.original} --classes {input.classes}"
        " {params.more} --spec {params.spec:q} --out {output} 2>&1 | tee {log} >&2"


rule analyse:
    """Analyse the answers behind an experiment: numerics, sensitivity to wording, or ranks."""
    input:
        unpack(lambda w: analyses.inputs(GRID, w.analysis, GRID.points_of[w.experiment])),
        experiment="results/experiments/{experiment}.csv",
        code=lambda w: code(w.analysis),
    output:
        "results/{analysis}/{experiment}.csv",
    log:
        "results/logs/analyse/{analysis}/{experiment}.log",
    benchmark:
        "results/benchmarks/analyse/{analysis}/{experiment}.jsonl"
    conda:
        "../../envs/paper.yaml"
    threads: 1
    params:
        spec=lambda w: analyses.spec(GRID, w.analysis, GRID.points_of[w.experiment]),
    shell:
        "python -m labelwise.{wildcards.analysis} {input.experiment} --spec {params.spec:q}"
        " --out {output} 2>&1 | tee {log} >&2"
