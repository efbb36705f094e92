"""Accuracy by an image's place in its prompt (cf. Table 13)."""

from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from labelwise.analyses.noise import MARK, Noise, within
from labelwise.analyses.noise import read as read_noise
from labelwise.evaluation import judged
from labelwise.evaluation.statistics import wilson
from labelwise.figures import style

if TYPE_CHECKING:
    from pandas import DataFrame

COLUMNS = (
    *("experiment", "images", "labels", "model", "model_name", "model_kind", "task", "batching"),
    *("images_per_prompt", "order", "image", "position", "right"),
)
TOGETHER: Any = (style.VERMILLION, "o", {})
ALONE = (style.BLUE, "s", {"markerfacecolor": "white"})
"""Colour, marker and look of answers in a prompt of several images, and of one."""


def read(path: str, panel: str = "") -> "tuple[DataFrame, Noise]":
    """A judged file, and the noise of the models by a numerics panel."""
    return judged.read(path, COLUMNS), read_noise(panel)


def build(data: "tuple[DataFrame, Noise]") -> Figure:
    """Accuracy of closed-world answers by position, beside the same images asked one by one."""
    table, noise = data
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
    marked = False
    for axis, (title, rows, alone) in zip(axes, panels, strict=True):
        marked |= _panel(axis, rows, alone, noise)
        axis.set_title(style.plain(title), loc="left")
    handles = [
        Line2D([], [], color=ink, marker=mark, **look) for ink, mark, look in (TOGETHER, ALONE)
    ]
    texts = ["in this prompt, 95 % interval", "the same images, one a prompt"]
    if marked:
        sign, text = style.noise_handle()
        handles, texts = [*handles, sign], [*texts, text]
    figure.legend(handles, texts, loc="outside lower center", ncols=3 if len(panels) > 1 else 1)
    return figure


def _panel(axis: Axes, rows: "DataFrame", alone: "DataFrame", noise: Noise) -> bool:
    """Draw one panel; whether a difference in it is marked as no more than noise."""
    marked = False
    places = list(rows.groupby("position"))
    for x, (_, group) in enumerate(places):
        values, highs = [], []
        for (ink, mark, look), shift, right in (
            (TOGETHER, -0.12, group.right),
            (ALONE, 0.12, alone.reindex(group.image).dropna()),
        ):
            if len(right):
                low, high = wilson(int(right.sum()), len(right))
                y = (100 * right.mean(), 100 * low, 100 * high)
                style.interval(axis, x + shift, y, ink, mark, **look)
                values.append(y[0])
                highs.append(y[2])
        if len(values) == 2 and within(values[0] - values[1], rows.model.iloc[0], noise):
            style.above(axis, x, max(highs), MARK)
            marked = True
    labels = [f"{position}\n({len(group)})" for position, group in places]
    axis.set_xticks(range(len(places)), labels, fontsize=6 if len(places) < 8 else 4.5)
    axis.set_xlim(-0.5, len(places) - 0.5)
    axis.grid(axis="y")
    axis.margins(y=0.1)  # room for the marks
    return marked


if __name__ == "__main__":
    style.command(build, read, "results/judged/*.csv", "results/numerics/*.csv")
