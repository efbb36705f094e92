"""How much layout, list and wording change, beside what is the images' doing."""

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from labelwise.analyses.factors import said
from labelwise.analyses.noise import MARK, Noise, within
from labelwise.analyses.noise import read as read_noise
from labelwise.figures import style
from labelwise.records import read_csv

COLUMNS = (
    *("experiment", "model", "model_name", "model_kind", "images", "protocol", "labels", "n"),
    *("row", "factor", "level", "share", "p_holm", "flips", "range", "accuracy", "low", "high"),
)


def read(path: str, panel: str = "") -> tuple[list[dict[str, str]], Noise]:
    """Rows of results/sensitivity/NAME.csv, and the noise of the models by a numerics panel."""
    return read_csv(path, COLUMNS), read_noise(panel)


def build(data: tuple[list[dict[str, str]], Noise]) -> Figure:
    """Shares of variance by source (left) and accuracy by setting (right), a row a model."""
    rows, noise = data
    shown = [row for row in rows if row["model_kind"] != "control"]
    panels: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in shown:
        key = row["model_name"], row["images"], row["protocol"], row["labels"], row["n"]
        panels.setdefault(key, []).append(row)
    if not panels:
        figure = plt.figure(figsize=(style.COLUMN, 0.8))
        text = f"Not run: experiment {rows[0]['experiment']}\nasks controls only."
        figure.text(0.5, 0.5, style.plain(text), ha="center", va="center", style="italic")
        return figure
    most = max(sum(row["row"] == "source" for row in own) for own in panels.values())
    figure, axes = plt.subplots(
        len(panels), 2, figsize=(style.PAGE, len(panels) * (0.75 + 0.15 * most)), squeeze=False
    )
    for (left, right), (panel, own) in zip(axes, panels.items(), strict=True):
        name, images, protocol, labels, n = panel
        sources = [row for row in own if row["row"] == "source"]
        marked = False
        for y, row in enumerate(sources):
            factor = row["factor"]
            mixed, image = " x " in factor, "image" in factor
            ink = style.GREY if factor in ("image", "residual") else style.BLUE
            ink = (style.ORANGE if image else style.SKY) if mixed else ink
            share = float(row["share"])
            left.barh(y, share, color=ink, edgecolor="black", linewidth=0.4)
            text = f"{share:.1f}"
            if row["p_holm"]:
                text += f"   p = {float(row['p_holm']):.2f}, flips {float(row['flips']):.0f} %"
                if within(float(row["range"]), row["model"], noise):
                    text += f" {MARK}"
                    marked = True
            left.text(share + 0.8, y, text, va="center", fontsize=6)
        left.set_yticks(range(len(sources)), [said(row["factor"]) for row in sources])
        left.tick_params(axis="y", length=0)
        left.invert_yaxis()
        left.set_xlim(0, 1.25 * max(float(row["share"]) for row in sources) + 5)
        label = "share of the variance of being right (%)"
        if marked:
            label += f"\n{MARK}: best and worst setting differ by no more than numerics may change"
        left.set_xlabel(label)
        left.set_title(style.plain(f"{name}: {images}, {protocol}, {labels}, n = {n}"), loc="left")
        levels = [row for row in own if row["row"] == "level"]
        ticks, at, factor = [], 0.0, ""
        for row in levels:
            if row["factor"] != factor:
                at, factor = at + (0.6 if factor else 0), row["factor"]
            low, high = float(row["low"]), float(row["high"])
            right.plot([low, high], [at, at], color=style.BLUE, linewidth=0.9)
            right.plot(float(row["accuracy"]), at, "o", color=style.BLUE)
            ticks.append((at, f"{said(factor)}: {row['level']}"))
            at += 1
        right.set_yticks([y for y, _ in ticks], [style.plain(text) for _, text in ticks])
        right.tick_params(axis="y", length=0)
        right.invert_yaxis()
        right.grid(axis="x")
        right.set_xlim(left=0)
        right.set_xlabel("accuracy (%), 95 % interval of the images")
    return figure


if __name__ == "__main__":
    style.command(build, read, "results/sensitivity/*.csv", "results/numerics/*.csv")
