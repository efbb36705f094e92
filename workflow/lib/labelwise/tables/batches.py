"""Images per prompt, closed world (the paper's Table 11)."""

from labelwise.analyses.noise import Noise, caption
from labelwise.evaluation.selection import Run, closed_batchings, prompted
from labelwise.tables import style
from labelwise.tables.files import command
from labelwise.tables.published import Published

COLUMNS = (*style.ACCURACIES, style.Column("A", "oop_count", "Out of list", "count"))
PUBLISHED = Published(
    11,
    "one-per-class",
    lambda row, column, names: {"images_per_prompt": row.run.images_per_prompt},
)


def build(runs: list[Run], noise: Noise | None = None) -> style.Table:
    """Closed-world accuracy by images per prompt, in a shuffled order."""
    return style.by_label_set(
        "batches",
        runs,
        "Do several images in one prompt change the answers?",
        caption=lambda shown: (
            "Closed-world (CW) accuracy in percent by images a prompt, in a shuffled order. Behind"
            " each number the difference from the model's row with the fewest images a prompt, in"
            " percentage points or counts (the experiment holds no interval for it). Out of list:"
            f" answers without a usable class. {caption(noise, {run.model for run in shown})}"
        ),
        missing="closed protocol with two numbers of images a prompt",
        stubs=("Images", "Order"),
        columns=COLUMNS,
        rows=lambda group: _panel(group, noise),
    )


def _panel(group: list[Run], noise: Noise | None) -> list[style.Row]:
    """The rows of a panel; none where no model was asked about several images a prompt."""
    rows: list[style.Row] = []
    for own in prompted(group).values():
        for asked in closed_batchings(own):
            rows += _rows([run for run in asked if not run.same_class], noise)
    several = any(row.run.images_per_prompt > 1 for row in rows if row.cells)
    return rows if several else []


def _rows(asked: list[Run], noise: Noise | None) -> list[style.Row]:
    rows = [
        style.Row(
            ((str(run.images_per_prompt), ""), (run.order or "–", "")),
            run,
            [style.cell(run, column) for column in COLUMNS],
        )
        for run in asked
    ]
    for row in rows[1:]:
        style.deltas(row, rows[0], COLUMNS, noise)
    if len(rows) == 1:
        note = "not run: any other number of images a prompt in closed world (CW)"
        rows.append(style.Row((("–", ""), ("", "")), asked[0], note=note))
    return rows


if __name__ == "__main__":
    command(build)
