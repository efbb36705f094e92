"""What tables and statements are made from beside the CSV of an experiment (stdlib only)."""

import json
from collections.abc import Iterable

from labelwise.planning.grid import Grid

PAPER = {
    "categories": 2,
    "main": 4,
    "out_of_list": 5,
    "protocols": 6,
    "multiple_choice": 7,
    "label_sets": 9,
    "recall": 10,
    "batches": 11,
    "order": 12,
    "position": 13,
    "formats": 14,
    "mapped_answers": 15,
    "answer_kinds": 16,
    "stability": 17,
    "encoders": 18,
    "distractors": 19,
}
"""Tables that the paper has too, and their numbers there."""

DETAILS = {"answer_kinds": "oop", "position": "positions", "recall": "recall"}
DETAILS |= {"decoding": "tokens"}
"""Tables that show more than an experiment's CSV holds, and the folder of results that has it."""


def more_inputs(grid: Grid, table: str) -> dict[str, str]:
    """What a table needs beside its experiment: the day of the run, and a finer CSV if shown."""
    experiment = grid.config["tables"][table].get("experiment")
    if experiment is None:
        return {}
    inputs = {"meta": f"results/experiments/{experiment}.meta.json"}
    if table in DETAILS:
        inputs["detail"] = f"results/{DETAILS[table]}/{experiment}.csv"
    return inputs


def reported(table: str) -> str:
    """File of the paper's own numbers."""
    return f"workflow/reported/table{PAPER[table]:02d}.csv"


def times(grid: Grid, experiment: str) -> list[str]:
    """Records of when the runs of an experiment were made; predictions from a file have none."""
    return grid.records_of(point.run for point in grid.points_of[experiment])


def mapped_closed(grid: Grid, experiment: str) -> list[str]:
    """The out-of-list analyses of an experiment."""
    return [point.oop for point in grid.points_of[experiment] if grid.maps_closed(point)]


def class_names(grid: Grid, experiment: str) -> str:
    """The class names that an experiment's protocols use, or the first of the configuration."""
    protocols = [point.run.protocol for point in grid.points_of[experiment]]
    asked = [p for p in protocols if p in grid.config["protocols"]]
    return (
        grid.classes(asked[0])
        if asked
        else f"results/classes/{next(iter(grid.config['class_names']))}.csv"
    )


def judged(grid: Grid, experiments: Iterable[str]) -> dict[str, list[str]]:
    """The files that ``labelwise.evaluation.verdicts`` reads about some experiments."""
    return grid.verdict_inputs([p for name in experiments for p in grid.points_of[name]])


def plan(grid: Grid, experiments: Iterable[str]) -> str:
    """Label sets with their rules, and the original labels of image sets, as JSON.

    ``{"labels": {name: entry}, "original": {images: label set}}``, as ``verdicts.Judge`` takes it.
    """
    points = [point for name in experiments for point in grid.points_of[name]]
    return json.dumps(
        {
            "labels": {
                name: json.loads(grid.spec("labels", name))
                for name in sorted({point.labels for point in points})
            },
            "original": {
                name: grid.config["images"][name]["original"]
                for name in sorted({point.run.images for point in points})
            },
        },
        sort_keys=True,
    )


def paper_names(grid: Grid) -> str:
    """Which models, image sets, label sets and encoders are the paper's, as JSON."""
    return json.dumps(
        {
            kind: {
                name: entry["paper"]
                for name, entry in grid.config[kind].items()
                if "paper" in entry
            }
            for kind in ("models", "images", "labels", "encoders")
        },
        sort_keys=True,
    )
