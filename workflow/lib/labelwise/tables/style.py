"""What every table is made of: columns, cells, rows, panels, and how a number is printed.

``tables.files`` writes a table, ``tables.beside`` sets the paper's numbers next to it.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from labelwise.analyses.noise import MARK, Noise, within
from labelwise.evaluation.selection import MODEL_KINDS, Run, corrected
from labelwise.evaluation.statistics import ranks, wilson


@dataclass(frozen=True)
class Column:
    """One measure on one category.

    ``unit``: percent, points, count, rank, move (a difference of ranks), p (a probability) or text
    (no number).
    """

    category: str
    measure: str
    label: str
    unit: str = "percent"


@dataclass
class Cell:
    """One number with its interval; ``n`` images lie under it. None is an empty cell.

    ``text`` and ``small`` are printed in place of the number and of the interval below it.
    ``noise``: the delta, or a value that is a difference, does not exceed what numerics alone may
    change (``labelwise.analyses.noise``).
    """

    value: float | None
    n: int
    low: float | None = None
    high: float | None = None
    delta: float | None = None
    rank: int | None = None
    best: bool = False
    text: str = ""
    small: str = ""
    noise: bool = False


@dataclass
class Row:
    """One line: ``stubs`` are (text, small text) pairs; ``note`` replaces cells that are absent.

    ``category`` is set where the rows, not the columns, are the categories; ``position`` where a
    row is one place in the prompt; ``setting`` where it differs from others in what no run says.
    """

    stubs: Sequence[tuple[str, str]]
    run: Run
    cells: list[Cell] = field(default_factory=list)
    note: str = ""
    category: str = ""
    position: int | None = None
    setting: str = ""


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
    """A table; without panels, ``note`` says what was not run. ``date``: when it was run."""

    name: str
    experiment: str
    title: str
    caption: str
    panels: list[Panel]
    note: str = ""
    date: str = ""

    @property
    def text(self) -> str:
        """The caption behind the title, with the date of the run."""
        return " ".join(filter(None, (self.caption, self.date)))


ACCURACIES = (
    Column("A", "original", "Original A"),
    Column("A", "accuracy", "Corrected A"),
    *(Column(c, "accuracy", c) for c in ("S", "S+", "S-", "M", "M+", "M-")),
)
"""Accuracy under the original labels, and under the corrected ones over each category."""

GAIN = Column("A", "gain", "Gain", "points")
BOTH = Column("A", "both", "Both")


def cell(run: Run, column: Column) -> Cell:
    """The cell of a run: value and interval in percent (gain: percentage points), or a count."""
    category, measure, n = column.category, column.measure, run.n(column.category)
    counted = measure == "oop_count"
    name = "oop" if counted else measure
    prefix = "" if name == "accuracy" else f"{name}_"
    value, low, high = (
        None if x is None else round(x * n / 100, 6) if counted else x
        for x in (run.get(category, c) for c in (name, f"{prefix}low", f"{prefix}high"))
    )
    return Cell(value, n, low, high)


def share(count: float | None, n: float) -> Cell:
    """``count`` of ``n`` cases in percent, with Wilson's interval where both are whole numbers."""
    if count is None or n <= 0:
        return Cell(None, int(n))
    own = Cell(100 * count / n, int(n))
    if float(count).is_integer() and float(n).is_integer():
        own.low, own.high = (100 * end for end in wilson(count, int(n)))
    return own


def deltas(row: Row, reference: Row, columns: Sequence[Column], noise: Noise | None = None) -> None:
    """Set each cell's delta to its difference from the same cell of another row."""
    for column, own, other in zip(columns, row.cells, reference.cells, strict=False):
        if own.value is not None and other.value is not None:
            own.delta = own.value - other.value
            points = 100 * own.delta / own.n if column.unit == "count" and own.n else own.delta
            own.noise = within(points, row.run.model, noise or {})


def mark_best(rows: Iterable[Row], columns: Sequence[Column], ranked: bool = False) -> None:
    """Mark the highest accuracy of each column, controls aside, unless all are the same.

    Values that print alike are equal: all are marked and, with ``ranked``, share a rank.
    """
    rows = [row for row in rows if row.cells and row.run.model_kind != "control"]
    for index, column in enumerate(columns):
        cells = [row.cells[index] for row in rows if row.cells[index].value is not None]
        if column.measure not in ("original", "accuracy", "both") or not cells:
            continue
        order = ranks([own.value or 0.0 for own in cells], decimals(cells[0].n))
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


def by_label_set(
    name: str,
    runs: Sequence[Run],
    title: str,
    *,
    caption: Callable[[list[Run]], str],
    missing: str,
    stubs: Sequence[str],
    columns: Sequence[Column],
    rows: Callable[[list[Run]], Iterable[Row]],
    groups: Callable[[list[Row]], list[tuple[str, list[Row]]]] = model_groups,
) -> Table:
    """A table with a panel for each image set and label set; one without numbers is left out.

    Args:
        name: of the table.
        runs: of an experiment, at least one.
        title: the question that the table answers.
        caption: of the runs that are shown; how they were scored is said after it.
        missing: what an experiment lacks whose table has no panel.
        stubs: headings of the columns before the numbers.
        columns: of numbers.
        rows: the rows of one panel, from the runs of its image set and label set.
        groups: how rows are put under headings.
    """
    panels: list[Panel] = []
    shown: list[Run] = []
    for (images, labels), group in corrected(runs).items():
        own = list(rows(group))
        if asked := [row.run for row in own if row.cells]:
            shown += asked
            panels.append(Panel(panel_title(images, labels), stubs, columns, groups(own)))
    experiment = runs[0].experiment
    if not panels:
        return Table(name, experiment, title, "", [], not_run(runs, missing))
    return Table(name, experiment, title, f"{caption(shown)} {how_scored(shown)}", panels)


NARROWED = (
    "Narrowed lists (CN): each prompt offers a few names, and a class that was not offered is out"
    " of the list."
)


def how_scored(runs: Sequence[Run]) -> str:
    """Caption sentences on label sets, intervals and scoring rules of these runs."""
    repeats = sorted({run.repeats for run in runs})
    methods = ["Wilson score"] if repeats[0] == 1 else []
    if repeats[-1] > 1:
        over = " and ".join(str(r) for r in repeats if r > 1)
        methods.append(
            f"Student's t over {over} repeats, cut at 0 and 100 %, which tells how repeats differ,"
            " not images"
        )
    rules = sorted({(run.labels, run.rules) for run in runs})
    return " ".join(
        [
            "Original: each image's own single label (the paper's ImGT). Corrected: the label set"
            " named above the columns (ReGT); an answer is right if it is any of its labels.",
            "S, M: images with one and with several corrected labels; + and −: the original label"
            " is or is not among them; n: images.",
            f"Below each number its 95 % interval ({'; '.join(methods)}).",
            *([NARROWED] if any(run.kind == "narrowed" for run in runs) else []),
            *(f"Scoring rules of {labels}: {text}." for labels, text in rules),
        ]
    )


def decimals(n: int) -> int:
    """Decimals of a percentage over ``n`` images: no more than one image can change."""
    return 0 if n < 100 else 1 if n < 10_000 else 2


def number(own: Cell, unit: str) -> str:
    """The cell's value as text; gains are signed."""
    if own.text or own.value is None:
        return own.text or ("" if unit == "text" else "–")
    if unit == "count":
        return f"{own.value:.{_places(own)}f}"
    if unit == "rank":
        return f"{own.value:.0f}"
    if unit == "move":
        return signed(own.value, 0)
    if unit == "p":
        return "< 0.001" if own.value < 0.001 else f"{own.value:.3f}"
    return signed(own.value, own.n) if unit == "points" else f"{own.value:.{decimals(own.n)}f}"


def _places(own: Cell) -> int:
    """Decimals of a count: none, but one for a mean over repeats."""
    return 0 if own.value is None or float(own.value).is_integer() else 1


def signed(value: float, n: int, places: int | None = None) -> str:
    """A difference with its sign (a true minus); zero has none."""
    text = f"{value:+.{decimals(n) if places is None else places}f}"
    return text.strip("+-") if float(text) == 0 else text.replace("-", "−")


def interval(own: Cell, unit: str) -> str:
    """The interval as text, or nothing."""
    if own.small or own.low is None or own.high is None:
        return own.small
    if unit == "count":
        return f"{own.low:.{_places(own)}f}–{own.high:.{_places(own)}f}"
    if unit in ("points", "move"):
        n = own.n if unit == "points" else 0
        return f"{signed(own.low, n)}, {signed(own.high, n)}"
    if unit == "rank":
        return f"{own.low:.0f}–{own.high:.0f}"
    return f"{own.low:.{decimals(own.n)}f}–{own.high:.{decimals(own.n)}f}"


def extras(own: Cell, unit: str) -> str:
    """Delta and rank as text behind the value."""
    places = _places(own) if unit == "count" else None
    delta = ("" if own.delta is None else signed(own.delta, own.n, places)) + MARK * own.noise
    return " ".join(filter(None, (delta, "" if own.rank is None else f"({own.rank})")))


def header_n(panel: Panel, index: int) -> str:
    """The number of images of a column, or their range; nothing where rows are categories."""
    sizes = [row.cells[index].n for row in panel.rows if row.cells]
    if not sizes or not panel.columns[index].category:
        return ""
    low, high = min(sizes), max(sizes)
    return f"n = {low}" if low == high else f"n = {low}–{high}"


def true_minus(text: str) -> str:
    """A category's name (S-) with a minus sign."""
    return re.sub(r"\b([SM])-", r"\1−", text)
