"""The order of the images in a prompt, closed world (the paper's Table 12)."""

from labelwise.analyses.noise import Noise, caption
from labelwise.evaluation.selection import Run, closed_batchings, prompted
from labelwise.tables import style
from labelwise.tables.files import command
from labelwise.tables.published import Names, Published

COLUMNS = (
    style.Column("A", "original", "Original A"),
    style.Column("A", "accuracy", "Corrected A"),
    style.Column("A", "gain", "Gain", "points"),
    style.Column("A", "oop_count", "Out of list", "count"),
)


def _setting(row: style.Row, column: style.Column, names: Names) -> dict[str, str]:
    order = "grouped" if row.run.same_class else "shuffled"
    return {"order": order if row.run.images_per_prompt == 10 else ""}


PUBLISHED = Published(12, "ten-per-class", _setting)


def build(runs: list[Run], noise: Noise | None = None) -> style.Table:
    """Closed world with mixed prompts and with prompts of one class."""
    return style.by_label_set(
        "order",
        runs,
        "Does it help to see images of one class together?",
        caption=lambda shown: (
            "Closed-world (CW) accuracy in percent. Shuffled: classes are mixed in a prompt; same"
            " class: all images of a prompt share their original label. Behind each number the"
            " difference from the shuffled order with as many images a prompt, in percentage"
            " points or counts (the experiment holds no interval for it). Out of list: answers"
            f" without a usable class. {caption(noise, {run.model for run in shown})}"
        ),
        missing="closed protocol in a shuffled and a same-class order",
        stubs=("Images", "Order"),
        columns=COLUMNS,
        rows=lambda group: (
            row for own in prompted(group).values() for row in _of_model(own, noise)
        ),
    )


def _of_model(own: list[Run], noise: Noise | None) -> list[style.Row]:
    note = "not run: closed world (CW) in both orders"
    rows = [row for asked in closed_batchings(own) for row in _rows(asked, noise)]
    return rows or [style.Row((("–", ""), ("", "")), own[0], note=note)]


def _rows(asked: list[Run], noise: Noise | None) -> list[style.Row]:
    rows = []
    for grouped in (run for run in asked if run.same_class):
        size = grouped.images_per_prompt
        mixed = [r for r in asked if r.images_per_prompt == size and not r.same_class]
        if mixed:
            pair = [_row(mixed[0]), _row(grouped)]
            style.deltas(pair[1], pair[0], COLUMNS, noise)
            rows += pair
    return rows


def _row(run: Run) -> style.Row:
    order = "same class" if run.same_class else "shuffled"
    stubs = ((str(run.images_per_prompt), ""), (order, run.order))
    return style.Row(stubs, run, [style.cell(run, column) for column in COLUMNS])


if __name__ == "__main__":
    command(build)
