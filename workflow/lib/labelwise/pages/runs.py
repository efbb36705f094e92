"""Page ``runs``: what was run on what, by which rules, with the outcomes beside every accuracy.

``python -m labelwise.pages.runs EXPERIMENT.csv... --out HTML``: a section an experiment and label
set, a row a run; all numbers are over all images of the set (category A).
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labelwise.errors import cli
from labelwise.evaluation.selection import Run, load
from labelwise.pages import page
from labelwise.records import OUTCOMES, write_text

COLUMNS = (
    *(("model", False), ("task", False), ("protocol", False), ("images a prompt", False)),
    *(("mapper", False), ("n", True), ("repeats", True), ("accuracy, %", True)),
    ("95 % interval", True),
)
LEAD = (
    "One row a run and mapper. Accuracy is over all images of the set, under the label set named in"
    " the heading; beside it what became of the answers: of a run with repeats the mean counts.",
    "ok: a listed class; the other outcomes name no class by themselves. A text encoder (CW+, OW)"
    " gives out-of-list answers, abstentions and cut answers a class, so they can still be right.",
)


def sections(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """The sections of one experiment: one an image set and label set."""
    found: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        found.setdefault((run.images, run.labels), []).append(run)
    made = []
    for (images, labels), own in found.items():
        seen = [o for o in OUTCOMES if any(run.get("A", f"n_{o}") for run in own)]
        made.append(
            {
                "title": f"{own[0].experiment}: images {images}, labels {labels}",
                "lines": [f"Scoring rules: {rules}" for rules in sorted({r.rules for r in own})],
                "columns": [*COLUMNS, *((o.replace("_", " "), True) for o in seen)],
                "rows": [row(run, seen) for run in own],
            }
        )
    return made


def row(run: Run, outcomes: Sequence[str]) -> list[str]:
    """The cells of one run, of ``COLUMNS`` and the outcomes."""
    size = str(run.images_per_prompt)
    low, high = run.get("A", "low"), run.get("A", "high")
    return [
        run.name,
        run.task,
        run.protocol,
        f"{size}, {run.order}" if run.order else size,
        run.mapper,
        str(run.n("A")),
        str(run.repeats),
        _number(run.get("A", "accuracy")),
        "" if low is None else f"{low:.2f} to {high:.2f}",
        *(_count(run.get("A", f"n_{outcome}")) for outcome in outcomes),
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _count(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}".rstrip("0").rstrip(".")


@cli
def main(argv: Sequence[str] | None = None) -> None:
    """List every run of a study, with the outcomes of its answers beside its accuracy."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.pages.runs", description=main.__doc__
    )
    parser.add_argument("experiments", nargs="+", type=Path, help="results/experiments/*.csv")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    found = [section for path in args.experiments for section in sections(load(path))]
    write_text(args.out, page("What was run", LEAD, found))


if __name__ == "__main__":
    main()
