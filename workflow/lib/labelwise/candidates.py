"""The class names that a narrowed list offers: ``results/candidates`` files (stdlib only)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from labelwise import records
from labelwise.errors import LabelwiseError

COLUMNS = ("image", "candidates")


def read(path: str | Path) -> dict[str, list[int]]:
    """Class ids offered for each image, ascending."""
    return {
        row["image"]: list(records.ids(row["candidates"]))
        for row in records.read_csv(path, COLUMNS)
    }


def listed(path: str | Path, names: Sequence[str]) -> list[int]:
    """Class ids of a file with one id a line, ascending; ``#`` begins a comment.

    Raises:
        LabelwiseError: no such file, or a line that is no id of the list.
    """
    found = set()
    for number, line in enumerate(records.read_text(path).splitlines(), 1):
        text = line.partition("#")[0].strip()
        if text and not (text.isascii() and text.isdigit() and int(text) < len(names)):
            raise LabelwiseError(f"{path}: line {number}: {text!r} is no class id of the list")
        if text:
            found.add(int(text))
    if not found:
        raise LabelwiseError(f"{path}: no class ids in it")
    return sorted(found)


def offered(ids: Sequence[str], table: Mapping[str, Sequence[int]]) -> list[int]:
    """Class ids offered in a prompt with these images: those of any of them, ascending."""
    missing = [image for image in ids if image not in table]
    if missing:
        raise LabelwiseError(f"image {missing[0]}: has no candidates; write them again")
    return sorted({c for image in ids for c in table[image]})
