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
        runs=lambda w: typesetting.times(GRID, w.experiment),
        code=code("gather"),
    output:
        csv="results/experiments/{experiment}.csv",
        meta="results/experiments/{experiment}.meta.json",
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
        " --describe {params.describe:q} --runs {input.runs} --out {output.csv}"
        " --meta {output.meta} 2>&1 | tee {log} >&2"


rule gather_recall:
    """Gather the recall of every class in every score of an experiment."""
    input:
        scores=lambda w: [point.scores for point in GRID.points_of[w.experiment]],
        classes=lambda w: typesetting.class_names(GRID, w.experiment),
        code=code("recall"),
    output:
        "results/recall/{experiment}.csv",
    log:
        "results/logs/gather_recall/{experiment}.log",
    conda:
        "../../envs/paper.yaml"
    shell:
        "python -m labelwise.recall {input.scores} --classes {input.classes} --out {output}"
        " 2>&1 | tee {log} >&2"


rule gather_tokens:
    """Gather what the answers of an experiment's runs cost in tokens."""
    input:
        runs=lambda w: typesetting.times(GRID, w.experiment),
        code=code("tokens"),
    output:
        "results/tokens/{experiment}.csv",
    log:
        "results/logs/gather_tokens/{experiment}.log",
    conda:
        "../../envs/paper.yaml"
    threads: 1
    shell:
        "python -m labelwise.tokens {input.runs} --out {output} 2>&1 | tee {log} >&2"


rule score_positions:
    """Score closed-world answers by the place of the image in its prompt."""
    input:
        unpack(lambda w: typesetting.judged(GRID, [w.experiment])),
        experiment="results/experiments/{experiment}.csv",
        code=code("positions"),
    output:
        "results/positions/{experiment}.csv",
    log:
        "results/logs/score_positions/{experiment}.log",
    conda:
        "../../envs/paper.yaml"
    params:
        plan=lambda w: typesetting.plan(GRID, [w.experiment]),
    shell:
        "python -m labelwise.positions {input.experiment} --plan {params.plan:q} --out {output}"
        " 2>&1 | tee {log} >&2"


rule gather_oop:
    """Gather the analyses of answers outside the class list of one experiment."""
    input:
        analyses=lambda w: typesetting.mapped_closed(GRID, w.experiment),
        code=code("collate"),
    output:
        "results/oop/{experiment}.csv",
    log:
        "results/logs/gather_oop/{experiment}.log",
    conda:
        "../../envs/paper.yaml"
    shell:
        "python -m labelwise.collate {input.analyses} --out {output} 2>&1 | tee {log} >&2"


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
        axes=lambda w: json.dumps(dict(w), sort_keys=True),
        more=options("others"),
    shell:
        "python -m labelwise.oop {input.exact} --mapped {input.mapped} --images {input.images}"
        " --labels {input.labels} --original {input.original} --classes {input.classes}"
        " {params.more} --spec {params.spec:q} --axes {params.axes:q}"
        " --out {output} 2>&1 | tee {log} >&2"


rule analyse:
    """Analyse the answers behind an experiment: numerics, sensitivity to wording, or ranks."""
    input:
        unpack(lambda w: analyses.inputs(GRID, w.analysis, GRID.points_of[w.experiment])),
        experiment="results/experiments/{experiment}.csv",
        code=lambda w: code(f"analyses.{w.analysis}"),
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
        "python -m labelwise.analyses.{wildcards.analysis} {input.experiment} --spec {params.spec:q}"
        " --out {output} 2>&1 | tee {log} >&2"


rule calibrate:
    """Hold the probabilities of answers against what was right."""
    input:
        judged="results/judged/{experiment}.csv",
        code=code("calibration"),
    output:
        "results/calibration/{experiment}.csv",
    log:
        "results/logs/calibrate/{experiment}.log",
    benchmark:
        "results/benchmarks/calibrate/{experiment}.jsonl"
    conda:
        "../../envs/paper.yaml"
    shell:
        "python -m labelwise.calibration {input.judged} --out {output} 2>&1 | tee {log} >&2"


rule list_likeliest:
    """List the likeliest names of every image of a run of exact likelihood."""
    input:
        responses="results/responses/{images}/{model}/{protocol}/{batching}.jsonl",
        requests="results/requests/{images}/{protocol}/{batching}.jsonl",
        classes=lambda w: GRID.classes(w.protocol),
        code=code("likelihood"),
    output:
        "results/likeliest/{images}/{model}/{protocol}/{batching}.csv",
    log:
        "results/logs/list_likeliest/{images}/{model}/{protocol}/{batching}.log",
    conda:
        "../../envs/paper.yaml"
    shell:
        "python -m labelwise.likelihood {input.responses} --requests {input.requests}"
        " --classes {input.classes} --out {output} 2>&1 | tee {log} >&2"
