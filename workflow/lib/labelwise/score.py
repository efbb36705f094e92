"""Stage ``score``: the predictions of one run against one label set.

``python -m labelwise.score PREDICTIONS --labels CSV --original CSV --images CSV --spec JSON --out
JSON``; see ``labelwise.scoring`` for what is computed. ``--spec`` is the ``labels`` entry of the
configuration (of which the rules count) together with the axes of the run, which are repeated in
the score: images, model, protocol, batching, mapper, labels, original and so on.
"""

import argparse
import json
import re
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

from labelwise import labels, records
from labelwise.data import class_ids
from labelwise.data.rules import Rules
from labelwise.errors import LabelwiseError, cli
from labelwise.scoring import OUTCOME, Answer, Key

AXES = (
    "images",
    "model",
    "engine",
    "protocol",
    "kind",
    "batching",
    "images_per_prompt",
    "order",
    "mapper",
    "labels",
    "original",
)


def read_predictions(path: str | Path) -> list[dict[str, Answer]]:
    """The answers of a ``results/predictions`` file: one dict a repeat, in the order of repeats.

    Raises:
        LabelwiseError: a missing file or column, no rows, an unknown outcome, a repeat or class ids
            that are no numbers, or an image that occurs twice in a repeat.
    """
    runs: dict[int, dict[str, Answer]] = {}
    for number, row in records.stream_csv(path, records.PREDICTIONS):
        where = f"{path}: line {number}"
        records.one_line(where, row, but=("answer",))
        if None in row or None in row.values():
            raise LabelwiseError(f"{where}: another number of cells than headings")
        if not re.fullmatch(r"[0-9]{1,9}", row["repeat"]):
            raise LabelwiseError(f"{where}: repeat {row['repeat']!r} is not a whole number")
        run, image = runs.setdefault(int(row["repeat"]), {}), row["image"]
        if image in run:
            raise LabelwiseError(f"{where}: {image} is twice in repeat {row['repeat']}")
        if row["outcome"] not in OUTCOME:
            raise LabelwiseError(f"{where}: unknown outcome {row['outcome']!r}")
        classes = class_ids.cell(row["class"], f"{where}: class")
        run[image] = Answer(classes, row["outcome"], row["mapped"] == "1")
    if not runs:
        raise LabelwiseError(f"{path}: no rows")
    return [runs[repeat] for repeat in sorted(runs)]


def answer_key(
    label_file: Path,
    original: Path,
    images: Path,
    spec: Mapping[str, Any],
    some: Container[str] | None = None,
) -> Key:
    """The answer key of a label set.

    Args:
        label_file: a ``results/labels`` file.
        original: that of the original labels.
        images: a ``results/images`` file.
        spec: the ``labels`` entry, which has the rules.
        some: images to ask about; None takes all of the set.
    """
    listed = (row["image"] for _, row in records.stream_csv(images, ("image",)))
    asked = [image for image in listed if some is None or image in some]
    pairs = labels.pairs_of(spec)
    return Key(labels.read(label_file), labels.read(original), Rules.of(spec), pairs, asked)


def score(
    predictions: Path, label_file: Path, original: Path, images: Path, spec: dict[str, Any]
) -> dict[str, Any]:
    """The score of one run against one label set, as the JSON file holds it.

    Args:
        predictions: a ``results/predictions`` file.
        label_file: a ``results/labels`` file.
        original: that of the original labels.
        images: a ``results/images`` file.
        spec: the ``labels`` entry and the axes of the run.
    """
    key = answer_key(label_file, original, images, spec)
    return {
        **{axis: spec[axis] for axis in AXES if axis in spec},
        "rules": {**key.rules.as_dict(), "n_equivalents": len(labels.pairs_of(spec))},
        **key.judge(read_predictions(predictions)).summary(),
    }


@cli
def main(argv: list[str] | None = None) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="python -m labelwise.score", description=__doc__)
    parser.add_argument("predictions", type=Path, help="a results/predictions CSV")
    parser.add_argument("--labels", type=Path, required=True, help="a results/labels CSV")
    parser.add_argument("--original", type=Path, required=True, help="that of the original labels")
    parser.add_argument("--images", type=Path, required=True, help="a results/images CSV")
    parser.add_argument("--spec", type=json.loads, required=True, help="rules and axes, as JSON")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    records.write_json(
        args.out, score(args.predictions, args.labels, args.original, args.images, args.spec)
    )


if __name__ == "__main__":
    main()
