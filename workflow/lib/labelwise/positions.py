"""Stage ``positions``: closed-world scores by the place of an image in its prompt.

``python -m labelwise.positions EXPERIMENT.csv --plan JSON --out CSV``. The place of an image is
that in the run of its model and protocol with most images a prompt (shuffled); all runs of that
model and protocol are scored on the images of each place, so that the same images are compared.
Rows hold the axes of the run, the place, and the numbers of ``results/experiments`` for category A.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from labelwise import records
from labelwise.errors import cli
from labelwise.evaluation.selection import AXES, Run, by_model, closed_batchings, load, predictions
from labelwise.evaluation.verdicts import Judge
from labelwise.records import NUMBERS

COLUMNS = (*AXES, "position", "category", "n", *NUMBERS, *(f"n_{o}" for o in records.OUTCOMES))


def places(path: str | Path) -> dict[int, frozenset[str]]:
    """Place in the prompt -> images there, by the first repeat of a predictions file."""
    found: dict[int, set[str]] = {}
    for row in records.read_csv(path, records.PREDICTIONS):
        if row["repeat"] == "0" and row["position"]:
            found.setdefault(int(row["position"]), set()).add(row["image"])
    return {place: frozenset(images) for place, images in sorted(found.items())}


def rows(runs: Sequence[Run], judge: Judge) -> Iterator[dict[str, Any]]:
    """Rows of the table, ``COLUMNS``; none where no model was asked with several batch sizes."""
    settings = dict.fromkeys((run.images, run.labels) for run in runs)
    for images, labels in settings:
        group = [run for run in runs if (run.images, run.labels) == (images, labels)]
        for own in by_model(group).values():
            for asked in closed_batchings(own):
                mixed = [run for run in asked if not run.same_class]
                if len({run.images_per_prompt for run in mixed}) < 2:
                    continue
                for place, there in places(predictions(mixed[-1])).items():
                    for run in mixed:
                        yield _row(run, place, judge(run, there).summary())


def _row(run: Run, place: int, summary: Mapping[str, Any]) -> dict[str, Any]:
    numbers = summary["categories"]["A"]
    return {
        **dict(zip(AXES, run.key, strict=True)),
        "position": place,
        "category": "A",
        "n": numbers["n"],
        **{name: numbers.get(name) for name in NUMBERS},
        **{f"n_{o}": numbers["outcomes"].get(o, 0) for o in records.OUTCOMES},
    }


@cli
def main(argv: list[str] | None = None) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="python -m labelwise.positions", description=__doc__)
    parser.add_argument("experiment", type=Path, help="results/experiments/NAME.csv")
    parser.add_argument("--plan", type=json.loads, required=True, help="see verdicts.Judge, JSON")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    records.write_csv(args.out, COLUMNS, rows(load(args.experiment), Judge(args.plan)))


if __name__ == "__main__":
    main()
