"""A table with the paper's own numbers beside ours, cell by cell.

``python -m labelwise.tables.beside EXPERIMENT.csv --module NAME --names JSON --out STEM``. A cell
is shown where the configuration runs the paper's experiment: its image set, model and text encoder
are declared to be the paper's by their keys ``paper``, and the setting is the same.
"""

import importlib
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from labelwise.errors import cli
from labelwise.tables import style
from labelwise.tables.files import CSV_COLUMNS, arguments, built, record, write
from labelwise.tables.published import Names, Published

COLUMNS = (*CSV_COLUMNS, "paper", "paper_half_width", "difference", "inside")
SOURCES = ("paper", "ours", "difference")
IMAGES = {
    "full": "31,250 of ImageNet, 50 of each of 625 classes",
    "ten-per-class": "6,250 of ImageNet, ten of each of 625 classes",
    "one-per-class": "625 of ImageNet, one of each of 625 classes",
    "weasels": "159 of ImageNet's weasel family",
}
"""The image sets of the paper, in words."""


def beside(
    table: style.Table, published: Published, names: Names
) -> tuple[style.Table, list[dict[str, Any]]]:
    """The variant "paper | ours" of a table, and the rows of its CSV: one a cell that both have.

    Args:
        table: ours.
        published: the paper's.
        names: kind of entry -> its name here -> its name in the paper.

    Returns:
        The table, with a note why where no cell is in both; rows with ``COLUMNS``.
    """
    panels, records = [], []
    for panel in table.panels:
        groups = []
        for group, rows in panel.groups:
            shown: list[style.Row] = []
            for row in rows:
                pairs = _pairs(row, panel.columns, published, names)
                if any(printed for _, _, printed, _ in pairs):
                    shown += _three(row, pairs)
                    records += _records(table.name, group, row, pairs)
            if shown:
                groups.append((group, shown))
        if groups:
            panels.append(style.Panel(panel.title, (*panel.stubs, "Source"), panel.columns, groups))
    title = f"Table {published.table} of arXiv 2603.06578 beside ours. {table.title}"
    own = style.Table(f"{table.name}_paper", table.experiment, title, "", panels, date=table.date)
    if panels:
        own.caption = _caption(table, published, records)
        return own, records
    own.note, own.date = table.note or _nothing(table, published, names), ""
    return own, [{"table": table.name, "experiment": table.experiment, "note": own.note}]


Pair = tuple[style.Column, style.Cell, str, str]
"""Column, our cell, the number that the paper prints ('' if none) and half of its interval."""


def _pairs(
    row: style.Row, columns: Sequence[style.Column], published: Published, names: Names
) -> list[Pair]:
    if not published.about(row, names):
        return []
    return [
        (column, own, *(("", "") if own.value is None else published.find(row, column, names)))
        for column, own in zip(columns, row.cells, strict=False)
    ]


def _three(row: style.Row, pairs: Sequence[Pair]) -> list[style.Row]:
    """The paper's line, ours, and the difference."""
    paper, ours, apart = [], [], []
    for column, own, printed, half in pairs:
        paper.append(
            style.Cell(
                None, own.n, text=printed.replace("-", "−"), small=f"±{half}" if half else ""
            )
        )
        ours.append(replace(own, delta=None, rank=None, best=False))
        text, verdict = "", ""
        if printed and own.value is not None:
            difference = own.value - float(printed)
            places = len(printed.partition(".")[2]) if column.unit == "count" else None
            text = style.signed(difference, own.n, places)
            verdict = {1: "inside", 0: "outside", None: "no interval"}[_inside(printed, own)]
        apart.append(style.Cell(None, own.n, text=text, small=verdict))
    blank = [("", "")] * len(row.stubs)
    answerless = replace(row.run, categories={})
    return [
        replace(
            row,
            stubs=(*(blank if i else row.stubs), (source, "")),
            run=row.run if source == "ours" else answerless,
            cells=cells,
        )
        for i, (source, cells) in enumerate(zip(SOURCES, (paper, ours, apart), strict=True))
    ]


def _records(name: str, group: str, row: style.Row, pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    return [
        record(name, group, row, column, own)
        | {
            "paper": float(printed),
            "paper_half_width": half,
            "difference": own.value - float(printed),
            "inside": _inside(printed, own),
        }
        for column, own, printed, half in pairs
        if printed and own.value is not None
    ]


def _inside(printed: str, own: style.Cell) -> int | None:
    """Whether a number, as far as it is printed, lies in our interval; None without one."""
    if own.low is None or own.high is None:
        return None
    half_digit = 0.5 * 10 ** -len(printed.partition(".")[2])
    return int(own.low - half_digit <= float(printed) <= own.high + half_digit)


def _caption(table: style.Table, published: Published, records: Sequence[dict[str, Any]]) -> str:
    judged = [record["inside"] for record in records if record["inside"] is not None]
    return " ".join(
        filter(
            None,
            (
                "Paper: the number printed, with its interval where one is printed. Difference:"
                " ours minus the paper's, in percentage points or counts; inside, outside: where"
                " the paper's number lies by our 95 % interval.",
                f"Inside: {sum(judged)} of {len(judged)} cells.",
                "The paper's corrected labels are not published: ours are those named above the"
                " columns, and a difference may come from the labels alone.",
                published.note,
                table.caption,
            ),
        )
    )


def _nothing(table: style.Table, published: Published, names: Names) -> str:
    """Why no cell has a number of the paper beside it."""
    rows = [row for panel in table.panels for row in panel.rows]
    said = f"Nothing to compare with Table {published.table} of the paper: "
    if not any(published.about(row, names) for row in rows):
        images = ", ".join(sorted({row.run.images for row in rows}))
        return (
            f"{said}its images ({IMAGES[published.images]}) are not those of this study ({images})."
        )
    if not any(row.run.model in names["models"] for row in rows):
        models = ", ".join(sorted({row.run.name for row in rows}))
        return f"{said}none of its models is among those of this study ({models})."
    return f"{said}experiment {table.experiment} runs none of its settings."


@cli
def main() -> None:
    """Command line."""
    parser = arguments(__doc__)
    parser.add_argument("--module", required=True, help="a table: a module of labelwise.tables")
    parser.add_argument("--names", type=json.loads, required=True, help="keys paper, as JSON")
    options = parser.parse_args()
    module = importlib.import_module(f"labelwise.tables.{options.module}")
    table, records = beside(built(module.build, options), module.PUBLISHED, options.names)
    write(table, options.out, records, COLUMNS)


if __name__ == "__main__":
    main()
