"""Labelwise: how good are multimodal LLMs at plain image classification?

Results lie where the experiment is: one path segment an axis, each stage adding its own.

    results/images/       {images}.csv
    results/requests/     {images}/{protocol}/{batching}.jsonl
    results/responses/    {images}/{model}/{protocol}/{batching}.jsonl      (+ .meta.json)
    results/predictions/  {images}/{model}/{protocol}/{batching}/{mapper}.csv
    results/scores/       {images}/{model}/{protocol}/{batching}/{mapper}/{labels}.json
    results/annotation/   {annotation}/{cases.jsonl,key.csv,tally.csv}
    results/experiments/  {experiment}.csv
    results/judged/       {experiment}.csv                    (single answers and their verdicts)
    results/figures/      {figure}.{pdf,png,svg}
    results/tables/       {table}.{csv,tex,html}         paper/{table}.* has the paper's numbers beside
    results/findings.md   what holds of the paper's claims
    results/              runs.html provenance.html browser.html report.html

Analyses of an experiment lie beside it: results/{numerics,ranks,sensitivity}/{experiment}.csv, and all
results in one file for others to list: results/leaderboard.{csv,json}.
"""


configfile: "config/config.yaml"


report: "workflow/report/study.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/inference.smk"
include: "workflow/rules/classifiers.smk"
include: "workflow/rules/mapping.smk"
include: "workflow/rules/scoring.smk"
include: "workflow/rules/annotation.smk"
include: "workflow/rules/paper.smk"
include: "workflow/rules/publish.smk"


# These take seconds. A Slurm job costs more than that, so they run beside Snakemake.
localrules:
    all,
    responses,
    scores,
    figures,
    tables,
    oop,
    fetch_weights,
    pack,
    list_classes,
    read_labels,
    narrow,
    write_requests,
    confuse,
    predict,
    score,
    score_positions,
    judge,
    relabel,
    analyse,
    analyse_oop,
    gather,
    gather_oop,
    gather_recall,
    gather_tokens,
    draw_figure,
    typeset_table,
    compare_table,
    leaderboard,
    state_findings,
    select_cases,
    tally_cases,
    make_thumbnails,
    calibrate,
    tell_provenance,
    browse,
    list_runs,
    list_likeliest,
    merge_shards,


rule all:
    """Run every experiment, and make every figure, table, analysis and statement of the study."""
    default_target: True
    input:
        collect("results/experiments/{experiment}.csv", experiment=config["experiments"]),
        shown("figures"),
        shown("tables"),
        GRID.oop,
        "results/leaderboard.csv",
        ANNOTATIONS.targets,
        "results/findings.md",
        "results/runs.html",
        "results/provenance.html",
        "results/browser.html",


rule responses:
    """Ask all models everything, and stop there."""
    input:
        GRID.responses,


rule scores:
    """Score every point of the grid."""
    input:
        GRID.scores,


rule oop:
    """Analyse the answers outside the class list of every closed-world run."""
    input:
        GRID.oop,


rule figures:
    """Draw all figures, in all formats."""
    input:
        shown("figures"),


rule tables:
    """Typeset all tables, in all formats."""
    input:
        shown("tables"),


include: "workflow/rules/archive.smk"
