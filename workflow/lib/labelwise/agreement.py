"""How far two annotators agree: ``python -m labelwise.agreement PASS_1.csv PASS_2.csv``.

Every image x class pair is one yes/no decision, of both files' images and all classes. Equivalent
classes are merged first, since guidelines leave the choice between them open.
"""

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path

from labelwise import labels
from labelwise.data.label_formats import UNSURE
from labelwise.data.rules import Pairs, read_pairs
from labelwise.errors import LabelwiseError, cli


def merged(ids: Iterable[int], pairs: Pairs) -> frozenset[int]:
    """Class ids with equivalent classes taken as the lower one of them."""
    lower = {b: a for a, b in pairs}
    return frozenset(lower.get(c, c) for c in ids)


def agreement(
    first: dict[str, set[int]], second: dict[str, set[int]], n_classes: int, pairs: Pairs
) -> dict[str, float]:
    """Cohen's kappa on image x class decisions, and the share of images with equal label sets.

    Args:
        first: image id to class ids of one annotator; -1 ("not sure") is one more class.
        second: the same of the other; both must have the same images.
        n_classes: number of classes, ids 0..n_classes-1.
        pairs: equivalent classes, merged before comparing.

    Raises:
        LabelwiseError: the two files are not about the same images.
    """
    if set(first) != set(second):
        differing = sorted(set(first) ^ set(second))
        raise LabelwiseError(f"{len(differing)} images are in one file only, first {differing[0]}")
    both = neither = one = other = equal = 0
    for image in first:
        a, b = (merged(found[image], pairs) for found in (first, second))
        both += len(a & b)
        one += len(a - b)
        other += len(b - a)
        equal += a == b
    total = len(first) * (n_classes + 1 - len(pairs))
    neither = total - both - one - other
    observed = (both + neither) / total
    expected = ((both + one) * (both + other) + (neither + one) * (neither + other)) / total**2
    return {
        "images": len(first),
        "decisions": total,
        "labels_1": both + one,
        "labels_2": both + other,
        "labels_shared": both,
        "kappa": (observed - expected) / (1 - expected) if expected < 1 else 1.0,
        "images_equal": equal / len(first),
    }


def read(path: Path) -> dict[str, set[int]]:
    """Label ids by image of a CSV with columns image,labels; -1 stays in."""
    return {
        image: {*label.ids, *([UNSURE] if label.uncertain else [])}
        for image, label in labels.read(path).items()
    }


@cli
def main(argv: list[str] | None = None) -> None:
    """Print the agreement of two label files as JSON."""
    parser = argparse.ArgumentParser(prog="python -m labelwise.agreement", description=__doc__)
    parser.add_argument("first", type=Path, help="CSV with columns image,labels")
    parser.add_argument("second", type=Path, help="the same of the other annotator")
    parser.add_argument("--classes", type=int, default=1000, help="number of classes")
    parser.add_argument("--equivalents", default="paper", help="paper, none or a file of pairs")
    args = parser.parse_args(argv)
    found = agreement(
        read(args.first), read(args.second), args.classes, read_pairs(args.equivalents)
    )
    json.dump(found, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
