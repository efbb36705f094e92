"""What becomes of closed-world answers, by category (cf. Tables 5 and 15)."""

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from labelwise.evaluation.selection import Run, closed_and_mapped, corrected, mapped_right, prompted
from labelwise.figures import style
from labelwise.records import LEAVES

SHOWN = ("A", *LEAVES)
SERIES = (
    ("a listed name", "#C9E4F6", ""),
    ("out of list, mapped to a right class", style.BLUE, ""),
    ("out of list, mapped elsewhere", style.ORANGE, "////"),
    ("unusable", style.BLACK, ""),
)
"""Legend text, colour and hatch, in stacking order."""


def build(runs: list[Run]) -> Figure:
    """Shares of outcomes of closed-world answers, one panel a model."""
    panels = [
        (f"{exact.name}\n{images}, {labels}; mapper {mapped.mapper if mapped else '–'}", shares)
        for (images, labels), group in corrected(runs).items()
        for own in prompted(group).values()
        for exact, mapped in [closed_and_mapped(own)]
        if exact is not None
        for shares in [[(c, exact.n(c), _shares(exact, mapped, c)) for c in SHOWN]]
    ]
    if not panels:
        return style.not_run(runs[0].experiment, "closed protocol with mapper exact")
    columns = min(2, len(panels))
    lines = -(-len(panels) // columns)
    figure, axes = plt.subplots(
        lines,
        columns,
        figsize=(style.PAGE if columns > 1 else style.COLUMN, 0.75 + 1.65 * lines),
        squeeze=False,
    )
    for axis, (title, shares) in zip(axes.flat, panels, strict=False):
        _panel(axis, shares)
        axis.set_title(style.plain(title), loc="left")
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis in axes.flat[max(0, len(panels) - columns) : len(panels)]:
        axis.set_xlabel("share of answers (%)")
    figure.legend(
        [Patch(facecolor=c, hatch=h, edgecolor="black", linewidth=0.4) for _, c, h in SERIES],
        [text for text, _, _ in SERIES],
        loc="outside lower center",
        ncols=4 if columns > 1 else 1,
        columnspacing=1.2,
    )
    return figure


def _shares(exact: Run, mapped: Run | None, category: str) -> list[float]:
    """Percent of the category's answers in each of ``SERIES``."""
    right, _ = mapped_right(exact, mapped, category)
    listed, outside, abstained = (
        exact.get(category, f"n_{outcome}") or 0.0 for outcome in ("ok", "out_of_list", "abstain")
    )
    answers = exact.n(category) - (exact.get(category, "n_image_error") or 0.0)
    if answers <= 0:
        return [0.0] * len(SERIES)
    right = right or 0.0
    counts = [listed, right, outside + abstained - right, answers - listed - outside - abstained]
    return [100 * max(0.0, count) / answers for count in counts]


def _panel(axis: Axes, shares: list[tuple[str, int, list[float]]]) -> None:
    names = [f"{category} ({n})".replace("-", "−") for category, n, _ in shares]
    left = [0.0] * len(shares)
    for index, (_, ink, hatch) in enumerate(SERIES):
        values = [parts[index] for *_, parts in shares]
        axis.barh(
            names,
            values,
            left=left,
            height=0.72,
            color=ink,
            hatch=hatch,
            edgecolor="black",
            linewidth=0.4,
        )
        left = [a + b for a, b in zip(left, values, strict=True)]
    axis.set_xlim(0, 100)
    axis.invert_yaxis()
    axis.tick_params(axis="y", length=0)


if __name__ == "__main__":
    style.command(build)
