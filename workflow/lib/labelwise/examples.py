"""Small published image sets that are no ImageNet, as folders to try a study of one's own on.

- ``digits``: handwritten digits of the UCI ML repository (Alpaydin and Kaynak 1998, CC BY 4.0), as
  scikit-learn ships them: 1,797 pictures of 8 x 8 pixels, here enlarged to 128 x 128.
- ``cifar10``: the 20 photographs of CIFAR-10 (Krizhevsky 2009), 32 x 32, that the wheel of foolbox
  ships, which the demo set uses as well.

``labelwise example SET --out FOLDER`` writes ``FOLDER/images``, ``FOLDER/classes.txt`` and, where
folders do not name the classes, ``FOLDER/labels.csv``.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from labelwise import draw, records
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


SETS: dict[str, Callable[[Path, int], int]] = {"digits": digits, "cifar10": cifar10}


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
    print(f"{args.out}: {count} images")
    print(
        f"next: labelwise init {args.set} --images {args.out}/images"
        f" --classes {args.out}/classes.txt{labels}"
    )
