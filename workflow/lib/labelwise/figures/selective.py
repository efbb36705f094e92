"""How accurate models are on the answers that they are surest of."""

from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from labelwise.evaluation.calibrated import read
from labelwise.figures import style

if TYPE_CHECKING:
    from pandas import DataFrame

LINES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))
INKS = (style.BLUE, style.VERMILLION, style.GREEN, style.PURPLE, style.ORANGE, style.BLACK)


def build(table: "DataFrame") -> Figure:
    """Accuracy of the most confident share of answers, one panel a label set.

    The table is one of ``results/calibration`` (fractions, not percent).
    """
    table = table[table.measure == "selective"]
    panels = list(table.groupby(["images", "labels"], sort=False))
    if not panels:
        return style.not_run("", "answers with probabilities")
    names = list(dict.fromkeys(table.name))
    figure, axes = style.grid(
        len(panels), 2, 2.1, 0.75, "share of answers kept, surest first", "accuracy"
    )
    looks = {n: (INKS[i % len(INKS)], LINES[i % len(LINES)]) for i, n in enumerate(names)}
    for axis, ((images, labels), group) in zip(axes, panels, strict=True):
        for name, own in group.groupby("name", sort=False):
            ink, line = looks[name]
            axis.plot(own["at"], own.value, color=ink, linestyle=line, linewidth=1.2)
            axis.fill_between(own["at"], own.low, own.high, color=ink, alpha=0.09, linewidth=0)
        axis.set_title(style.plain(f"{images}, {labels}, n = {int(group.n.max())}"), loc="left")
        axis.grid()
        axis.set_xlim(0, 1)
        axis.set_ylim(0, 1.03)
    figure.legend(
        [Line2D([], [], color=ink, linestyle=line, linewidth=1.2) for ink, line in looks.values()],
        [style.short(name, 40) for name in names],
        loc="outside lower center",
        ncols=2 if len(panels) > 1 else 1,
    )
    return figure


if __name__ == "__main__":
    style.command(build, read, "results/calibration/*.csv")
