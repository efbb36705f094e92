"""Accuracy by the text encoder and templates that map answers to class names (cf. Table 18)."""

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from labelwise.evaluation.selection import Run, corrected, prompted, usual_batching
from labelwise.figures import style

TASKS = {"CW+": "CW+ (list in the prompt)", "OW": "OW (no list)"}
LOOKS = {False: ("none", style.VERMILLION, "o", -0.16), True: ("full", style.BLUE, "s", 0.16)}
"""Without and with templates: marker fill, colour, marker, offset in rows."""


def build(runs: list[Run]) -> Figure:
    """Accuracy under the corrected labels by encoder, a row of panels a model."""
    rows = [
        (f"{own[0].name}\n{images}, {labels}, n = {own[0].n('A')}", usual_batching(own))
        for (images, labels), group in corrected(runs).items()
        for own in prompted(group).values()
    ]
    names = list(dict.fromkeys(run.encoder for _, own in rows for run in own if run.encoder))
    if not names:
        return style.not_run(runs[0].experiment, "mapper with a text encoder")
    figure, axes = plt.subplots(
        len(rows),
        len(TASKS),
        figsize=(style.PAGE, 0.75 + len(rows) * (0.38 + 0.24 * len(names))),
        squeeze=False,
        sharex=True,
        sharey=True,
    )
    for line, (title, own) in zip(axes, rows, strict=True):
        for axis, task in zip(line, TASKS, strict=True):
            _panel(axis, [r for r in own if r.task == task and r.encoder], names)
            for run in own:
                exact = run.get("A", "accuracy") if run.task == "CW" else None
                if task == "CW+" and exact is not None:
                    axis.axvline(exact, color="black", linestyle=(0, (3, 2)), linewidth=0.9)
        line[0].set_ylabel(
            style.plain(title), rotation=0, ha="right", va="center", labelpad=6, linespacing=1.4
        )
    for axis, text in zip(axes[0], TASKS.values(), strict=True):
        axis.set_title(text, loc="left")
    for axis in axes[-1]:
        axis.set_xlabel("accuracy under the corrected labels (%)")
    handles = [
        Line2D([], [], color=ink, marker=mark, fillstyle=fill, linestyle="-")
        for fill, ink, mark, _ in LOOKS.values()
    ]
    handles.append(Line2D([], [], color="black", linestyle=(0, (3, 2)), linewidth=0.9))
    figure.legend(
        handles,
        ["names alone, 95 % interval", "names in templates", "exact match (CW)"],
        loc="outside lower center",
        ncols=3,
    )
    return figure


def _panel(axis: Axes, runs: list[Run], names: list[str]) -> None:
    protocols = list(dict.fromkeys(run.protocol for run in runs))
    for run in runs:
        fill, ink, mark, offset = LOOKS[run.templated]
        spread = 0.0
        if len(protocols) > 1:
            spread = 0.12 * (protocols.index(run.protocol) / (len(protocols) - 1) - 0.5)
        y = names.index(run.encoder) + offset + spread
        value, low, high = (run.get("A", c) for c in ("accuracy", "low", "high"))
        if value is None:
            continue
        if low is not None and high is not None:
            axis.plot([low, high], [y, y], color=ink, linewidth=1.0)
        axis.plot(value, y, mark, color=ink, fillstyle=fill, markerfacecoloralt="white", zorder=3)
        if fill == "none":
            axis.plot(value, y, mark, color="white", markersize=3.4, zorder=2.5)
    if not runs:
        axis.text(0.5, 0.5, "not run", transform=axis.transAxes, ha="center", style="italic")
    axis.grid(axis="x")
    axis.set_yticks(range(len(names)), [style.plain(name) for name in names])
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(len(names) - 0.5, -0.5)


if __name__ == "__main__":
    style.command(build)
