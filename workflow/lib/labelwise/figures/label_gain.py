"""What corrected labels change for each model (the paper's Figure 3)."""

from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from labelwise.evaluation.selection import MODEL_KINDS, Run, by_model, differing, representative
from labelwise.figures import style

BUTT = {"solid_capstyle": "butt", "zorder": 2}


def build(runs: list[Run]) -> Figure:
    """Gain in accuracy from original to corrected labels, one row a model.

    A model whose answers are mapped is shown in its best setting under the corrected labels, which
    the row names.
    """
    panels = {
        key: [run for own in by_model(group).values() if (run := representative(own)) is not None]
        for key, group in differing(runs).items()
    }
    if not any(panels.values()):
        return style.not_run(runs[0].experiment, "label set that differs\nfrom the original labels")
    lines = [sum(1 for _ in _lines(shown)) for shown in panels.values()]
    figure, axes = plt.subplots(
        len(panels),
        1,
        figsize=(style.COLUMN, 0.85 + sum(0.3 + 0.155 * n for n in lines)),
        squeeze=False,
        sharex=True,
        gridspec_kw={"height_ratios": lines},
    )
    for axis, ((images, labels), shown) in zip(axes[:, 0], panels.items(), strict=True):
        _panel(axis, shown)
        title = f"{images}, original → {labels}, n = {shown[0].n('A')}"
        axis.set_title(style.plain(title), loc="right")
    axes[-1, 0].set_xlabel("gain (points)")
    void = Line2D([], [], color=style.GREY, linewidth=3.5, alpha=0.45, **BUTT)
    whole = Line2D([], [], color="black", marker="o")
    rest = Line2D(
        [], [], color="black", marker="|", markersize=7, linestyle="", markeredgewidth=1.2
    )
    figure.legend(
        [whole, rest, void],
        ["gain, 95 % interval", "gain without void images", "part from void images"],
        loc="outside lower center",
        ncols=2,
        columnspacing=1.0,
    )
    return figure


def _lines(shown: list[Run]) -> Any:
    """Yield headings (str) and runs, kind by kind."""
    kind = None
    for run in shown:
        if run.model_kind != kind:
            kind = run.model_kind
            yield MODEL_KINDS.get(kind, kind)
        yield run


def _panel(axis: Axes, shown: list[Run]) -> None:
    ticks: list[str] = []
    for y, line in enumerate(_lines(shown)):
        if isinstance(line, str):
            ticks.append(line)
            continue
        setting = f" ({line.task}, {line.mapper})" if line.encoder else ""
        ticks.append(style.plain(line.name + setting))
        gain, low, high = (line.get("A", c) for c in ("gain", "gain_low", "gain_high"))
        if gain is None:
            axis.text(0, y, "not run", va="center", style="italic", fontsize=6)
            continue
        rest = gain - (line.get("A", "gain_void") or 0.0)
        ink = style.colour(line.model_kind)
        axis.plot([rest, gain], [y, y], color=ink, linewidth=3.5, alpha=0.45, **BUTT)
        axis.plot(rest, y, "|", color=ink, markersize=7, markeredgewidth=1.2, zorder=3)
        if low is not None and high is not None:
            axis.plot([low, high], [y, y], color="black", linewidth=0.7, zorder=3)
        axis.plot(
            gain,
            y,
            style.marker(line.model_kind),
            color=ink,
            markeredgecolor="black",
            markeredgewidth=0.5,
            zorder=4,
        )
    axis.axvline(0, color="black", linewidth=0.6, zorder=1)
    axis.grid(axis="x")
    axis.set_yticks(range(len(ticks)), ticks)
    axis.tick_params(axis="y", length=0)
    for tick, line in zip(axis.get_yticklabels(), _lines(shown), strict=True):
        if isinstance(line, str):
            tick.set_style("italic")
    axis.set_ylim(len(ticks) - 0.4, -0.6)


if __name__ == "__main__":
    style.command(build)
