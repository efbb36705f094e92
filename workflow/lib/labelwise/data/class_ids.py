"""Class ids as files and cells have them (stdlib only)."""

from pathlib import Path

from labelwise import records
from labelwise.errors import LabelwiseError


def cell(text: str | None, where: str) -> tuple[int, ...]:
    """The class ids of a cell: ``"65 795"`` -> ``(65, 795)``; an empty one has none.

    Raises:
        LabelwiseError: something else is in it; the message begins with ``where``.
    """
    try:
        return records.ids(text or "")
    except ValueError:
        raise LabelwiseError(f"{where}: {text!r} is not class ids separated by spaces") from None


def read(path: str | Path, n_classes: int | None = None) -> set[int]:
    """The class ids of a file with one a line; ``#`` begins a comment.

    Args:
        path: the file.
        n_classes: ids are below it; None sets no bound.

    Raises:
        LabelwiseError: no such file, a line that is no id, or none at all.
    """
    found = set()
    for number, line in enumerate(records.read_text(path).splitlines(), 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        if not (text.isascii() and text.isdigit()):
            raise LabelwiseError(f"{path}: line {number}: {text!r} is no class id")
        if n_classes is not None and int(text) >= n_classes:
            raise LabelwiseError(
                f"{path}: line {number}: {text} is no class id of 0..{n_classes - 1}"
            )
        found.add(int(text))
    if not found:
        raise LabelwiseError(f"{path}: no class ids in it")
    return found
