"""Arrays in a file: ``.npz`` with deterministic bytes, written whole, never unpickled."""

import io
from pathlib import Path

import numpy as np

from labelwise import records
from labelwise.errors import LabelwiseError, brief


def write(path: str | Path, **arrays: np.ndarray) -> None:
    """Write named arrays, of any shape and type but objects; equal arrays give equal bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    with records.atomic(path, "wb") as file:
        file.write(buffer.getvalue())


def read(path: str | Path, *names: str) -> dict[str, np.ndarray]:
    """The named arrays of a file, each in its own shape; all of them where none is named.

    Raises:
        LabelwiseError: no such file or array, a damaged file, or one that holds Python objects.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in names or file.files}
    except FileNotFoundError:
        raise LabelwiseError(f"{path}: no such file") from None
    except Exception as error:  # a broken header raises anything
        what = ", ".join(names) or "arrays"
        raise LabelwiseError(f"{path}: no file of {what}: {brief(error)}") from None
