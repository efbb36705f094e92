"""Accuracy against the number of images in one prompt (cf. Tables 11 and 12)."""

import itertools

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from labelwise.analyses.noise import MARK, Noise, within
from labelwise.analyses.noise import read as read_noise
from labelwise.evaluation.selection import Run, accuracy, corrected, load, prompted, standing
from labelwise.figures import style

TASKS = {"CW": style.BLUE, "CW+": style.VERMILLION, "OW": style.GREEN}
ORDERS = {"shuffled": ("-", "o", "full"), "same class": ((0, (3, 1.5)), "s", "none")}
"""Line, marker and its fill; a sorted order counts as same class where it is one."""


def read(path: str, panel: str = "") -> tuple[list[Run], Noise]:
    """The runs of an experiment, and the noise of the models by a numerics panel."""
    return load(path), read_noise(panel)


def build(data: tuple[list[Run], Noise]) -> Figure:
    """Accuracy under the corrected labels by images per prompt, one panel a model."""
    runs, noise = data
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
    marked = False
    for axis, (title, own) in zip(axes, panels, strict=True):
        marked |= _panel(axis, own, sizes, noise)
        axis.set_title(style.plain(title), loc="left")
    shown = [task for task in TASKS if any(r.task == task for _, own in panels for r in own)]
    orders = [o for o in ORDERS if any(_order(r) == o for _, own in panels for r in own)]
    handles = [Line2D([], [], color=TASKS[task], linewidth=2.5) for task in shown]
    texts = list(shown)
    if marked:
        sign, text = style.noise_handle()
        handles, texts = [*handles, sign], [*texts, text]
    handles += [
        Line2D([], [], color="black", linestyle=line, marker=mark, fillstyle=fill)
        for line, mark, fill in (ORDERS[order] for order in orders)
    ]
    texts += [f"order {order}" for order in orders]
    figure.legend(
        handles,
        texts,
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


def _panel(axis: Axes, own: list[Run], sizes: list[int], noise: Noise) -> bool:
    """Draw one panel; whether a difference in it is marked as no more than noise."""
    marked = False
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
            value, low, high = (run.get("A", column) for column in ("accuracy", "low", "high"))
            look = {"markerfacecolor": TASKS[task] if fill == "full" else "white"}
            style.interval(axis, x, (value, low, high), TASKS[task], mark, **look)
            if run.images_per_prompt > 1 and _alike(run, points[0], noise):
                style.above(axis, x, high, MARK, TASKS[task])
                marked = True
    for size, task in itertools.product(sizes, TASKS):
        pair = [r for r in own if r.task == task and r.images_per_prompt == size and _order(r)]
        if len(pair) == 2 and _alike(pair[0], pair[1], noise):
            x = sizes.index(size) + 0.05 * (len(series) + 1) / 2
            _bracket(axis, x, list(map(accuracy, pair)), TASKS[task])
            marked = True
    axis.grid(axis="y")
    axis.margins(y=0.1)  # room for the marks
    axis.set_xticks(range(len(sizes)), list(map(str, sizes)))
    axis.set_xlim(-0.4, len(sizes) - 0.6)
    return marked


def _alike(one: Run, other: Run, noise: Noise) -> bool:
    """Whether two runs differ by no more than numerics may change."""
    return within(accuracy(one) - accuracy(other), one.model, noise)


def _bracket(axis: Axes, x: float, ends: list[float], ink: str) -> None:
    """Join two accuracies at the right, marked as alike."""
    low, high = min(ends), max(ends)
    axis.plot([x - 0.02, x, x, x - 0.02], [low, low, high, high], color=ink, linewidth=0.6)
    axis.text(x + 0.02, (low + high) / 2, MARK, color=ink, va="center", fontsize=7)


if __name__ == "__main__":
    style.command(build, read, more="results/numerics/*.csv")
