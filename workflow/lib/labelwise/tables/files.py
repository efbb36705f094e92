"""The three files of a table: one tidy CSV, one LaTeX float, one HTML fragment.

The date of the run stands in the LaTeX and the HTML only, so that the CSV depends on results alone.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from labelwise.analyses.noise import read as read_noise
from labelwise.errors import cli
from labelwise.evaluation.selection import COUNTED, load
from labelwise.records import read_csv, read_json, write_csv, write_text
from labelwise.tables import answers
from labelwise.tables.html import to_html
from labelwise.tables.latex import to_latex
from labelwise.tables.style import Cell, Column, Row, Table

RUN_COLUMNS = (
    *("experiment", "images", "labels", "model", "model_kind", "task", "protocol", "kind"),
    *("answer", "choice_true", "choice_from", "images_per_prompt", "order", "batching", "mapper"),
    *("encoder", "templates", "repeats", "rules"),
)
"""What a run says of itself."""

HEAD = ("experiment", "images", "labels", "group", "model", "model_name", "model_kind")
NOTE_COLUMNS = ("table", *HEAD)
CSV_COLUMNS = (
    *NOTE_COLUMNS,
    *(name for name in RUN_COLUMNS if name not in (*HEAD, "rules")),
    *("category", "position", "setting", "measure", "unit", "value", "low", "high", "n", "delta"),
    *("within_noise", "rank", "best"),
    *COUNTED,
    *("rules", "note"),
)


def tidy(table: Table) -> list[dict[str, Any]]:
    """One record a cell, full precision; a row or table that was not run is one with a note."""
    records: list[dict[str, Any]] = []
    if table.note:
        records.append({"table": table.name, "experiment": table.experiment, "note": table.note})
    for panel in table.panels:
        for group, rows in panel.groups:
            for row in rows:
                if row.note:
                    head = _head(table.name, group, row)
                    records.append({k: head[k] for k in NOTE_COLUMNS} | {"note": row.note})
                records += [
                    record(table.name, group, row, column, own)
                    for column, own in zip(panel.columns, row.cells, strict=False)
                    if column.unit != "text"
                ]
    return records


def record(name: str, group: str, row: Row, column: Column, own: Cell) -> dict[str, Any]:
    """One cell as a row of the CSV."""
    found = answers.counts(row, column)
    counted = dict.fromkeys(COUNTED, 0) | found if found else {}
    return (
        _head(name, group, row)
        | counted
        | {
            "category": column.category or row.category,
            "position": row.position,
            "setting": row.setting,
            "measure": column.measure,
            "unit": column.unit,
            "value": own.value,
            "low": own.low,
            "high": own.high,
            "n": own.n,
            "delta": own.delta,
            "within_noise": int(own.noise) if own.noise or own.delta is not None else None,
            "rank": own.rank,
            "best": int(own.best),
        }
    )


def _head(name: str, group: str, row: Row) -> dict[str, Any]:
    head = {column: getattr(row.run, column) for column in RUN_COLUMNS}
    return head | {"table": name, "group": group, "model_name": row.run.name}


def when(meta: dict[str, str]) -> str:
    """When an experiment was run, as a sentence.

    Args:
        meta: ``first`` and ``last`` day (UTC), or nothing where no run has a record of its time.
    """
    first, last = meta.get("first", ""), meta.get("last", "")
    if not last:
        return ""
    return f"Run on {last}." if first == last else f"Run from {first} to {last}."


def write(
    table: Table,
    out: str | Path,
    rows: Sequence[dict[str, Any]] | None = None,
    columns: Sequence[str] = CSV_COLUMNS,
) -> None:
    """Write ``out`` + .csv, .tex and .html; ``rows`` and ``columns`` of the CSV if not ``tidy``."""
    write_csv(f"{out}.csv", columns, tidy(table) if rows is None else rows)
    write_text(f"{out}.tex", to_latex(table))
    write_text(f"{out}.html", to_html(table))


def arguments(description: str | None) -> argparse.ArgumentParser:
    """The command line of every table."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("table", help="results/experiments/NAME.csv, or an analysis")
    parser.add_argument("--detail", help="a finer CSV of the same experiment, where one is shown")
    parser.add_argument("--noise", help="results/numerics/NAME.csv")
    parser.add_argument("--meta", help="results/experiments/NAME.meta.json: when it was run")
    parser.add_argument("--out", required=True, help="path without suffix")
    return parser


def built(
    build: Callable[..., Table], options: argparse.Namespace, read: Callable[[str], Any] = load
) -> Table:
    """The table that a command line asks for."""
    detail = [read_csv(options.detail)] if options.detail else []
    noise = {"noise": read_noise(options.noise)} if options.noise else {}
    table = answers.beside(build(read(options.table), *detail, **noise))
    table.date = when(read_json(options.meta)) if options.meta else ""
    return table


def command(build: Callable[..., Table], read: Callable[[str], Any] = load) -> None:
    """Run a table module: CSV [--detail CSV] [--noise CSV] [--meta JSON] --out STEM.

    ``build`` is given what ``read`` makes of the file, the rows of ``--detail``, and with
    ``--noise`` the noise by model.
    """

    @cli
    def run() -> None:
        options = arguments(build.__doc__).parse_args()
        write(built(build, options, read), options.out)

    run()
