"""Every label set of every image set, classifiers and prompted models (the paper's Table 9)."""

from labelwise.evaluation.selection import Run, by_model, usual_batching
from labelwise.tables import style
from labelwise.tables.files import command
from labelwise.tables.published import TASKS, Names, Published

COLUMNS = (
    style.Column("A", "original", "Original A"),
    style.Column("A", "accuracy", "Corrected A"),
    style.Column("A", "gain", "Gain", "points"),
    *(style.Column(category, "accuracy", category) for category in ("S+", "S-")),
)


def _setting(row: style.Row, column: style.Column, names: Names) -> dict[str, str]:
    judged_by = names["labels"].get(row.run.labels, "")
    original = column.measure == "original"
    return {
        "protocol": TASKS.get(row.run.task, ""),
        "images": names["images"].get(row.run.images, ""),
        "labels": "original" if original else judged_by,
        "value": "accuracy" if original else column.measure,
    }


PUBLISHED = Published(
    9,
    "",
    _setting,
    note="The paper's caption speaks of the full set of 31,250 images; its column says 625, as its"
    " numbers bear out.",
)


def build(runs: list[Run]) -> style.Table:
    """Accuracy under original and corrected labels, one panel an image set and label set."""
    return style.by_label_set(
        "label_sets",
        runs,
        "Is a gain from other labels the same on other images and by other annotators?",
        caption=lambda shown: (
            "Accuracy in percent, a part for each image set and label set. CW: closed world or"
            " classification; MC: multiple choice. Gain: corrected minus original in percentage"
            " points, with an interval paired on the same images. Where the oracle answers with"
            " the original label, its row is the accuracy of those labels. Bold: best of its"
            " column, controls aside."
        ),
        missing="label set that differs from the original labels",
        stubs=("Model", "Task"),
        columns=COLUMNS,
        rows=_rows,
        groups=style.kind_groups,
    )


def _rows(group: list[Run]) -> list[style.Row]:
    rows = [
        style.Row(
            ((run.name, ""), (run.task, _setting_text(run))),
            run,
            [style.cell(run, column) for column in COLUMNS],
        )
        for own in by_model(group).values()
        for run in usual_batching(own)
        if run.task in ("CW", "MC") and run.n("A")
    ]
    style.mark_best(rows, COLUMNS)
    return rows


def _setting_text(run: Run) -> str:
    if run.task != "MC":
        return ""
    return f"{run.choice_true.replace('+', ' and ')} + {run.choice_from}, by {run.answer}"


if __name__ == "__main__":
    command(build)
