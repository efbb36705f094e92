"""Analyses between an experiment and what is shown of it: what each is made from (stdlib only).

An analysis is a module ``labelwise.analyses.NAME`` that turns ``results/experiments/X.csv`` and the
answers behind it into the tidy ``results/NAME/X.csv``, which the figure and the table of that name
show.
"""

import json
from collections.abc import Iterable
from typing import Any

from labelwise.planning.inputs import Inputs
from labelwise.planning.points import Point

ANALYSES = ("numerics", "ranks", "sensitivity")


def inputs(grid: Inputs, analysis: str, points: list[Point]) -> dict[str, list[str]]:
    """The files that an analysis reads besides the experiment's table."""
    asked = [point.run for point in points if not grid.classifies(point.run.model)]
    requests = [run.requests for run in asked]
    if analysis == "numerics":
        found = {
            "requests": requests,
            "responses": [run.responses for run in asked],
            "classes": [grid.classes(run.protocol) for run in asked],
        }
    else:
        found = grid.verdict_inputs(points, label_sets(grid, points))
        if analysis == "sensitivity":
            found["requests"] = requests
    return {name: sorted(set(files)) for name, files in found.items()}


def label_sets(grid: Inputs, points: list[Point]) -> list[str]:
    """The label sets of an experiment, the original ones of its images, and annotators' passes."""
    names = {point.labels for point in points}
    names |= {grid.config["images"][point.run.images]["original"] for point in points}
    for name in list(names):
        names |= set(grid.config["labels"][name].get("passes", ()))
    return sorted(names)


def leaderboard_inputs(grid: Inputs, points: Iterable[Point]) -> dict[str, list[str]]:
    """The files that ``leaderboard`` reads besides the experiments: records of runs and weights."""
    runs, weights = {point.run for point in points}, set()
    for run in runs:
        if not grid.classifies(run.model):
            weights |= set(grid.weights_of("models", run.model))
        elif look := grid.looks.name(run.model):
            weights |= set(grid.looks.weights(look)["weights"])
    return {"meta": grid.records_of(runs), "weights": sorted(weights)}


def leaderboard_spec(grid: Inputs, points: Iterable[Point]) -> str:
    """What computes each model's numbers, and the look that classifiers share, as JSON."""
    models, looks = {}, {}
    for model in sorted({point.run.model for point in points}):
        look = grid.looks.name(model) if grid.classifies(model) else ""
        models[model] = json.loads(grid.looks.spec(look)) if look else grid.entry("models", model)
        looks[model] = look
    return json.dumps({"models": models, "looks": looks}, sort_keys=True)


def spec(grid: Inputs, analysis: str, points: list[Point]) -> str:
    """What an analysis is told of the config, as JSON."""
    if analysis == "numerics":
        models = {point.run.model for point in points}
        told: dict[str, Any] = {"models": {model: grid.entry("models", model) for model in models}}
    else:
        images = {point.run.images for point in points}
        told = {
            "labels": {name: grid.config["labels"][name] for name in label_sets(grid, points)},
            "original": {name: grid.config["images"][name]["original"] for name in images},
        }
    return json.dumps(told, sort_keys=True)
