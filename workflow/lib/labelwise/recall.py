"""Stage ``recall``: the recall of every class in every score of an experiment, as one tidy table.

``python -m labelwise.recall SCORES... --classes CSV --out CSV``; a ``SCORES`` argument that begins
with ``@`` is a file with one path a line. A row is one score and class: images whose one label
under the score's label set is that class, and how many of them are right (mean over repeats).
"""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from labelwise import classnames, records
from labelwise.errors import LabelwiseError, cli
from labelwise.evaluation.selection import AXES

COLUMNS = (*AXES, "class", "name", "n", "right")


def rows(scores: Iterable[Path], names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Rows of the table, in the order of the scores and then of the classes.

    Raises:
        LabelwiseError: a file that is no score.
    """
    for path in scores:
        score = records.read_json(path)
        if not isinstance(score, dict) or "recall" not in score:
            raise LabelwiseError(f"{path}: not a score: no key recall")
        for number, (n, right) in sorted(score["recall"].items(), key=lambda item: int(item[0])):
            name = names[int(number)] if int(number) < len(names) else number
            yield {
                **{axis: score.get(axis) for axis in AXES},
                "class": number,
                "name": name,
                "n": n,
                "right": right,
            }


@cli
def main(argv: list[str] | None = None) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.recall", description=__doc__, fromfile_prefix_chars="@"
    )
    parser.add_argument(
        "scores", nargs="+", type=Path, help="score files, or @FILE that lists them"
    )
    parser.add_argument("--classes", type=Path, required=True, help="a results/classes CSV")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    records.write_csv(args.out, COLUMNS, rows(args.scores, classnames.read(args.classes)))


if __name__ == "__main__":
    main()
