"""The paper's own tables (``workflow/reported``), and how a cell of ours finds its number there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from labelwise.records import read_csv
from labelwise.tables.style import Column, Row

REPORTED = Path(__file__).resolve().parents[3] / "reported"
KEYS = frozenset(
    [
        "model",
        "protocol",
        "options",
        "images_per_prompt",
        "position",
        "order",
        "answer",
        "encoder",
        "templates",
        "kind",
        "class",
        "images",
        "labels",
        "category",
    ]
)
"""Columns that say which cell a row is; all others hold numbers."""

TASKS = {"CW": "closed", "CW+": "closed-mapped", "OW": "open", "MC": "choice"}
"""What the column ``protocol`` calls our tasks."""

Names = Mapping[str, Mapping[str, str]]
"""``models``, ``images``, ``labels``, ``encoders``: id -> which of the paper's it is."""

Rows = list[dict[str, str]]


@dataclass(frozen=True)
class Published:
    """One table of the paper.

    Attributes:
        table: its number.
        images: which of the paper's image sets it is about; '' where its rows say so.
        key: what identifies a row beside model and category; ``value`` names the column of the
            number where it is not called like our measure.
        adjust: makes the rows follow our definition where the paper's table does not.
        note: where the paper's table, text and definition disagree; for the caption.
    """

    table: int
    images: str
    key: Callable[[Row, Column, Names], Mapping[str, Any]] = lambda *_: {}
    adjust: Callable[[Rows], Rows] = list
    note: str = ""

    @cached_property
    def rows(self) -> Rows:
        """What the paper prints, as text; a missing file is an error."""
        return self.adjust(read_csv(REPORTED / f"table{self.table:02d}.csv"))

    @cached_property
    def _index(self) -> tuple[list[str], dict[tuple[str, ...], dict[str, str]]]:
        keys = [column for column in self.rows[0] if column in KEYS]
        return keys, {tuple(row[key] for key in keys): row for row in self.rows}

    def about(self, row: Row, names: Names) -> bool:
        """Whether a row of ours is about the images of the paper's table."""
        return not self.images or names["images"].get(row.run.images) == self.images

    def find(self, row: Row, column: Column, names: Names) -> tuple[str, str]:
        """The number printed for a cell of ours, and half of its 95 % interval; '' where none is.

        Both are texts in the unit of the cell: percent, points or a count.
        """
        keys, index = self._index
        wanted = {
            "model": names["models"].get(row.run.model, ""),
            "category": column.category or row.category,
            "value": column.measure,
            **self.key(row, column, names),
        }
        found = index.get(tuple(str(wanted[key]) for key in keys), {})
        half = "half_width" if column.measure == "accuracy" else f"{column.measure}_half_width"
        return found.get(wanted["value"], ""), found.get(half, "")


def by_task(row: Row, column: Column, names: Names) -> dict[str, str]:
    """The key of tables whose rows are tasks."""
    return {"protocol": TASKS.get(row.run.task, "")}
