"""Images of each label category (the paper's Table 2)."""

from dataclasses import replace
from typing import Any

from labelwise.evaluation.selection import Run
from labelwise.records import CATEGORIES
from labelwise.tables import style
from labelwise.tables.files import command
from labelwise.tables.published import Published

MEANING = {
    "A": "all images",
    "S": "one corrected label",
    "S+": "one, the original label",
    "S-": "one, another than the original label",
    "M": "several corrected labels",
    "M+": "several, the original label among them",
    "M-": "several, the original label not among them",
    "N": "no label: no class of the list is in the image",
}
COLUMNS = (style.Column("", "n", "Images", "count"), style.Column("", "percent", "Share"))
PUBLISHED = Published(2, "full")


def build(runs: list[Run]) -> style.Table:
    """How many images fall into each category of a label set."""
    return style.by_label_set(
        "categories",
        runs,
        "How many images have one, several or no corrected label, the original among them or not?",
        caption=lambda shown: "Images and their share in percent.",
        missing="label set that differs from the original labels",
        stubs=("Category", "Meaning"),
        columns=COLUMNS,
        rows=_rows,
        groups=lambda rows: [("", rows)],
    )


def _rows(group: list[Run]) -> list[style.Row]:
    run = _of_no_model(max(group, key=lambda run: run.n("A")))
    return [
        style.Row(
            ((style.true_minus(category), ""), (MEANING[category], "")),
            run,
            [style.Cell(float(n), n), style.share(n, run.n("A"))],
            category=category,
        )
        for category in CATEGORIES
        for n in [run.n(category)]
    ]


def _of_no_model(run: Run) -> Run:
    """The run without what says who answered: the sizes are those of the label set."""
    names = ("model", "model_name", "model_kind", "protocol", "kind", "answer", "mapper")
    more = ("encoder", "templates", "choice_true", "choice_from", "order", "batching")
    nobody: dict[str, Any] = dict.fromkeys((*names, *more), "")
    return replace(run, **nobody)


if __name__ == "__main__":
    command(build)
