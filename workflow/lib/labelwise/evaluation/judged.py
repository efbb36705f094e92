"""What a line of ``results/judged/*.csv`` holds, and how figures read it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from labelwise.errors import LabelwiseError

if TYPE_CHECKING:
    import pandas

WHOLE = {"position", "images_per_prompt", "right", "original_right", "stands"}
"""Columns of whole numbers."""

SINGLE = ("S+", "S-")
"""The categories of images with exactly one label."""

COLUMNS = (
    "experiment",
    "images",
    "labels",
    "model",
    "model_name",
    "model_kind",
    "kind",
    "task",
    "protocol",
    "batching",
    "images_per_prompt",
    "order",
    "mapper",
    "stands",
    "image",
    "position",
    "category",
    "outcome",
    "answer",
    "class",
    "said",
    "score",
    "mapped",
    "right",
    "label",
    "labelled",
    "original",
    "original_right",
)
"""``stands`` marks the run that stands for its model in comparisons. ``class`` and ``label`` hold
ids; ``said``, ``labelled`` and ``original`` the names of the predicted class, of the labels and of
the original label. ``answer`` is empty where it is a listed name. ``original_right`` tells whether
the original label is right under the labels."""


def read(path: str | Path, columns: Sequence[str] = COLUMNS) -> "pandas.DataFrame":
    """Some columns of a judged file as texts, but for numbers: ``WHOLE`` and score (NaN if none).

    Raises:
        LabelwiseError: no such file, a missing column, or no rows.
    """
    import pandas

    try:
        table = pandas.read_csv(path, dtype=str, keep_default_na=False, usecols=list(columns))
    except FileNotFoundError:
        raise LabelwiseError(f"{path}: no such file") from None
    except ValueError as error:
        raise LabelwiseError(f"{path}: {error}") from None
    for column in WHOLE & set(columns):
        table[column] = pandas.to_numeric(table[column]).fillna(0).astype(int)
    if "score" in columns:
        table["score"] = pandas.to_numeric(table["score"])
    return table
