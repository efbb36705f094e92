"""Images of each label category (the paper's Table 2)."""

from dataclasses import replace
from typing import Any

from labelwise.records import CATEGORIES
from labelwise.selection import Run, corrected
from labelwise.tables.files import command
from labelwise.tables.published import Published
from labelwise.tables.style import (
    Cell,
    Column,
    Panel,
    Row,
    Table,
    how_scored,
    not_run,
    panel_title,
    share,
    true_minus,
)

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
COLUMNS = (Column("", "n", "Images", "count"), Column("", "percent", "Share"))
PUBLISHED = Published(2, "full")


def build(runs: list[Run]) -> Table:
    """How many images fall into each category of a label set."""
    panels, shown = [], []
    for (images, labels), group in corrected(runs).items():
        run = _of_no_model(max(group, key=lambda run: run.n("A")))
        shown.append(run)
        rows = [
            Row(
                ((true_minus(category), ""), (MEANING[category], "")),
                run,
                [Cell(float(n), n), share(n, run.n("A"))],
                category=category,
            )
            for category in CATEGORIES
            for n in [run.n(category)]
        ]
        panels.append(
            Panel(panel_title(images, labels), ("Category", "Meaning"), COLUMNS, [("", rows)])
        )
    return Table(
        "categories",
        runs[0].experiment,
        "How many images have one, several or no corrected label, the original among them or not?",
        f"Images and their share in percent. {how_scored(shown)}" if panels else "",
        panels,
        "" if panels else not_run(runs, "label set that differs from the original labels"),
    )


def _of_no_model(run: Run) -> Run:
    """The run without what says who answered: the sizes are those of the label set."""
    names = ("model", "model_name", "model_kind", "protocol", "kind", "answer", "mapper")
    more = ("encoder", "templates", "choice_true", "choice_from", "order", "batching")
    nobody: dict[str, Any] = dict.fromkeys((*names, *more), "")
    return replace(run, **nobody)


if __name__ == "__main__":
    command(build)
