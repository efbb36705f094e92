"""Closed world by form of the answer and order of the list (the paper's Table 14)."""

from labelwise.analyses.noise import Noise, caption
from labelwise.evaluation.selection import Run, by_model
from labelwise.tables import style
from labelwise.tables.files import command
from labelwise.tables.published import Published

COLUMNS = (*style.ACCURACIES, style.Column("A", "oop_count", "Unusable", "count"))
PUBLISHED = Published(
    14,
    "one-per-class",
    lambda row, column, names: {"answer": row.run.answer if row.run.kind == "closed" else ""},
)


def build(runs: list[Run], noise: Noise | None = None) -> style.Table:
    """Exact-match accuracy of the closed-world and all-labels protocols of an experiment."""
    return style.by_label_set(
        "formats",
        runs,
        "Do the form of the answer and the order of the class list change the result?",
        caption=lambda shown: (
            "Accuracy in percent with the whole class list in the prompt and exact matching;"
            " behind each number the difference in percentage points from the model's first row"
            " (the experiment holds no interval for it). An answer to a protocol that asks for all"
            " classes is right if one of them is. Unusable: answers without a class of the list;"
            " where all are, what is right comes from images without any label."
            f" {caption(noise, {run.model for run in shown})}"
        ),
        missing="second closed-world protocol of one model",
        stubs=("Protocol", "Answer"),
        columns=COLUMNS,
        rows=lambda group: _panel(group, noise),
    )


def _panel(group: list[Run], noise: Noise | None) -> list[style.Row]:
    """The rows of a panel; none where no model was asked in two ways."""
    rows: list[style.Row] = []
    several = False
    for own in by_model(group).values():
        asked = [run for run in own if run.task in ("CW", "all") and run.kind != "classify"]
        of_model = [_row(run) for run in sorted(asked, key=_order)]
        for row in of_model[1:]:
            style.deltas(row, of_model[0], COLUMNS, noise)
        several = several or len(of_model) > 1
        rows += of_model
    return rows if several else []


def _order(run: Run) -> tuple[bool, bool, str]:
    """Names first, then ids, then all labels."""
    return run.kind == "all", run.answer != "name", run.protocol


def _row(run: Run) -> style.Row:
    answer = f"all {run.answer}s" if run.kind == "all" else run.answer
    return style.Row(
        ((run.protocol, ""), (answer, "")), run, [style.cell(run, column) for column in COLUMNS]
    )


if __name__ == "__main__":
    command(build)
