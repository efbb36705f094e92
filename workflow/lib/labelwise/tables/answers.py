"""What became of the answers behind an accuracy: beside it in every table.

A row's counts over all its images stand in a column ``Answers`` of the HTML and the LaTeX; those of
every single number in the CSV (columns ``n_ok`` and on), and in the HTML where the pointer rests.
"""

from dataclasses import replace

from labelwise.evaluation.selection import COUNTED
from labelwise.records import CATEGORIES
from labelwise.tables.style import Cell, Column, Panel, Row, Table

COLUMN = Column("A", "answers", "Answers", "text")
MEASURES = ("original", "accuracy", "both", "gain")
CAPTION = (
    "Answers: what became of the answers about a row's images (means over repeats). ok: names a"
    " listed class; of the others only a text encoder can make one. By category: in the CSV."
)


def counts(row: Row, column: Column) -> dict[str, float]:
    """``n_ok`` and so on: answers behind a cell that is an accuracy, of the outcomes that occur."""
    if column.measure.split()[0] not in MEASURES:
        return {}
    return _counts(row, column.category or row.category)


def _counts(row: Row, category: str) -> dict[str, float]:
    found = {column: row.run.get(category, column) for column in COUNTED}
    return {o: int(n) if n == int(n) else n for o, n in found.items() if n}


def said(found: dict[str, float]) -> list[str]:
    """Outcomes in words, with at most one decimal: a mean over repeats may be no whole number."""
    return [f"{round(n, 1):g} {column[2:].replace('_', ' ')}" for column, n in found.items()]


def beside(table: Table) -> Table:
    """The table with the column ``Answers`` in each part that shows accuracies of runs."""
    panels = [_panel(panel) for panel in table.panels]
    if panels == table.panels:
        return table
    return replace(table, panels=panels, caption=f"{table.caption} {CAPTION}")


def _panel(panel: Panel) -> Panel:
    shown = any(
        c.category in ("", *CATEGORIES) and counts(r, c) for r in panel.rows for c in panel.columns
    )
    if not shown:
        return panel
    groups = [
        (
            title,
            [replace(row, cells=[*row.cells, _cell(row)]) if row.cells else row for row in rows],
        )
        for title, rows in panel.groups
    ]
    return replace(panel, columns=(*panel.columns, COLUMN), groups=groups)


def _cell(row: Row) -> Cell:
    category = row.category or COLUMN.category
    first, *rest = said(_counts(row, category)) or [""]
    return Cell(None, row.run.n(category), text=first, small=", ".join(rest))
