"""Which classes are taken for which, and by whom: the neighbourhoods of confused classes."""

from collections import defaultdict
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from labelwise.evaluation import judged
from labelwise.figures import style

if TYPE_CHECKING:
    from pandas import DataFrame

COLUMNS = (
    *("experiment", "images", "labels", "model", "model_name", "model_kind", "stands", "image"),
    *("category", "class", "said", "right", "labelled", "original", "original_right"),
)
MOST = 16
"""Confusions shown, the most frequent ones."""

Pair = tuple[str, str]


def build(table: "DataFrame") -> Figure:
    """The most frequent confusions of images with one label, a column a model.

    The table is one of ``results/judged``, its columns ``COLUMNS``.
    """
    one = table[
        (table.stands == 1) & (table.model_kind != "control") & table.category.isin(judged.SINGLE)
    ]
    panels = [(key, counts(rows)) for key, rows in one.groupby(["images", "labels"], sort=False)]
    panels = [(key, found) for key, found in panels if found[1]]
    if not panels:
        return style.not_run("", "wrong answer about\nan image with one label")
    heights = [len(pairs) + 0.6 * len(pairs[-1:]) for _, (_, pairs, _) in panels]
    figure, axes = plt.subplots(
        len(panels),
        1,
        figsize=(style.PAGE, 1.75 * len(panels) + 0.19 * sum(heights)),
        squeeze=False,
        height_ratios=heights,
    )
    for axis, ((images, labels), (names, pairs, sizes)) in zip(axes[:, 0], panels, strict=True):
        values = [shares for _, shares, _ in pairs]
        style.heat(axis, values, lambda v: f"{v:.0f}" if v else "", 0, 100)
        axis.set_xticks(range(len(names)), [style.short(name, 24) for name in names], rotation=90)
        axis.set_yticks(
            range(len(pairs)),
            [f"{style.short(a, 26)} → {style.short(b, 26)} ({sizes[a]})" for (a, b), *_ in pairs],
        )
        for i in range(1, len(pairs)):
            if pairs[i][2] != pairs[i - 1][2]:
                axis.axhline(i - 0.5, color="black", linewidth=0.8)
        title = f"{images}, {labels}: % of the images of a class (their number) taken for another"
        axis.set_title(style.plain(title), loc="left")
    return figure


def counts(rows: "DataFrame") -> tuple[list[str], list[tuple[Pair, list[float], int]], dict]:
    """The most frequent confusions, those that share a class side by side.

    Args:
        rows: of images with one label; a row a model and image.

    Returns:
        Names of the models (the original labels last); for each confusion the pair of class names
        (label, taken for), the percentage of the label's images by model, and the number of its
        neighbourhood; the number of images by label.
    """
    first = rows.drop_duplicates("image")
    names = [*rows.drop_duplicates("model").model_name, style.ORIGINAL]
    sizes = first.labelled.value_counts().to_dict()
    found: dict[Pair, list[int]] = defaultdict(lambda: [0] * len(names))
    for i, (_, own) in enumerate(rows.groupby("model", sort=False)):
        wrong = own[(own.right == 0) & (own["class"] != "")]
        for pair in zip(wrong.labelled, wrong.said, strict=True):
            found[pair][i] += 1
    wrong = first[(first.original_right == 0) & (first.original != "")]
    for pair in zip(wrong.labelled, wrong.original, strict=True):
        if pair in found:
            found[pair][-1] += 1
    top = sorted(found, key=lambda p: (-sum(map(bool, found[p])), -sum(found[p]), p))[:MOST]
    number = _neighbourhoods(top)
    top.sort(key=number.__getitem__)
    table = [
        (pair, [100 * count / sizes[pair[0]] for count in found[pair]], number[pair])
        for pair in top
    ]
    return names, table, sizes


def _neighbourhoods(pairs: list[Pair]) -> dict[Pair, int]:
    """Number of each pair's group: pairs that share a class, directly or by others, are one."""
    group: dict[str, set[str]] = {}
    for a, b in pairs:
        joined = group.get(a, {a}) | group.get(b, {b})
        group |= dict.fromkeys(joined, joined)
    order = list({id(group[a]): None for a, _ in pairs})
    return {(a, b): order.index(id(group[a])) for a, b in pairs}


if __name__ == "__main__":
    style.command(build, lambda path: judged.read(path, COLUMNS), "results/judged/*.csv")
