"""What goes with the tables and figures: runs, provenance, and every single answer."""


rule list_runs:
    """List every run of the study, with the outcomes of its answers beside its accuracy."""
    input:
        experiments=collect(
            "results/experiments/{experiment}.csv", experiment=config["experiments"]
        ),
        page=f"{PAGES}/page.html",
        code=code("pages.runs"),
    output:
        report(
            "results/runs.html",
            caption="../report/runs.rst",
            category=chapters.RUN,
            labels={"result": "runs and outcomes"},
        ),
    log:
        "results/logs/list_runs.log",
    conda:
        "../../envs/paper.yaml"
    shell:
        "python -m labelwise.pages.runs {input.experiments} --out {output} 2>&1 | tee {log} >&2"


rule tell_provenance:
    """Tell by which code, models, packages and machines results were made, and at what cost."""
    input:
        metas=showing.metas(GRID),
        weights=showing.weights(GRID),
        page=f"{PAGES}/page.html",
        code=code("pages.provenance"),
    output:
        report(
            "results/provenance.html",
            caption="../report/provenance.rst",
            category=chapters.RUN,
            labels={"result": "provenance"},
        ),
    log:
        "results/logs/tell_provenance.log",
    conda:
        "../../envs/paper.yaml"
    params:
        config=showing.used_config(GRID),
    shell:
        "python -m labelwise.pages.provenance {input.metas} --weights {input.weights}"
        " --config {params.config:q} --out {output} 2>&1 | tee {log} >&2"


rule browse:
    """Write one page with every answer of the study, from question to verdict."""
    input:
        unpack(lambda w: showing.browser_inputs(GRID)),
        page=[f"{PAGES}/browser.{suffix}" for suffix in ("html", "css", "js")],
        code=code("pages.browser"),
    output:
        report(
            "results/browser.html",
            caption="../report/browser.rst",
            category=chapters.CASES,
            labels={"result": "every answer of the study"},
        ),
    log:
        "results/logs/browse.log",
    benchmark:
        "results/benchmarks/browse.jsonl"
    conda:
        "../../envs/paper.yaml"
    params:
        plan=showing.browser_plan(GRID),
    shell:
        "python -m labelwise.pages.browser --plan {params.plan:q} --out {output} 2>&1 | tee {log} >&2"
