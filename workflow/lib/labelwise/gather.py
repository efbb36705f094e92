"""Stage ``gather``: the scores of one experiment as one tidy table.

``python -m labelwise.gather SCORES... --experiment NAME --out CSV`` writes one row a score and
category. A ``SCORES`` argument that begins with ``@`` is a file with one path a line.
"""

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from labelwise import records
from labelwise.errors import LabelwiseError, cli

AXES = (
    "images",
    "model",
    "engine",
    "protocol",
    "kind",
    "images_per_prompt",
    "order",
    "batching",
    "mapper",
    "labels",
)
NUMBERS = (
    "correct",
    "accuracy",
    "low",
    "high",
    "original",
    "original_low",
    "original_high",
    "both",
    "gain",
    "gain_low",
    "gain_high",
    "gain_void",
    "oop",
    "mapped_right",
)
COLUMNS = (
    "experiment",
    *AXES,
    "category",
    "n",
    "repeats",
    *NUMBERS,
    *(f"n_{outcome}" for outcome in records.OUTCOMES),
)


def rows(experiment: str, scores: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """Rows of the table: ``COLUMNS``, in the order of the scores and then of the categories.

    Percentages keep their full precision; a number that does not exist (no image in the category)
    is an empty cell. ``n_<outcome>`` is the mean count over repeats.

    Raises:
        LabelwiseError: a file that is no score.
    """
    for path in scores:
        score = records.read_json(path)
        if not isinstance(score, dict) or "categories" not in score:
            raise LabelwiseError(f"{path}: not a score: no key categories")
        categories = score["categories"]
        for category in (c for c in records.CATEGORIES if c in categories):
            numbers = categories[category]
            yield {
                "experiment": experiment,
                **{axis: score.get(axis) for axis in AXES},
                "category": category,
                "n": numbers["n"],
                "repeats": score["repeats"],
                **{name: numbers.get(name) for name in NUMBERS},
                **{f"n_{o}": numbers["outcomes"].get(o, 0) for o in records.OUTCOMES},
            }


@cli
def main(argv: list[str] | None = None) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.gather", description=__doc__, fromfile_prefix_chars="@"
    )
    parser.add_argument(
        "scores", nargs="+", type=Path, help="score files, or @FILE that lists them"
    )
    parser.add_argument("--experiment", required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    records.write_csv(args.out, COLUMNS, rows(args.experiment, args.scores))


if __name__ == "__main__":
    main()
