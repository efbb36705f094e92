"""Whether answers are right as often as their probabilities say, before and after scaling."""

from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from labelwise.evaluation.calibrated import read
from labelwise.figures import style

if TYPE_CHECKING:
    from pandas import DataFrame

LOOKS = {
    "": (style.BLUE, "o", "full", "as given"),
    "_scaled": (style.ORANGE, "s", "none", "scaled (cross-validated)"),
}
"""Colour, marker, fill and legend text of the two series."""


def build(table: "DataFrame") -> Figure:
    """Accuracy against confidence in bins of equally many images, one panel a run.

    The table is one of ``results/calibration`` (fractions, not percent).
    """
    panels = list(table.groupby(["images", "labels", "name"], sort=False))
    if not panels:
        return style.not_run("", "answers with probabilities")
    figure, axes = style.grid(len(panels), 4, 1.95, 0.6, "confidence", "accuracy")
    for axis, ((images, labels, name), own) in zip(axes, panels, strict=True):
        _panel(axis, own)
        n = int(own[own.measure == "accuracy"].n.iloc[0])
        title = f"{style.short(name, 30)}\n{images}, {labels}, n = {n}"
        axis.set_title(style.plain(title), loc="left")
    handles = [
        Line2D([], [], color=ink, marker=mark, fillstyle=fill)
        for ink, mark, fill, _ in LOOKS.values()
    ]
    figure.legend(
        [*handles, Line2D([], [], color=style.GREY, linewidth=0.7)],
        [*(text for *_, text in LOOKS.values()), "confidence = accuracy"],
        loc="outside lower center",
        ncols=3,
    )
    return figure


def _panel(axis: Axes, own: "DataFrame") -> None:
    axis.plot([0, 1], [0, 1], color=style.GREY, linewidth=0.7)
    texts = []
    for suffix, (ink, mark, fill, _) in LOOKS.items():
        points = own[own.measure == f"bin{suffix}"]
        axis.plot(points["at"], points.value, color=ink, linewidth=0.8)
        for point in points.itertuples():
            y = (point.value, point.low, point.high)
            look = {"fillstyle": fill, "markerfacecoloralt": "white", "markersize": 3.6}
            style.interval(axis, point.at, y, ink, mark, **look)
        error = own[own.measure == f"ece{suffix}"].iloc[0]
        texts.append(f"ECE{' scaled' if suffix else ''} {error.value:.2f}")
    place = {"transform": axis.transAxes, "ha": "right", "linespacing": 1.3}
    axis.text(0.97, 0.04, "\n".join(texts), fontsize=6, **place)
    axis.grid()
    axis.set_xlim(0, 1)
    axis.set_ylim(-0.03, 1.03)
    axis.set_xticks([0, 0.5, 1])
    axis.set_yticks([0, 0.5, 1])


if __name__ == "__main__":
    style.command(build, read, "results/calibration/*.csv")
