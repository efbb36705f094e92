"""How every table is written: one tidy CSV, one LaTeX float, one HTML fragment."""

import argparse
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2

from labelwise.errors import cli
from labelwise.noise import MARK, Noise, within
from labelwise.noise import read as read_noise
from labelwise.records import write_csv, write_text
from labelwise.selection import MODEL_KINDS, Run, load
from labelwise.statistics import ranks, wilson

CSV_COLUMNS = (
    "table",
    "experiment",
    "images",
    "labels",
    "group",
    "model",
    "model_name",
    "model_kind",
    "task",
    "protocol",
    "kind",
    "answer",
    "choice_true",
    "choice_from",
    "images_per_prompt",
    "order",
    "mapper",
    "encoder",
    "templates",
    "repeats",
    "category",
    "measure",
    "unit",
    "value",
    "low",
    "high",
    "n",
    "delta",
    "within_noise",
    "rank",
    "best",
    "rules",
    "note",
)
RUN_COLUMNS = (
    "experiment",
    "images",
    "labels",
    "model",
    "model_kind",
    "task",
    "protocol",
    "kind",
    "answer",
    "choice_true",
    "choice_from",
    "images_per_prompt",
    "order",
    "mapper",
    "encoder",
    "templates",
    "repeats",
    "rules",
)
NOTE_COLUMNS = (
    "table",
    "experiment",
    "images",
    "labels",
    "group",
    "model",
    "model_name",
    "model_kind",
)


@dataclass(frozen=True)
class Column:
    """One measure on one category.

    ``unit``: percent, points, count, rank, move (a difference of ranks) or p (a probability).
    """

    category: str
    measure: str
    label: str
    unit: str = "percent"


@dataclass
class Cell:
    """One number with its interval; ``n`` images lie under it. None is an empty cell.

    ``noise``: the delta, or a value that is a difference, does not exceed what numerics alone may
    change (``labelwise.noise``).
    """

    value: float | None
    n: int
    low: float | None = None
    high: float | None = None
    delta: float | None = None
    rank: int | None = None
    best: bool = False
    noise: bool = False


@dataclass
class Row:
    """One line: ``stubs`` are (text, small text) pairs; ``note`` replaces cells that are absent.

    ``category`` is set where the rows, not the columns, are the categories.
    """

    stubs: Sequence[tuple[str, str]]
    run: Run
    cells: list[Cell] = field(default_factory=list)
    note: str = ""
    category: str = ""


@dataclass
class Panel:
    """The rows of one image set and label set, in groups (heading, rows)."""

    title: str
    stubs: Sequence[str]
    columns: Sequence[Column]
    groups: Sequence[tuple[str, list[Row]]]

    @property
    def rows(self) -> list[Row]:
        """All rows in order."""
        return [row for _, rows in self.groups for row in rows]


@dataclass
class Table:
    """A table; without panels, ``note`` says what was not run."""

    name: str
    experiment: str
    title: str
    caption: str
    panels: list[Panel]
    note: str = ""


ACCURACIES = (
    Column("A", "original", "Original A"),
    Column("A", "accuracy", "Corrected A"),
    *(Column(c, "accuracy", c) for c in ("S", "S+", "S-", "M", "M+", "M-")),
)
"""Accuracy under the original labels, and under the corrected ones over each category."""

GAIN = Column("A", "gain", "Gain", "points")
BOTH = Column("A", "both", "Both")


def cell(run: Run, column: Column) -> Cell:
    """The cell of a run: value and interval in percent (gain: percentage points)."""
    category, measure, n = column.category, column.measure, run.n(column.category)
    value = run.get(category, measure)
    if measure in ("both", "oop") and run.repeats > 1:
        return Cell(value, n)
    if measure in ("both", "oop"):
        own = share(None if value is None else round(value * n / 100, 6), n)
        own.value = value
        return own
    prefix = "" if measure == "accuracy" else f"{measure}_"
    return Cell(value, n, run.get(category, f"{prefix}low"), run.get(category, f"{prefix}high"))


def share(count: float | None, n: float) -> Cell:
    """``count`` of ``n`` cases in percent, with Wilson's interval where both are whole numbers."""
    if count is None or n <= 0:
        return Cell(None, int(n))
    own = Cell(100 * count / n, int(n))
    if float(count).is_integer() and float(n).is_integer():
        own.low, own.high = (100 * end for end in wilson(count, int(n)))
    return own


def deltas(row: Row, reference: Row, noise: Noise | None = None) -> None:
    """Set each cell's delta to its difference from the same cell of another row."""
    for own, other in zip(row.cells, reference.cells, strict=True):
        if own.value is not None and other.value is not None:
            own.delta = own.value - other.value
            own.noise = within(own.delta, row.run.model, noise or {})


def mark_best(rows: Iterable[Row], columns: Sequence[Column], ranked: bool = False) -> None:
    """Mark the highest accuracy of each column, controls aside, unless all are the same.

    Values that print alike are equal: all are marked and, with ``ranked``, share a rank.
    """
    rows = [row for row in rows if row.cells and row.run.model_kind != "control"]
    for index, column in enumerate(columns):
        cells = [row.cells[index] for row in rows if row.cells[index].value is not None]
        if column.measure not in ("original", "accuracy", "both") or not cells:
            continue
        order = ranks([own.value for own in cells], decimals(cells[0].n))
        for own, rank in zip(cells, order, strict=True):
            own.best = rank == 1 and max(order) > 1
            own.rank = int(rank) if ranked and column.measure != "both" else None


def kind_groups(rows: Iterable[Row]) -> list[tuple[str, list[Row]]]:
    """Rows grouped under the headings of their models' kinds."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        kind = row.run.model_kind
        groups.setdefault(MODEL_KINDS.get(kind, kind), []).append(row)
    return list(groups.items())


def model_groups(rows: Iterable[Row]) -> list[tuple[str, list[Row]]]:
    """Rows grouped by model, under its name."""
    groups: dict[str, tuple[str, list[Row]]] = {}
    for row in rows:
        groups.setdefault(row.run.model, (row.run.name, []))[1].append(row)
    return list(groups.values())


def not_run(runs: Sequence[Run], missing: str) -> str:
    """The note of a table whose experiment lacks what it needs."""
    return f"Not run: experiment {runs[0].experiment} has no {missing}."


def panel_title(images: str, labels: str) -> str:
    """Heading of one panel."""
    return f"Images {images}, corrected labels {labels}"


def how_scored(runs: Sequence[Run]) -> str:
    """Caption sentences on label sets, intervals and scoring rules of these runs."""
    repeats = sorted({run.repeats for run in runs})
    methods = ["Wilson score"] if repeats[0] == 1 else []
    if repeats[-1] > 1:
        over = " and ".join(str(r) for r in repeats if r > 1)
        methods.append(
            f"Student's t over {over} repeats, which tells how repeats differ, not images"
        )
    rules = sorted({(run.labels, run.rules) for run in runs})
    return " ".join(
        [
            "Original: each image's own single label (the paper's ImGT). Corrected: the label set"
            " named above the columns (ReGT); an answer is right if it is any of its labels.",
            "S, M: images with one and with several corrected labels; + and −: the original label"
            " is or is not among them; n: images.",
            f"Below each number its 95 % interval ({'; '.join(methods)}).",
            *(f"Scoring rules of {labels}: {text}." for labels, text in rules),
        ]
    )


def decimals(n: int) -> int:
    """Decimals of a percentage over ``n`` images: no more than one image can change."""
    return 0 if n < 100 else 1 if n < 10_000 else 2


def number(own: Cell, unit: str) -> str:
    """The cell's value as text; gains are signed."""
    if own.value is None:
        return "–"
    if unit == "count":
        return f"{own.value:.0f}" if float(own.value).is_integer() else f"{own.value:.1f}"
    if unit == "rank":
        return f"{own.value:.0f}"
    if unit == "move":
        return signed(own.value, 0)
    if unit == "p":
        return "< 0.001" if own.value < 0.001 else f"{own.value:.3f}"
    return signed(own.value, own.n) if unit == "points" else f"{own.value:.{decimals(own.n)}f}"


def signed(value: float, n: int) -> str:
    """A difference with its sign (a true minus); zero has none."""
    text = f"{value:+.{decimals(n)}f}"
    return text.strip("+-") if float(text) == 0 else text.replace("-", "−")


def interval(own: Cell, unit: str) -> str:
    """The interval as text, or nothing; that of a percentage is shown within 0 and 100."""
    if own.low is None or own.high is None:
        return ""
    if unit in ("points", "move"):
        n = own.n if unit == "points" else 0
        return f"{signed(own.low, n)}, {signed(own.high, n)}"
    if unit == "rank":
        return f"{own.low:.0f}–{own.high:.0f}"
    low, high = max(own.low, 0.0), min(own.high, 100.0)
    return f"{low:.{decimals(own.n)}f}–{high:.{decimals(own.n)}f}"


def extras(own: Cell) -> str:
    """Delta and rank as text behind the value."""
    delta = ("" if own.delta is None else signed(own.delta, own.n)) + MARK * own.noise
    return " ".join(filter(None, (delta, "" if own.rank is None else f"({own.rank})")))


def header_n(panel: Panel, index: int) -> str:
    """The number of images of a column, or their range; nothing where rows are categories."""
    sizes = [row.cells[index].n for row in panel.rows if row.cells]
    if not sizes or not panel.columns[index].category:
        return ""
    low, high = min(sizes), max(sizes)
    return f"n = {low}" if low == high else f"n = {low}–{high}"


def tidy(table: Table) -> list[dict[str, Any]]:
    """One record a cell, full precision; a row or table that was not run is one with a note."""
    records: list[dict[str, Any]] = []
    if table.note:
        records.append({"table": table.name, "experiment": table.experiment, "note": table.note})
    for panel in table.panels:
        for group, rows in panel.groups:
            for row in rows:
                head = {name: getattr(row.run, name) for name in RUN_COLUMNS}
                head |= {"table": table.name, "group": group, "model_name": row.run.name}
                if row.note:
                    records.append({k: head[k] for k in NOTE_COLUMNS} | {"note": row.note})
                for column, own in zip(panel.columns, row.cells, strict=False):
                    records.append(
                        head
                        | {
                            "category": column.category or row.category,
                            "measure": column.measure,
                            "unit": column.unit,
                            "value": own.value,
                            "low": own.low,
                            "high": own.high,
                            "n": own.n,
                            "delta": own.delta,
                            "within_noise": int(own.noise)
                            if own.noise or own.delta is not None
                            else None,
                            "rank": own.rank,
                            "best": int(own.best),
                        }
                    )
    return records


LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "−": "$-$",
    "–": "--",
    "—": "---",
    "×": r"$\times$",
    "≈": r"$\approx$",
    "→": r"$\rightarrow$",
    "’": "'",
    "†": r"\dag{}",
    "\n": " ",
}


def latex(text: str) -> str:
    """Text that LaTeX prints as it is; a letter that pdflatex lacks becomes its code point."""

    def one(letter: str) -> str:
        if letter in LATEX:
            return LATEX[letter]
        printable = " " <= letter <= "~" or "¡" <= letter <= "ÿ"
        return letter if printable else f"[U+{ord(letter):04X}]"

    return "".join(map(one, text))


def to_latex(table: Table) -> str:
    r"""A ``table*`` float to ``\input``; it needs the package booktabs only."""
    lines = [
        r"% needs \usepackage[T1]{fontenc} and \usepackage{booktabs}",
        r"\begin{table*}",
        r"\centering\scriptsize\setlength{\tabcolsep}{2.2pt}",
        rf"\caption{{\textbf{{{latex(table.title)}}} {latex(table.caption)}}}",
        rf"\label{{tab:{table.name.replace('_', '-')}}}",
    ]
    if table.note:
        lines += [r"\smallskip", rf"\emph{{{latex(table.note)}}}\par"]
    for panel in table.panels:
        lines += _latex_panel(panel)
    return "\n".join([*lines, r"\end{table*}", ""])


def _latex_panel(panel: Panel) -> list[str]:
    width = len(panel.stubs) + len(panel.columns)
    blank = " & " * (len(panel.stubs) - 1)
    heads = [*map(latex, panel.stubs), *(latex(true_minus(c.label)) for c in panel.columns)]
    sizes = [rf"{{\tiny {latex(header_n(panel, i))}}}" for i in range(len(panel.columns))]
    lines = [
        r"\medskip",
        rf"\begin{{tabular}}{{@{{}}{'l' * len(panel.stubs)}{'r' * len(panel.columns)}@{{}}}}",
        rf"\multicolumn{{{width}}}{{@{{}}l@{{}}}}{{{latex(panel.title)}}}\\",
        r"\toprule",
        " & ".join(heads) + r"\\",
        blank + " & " + " & ".join(sizes) + r"\\",
    ]
    for title, rows in panel.groups:
        lines.append(r"\midrule")
        if title:
            lines.append(rf"\multicolumn{{{width}}}{{@{{}}l}}{{\emph{{{latex(title)}}}}}\\")
        for row in rows:
            first = [latex(text) for text, _ in row.stubs]
            second = [rf"{{\tiny {latex(text)}}}" if text else "" for _, text in row.stubs]
            if row.note:
                span = (
                    rf"\multicolumn{{{len(panel.columns)}}}{{l@{{}}}}{{\emph{{{latex(row.note)}}}}}"
                )
                lines.append(" & ".join([*first, span]) + r"\\")
                continue
            for column, own in zip(panel.columns, row.cells, strict=True):
                value = latex(number(own, column.unit))
                more = latex(extras(own))
                first.append(
                    (rf"\textbf{{{value}}}" if own.best else value)
                    + (rf"\,{{\tiny {more}}}" if more else "")
                )
                text = latex(interval(own, column.unit))
                second.append(rf"{{\tiny {text}}}" if text else "")
            lines.append(" & ".join(first) + r"\\*[-2pt]")
            lines.append(" & ".join(second) + r"\\")
    return [*lines, r"\bottomrule", r"\end{tabular}"]


def true_minus(text: str) -> str:
    """A category's name (S-) with a minus sign."""
    return re.sub(r"\b([SM])-", r"\1−", text)


HTML = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
    """\
<figure class="labelwise-table" id="table-{{ table.name }}">
<style>
.labelwise-table{margin:1em 0;overflow-x:auto;font:13px/1.35 system-ui,sans-serif}
.labelwise-table table{border-collapse:collapse;border-bottom:2px solid}
.labelwise-table caption{text-align:left;max-width:70em;padding:0 0 .7em}
.labelwise-table thead th{border-top:2px solid;vertical-align:bottom}
.labelwise-table th,.labelwise-table td{padding:.2em .45em;text-align:right;vertical-align:top}
.labelwise-table tbody th{font-weight:normal}
.labelwise-table td,.labelwise-table tbody th{white-space:nowrap;font-variant-numeric:tabular-nums}
.labelwise-table thead th{font-weight:600}
.labelwise-table th.stub,.labelwise-table td.note{text-align:left}
.labelwise-table tbody th.stub{white-space:normal;max-width:15em}
.labelwise-table tbody{border-top:1px solid}
.labelwise-table th.group{text-align:left;font-style:italic}
.labelwise-table small{display:block;font-size:78%;font-weight:normal;opacity:.75}
.labelwise-table .more{font-size:82%}
.labelwise-table p.panel{margin:.8em 0 0;font-weight:600}
</style>
{% if table.note %}
<p><strong>{{ table.title }}</strong> {{ table.caption }}</p>
<p><em>{{ table.note }}</em></p>
{% endif %}
{% for panel in table.panels %}
<table>
<caption>
{% if loop.first %}<strong>{{ table.title }}</strong> {{ table.caption }}{% endif %}
<p class="panel">{{ panel.title }}</p>
</caption>
<thead>
<tr>
{% for stub in panel.stubs %}<th scope="col" class="stub">{{ stub }}</th>{% endfor %}
{% for column in panel.columns %}
<th scope="col">{{ true_minus(column.label) }}<small>{{ header_n(panel, loop.index0) }}</small></th>
{% endfor %}
</tr>
</thead>
{% for title, rows in panel.groups %}
<tbody>
{% if title %}
<tr><th scope="rowgroup" class="group" colspan="{{ panel.stubs|length + panel.columns|length }}">\
{{ title }}</th></tr>
{% endif %}
{% for row in rows %}
<tr>
{% for text, small in row.stubs %}
<th scope="row" class="stub">{{ text }}{% if small %}<small>{{ small }}</small>{% endif %}</th>
{% endfor %}
{% if row.note %}
<td class="note" colspan="{{ panel.columns|length }}"><em>{{ row.note }}</em></td>
{% else %}
{% for own in row.cells %}
{% set unit = panel.columns[loop.index0].unit %}
<td>{% if own.best %}<b>{{ number(own, unit) }}</b>{% else %}{{ number(own, unit) }}{% endif %}
{% if extras(own) %} <span class="more">{{ extras(own) }}</span>{% endif %}
{% if interval(own, unit) %}<small>{{ interval(own, unit) }}</small>{% endif %}</td>
{% endfor %}
{% endif %}
</tr>
{% endfor %}
</tbody>
{% endfor %}
</table>
{% endfor %}
</figure>
"""
)


def to_html(table: Table) -> str:
    """A fragment with its own small style, in ASCII so that no page's encoding can spoil it."""
    text = HTML.render(
        table=table,
        true_minus=true_minus,
        header_n=header_n,
        number=number,
        extras=extras,
        interval=interval,
    )
    return text.encode("ascii", "xmlcharrefreplace").decode()


def write(table: Table, out: str | Path) -> None:
    """Write ``out`` + .csv, .tex and .html."""
    write_csv(f"{out}.csv", CSV_COLUMNS, tidy(table))
    write_text(f"{out}.tex", to_latex(table))
    write_text(f"{out}.html", to_html(table))


def command(build: Callable[..., Table], read: Callable[[str], Any] = load) -> None:
    """Run a table module: EXPERIMENT.csv --out STEM.

    ``build`` is given what ``read`` makes of the file and, with ``--noise``, the noise by model.
    """

    @cli
    def run() -> None:
        parser = argparse.ArgumentParser(description=build.__doc__)
        parser.add_argument("experiment", help="results/experiments/NAME.csv, or an analysis")
        parser.add_argument("--noise", help="results/numerics/NAME.csv")
        parser.add_argument("--out", required=True, help="path without suffix")
        options = parser.parse_args()
        noise = {"noise": read_noise(options.noise)} if options.noise else {}
        write(build(read(options.experiment), **noise), options.out)

    run()
