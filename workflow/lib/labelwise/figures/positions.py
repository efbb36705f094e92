"""Accuracy by an image's place in its prompt (cf. Table 13)."""

from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from labelwise import judged
from labelwise.figures import style
from labelwise.statistics import wilson

if TYPE_CHECKING:
    from pandas import DataFrame

COLUMNS = (
    *("experiment", "images", "labels", "model", "model_name", "model_kind", "task", "batching"),
    *("images_per_prompt", "order", "image", "position", "right"),
)
TOGETHER: Any = (style.VERMILLION, "o", {})
ALONE = (style.BLUE, "s", {"markerfacecolor": "white"})
"""Colour, marker and look of answers in a prompt of several images, and of one."""


def build(table: "DataFrame") -> Figure:
    """Accuracy of closed-world answers by position, beside the same images asked one by one."""
    table = table[(table.task == "CW") & (table.model_kind != "control") & (table.position > 0)]
    panels = []
    for (images, labels, _), own in table.groupby(["images", "labels", "model"], sort=False):
        alone = own[own.images_per_prompt == 1].set_index("image").right
        for (size, order), rows in own[own.images_per_prompt > 1].groupby(
            ["images_per_prompt", "order"], sort=False
        ):
            name = rows.model_name.iloc[0]
            title = f"{style.short(name, 34)}\n{images}, {labels}, {size} a prompt, {order}"
            panels.append((title, rows, alone))
    if not panels:
        experiment = table.experiment.iloc[0] if len(table) else ""
        return style.not_run(experiment, "closed-world prompt\nwith several images")
    figure, axes = style.grid(
        len(panels),
        3,
        1.75,
        0.8,
        "position in the prompt\n(images there in brackets)",
        "accuracy, corrected labels (%)",
    )
    for axis, (title, rows, alone) in zip(axes, panels, strict=True):
        _panel(axis, rows, alone)
        axis.set_title(style.plain(title), loc="left")
    figure.legend(
        [Line2D([], [], color=ink, marker=mark, **look) for ink, mark, look in (TOGETHER, ALONE)],
        ["in this prompt, 95 % interval", "the same images, one a prompt"],
        loc="outside lower center",
        ncols=2,
    )
    return figure


def _panel(axis: Axes, rows: "DataFrame", alone: "DataFrame") -> None:
    places = list(rows.groupby("position"))
    for (ink, mark, look), shift, single in ((TOGETHER, -0.12, False), (ALONE, 0.12, True)):
        for x, (_, group) in enumerate(places):
            right = alone.reindex(group.image).dropna() if single else group.right
            if len(right):
                low, high = wilson(int(right.sum()), len(right))
                y = (100 * right.mean(), 100 * low, 100 * high)
                style.interval(axis, x + shift, y, ink, mark, **look)
    labels = [f"{position}\n({len(group)})" for position, group in places]
    axis.set_xticks(range(len(places)), labels, fontsize=6 if len(places) < 8 else 4.5)
    axis.set_xlim(-0.5, len(places) - 0.5)
    axis.grid(axis="y")


if __name__ == "__main__":
    style.command(build, lambda path: judged.read(path, COLUMNS), "results/judged/*.csv")
