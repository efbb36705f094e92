"""The class names that a narrowed list offers: ``results/candidates`` files (stdlib only)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from labelwise import records
from labelwise.data import class_ids
from labelwise.errors import LabelwiseError

COLUMNS = ("image", "candidates")


def read(path: str | Path) -> dict[str, list[int]]:
    """Class ids offered for each image, ascending; a broken cell is an error."""
    return {
        row["image"]: list(class_ids.cell(row["candidates"], f"{path}: line {number}"))
        for number, row in records.csv_lines(path, COLUMNS)
    }


def offered(ids: Sequence[str], table: Mapping[str, Sequence[int]]) -> list[int]:
    """Class ids offered in a prompt with these images: those of any of them, ascending.

    Raises:
        LabelwiseError: an image that the table does not have.
    """
    missing = [image for image in ids if image not in table]
    if missing:
        raise LabelwiseError(f"image {missing[0]}: has no candidates; write them again")
    return sorted({c for image in ids for c in table[image]})
