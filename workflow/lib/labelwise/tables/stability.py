"""The same questions asked several times (the paper's Table 17)."""

from labelwise.evaluation.selection import Run, prompted
from labelwise.tables import style
from labelwise.tables.files import command
from labelwise.tables.published import Published

COLUMNS = (*style.ACCURACIES, style.Column("A", "oop_count", "Out of list", "count"))
PUBLISHED = Published(
    17,
    "one-per-class",
    lambda row, column, names: {"images_per_prompt": row.run.images_per_prompt},
)


def build(runs: list[Run]) -> style.Table:
    """Closed-world runs that were repeated, mean over repeats, percent."""
    return style.by_label_set(
        "stability",
        runs,
        "How far does a model agree with itself when it is asked again?",
        caption=lambda shown: (
            "Closed-world (CW) accuracy in percent, mean over repeats of the very same prompts;"
            " images a prompt. An interval of no width: every repeat scored alike. Out of list:"
            " answers without a usable class."
        ),
        missing="closed protocol that was asked several times (repeats)",
        stubs=("Images", "Repeats"),
        columns=COLUMNS,
        rows=lambda group: (
            _row(run)
            for own in prompted(group).values()
            for run in own
            if run.task == "CW" and run.repeats > 1
        ),
    )


def _row(run: Run) -> style.Row:
    stubs = ((str(run.images_per_prompt), ""), (str(run.repeats), ""))
    return style.Row(stubs, run, [style.cell(run, column) for column in COLUMNS])


if __name__ == "__main__":
    command(build)
