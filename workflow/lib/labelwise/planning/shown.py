"""What figures, and pages about single answers, are made from beyond experiments (stdlib only)."""

import json
from typing import Any

from labelwise.planning.analyses import ANALYSES
from labelwise.planning.grid import Grid
from labelwise.planning.points import CLASSIFY

JUDGED = ("agreement", "confusions", "gallery", "positions", "reliability")
"""Figures of single answers."""

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


def panels(grid: Grid) -> list[str]:
    """Files of the numerics panels that some figure or table marks differences by."""
    entries = [*grid.config["figures"].values(), *grid.config["tables"].values()]
    return sorted({noise(entry["noise"]) for entry in entries if "noise" in entry})


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
    classes = set(_plan(grid, experiment)["classes"].values())
    return {
        "experiment": f"results/experiments/{experiment}.csv",
        "classes": [f"results/classes/{name}.csv" for name in sorted(classes)],
        **grid.verdict_inputs(grid.points_of[experiment]),
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


def browser_inputs(grid: Grid) -> dict[str, Any]:
    """Inputs of ``browse``: all that has been asked, said, mapped and labelled."""
    plan = _browser_plan(grid)
    runs = sorted({point.run for point in grid.points})
    asked = [run for run in runs if run.protocol != CLASSIFY]
    return {
        "responses": [run.responses for run in asked],
        "requests": sorted({run.requests for run in asked}),
        "classes": sorted(f"results/classes/{name}.csv" for name in set(plan["classes"].values())),
        "thumbnails": sorted(plan["thumbnails"].values()),
        **grid.verdict_inputs(grid.points),
    }


def browser_plan(grid: Grid) -> str:
    """What the browser shows, as JSON; see ``browser.build``."""
    return json.dumps(_browser_plan(grid), sort_keys=True, separators=(",", ":"))


def _browser_plan(grid: Grid) -> dict[str, Any]:
    points = list(dict.fromkeys((*point.run, point.mapper) for point in grid.points))
    images = list(dict.fromkeys(point[0] for point in points))
    prompted = sorted({point[2] for point in points} - {CLASSIFY})
    classes = {name: grid.config["protocols"][name]["classes"] for name in prompted}
    usual = next(iter(classes.values()), next(iter(grid.config["class_names"])))
    original = {name: grid.config["images"][name]["original"] for name in images}
    used = sorted({point.labels for point in grid.points} | set(original.values()))
    models = dict.fromkeys(point[1] for point in points)
    return {
        "points": points,
        "prompted": prompted,
        "classes": {CLASSIFY: usual, **classes},
        "original": original,
        "labels": {name: json.loads(grid.spec("labels", name)) for name in used},
        "names": {name: grid.config["models"][name].get("name", name) for name in models},
        "thumbnails": {name: file for name in images for file in thumbnails(grid, [name])},
    }


def metas(grid: Grid) -> list[str]:
    """The records of all runs that compute something: of models that write, and of classifiers."""
    return grid.records_of(point.run for point in grid.points)


def used_config(grid: Grid) -> str:
    """The configuration as far as some experiment uses it, as JSON: its sections by name."""
    config, points = grid.config, grid.points
    models = _models(grid)
    protocols = {point.run.protocol for point in points} - {CLASSIFY}
    named = [config["models"][name] for name in models]
    named += [config["protocols"][name] for name in protocols]
    mappers = {point.mapper for point in points} & set(config["mappers"])
    mappers |= {config["models"][m]["mapper"] for m in models if "mapper" in config["models"][m]}
    images = {point.run.images for point in points}
    chosen = {
        "images": images,
        "labels": {p.labels for p in points} | {config["images"][i]["original"] for i in images},
        "models": models,
        "protocols": protocols,
        "mappers": mappers,
        "encoders": {
            config["mappers"][m]["encoder"] for m in mappers if "encoder" in config["mappers"][m]
        },
        "class_names": {
            entry[key]
            for entry in named
            for key in ("classes", "targets", "other_names")
            if key in entry
        },
    }
    kept = {kind: {n: config[kind][n] for n in sorted(names)} for kind, names in chosen.items()}
    shown = {kind: config[kind] for kind in ("experiments", "figures", "tables")}
    return json.dumps(kept | shown, sort_keys=True, separators=(",", ":"))


def _models(grid: Grid) -> set[str]:
    """Models that are run, and those that they or the protocols use."""
    found = {point.run.model for point in grid.points}
    entries = [grid.config["models"][model] for model in found]
    found |= {entry["classifier"] for entry in entries if "classifier" in entry}
    for name in {point.run.protocol for point in grid.points} - {CLASSIFY}:
        entry = grid.config["protocols"][name]
        sources = (entry.get("distractors", {}), entry.get("candidates", {}))
        found |= {source["model"] for source in sources if "model" in source}
    return found


def weights(grid: Grid) -> list[str]:
    """The records of the weights of all models and text encoders that are run."""
    models = _models(grid)
    encoders = {
        encoder
        for point in grid.points
        if (encoder := grid.config["mappers"].get(point.mapper, {}).get("encoder"))
    }
    looks = {look for m in models if grid.classifies(m) and (look := grid.looks.name(m))}
    found = {file for look in looks for file in grid.looks.weights(look)["weights"]}
    for kind, names in (("models", set(models) - set(grid.classifiers())), ("encoders", encoders)):
        found |= {file for name in names for file in grid.weights_of(kind, name)}
    return sorted(file for file in found if file.startswith("results/weights/"))
