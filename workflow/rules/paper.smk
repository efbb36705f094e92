"""What is shown: one module a figure or table, each from one experiment; and what is stated."""


rule judge:
    """Hold every single answer of an experiment against the corrected labels."""
    input:
        unpack(lambda w: showing.judge_inputs(GRID, w.experiment)),
        code=code("judge"),
    output:
        "results/judged/{experiment}.csv",
    log:
        "results/logs/judge/{experiment}.log",
    benchmark:
        "results/benchmarks/judge/{experiment}.jsonl"
    conda:
        "../../envs/paper.yaml"
    params:
        plan=lambda w: showing.judge_plan(GRID, w.experiment),
    shell:
        "python -m labelwise.judge {input.experiment} --plan {params.plan:q} --out {output}"
        " 2>&1 | tee {log} >&2"


rule make_thumbnails:
    """Make small versions of the images of a set that may be shown, with their credits."""
    input:
        images="results/images/{images}.csv",
        credits=lambda w: showing.credits(GRID, w.images),
        code=code("pages.thumbnails"),
    output:
        "results/thumbnails/{images}.zip",
    log:
        "results/logs/make_thumbnails/{images}.log",
    benchmark:
        "results/benchmarks/make_thumbnails/{images}.jsonl"
    conda:
        "../../envs/inference.yaml"
    params:
        spec=lambda w: showing.thumbnail_spec(GRID, w.images),
    shell:
        "python -m labelwise.pages.thumbnails {input.images} --spec {params.spec:q} --out {output}"
        " 2>&1 | tee {log} >&2"


rule draw_figure:
    """Draw one figure, in all formats."""
    input:
        unpack(lambda w: showing.figure_inputs(GRID, w.figure)),
        code=lambda w: code(f"figures.{w.figure}"),
    output:
        pdf="results/figures/{figure}.pdf",
        svg=report(
            "results/figures/{figure}.svg",
            caption="../report/figure.rst",
            category=lambda w: chapters.of(w.figure),
            labels=lambda w: chapters.label(w.figure, "figure"),
        ),
        png="results/figures/{figure}.png",
    log:
        "results/logs/draw_figure/{figure}.log",
    conda:
        "../../envs/paper.yaml"
    params:
        files=lambda w, input: input.get("files", []),
    shell:
        "python -m labelwise.figures.{wildcards.figure} {input.table} {params.files}"
        " --out {output} 2>&1 | tee {log} >&2"


rule typeset_table:
    """Typeset one table from its experiment: tidy CSV, LaTeX and HTML."""
    input:
        unpack(lambda w: showing.table_inputs(GRID, w.table)),
        unpack(lambda w: typesetting.more_inputs(GRID, w.table)),
        code=lambda w: code(f"tables.{w.table}"),
    output:
        csv="results/tables/{table}.csv",
        tex="results/tables/{table}.tex",
        html=report(
            "results/tables/{table}.html",
            caption="../report/table.rst",
            category=lambda w: chapters.of(w.table),
            labels=lambda w: chapters.label(w.table, "table"),
        ),
    log:
        "results/logs/typeset_table/{table}.log",
    conda:
        "../../envs/paper.yaml"
    params:
        stem=lambda w, output: output.csv.removesuffix(".csv"),
        more=options("detail", "noise", "meta"),
    shell:
        "python -m labelwise.tables.{wildcards.table} {input.table} {params.more}"
        " --out {params.stem} 2>&1 | tee {log} >&2"


rule compare_table:
    """Set the paper's own numbers beside one table, cell by cell, where both run the same."""
    input:
        unpack(lambda w: showing.table_inputs(GRID, w.table)),
        unpack(lambda w: typesetting.more_inputs(GRID, w.table)),
        reported=lambda w: typesetting.reported(w.table),
        code=lambda w: code("tables.beside", f"tables.{w.table}"),
    output:
        csv="results/tables/paper/{table}.csv",
        tex="results/tables/paper/{table}.tex",
        html=report(
            "results/tables/paper/{table}.html",
            caption="../report/table.rst",
            category=lambda w: chapters.of(w.table),
            labels=lambda w: chapters.label(w.table, "table beside the paper"),
        ),
    log:
        "results/logs/compare_table/{table}.log",
    wildcard_constraints:
        table=GRID.names("tables", typesetting.PAPER),
    conda:
        "../../envs/paper.yaml"
    params:
        stem=lambda w, output: output.csv.removesuffix(".csv"),
        names=typesetting.paper_names(GRID),
        more=options("detail", "noise", "meta"),
    shell:
        "python -m labelwise.tables.beside {input.table} --module {wildcards.table}"
        " --names {params.names:q} {params.more} --out {params.stem} 2>&1 | tee {log} >&2"


rule state_findings:
    """Test the paper's claims on the study's own numbers, and write down what holds."""
    input:
        unpack(lambda w: typesetting.judged(GRID, config["experiments"])),
        experiments=collect(
            "results/experiments/{experiment}.csv", experiment=config["experiments"]
        ),
        oop=GRID.oop,
        tallies=ANNOTATIONS.tallies,
        noise=showing.panels(GRID),
        page=f"{PAGES}/page.html",
        code=code("findings"),
    output:
        md="results/findings.md",
        html=report(
            "results/findings.html",
            caption="../report/findings.rst",
            category=chapters.FINDINGS,
            labels={"result": "the paper's claims, tested"},
        ),
    log:
        "results/logs/state_findings.log",
    conda:
        "../../envs/paper.yaml"
    params:
        plan=typesetting.plan(GRID, config["experiments"]),
        names=typesetting.paper_names(GRID),
        more=options("oop", "tallies", "noise"),
    shell:
        "python -m labelwise.findings {input.experiments} {params.more}"
        " --plan {params.plan:q} --names {params.names:q} --out {output.md} --html {output.html}"
        " 2>&1 | tee {log} >&2"


rule leaderboard:
    """List every result of the study for a hub: one tidy CSV, and JSON that fits a schema."""
    input:
        unpack(lambda w: analyses.leaderboard_inputs(GRID, GRID.points)),
        experiments=collect(
            "results/experiments/{experiment}.csv", experiment=config["experiments"]
        ),
        schema="workflow/schemas/leaderboard.schema.json",
        code=code("publishing.leaderboard"),
    output:
        csv="results/leaderboard.csv",
        json="results/leaderboard.json",
    log:
        "results/logs/leaderboard.log",
    conda:
        "../../envs/paper.yaml"
    threads: 1
    params:
        spec=lambda w: analyses.leaderboard_spec(GRID, GRID.points),
        stem=lambda w, output: output.csv.removesuffix(".csv"),
    shell:
        "python -m labelwise.publishing.leaderboard {input.experiments} --spec {params.spec:q}"
        " --schema {input.schema} --out {params.stem} 2>&1 | tee {log} >&2"
