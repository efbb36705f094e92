"""One look for all figures: sizes, fonts, colours, and files with the same bytes every time.

Colours are Okabe and Ito's, which colour-blind people can tell apart; series that touch differ in
lightness too and carry a hatch or a marker, so that a grey print can be read.
"""

import argparse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from labelwise.errors import LabelwiseError, cli
from labelwise.evaluation.selection import load
from labelwise.records import atomic

COLUMN = 3.35
PAGE = 6.9
"""Widths in inches of one column and of a page of a two-column paper."""

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILLION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
GREY = "#666666"

KINDS = {
    "mllm": (VERMILLION, "o"),
    "composed": (ORANGE, "s"),
    "dual-encoder": (GREEN, "D"),
    "knn": (PURPLE, "v"),
    "supervised": (BLUE, "^"),
    "control": (GREY, "X"),
}
"""Colour and marker of each kind of model."""

ORIGINAL = "Original labels"
"""What the original labels are called where they stand among models."""

SCALE = "Blues"
"""Colours of a heat map: one hue that darkens evenly, so that grey print keeps the order."""

FORMATS = {
    "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    "svg": {"Date": None, "Creator": None},
    "png": {"Software": None},
}
"""Formats and the metadata that is left out, since it changes with time or version."""

SETTINGS = {
    "font.family": "DejaVu Sans",
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "legend.handletextpad": 0.5,
    "lines.linewidth": 1.0,
    "lines.markersize": 4.5,
    "hatch.linewidth": 0.5,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "figure.dpi": 300,
    "savefig.dpi": 300,
    "figure.constrained_layout.use": True,
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "labelwise",
}


def colour(kind: str) -> str:
    """The colour of a kind of model."""
    return KINDS.get(kind, (BLACK, "o"))[0]


def marker(kind: str) -> str:
    """The marker of a kind of model."""
    return KINDS.get(kind, (BLACK, "o"))[1]


def not_run(experiment: str, missing: str) -> Figure:
    """A figure that says in words what an experiment ('' where it is not known) lacks."""
    figure = plt.figure(figsize=(COLUMN, 0.8))
    name = f"experiment {experiment}" if experiment else "the experiment"
    text = plain(f"Not run: {name}\nhas no {missing}.")
    figure.text(0.5, 0.5, text, ha="center", va="center", style="italic")
    return figure


def plain(text: str) -> str:
    """Text in which a dollar sign starts no formula."""
    return text.replace("$", r"\$")


def short(text: str, most: int) -> str:
    """Text of at most so many characters that starts no formula; what is cut off ends in dots."""
    text = " ".join(text.split())
    return plain(text if len(text) <= most else text[: most - 1].rstrip() + "…")


def minus(text: str) -> str:
    """Text with minus signs where it has hyphens: for numbers and categories (S−)."""
    return text.replace("-", "−")


def grid(
    count: int, columns: int, height: float, extra: float, below: str, beside: str
) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels, ``columns`` a line; the unused axes of the last are hidden.

    Args:
        count: panels, at least one.
        columns: most panels a line; with one panel the figure is as wide as a column.
        height: of a line of panels, in inches.
        extra: height of what stands around the panels, in inches.
        below: what the horizontal axis shows.
        beside: what the vertical axis shows, which all panels share.
    """
    columns = min(columns, count)
    lines = -(-count // columns)
    figure, axes = plt.subplots(
        lines,
        columns,
        figsize=(PAGE if columns > 1 else COLUMN, extra + height * lines),
        squeeze=False,
        sharey=True,
    )
    for axis in axes.flat[count:]:
        axis.set_visible(False)
    for axis in axes.flat[max(0, count - columns) : count]:
        axis.set_xlabel(below)
    for line in axes:
        line[0].set_ylabel(beside)
    return figure, list(axes.flat[:count])


def heat(
    axis: Axes, values: Sequence[Sequence[float | None]], texts: Any, low: float, high: float
) -> None:
    """Draw a matrix as coloured cells with their texts; None is an empty, hatched cell.

    Args:
        axis: where.
        values: rows of numbers.
        texts: function of a number that gives the cell's text.
        low: the number of the lightest colour.
        high: that of the darkest.
    """
    colours = matplotlib.colormaps[SCALE]
    for y, row in enumerate(values):
        for x, value in enumerate(row):
            box = {"width": 1, "height": 1, "edgecolor": "white", "linewidth": 0.6}
            if value is None:
                axis.add_patch(
                    plt.Rectangle((x - 0.5, y - 0.5), facecolor="white", hatch="////", **box)
                )
                continue
            depth = min(max((value - low) / (high - low or 1), 0), 1)
            axis.add_patch(plt.Rectangle((x - 0.5, y - 0.5), facecolor=colours(depth), **box))
            axis.text(
                x,
                y,
                texts(value),
                ha="center",
                va="center",
                color="white" if _luminance(colours(depth)) < 0.18 else "black",
                fontsize=min(6.5, 66 / max(len(row), 1)),
            )
    axis.set_xlim(-0.5, len(values[0]) - 0.5)
    axis.set_ylim(len(values) - 0.5, -0.5)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)


def _luminance(colour: Sequence[float]) -> float:
    """Relative luminance of an RGB colour, 0 to 1 (WCAG 2)."""
    parts = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def interval(axis: Axes, x: float, y: Any, ink: str, mark: str, **look: Any) -> None:
    """Draw one number with its interval, upright.

    Args:
        axis: where.
        x: in its units.
        y: value, low and high in its units; None is left out.
        ink: colour of both.
        mark: marker of the value.
        look: more for the marker.
    """
    value, low, high = y
    if value is None:
        return
    if low is not None and high is not None:
        axis.plot([x, x], [low, high], color=ink, linewidth=0.8)
    axis.plot(x, value, mark, color=ink, **look)


def noise_handle() -> tuple[Line2D, str]:
    """What a legend says of the mark of differences that numerics alone may make."""
    look: Any = {"linestyle": "", "marker": r"$\approx$", "markeredgewidth": 0.1}
    sign = Line2D([], [], color=BLACK, **look)
    return sign, "no more than numerics may change"


def above(axis: Axes, x: float, y: float | None, text: str, ink: str = BLACK) -> None:
    """Write a mark just above a point or the end of its interval."""
    if y is not None:
        axis.annotate(
            text,
            (x, y),
            xytext=(0, 1),
            textcoords="offset points",
            ha="center",
            va="bottom",
            color=ink,
            fontsize=7,
        )


def save(figure: Figure, out: str | Path) -> None:
    """Write a figure as its path's suffix says; an unknown suffix is an error."""
    suffix = Path(out).suffix.removeprefix(".")
    if suffix not in FORMATS:
        raise LabelwiseError(f"{out}: no such figure format; choose pdf, svg or png")
    with atomic(out, "wb") as file:
        figure.savefig(file, format=suffix, metadata=FORMATS[suffix])


def draw(
    build: Callable[[Any], Figure],
    tables: Iterable[str | Path],
    outs: Iterable[str | Path],
    read: Callable[..., Any] = load,
) -> None:
    """Build a figure from what ``read`` makes of its tables, and write it to each of ``outs``."""
    data = read(*tables)
    with plt.rc_context(SETTINGS):
        figure = build(data)
        for out in outs:
            save(figure, out)
        plt.close(figure)


def command(
    build: Callable[[Any], Figure],
    read: Callable[..., Any] = load,
    table: str = "results/experiments/*.csv",
    more: str = "",
) -> None:
    """Run a figure module: TABLE [FILE...] --out FIGURE.{pdf,svg,png}...

    Args:
        build: makes the figure from what ``read`` returns.
        read: reads the table, and the files after it.
        table: what the first argument is, for the help text.
        more: the same of the files after it; '' where there are none.
    """

    @cli
    def run() -> None:
        parser = argparse.ArgumentParser(description=build.__doc__)
        parser.add_argument("table", help=table)
        if more:
            parser.add_argument("files", nargs="*", default=[], help=more)
        parser.add_argument(
            "--out", nargs="+", required=True, help="paths that end in .pdf, .svg or .png"
        )
        options = parser.parse_args()
        draw(build, [options.table, *getattr(options, "files", [])], options.out, read)

    run()
