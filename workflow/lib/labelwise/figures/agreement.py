"""How alike models are: per-class recall and image-level correctness (the paper's Figure 9)."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from labelwise.evaluation import judged, statistics
from labelwise.figures import style

if TYPE_CHECKING:
    from pandas import DataFrame, Series

COLUMNS = (
    *("experiment", "images", "labels", "model", "model_name", "model_kind", "stands"),
    *("image", "category", "right", "label", "original_right"),
)

Matrix = list[list[float | None]]


def build(table: "DataFrame") -> Figure:
    """Correlation of recall and of correctness between the models, and the original labels.

    The table is one of ``results/judged``, its columns ``COLUMNS``.
    """
    table = table[(table.stands == 1) & (table.model_kind != "control")]
    panels = [(key, rows) for key, rows in table.groupby(["images", "labels"], sort=False)]
    if not panels:
        return style.not_run("", "label set that differs\nfrom the original labels")
    most = max(rows.model.nunique() for _, rows in panels) + 1
    cell = (style.PAGE - 1.7) / 2 / most
    figure, axes = plt.subplots(
        len(panels),
        2,
        figsize=(style.PAGE, len(panels) * (cell * most + 1.55)),
        squeeze=False,
        sharey=True,
    )
    for line, ((images, labels), rows) in zip(axes, panels, strict=True):
        names = [*rows.drop_duplicates("model").model_name, style.ORIGINAL]
        kinds = [*rows.drop_duplicates("model").model_kind, "original"]
        one = rows[rows.category.isin(judged.SINGLE)]
        some = rows[rows.category != "N"]
        classes, n = one.label.nunique(), some.image.nunique()
        spearman, phi = correlations(one, some)
        for axis, values, title in (
            (
                line[0],
                spearman,
                f"Spearman of recall, {classes} classes ({one.image.nunique()} images)",
            ),
            (line[1], phi, f"phi of correctness, n = {n}"),
        ):
            style.heat(
                axis, values, lambda v: f"{v:.2f}".replace("0.", ".").replace("-", "−"), 0, 1
            )
            axis.set_title(title, loc="left")
            axis.set_xticks(range(len(names)), [style.short(x, 26) for x in names], rotation=90)
            axis.set_yticks(range(len(names)), [style.short(x, 26) for x in names])
            for i in range(1, len(kinds)):
                if kinds[i] != kinds[i - 1]:
                    axis.axhline(i - 0.5, color="black", linewidth=0.8)
                    axis.axvline(i - 0.5, color="black", linewidth=0.8)
        line[0].set_ylabel(style.plain(f"{images}, {labels}"))
    return figure


def correlations(one: "DataFrame", some: "DataFrame") -> tuple[Matrix, Matrix]:
    """Spearman and phi of every two models and the original labels; None where undefined.

    Args:
        one: rows of images with exactly one label.
        some: rows of images with at least one.
    """
    label = one.drop_duplicates("image").set_index("image").label
    recall = [
        {name: (len(own), own.sum()) for name, own in column.groupby(label)}
        for column in _columns(one)
    ]
    return (
        _matrix(recall, statistics.spearman),
        _matrix([column.to_numpy(bool) for column in _columns(some)], statistics.phi),
    )


def _columns(rows: "DataFrame") -> "list[Series]":
    """Whether each model, and the original labels last, is right, on the images all answered."""
    models = rows.model.drop_duplicates()
    table = rows.pivot(index="image", columns="model", values="right")[list(models)].dropna()
    original = rows.drop_duplicates("image").set_index("image").original_right
    return [*(table[model] for model in models), original.loc[table.index]]


def _matrix(vectors: list, measure: Callable) -> Matrix:
    """A symmetric measure of every two vectors."""
    n = len(vectors)
    values: Matrix = [[None] * n for _ in range(n)]
    for i in range(n):
        for j in range(i, n):
            values[i][j] = values[j][i] = measure(vectors[i], vectors[j])
    return values


if __name__ == "__main__":
    style.command(build, lambda path: judged.read(path, COLUMNS), "results/judged/*.csv")
