"""One look for all figures: sizes, fonts, colours, and files with the same bytes every time.

Colours are Okabe and Ito's, which colour-blind people can tell apart; series that touch differ in
lightness too and carry a hatch or a marker, so that a grey print can be read.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from labelwise.errors import LabelwiseError, cli
from labelwise.records import atomic
from labelwise.selection import Run, load

COLUMN = 3.35
PAGE = 6.9
"""Widths in inches of one column and of a page of a two-column paper."""

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILLION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
GREY = "#8A8A8A"

KINDS = {
    "mllm": (VERMILLION, "o"),
    "composed": (ORANGE, "s"),
    "dual-encoder": (GREEN, "D"),
    "knn": (PURPLE, "v"),
    "supervised": (BLUE, "^"),
    "control": (GREY, "X"),
}
"""Colour and marker of each kind of model."""

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


def not_run(runs: list[Run], missing: str) -> Figure:
    """A figure that says in words what the experiment lacks."""
    figure = plt.figure(figsize=(COLUMN, 0.8))
    text = f"Not run: experiment {runs[0].experiment}\nhas no {missing}."
    figure.text(0.5, 0.5, plain(text), ha="center", va="center", style="italic")
    return figure


def plain(text: str) -> str:
    """Text in which a dollar sign starts no formula."""
    return text.replace("$", r"\$")


def save(figure: Figure, out: str | Path) -> None:
    """Write a figure as its path's suffix says; an unknown suffix is an error."""
    suffix = Path(out).suffix.removeprefix(".")
    if suffix not in FORMATS:
        raise LabelwiseError(f"{out}: no such figure format; choose pdf, svg or png")
    with atomic(out, "wb") as file:
        figure.savefig(file, format=suffix, metadata=FORMATS[suffix])


def draw(build: Callable[[list[Run]], Figure], experiment: str | Path, out: str | Path) -> None:
    """Build a figure from an experiment's CSV and write it."""
    runs = load(experiment)
    with plt.rc_context(SETTINGS):
        figure = build(runs)
        save(figure, out)
        plt.close(figure)


def command(build: Callable[[list[Run]], Figure]) -> None:
    """Run a figure module: EXPERIMENT.csv --out FIGURE.{pdf,svg,png}."""

    @cli
    def run() -> None:
        parser = argparse.ArgumentParser(description=build.__doc__)
        parser.add_argument("experiment", help="results/experiments/NAME.csv")
        parser.add_argument("--out", required=True, help="path that ends in .pdf, .svg or .png")
        options = parser.parse_args()
        draw(build, options.experiment, options.out)

    run()
