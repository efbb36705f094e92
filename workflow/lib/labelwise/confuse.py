"""Which classes a model takes for which, by a label set: material for hard distractors.

A hard and a soft confusion matrix in one table, which names the images, the model and the label set
it was made from. Hard, ``count``: how many images of class ``labelled`` were predicted as
``predicted``. Soft, ``weight``: the mean probability of ``predicted`` on images of class
``labelled`` (engines timm and open_clip), or the share of these images (all others).

The correct class is always listed; of the others the first 20 a class, by count, then weight, then
class id. An image with several labels belongs to each of them, and none of them is a confusion of
another. Images without a label, and uncertain or void ones by the label set's own marks, are left
out.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from labelwise import records
from labelwise.errors import LabelwiseError, cli

TOP = 20
"""Confusions kept of each class."""

AXES = ("images", "model", "labels")
"""What a table was made from, as columns."""

SMALLEST = 1e-6
"""Mean probabilities below this are no confusion."""


def confusions(
    scored: Iterable[tuple[str, np.ndarray]], labels: Mapping[str, tuple[int, ...]]
) -> list[dict[str, Any]]:
    """Rows labelled, predicted, count, weight, by class, then strongest first.

    Args:
        scored: image and its probabilities [classes] (one-hot, or all zeros, where only the class
            is known); the first of the largest is what was predicted, unless all are zero.
        labels: class ids of each image.
    """
    images: dict[int, int] = defaultdict(int)
    count: dict[int, np.ndarray] = {}
    mass: dict[int, np.ndarray] = {}
    for image, row in scored:
        own = labels.get(image, ())
        for label in own:
            images[label] += 1
            hard = count.setdefault(label, np.zeros(len(row), np.int64))
            soft = mass.setdefault(label, np.zeros(len(row)))
            others = [c for c in own if c != label]
            best = int(row.argmax())
            if row[best] > 0 and best not in others:
                hard[best] += 1
            soft += row
            soft[others] -= row[others]
    made = []
    for label in sorted(images):
        weight = mass[label] / images[label]
        likely = np.flatnonzero((weight >= SMALLEST) | (count[label] > 0)).tolist()
        order = sorted(
            (c for c in likely if c != label),
            key=lambda c: (-count[label][c], -weight[c], c),
        )
        for c in [label, *order[:TOP]]:
            shown = {"count": int(count[label][c]), "weight": f"{weight[c]:.6g}"}
            made.append({"labelled": label, "predicted": c, **shown})
    return made


def of_scores(args: argparse.Namespace) -> Iterable[tuple[str, np.ndarray]]:
    """Image and probabilities [classes] of a logits file; classes of one name share its part.

    Its features are a dual encoder's where class names are given.
    """
    from labelwise import classify, predict

    data = classify.read(args.logits)
    if args.embeddings:
        embeddings, names = predict.class_names(args.embeddings, args.classes)
        cells, distinct = predict.named(embeddings, names)
        _, shares = predict.dual(data, distinct)
        found = np.zeros((len(shares), len(names)))
        for column, classes in enumerate(map(records.ids, cells)):
            found[:, classes] = shares[:, [column]] / len(classes)
    else:
        found = predict.softmax(data["logits"])
    return zip(data["image"].tolist(), found, strict=True)


def of_predictions(path: Path) -> Iterable[tuple[str, np.ndarray]]:
    """Image and shares [classes] of a predictions file; several classes share equally."""
    table = records.read_csv(path, ("image", "class"))
    found = [(row["image"], records.ids(row["class"])) for row in table]
    classes = max((c for _, ids in found for c in ids), default=0) + 1
    for image, ids in found:
        row = np.zeros(max(classes, 1000))
        row[list(ids)] = 1 / max(len(ids), 1)
        yield image, row


@cli
def main(argv: list[str] | None = None) -> None:
    """Command line of the stage ``confuse``."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.confuse",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    scored = parser.add_mutually_exclusive_group(required=True)
    scored.add_argument("--logits", help="results/logits/*/*.npz")
    scored.add_argument("--predictions", type=Path, help="results/predictions/**/*.csv")
    parser.add_argument("--embeddings", help="open_clip: results/embeddings/*/*.npz")
    parser.add_argument("--classes", help="open_clip: results/classes/*.csv")
    parser.add_argument("--labels", required=True, help="results/labels/*.csv")
    parser.add_argument("--axes", type=json.loads, default={}, help="images, model, labels; JSON")
    parser.add_argument("--out", required=True, help="results/confusions/*/*/*.csv")
    args = parser.parse_args(argv)
    table = records.read_csv(args.labels, records.LABELS)
    labels = {
        row["image"]: records.ids(row["labels"])
        for row in table
        if row["uncertain"] != "1" and row["void"] != "1"
    }
    made = confusions(of_scores(args) if args.logits else of_predictions(args.predictions), labels)
    if not made:
        source = args.logits or args.predictions
        raise LabelwiseError(f"{source}: none of its images has a label in {args.labels}")
    columns = (*records.CONFUSIONS, *AXES)
    records.write_csv(args.out, columns, (row | args.axes for row in made))


if __name__ == "__main__":
    main()
