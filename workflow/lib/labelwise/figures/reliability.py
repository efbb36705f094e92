"""How far a classifier's confidence tells where models are right, by category of labels."""

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from labelwise.evaluation import judged
from labelwise.evaluation.statistics import wilson
from labelwise.figures import style

if TYPE_CHECKING:
    from pandas import DataFrame

COLUMNS = (
    *("experiment", "images", "labels", "model", "model_name", "model_kind", "kind", "stands"),
    *("image", "category", "score", "right"),
)
CATEGORIES = ("S+", "S-", "M+", "M-")
BIN, BINS = 12, 8
"""Fewest images of a bin, and most bins."""

LOOKS = (
    (style.VERMILLION, "o", "-"),
    (style.GREEN, "^", (0, (4, 1.5))),
    (style.PURPLE, "D", (0, (1, 1))),
    (style.ORANGE, "v", (0, (4, 1, 1, 1))),
    (style.SKY, "P", (0, (6, 2))),
    (style.BLACK, "*", (0, (2, 2))),
)
"""Colour, marker and line of each model that reads prompts, in turn."""
CLASSIFIER = (style.BLUE, "s", "-")


def build(table: "DataFrame") -> Figure:
    """Accuracy against the confidence of the best supervised classifier, one panel a category.

    The table is one of ``results/judged``, its columns ``COLUMNS``.
    """
    table = table[(table.stands == 1) & (table.model_kind != "control")]
    panels: list[Any] = []
    series: dict[Any, Any] = {}
    for (images, labels), rows in table.groupby(["images", "labels"], sort=False):
        supervised = rows[(rows.model_kind == "supervised") & rows.score.notna()]
        writers = rows[rows.kind != "classify"]
        if supervised.empty or writers.empty:
            continue
        best = supervised.groupby("model").right.mean().idxmax()
        own = supervised[supervised.model == best]
        shown = [own, *(part for _, part in writers.groupby("model", sort=False))]
        for part in shown:
            name = part.model_name.iloc[0]
            writer = len(series) - 1
            series.setdefault(name, LOOKS[writer % len(LOOKS)] if writer >= 0 else CLASSIFIER)
        for category in CATEGORIES:
            inside = own[own.category == category]
            if len(inside):
                title = f"{images}, {labels}: {category} (n = {len(inside)})"
                panels.append((style.minus(title), inside, shown))
    if not panels:
        return style.not_run("", "answers beside those of\na supervised classifier")
    classifier = style.short(next(iter(series)), 24)
    figure, axes = style.grid(
        len(panels), 4, 1.9, 0.75, f"confidence of\n{classifier}", "accuracy (%)"
    )
    for axis, (title, inside, shown) in zip(axes, panels, strict=True):
        _panel(axis, inside, shown, series)
        axis.set_title(style.plain(title), loc="left")
    figure.legend(
        [
            Line2D([], [], color=ink, marker=mark, linestyle=line)
            for ink, mark, line in series.values()
        ]
        + [Line2D([], [], color=style.GREY, linewidth=0.7)],
        [*(style.short(name, 34) for name in series), "confidence = accuracy"],
        loc="outside lower center",
        ncols=4,
    )
    return figure


def _panel(axis: Axes, inside: "DataFrame", shown: list, series: dict) -> None:
    order = inside.sort_values(["score", "image"])
    bins = np.array_split(np.arange(len(order)), min(BINS, max(1, len(order) // BIN)))
    axis.plot([0, 1], [0, 100], color=style.GREY, linewidth=0.7)
    for place, part in enumerate(shown):
        ink, mark, line = series[part.model_name.iloc[0]]
        right = part.set_index("image").right
        points = []
        for chosen in bins:
            group = order.iloc[chosen]
            hits = right.reindex(group.image).dropna()
            if len(hits):
                low, high = wilson(int(hits.sum()), len(hits))
                x = group.score.mean() + 0.02 * (place - (len(shown) - 1) / 2)
                points.append((x, 100 * hits.mean(), 100 * low, 100 * high))
        axis.plot([p[0] for p in points], [p[1] for p in points], color=ink, linestyle=line)
        for x, *y in points:
            style.interval(axis, x, y, ink, mark, markersize=4)
    axis.grid(axis="y")
    axis.set_xlim(0, 1)
    axis.set_ylim(-4, 104)
    axis.set_xticks([0, 0.5, 1])


if __name__ == "__main__":
    style.command(build, lambda path: judged.read(path, COLUMNS), "results/judged/*.csv")
