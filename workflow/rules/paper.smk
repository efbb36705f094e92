"""What is shown: one module a figure or table, each from one experiment."""


rule draw_figure:
    """Draw one figure from its experiment."""
    input:
        experiment=lambda w: f"results/experiments/{config['figures'][w.figure]['experiment']}.csv",
        code=lambda w: code(f"figures.{w.figure}"),
    output:
        report(
            "results/figures/{figure}.{ext}",
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}", "format": "{ext}"},
        ),
    log:
        "results/logs/draw_figure/{figure}.{ext}.log",
    conda:
        "../../envs/paper.yaml"
    shell:
        "python -m labelwise.figures.{wildcards.figure} {input.experiment} --out {output}"
        " 2>&1 | tee {log} >&2"


rule typeset_table:
    """Typeset one table from its experiment: tidy CSV, LaTeX and HTML."""
    input:
        experiment=lambda w: f"results/experiments/{config['tables'][w.table]['experiment']}.csv",
        code=lambda w: code(f"tables.{w.table}"),
    output:
        csv="results/tables/{table}.csv",
        tex="results/tables/{table}.tex",
        html=report(
            "results/tables/{table}.html",
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "{table}"},
        ),
    log:
        "results/logs/typeset_table/{table}.log",
    conda:
        "../../envs/paper.yaml"
    params:
        stem="results/tables/{table}",
    shell:
        "python -m labelwise.tables.{wildcards.table} {input.experiment} --out {params.stem}"
        " 2>&1 | tee {log} >&2"
