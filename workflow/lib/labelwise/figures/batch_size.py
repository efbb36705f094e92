"""Accuracy against the number of images in one prompt (cf. Tables 11 and 12)."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from labelwise.figures import style
from labelwise.selection import Run, corrected, prompted, standing

TASKS = {"CW": style.BLUE, "CW+": style.VERMILLION, "OW": style.GREEN}
ORDERS = {"shuffled": ("-", "o", "full"), "same class": ((0, (3, 1.5)), "s", "none")}
"""Line, marker and its fill; a sorted order counts as same class where it is one."""


def build(runs: list[Run]) -> Figure:
    """Accuracy under the corrected labels by images per prompt, one panel a model."""
    panels = [
        (f"{own[0].name}\n{images}, {labels}, n = {own[0].n('A')}", standing(own))
        for (images, labels), group in corrected(runs).items()
        for own in prompted(group).values()
    ]
    panels = [(title, own) for title, own in panels if max(r.images_per_prompt for r in own) > 1]
    if not panels:
        return style.not_run(runs[0].experiment, "prompt with several images")
    sizes = sorted({run.images_per_prompt for _, own in panels for run in own})
    figure, axes = style.grid(
        len(panels), 3, 1.75, 0.75, "images in one prompt", "accuracy, corrected labels (%)"
    )
    for axis, (title, own) in zip(axes, panels, strict=True):
        _panel(axis, own, sizes)
        axis.set_title(style.plain(title), loc="left")
    shown = [task for task in TASKS if any(r.task == task for _, own in panels for r in own)]
    orders = [o for o in ORDERS if any(_order(r) == o for _, own in panels for r in own)]
    handles = [Line2D([], [], color=TASKS[task], linewidth=2.5) for task in shown]
    handles += [
        Line2D([], [], color="black", linestyle=line, marker=mark, fillstyle=fill)
        for line, mark, fill in (ORDERS[order] for order in orders)
    ]
    figure.legend(
        handles,
        [*shown, *(f"order {order}" for order in orders)],
        loc="outside lower center",
        ncols=len(handles) if len(panels) > 1 else 2,
        columnspacing=1.2,
    )
    return figure


def _order(run: Run) -> str:
    """One of ``ORDERS``; '' for one image a prompt, which has none."""
    if run.images_per_prompt == 1:
        return ""
    return "shuffled" if run.order.startswith("shuffled") else "same class"


def _panel(axis: Axes, own: list[Run], sizes: list[int]) -> None:
    series = [(task, order) for task in TASKS for order in ORDERS]
    for place, (task, order) in enumerate(series):
        line, mark, fill = ORDERS[order]
        points = sorted(
            (run for run in own if run.task == task and _order(run) in ("", order)),
            key=lambda run: run.images_per_prompt,
        )
        if not any(run.images_per_prompt > 1 for run in points):
            continue
        shift = 0.05 * (place - (len(series) - 1) / 2)
        xs = [sizes.index(run.images_per_prompt) + shift for run in points]
        ys = [run.get("A", "accuracy") for run in points]
        axis.plot(xs, ys, color=TASKS[task], linestyle=line)
        for x, run in zip(xs, points, strict=True):
            style.interval(
                axis,
                x,
                tuple(run.get("A", column) for column in ("accuracy", "low", "high")),
                TASKS[task],
                mark,
                markerfacecolor=TASKS[task] if fill == "full" else "white",
            )
    axis.grid(axis="y")
    axis.set_xticks(range(len(sizes)), list(map(str, sizes)))
    axis.set_xlim(-0.4, len(sizes) - 0.6)


if __name__ == "__main__":
    style.command(build)
