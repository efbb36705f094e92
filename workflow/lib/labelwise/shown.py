"""What figures, and pages about single answers, are made from beyond experiments (stdlib only)."""

import json
from typing import Any

from labelwise.analyses import ANALYSES
from labelwise.grid import Grid
from labelwise.points import CLASSIFY

JUDGED = ("agreement", "confusions", "gallery", "positions", "reliability")
"""Figures of single answers; all others are drawn from the experiment's scores."""

CALIBRATED = ("calibration", "selective")
"""Figures and tables of probabilities."""

SHOWN = ("show", "credits")
"""Keys of an image set's entry that say which of its images may be shown."""


def tally(annotation: str) -> str:
    """File with what an annotation's decisions say."""
    return f"results/annotation/{annotation}/tally.csv"


def figure_inputs(grid: Grid, figure: str) -> dict[str, Any]:
    """Inputs of ``draw_figure``: the one table that a figure is drawn from, and its pictures."""
    entry = grid.config["figures"][figure]
    if "annotation" in entry:
        return {"table": tally(entry["annotation"])}
    experiment = entry["experiment"]
    kind = "judged" if figure in JUDGED else _analysis(figure)
    inputs: dict[str, Any] = {"table": f"results/{kind}/{experiment}.csv"}
    if figure == "gallery":
        inputs["files"] = thumbnails(grid, grid.config["experiments"][experiment]["images"])
    if "noise" in entry:
        inputs["files"] = noise(entry["noise"])
    return inputs


def table_inputs(grid: Grid, table: str) -> dict[str, Any]:
    """Inputs of ``typeset_table``: an experiment, or the analysis of it of the table's name."""
    entry = grid.config["tables"][table]
    if "annotation" in entry:
        return {"table": tally(entry["annotation"])}
    inputs: dict[str, Any] = {"table": f"results/{_analysis(table)}/{entry['experiment']}.csv"}
    if "noise" in entry:
        inputs["noise"] = noise(entry["noise"])
    return inputs


def _analysis(name: str) -> str:
    """The folder of what a figure or table shows: an analysis, or the experiments themselves."""
    if name in CALIBRATED:
        return "calibration"
    return name if name in ANALYSES else "experiments"


def noise(experiment: str) -> str:
    """File of the numerics panel by which differences are marked."""
    return f"results/numerics/{experiment}.csv"


def thumbnails(grid: Grid, images: list[str]) -> list[str]:
    """Files of the thumbnails of those image sets that may be shown."""
    shown = [name for name in images if grid.config["images"][name].get("show")]
    return [f"results/thumbnails/{name}.zip" for name in shown]


def thumbnail_spec(grid: Grid, images: str) -> str:
    """What an image set's entry says of showing, as JSON."""
    entry = grid.config["images"][images]
    return json.dumps({key: entry[key] for key in SHOWN if key in entry}, sort_keys=True)


def credits(grid: Grid, images: str) -> list[str]:
    """The table with the authors and licences of an image set, where it names one."""
    entry = grid.config["images"][images]
    return [entry["credits"]] if "credits" in entry else []


def judge_inputs(grid: Grid, experiment: str) -> dict[str, Any]:
    """Inputs of ``judge``: the predictions of an experiment and all that they are held against."""
    points = grid.points_of[experiment]
    plan = _plan(grid, experiment)
    return {
        "experiment": f"results/experiments/{experiment}.csv",
        "predictions": sorted({point.predictions for point in points}),
        "labels": [
            f"results/labels/{name}.csv"
            for name in sorted({*plan["labels"], *plan["original"].values()})
        ],
        "images": [f"results/images/{name}.csv" for name in sorted(plan["original"])],
        "classes": [
            f"results/classes/{name}.csv" for name in sorted(set(plan["classes"].values()))
        ],
        "equivalents": sorted({file for name in plan["labels"] for file in grid.equivalents(name)}),
    }


def judge_plan(grid: Grid, experiment: str) -> str:
    """The rules, original labels and class names of an experiment, as JSON."""
    return json.dumps(_plan(grid, experiment), sort_keys=True)


def _plan(grid: Grid, experiment: str) -> dict[str, Any]:
    entry = grid.config["experiments"][experiment]
    protocols = {point.run.protocol for point in grid.points_of[experiment]} - {CLASSIFY}
    classes = {name: grid.config["protocols"][name]["classes"] for name in sorted(protocols)}
    usual = next(iter(classes.values()), next(iter(grid.config["class_names"])))
    return {
        "labels": {name: json.loads(grid.spec("labels", name)) for name in entry["labels"]},
        "original": {name: grid.config["images"][name]["original"] for name in entry["images"]},
        "classes": {CLASSIFY: usual, **classes},
    }
