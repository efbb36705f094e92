"""Answers outside the class list, mapped rightly and wrongly (the paper's Figure 4)."""

import io
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from labelwise import draw
from labelwise.evaluation import judged
from labelwise.figures import style
from labelwise.pages import thumbnails
from labelwise.records import LEAVES

if TYPE_CHECKING:
    from pandas import DataFrame, Series

COLUMNS = (
    *("experiment", "images", "labels", "model", "model_name", "model_kind", "task", "mapper"),
    *("images_per_prompt", "order", "image", "category", "answer", "said", "score", "mapped"),
    *("right", "labelled", "original"),
)
ROWS = ("mapped to a right class", "mapped to a wrong class")
WIDTH, LINES = 33, 2
"""Characters that fit under a picture, and most lines of one text."""
BOTTOM = 1.66
"""Where a case ends; its picture takes the square from 0 to 1."""
SIDE = 0.9
"""Part of its column that a picture has; the credit stands beside it."""

Photos = dict[str, tuple[bytes, str]]


def read(path: str | Path, *archives: str | Path) -> "tuple[DataFrame, Photos]":
    """A judged file, and the thumbnails and credits of the images that may be shown."""
    photos: Photos = {}
    for archive in archives:
        photos |= thumbnails.read(archive)
    return judged.read(path, COLUMNS), photos


def build(data: "tuple[DataFrame, Photos]") -> Figure:
    """One drawn case a category of labels: of the model with the most answers outside the list."""
    table, photos = data
    cases = table[
        (table.task == "CW+")
        & (table.mapped == "1")
        & (table.model_kind != "control")
        & (table.images_per_prompt == table.images_per_prompt.min())
    ]
    if cases.empty:
        experiment = table.experiment.iloc[0] if len(table) else ""
        return style.not_run(experiment, "closed-world answer\nthat an encoder maps")
    first = cases.groupby(["images", "labels", "model"], sort=False).size().idxmax()
    cases = cases[(cases[["images", "labels", "model"]] == list(first)).all(axis=1)]
    right = (cases.right == 1) & (cases.category != "N")
    categories = [c for c in LEAVES if (cases.category == c).any()]
    figure, axes = plt.subplots(
        len(ROWS),
        len(categories),
        figsize=(style.PAGE, 0.45 + len(ROWS) * SIDE * style.PAGE / len(categories) * BOTTOM),
        squeeze=False,
    )
    for axis, category in zip(axes[0], categories, strict=True):
        axis.set_title(style.minus(category), fontsize=8)
    for line, group, what in zip(axes, (cases[right], cases[~right]), ROWS, strict=True):
        for axis, category in zip(line, categories, strict=True):
            _case(axis, group[group.category == category], photos)
        line[0].set_ylabel(f"{what} ({len(group)})")
    one = cases.iloc[0]
    figure.suptitle(
        style.plain(
            f"{one.model_name}, {one['images']}, {one.labels}: {len(cases)} answers outside the"
            f" list, mapped by {one.mapper} (similarity in brackets)"
        ),
        fontsize=7,
    )
    return figure


def _case(axis: Axes, found: "DataFrame", photos: Photos) -> None:
    """Draw one case: drawn by image id, from those that may be shown where there are any."""
    axis.set_xlim(0, 1)
    axis.set_ylim(BOTTOM, 0)
    axis.set_aspect("equal")
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
    if found.empty:
        axis.text(0.5, 0.5, "no such answer", ha="center", va="center", style="italic", fontsize=6)
        return
    case = min(
        (row for _, row in found.iterrows()),
        key=lambda row: (row.image not in photos, draw.key(0, "gallery", row.image)),
    )
    _picture(axis, case, photos)
    y = 1.07
    for text, look in _lines(case):
        width = WIDTH - 3 if "weight" in look else WIDTH
        for line in textwrap.wrap(text, width, max_lines=LINES, placeholder=" …"):
            axis.text(0, y, style.plain(line), fontsize=5.2, va="center", **look)
            y += 0.082


def _picture(axis: Axes, case: "Series", photos: Photos) -> None:
    if case.image not in photos:
        axis.add_patch(Rectangle((0, 0), 1, 1, facecolor="#EEEEEE", edgecolor=style.GREY))
        text = style.short(case.image, 24)
        axis.text(0.5, 0.5, f"not shown\n{text}", ha="center", va="center", fontsize=5.2)
        return
    content, credit = photos[case.image]
    picture = plt.imread(io.BytesIO(content), format="jpeg")
    height, width = picture.shape[:2]
    across, down = width / max(width, height), height / max(width, height)
    left, top = (1 - across) / 2, (1 - down) / 2
    axis.imshow(picture, extent=(left, left + across, top + down, top), aspect="equal", zorder=2)
    axis.set_xlim(0, 1)
    axis.set_ylim(BOTTOM, 0)
    author_and_licence = credit.rsplit(", ", 1)[0]
    axis.text(
        1.03,
        1,
        style.short(author_and_licence, 44),
        fontsize=3.4,
        color="#555555",
        rotation=90,
        ha="left",
        va="bottom",
    )


def _lines(case: "Series") -> list[tuple[str, dict]]:
    """What stands under a picture, line by line, with its look."""
    mark = "right" if case.right and case.category != "N" else "wrong"
    ink = {"right": style.BLUE, "wrong": style.VERMILLION}[mark]
    return [
        (f"said: {case.answer}", {"style": "italic"}),
        (f"→ {case.said} ({case.score:.2f})", {"color": ink, "weight": "bold"}),
        (f"corrected: {case.labelled or 'none'}", {}),
        (f"original: {case.original or 'none'}", {}),
    ]


if __name__ == "__main__":
    style.command(build, read, "results/judged/*.csv", "results/thumbnails/*.zip")
