"""How ranks move from the original labels to others, with the uncertainty of the images."""

from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from labelwise.figures import style
from labelwise.records import read_csv

COLUMNS = (
    *("images", "labels", "model", "model_name", "model_kind"),
    *("measure", "value", "low", "high", "n"),
)
MARKS = "osD^v"
"""Markers of the label sets, in turn."""

Numbers = dict[str, dict[str, dict[str, dict[str, str]]]]
"""Label set -> model -> measure -> row."""


def build(rows: list[dict[str, str]]) -> Figure:
    """Ranks of every model under each label set, a row a model, one panel an image set.

    Rows are those of ``results/ranks``.
    """
    images = list(dict.fromkeys(row["images"] for row in rows))
    found = [_numbers([row for row in rows if row["images"] == name]) for name in images]
    lines = [_height(numbers) for numbers in found]
    figure, axes = plt.subplots(
        len(images),
        1,
        figsize=(style.COLUMN, 0.75 + sum(0.3 + line for line in lines)),
        squeeze=False,
        gridspec_kw={"height_ratios": lines},
    )
    for axis, name, numbers in zip(axes[:, 0], images, found, strict=True):
        _panel(axis, name, numbers)
    axes[-1, 0].set_xlabel("rank, 95 % interval (1 is best)")
    sets = list(dict.fromkeys(name for numbers in found for name in numbers))
    figure.legend(
        [
            Line2D([], [], color="black", linewidth=0.9, **_mark(sets.index(n), "black"))
            for n in sets
        ],
        [style.plain(f"labels {name}") for name in sets],
        loc="outside lower center",
        ncols=3,
    )
    return figure


def _height(numbers: Numbers) -> float:
    """Inches of a panel: a line a model, higher where there are more label sets."""
    models = max(map(len, numbers.values()))
    return models * (0.12 + 0.06 * len(numbers))


def _mark(place: int, ink: str) -> dict[str, Any]:
    """The look of a label set: the first, the original one, is hollow."""
    filled = {"markerfacecolor": ink if place else "white"}
    return {"marker": MARKS[place % len(MARKS)], "markersize": 4, **filled}


def _numbers(rows: list[dict[str, str]]) -> Numbers:
    numbers: Numbers = {}
    for row in rows:
        if row["model"]:
            of_model = numbers.setdefault(row["labels"], {}).setdefault(row["model"], {})
            of_model[row["measure"]] = row
    original = [
        name for name, models in numbers.items() if "move" not in next(iter(models.values()))
    ]
    return {name: numbers[name] for name in [*original, *(n for n in numbers if n not in original)]}


def _panel(axis: Axes, images: str, numbers: Numbers) -> None:
    sets = list(numbers)
    last = numbers[sets[-1]]
    n = next(iter(last.values()))["rank"]["n"]
    order = sorted(last, key=lambda m: (float(last[m]["rank"]["value"]), m))
    beside: Any = {"fontsize": 6, "transform": axis.get_yaxis_transform()}
    for y, model in enumerate(order):
        ink = style.colour(last[model]["rank"]["model_kind"])
        for place, name in enumerate(sets):
            row = numbers[name][model]["rank"]
            value, low, high = (float(row[part]) for part in ("value", "low", "high"))
            at = y + 0.6 * ((place + 0.5) / len(sets) - 0.5)
            axis.plot([low, high], [at, at], color=ink, linewidth=0.9)
            axis.plot(value, at, color=ink, **_mark(place, ink))
        best = float(last[model]["p_best"]["value"])
        axis.text(1.12, y, f"{best:.0f} %", va="center", ha="right", **beside)
    axis.text(1.12, -0.65, f"best ({style.plain(sets[-1])})", va="bottom", ha="right", **beside)
    names = [style.plain(last[model]["rank"]["model_name"]) for model in order]
    axis.set_yticks(range(len(order)), names)
    axis.set_ylim(len(order) - 0.5, -0.6)
    axis.set_xlim(0.7, len(order) + 0.3)
    axis.set_xticks(range(1, len(order) + 1))
    axis.tick_params(axis="y", length=0)
    axis.set_title(style.plain(f"{images}, n = {n}"), loc="left")
    axis.grid(axis="x")


if __name__ == "__main__":
    style.command(build, lambda path: read_csv(path, COLUMNS), "results/ranks/*.csv")
