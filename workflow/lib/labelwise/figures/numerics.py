"""How many answers change when only the arithmetic does."""

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from labelwise.analyses.noise import noisiest
from labelwise.figures import style
from labelwise.records import read_csv

COLUMNS = (
    *("model", "model_name", "images", "protocol", "labels", "setting", "same_dtype"),
    *("rate", "low", "high", "n"),
)


def build(rows: list[dict[str, str]]) -> Figure:
    """Share of answers that flip, one row a variant, one panel a model.

    Rows are those of ``results/numerics``, in percent.
    """
    panels: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in rows:
        key = row["model_name"], row["images"], row["protocol"], row["labels"], row["n"]
        panels.setdefault(key, []).append(row)
    heights = [len(own) for own in panels.values()]
    figure, axes = plt.subplots(
        len(panels),
        1,
        figsize=(style.COLUMN, 0.8 + sum(0.35 + 0.2 * n for n in heights)),
        squeeze=False,
        sharex=True,
        gridspec_kw={"height_ratios": heights},
    )
    noise = noisiest(rows)
    for axis, ((name, images, protocol, _, n), own) in zip(axes[:, 0], panels.items(), strict=True):
        for y, row in enumerate(own):
            ink = style.BLUE if row["same_dtype"] == "1" else style.VERMILLION
            low, high = float(row["low"]), float(row["high"])
            axis.plot([low, high], [y, y], color=ink, linewidth=0.9)
            axis.plot(float(row["rate"]), y, "o" if row["same_dtype"] == "1" else "s", color=ink)
        if own[0]["model"] in noise:
            axis.axvline(
                noise[own[0]["model"]], color="black", linestyle=(0, (3, 2)), linewidth=0.8
            )
        axis.set_yticks(range(len(own)), [style.plain(row["setting"]) for row in own])
        axis.tick_params(axis="y", length=0)
        axis.set_ylim(len(own) - 0.5, -0.5)
        axis.set_xlim(left=-1)
        axis.grid(axis="x")
        axis.set_title(style.plain(f"{name}: {images}, {protocol}, n = {n}"), loc="right")
    axes[-1, 0].set_xlabel("answers that flip (%), 95 % interval")
    handles = [
        Line2D([], [], color=style.BLUE, marker="o"),
        Line2D([], [], color=style.VERMILLION, marker="s"),
        Line2D([], [], color="black", linestyle=(0, (3, 2)), linewidth=0.8),
    ]
    figure.legend(
        handles,
        ["same dtype", "another dtype", "noise: limit for differences"],
        loc="outside lower center",
        ncols=3,
        columnspacing=1.0,
    )
    return figure


if __name__ == "__main__":
    style.command(build, lambda path: read_csv(path, COLUMNS), "results/numerics/*.csv")
