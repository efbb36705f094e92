"""How ranks move from the original labels to others, with the uncertainty of the images."""

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labelwise.figures import style
from labelwise.tables.ranks import read

Numbers = dict[str, dict[str, dict[str, dict[str, str]]]]
"""Label set -> model -> measure -> row."""


def build(rows: list[dict[str, str]]) -> Figure:
    """Ranks under each label set, one panel an image set, lines join a model's ranks."""
    images = list(dict.fromkeys(row["images"] for row in rows))
    found = [_numbers([row for row in rows if row["images"] == name]) for name in images]
    most = max(len(models) for numbers in found for models in numbers.values())
    figure, axes = plt.subplots(
        len(images),
        1,
        figsize=(style.COLUMN, len(images) * (0.7 + 0.28 * most)),
        squeeze=False,
    )
    for axis, name, numbers in zip(axes[:, 0], images, found, strict=True):
        _panel(axis, name, numbers)
    return figure


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
    ends: list[float] = []
    for place, model in enumerate(order):
        shift = (place - (len(order) - 1) / 2) * 0.5 / max(1, len(order) - 1)
        row = last[model]["rank"]
        ink, mark = style.colour(row["model_kind"]), style.marker(row["model_kind"])
        xs = [x + shift for x in range(len(sets))]
        ranks = [float(numbers[name][model]["rank"]["value"]) for name in sets]
        axis.plot(xs, ranks, color=ink, linewidth=0.5, alpha=0.5, zorder=1)
        for x, rank, name in zip(xs, ranks, sets, strict=True):
            low, high = (float(numbers[name][model]["rank"][end]) for end in ("low", "high"))
            axis.plot([x, x], [low, high], color=ink, linewidth=1.1, zorder=2)
            axis.plot(x, rank, mark, color=ink, markeredgecolor="black", markeredgewidth=0.5)
        ends.append(ranks[-1])
    right = len(sets) - 1 + 0.42
    spread = _apart(ends, 0.62)
    for model, end, y in zip(order, ends, spread, strict=True):
        row = last[model]["rank"]
        best = float(last[model]["p_best"]["value"])
        axis.plot(
            [right - 0.1, right + 0.04], [end, y], color=style.GREY, linewidth=0.4, clip_on=False
        )
        text = f"{row['model_name']}, best {best:.0f} %"
        axis.text(right + 0.06, y, style.plain(text), va="center", fontsize=6)
    axis.set_xlim(-0.4, right)
    axis.set_xticks(range(len(sets)), [style.plain(name) for name in sets])
    axis.set_ylabel("rank (95 % interval)")
    low = max(float(r["rank"]["high"]) for models in numbers.values() for r in models.values())
    axis.set_ylim(max([low, *spread]) + 0.5, min([1, *spread]) - 0.5)
    axis.set_yticks(range(1, int(low) + 1))
    axis.set_title(style.plain(f"{images}, n = {n}"), loc="left")
    axis.grid(axis="y")


def _apart(places: list[float], gap: float) -> list[float]:
    """Places of labels in ascending order, moved as little as keeps them ``gap`` apart."""
    found: list[float] = []
    for place in places:
        found.append(max(place, found[-1] + gap) if found else place)
    excess = (found[-1] - places[-1]) / 2 if found else 0
    return [place - excess for place in found]


if __name__ == "__main__":
    style.command(build, read, "results/ranks/*.csv")
