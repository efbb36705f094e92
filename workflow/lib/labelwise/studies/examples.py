"""Small published image sets that are no ImageNet, as folders to try a study of one's own on.

- ``digits``: handwritten digits of the UCI ML repository (Alpaydin and Kaynak 1998, CC BY 4.0), as
  scikit-learn ships them: 1,797 pictures of 8 x 8 pixels, here enlarged to 128 x 128.
- ``cifar10``: the 20 photographs of CIFAR-10 (Krizhevsky 2009), 32 x 32, that the wheel of foolbox
  ships, which the demo set uses as well;
- ``synsets``: 24 photographs of the demo set, and 20,000 class names: the first words of WordNet's
  synsets in ImageNet-21k, as timm ships them, the 1000 of ImageNet-1k among them.

``labelwise example SET --out FOLDER`` writes ``FOLDER/images``, ``FOLDER/classes.txt`` or
``classes.csv`` and, where folders do not name the classes, ``FOLDER/labels.csv``.
"""

import argparse
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

from labelwise import draw, records
from labelwise.data import packaged
from labelwise.errors import LabelwiseError

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
CIFAR10 = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
SIZE = 128
"""Pixels of a side of an enlarged digit."""
SYNSETS = 20_000
DEMO = Path("data/demo")
"""Of the workflow, in whose folder the photographs are."""


def digits(out: Path, per_class: int) -> int:
    """Write the digits, one folder a class, drawn by their number; returns how many.

    Raises:
        LabelwiseError: scikit-learn, which has them, is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise LabelwiseError("package scikit-learn is not installed: it holds the digits") from None
    from PIL import Image

    data = load_digits()
    count = 0
    for digit, name in enumerate(DIGITS):
        numbers = [i for i, target in enumerate(data.target) if target == digit]
        numbers.sort(key=lambda i: draw.key(0, "digits", i))
        for number in sorted(numbers[:per_class]):
            grey = (255 - data.images[number] * 255 / 16).round().astype("uint8")
            picture = Image.fromarray(grey).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
            with records.atomic(out / "images" / name / f"digit-{number:04}.png", "wb") as file:
                picture.save(file, format="png")
            count += 1
    records.write_text(out / "classes.txt", "\n".join(DIGITS) + "\n")
    return count


def cifar10(out: Path, per_class: int) -> int:
    """Write foolbox's photographs of CIFAR-10 and a label file; returns how many."""
    from labelwise import weights

    weights.fetch("foolbox")
    rows: list[dict[str, str]] = []
    for file in sorted(weights.folder("foolbox").glob("foolbox/data/cifar10_*.png")):
        label = CIFAR10[int(file.stem.rsplit("_", 1)[1])]
        if sum(row["label"] == label for row in rows) < per_class:
            with records.atomic(out / "images" / file.name, "wb") as copy:
                copy.write(file.read_bytes())
            rows.append({"image": file.name, "label": label})
    records.write_text(out / "classes.txt", "\n".join(CIFAR10) + "\n")
    records.write_csv(out / "labels.csv", ("image", "label"), rows)
    return len(rows)


def synsets(out: Path, per_class: int) -> int:
    """Write photographs of the demo set, 20,000 names and a label file; returns how many.

    Raises:
        LabelwiseError: timm, which has the names, is not installed, or there is no demo set here.
    """
    from labelwise.data.label_formats import wnids

    large, words = (
        records.read_text(packaged.file("timm", f"data/_info/{name}.txt")).splitlines()
        for name in ("imagenet21k_goog_synsets", "imagenet_synset_to_lemma")
    )
    lemma = dict(line.split("\t", 1) for line in words)
    small = {number: wnid for wnid, number in wnids().items()}
    others = (wnid for wnid in large if wnid not in small.values())
    chosen = sorted([*small.values(), *islice(others, SYNSETS - len(small))])
    labels = {r["image"]: r["labels"] for r in records.read_csv(DEMO / "labels/single.csv")}
    rows: list[dict[str, Any]] = []
    for row in records.read_csv(DEMO / "small.csv"):
        label = chosen.index(small[int(labels[row["image"]])])
        if sum(row["label"] == label for row in rows) < per_class:
            with records.atomic(out / "images" / Path(row["file"]).name, "wb") as copy:
                copy.write((DEMO / row["file"]).read_bytes())
            rows.append({"image": row["image"], "label": label})
    names = [{"class": i, "name": lemma[wnid].split(", ")[0]} for i, wnid in enumerate(chosen)]
    records.write_csv(out / "classes.csv", records.CLASSES, names)
    records.write_csv(out / "labels.csv", ("image", "label"), rows)
    return len(rows)


SETS: dict[str, Callable[[Path, int], int]] = {
    "digits": digits,
    "cifar10": cifar10,
    "synsets": synsets,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of ``labelwise example``."""
    parser.add_argument("set", choices=SETS)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--per-class", type=int, default=5, metavar="N", help="images a class (5)")


def run(args: argparse.Namespace) -> None:
    """Run ``labelwise example``."""
    if args.per_class < 1:
        raise LabelwiseError("--per-class: at least 1")
    count = SETS[args.set](args.out, args.per_class)
    labels = f" --labels {args.out}/labels.csv" if (args.out / "labels.csv").is_file() else ""
    classes = next(args.out.glob("classes.*"))
    print(f"{args.out}: {count} images")
    print(f"next: labelwise init {args.set} --images {args.out}/images --classes {classes}{labels}")
