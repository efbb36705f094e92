"""What people decided where a model and the labels disagree (the paper's Figure 7)."""

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from labelwise.annotation.counts import SETTLED, VERDICTS, Count, categories, deciders, find, load
from labelwise.figures import style

LOOKS = {
    "preferred": (style.BLUE, ""),
    "combined": (style.SKY, "////"),
    "kept": (style.ORANGE, "...."),
    "other": (style.GREY, "xxxx"),
}


def build(counts: list[Count]) -> Figure:
    """Shares of the four decisions in each category, with Wilson intervals."""
    settled = [c for c in counts if c.annotator == SETTLED]
    shown = [
        name
        for name in categories(settled)
        if (one := find(settled, category=name, measure="kept")) and one.n
    ]
    if not shown:
        figure = plt.figure(figsize=(style.COLUMN, 0.8))
        text = "Nothing to show: no case on which\nthe helper disagrees with the labels."
        figure.text(0.5, 0.5, text, ha="center", va="center", style="italic")
        return figure
    figure, axes = plt.subplots(
        len(shown), 1, figsize=(style.COLUMN, 0.75 + 0.72 * len(shown)), sharex=True, squeeze=False
    )
    for axis, name in zip(axes[:, 0], shown, strict=True):
        for y, measure in enumerate(VERDICTS):
            one = find(settled, category=name, measure=measure)
            assert one is not None, "a category that is shown has every verdict"
            colour, hatch = LOOKS[measure]
            axis.barh(y, one.value, 0.72, color=colour, hatch=hatch, edgecolor="black", lw=0.4)
            axis.plot([one.low, one.high], [y, y], color="black", lw=0.8)
            end = max(one.high or 0.0, one.value or 0.0) + 1.5
            axis.text(min(end, 103), y, f"{one.count:.0f}", va="center", fontsize=5.5)
        axis.set_yticks(range(len(VERDICTS)), VERDICTS)
        axis.set_ylim(len(VERDICTS) - 0.4, -0.6)
        axis.set_xlim(0, 109)
        axis.set_xticks(range(0, 101, 25))
        axis.grid(axis="x")
        axis.tick_params(axis="y", length=0)
        title = "all" if name == "A" else name.replace("-", "−")
        whole = find(settled, category=name, measure="kept")
        axis.set_title(f"{title}, n = {whole.n if whole else 0:.0f}", loc="left", pad=2)
    kept = find(settled, measure="kept")
    helper = kept.source if kept else ""
    axes[-1, 0].set_xlabel(
        style.plain(
            f"% of cases on which {helper}\nand the old labels disagree\n"
            f"decided by {deciders(counts)}"
        )
    )
    return figure


if __name__ == "__main__":
    style.command(build, load)
