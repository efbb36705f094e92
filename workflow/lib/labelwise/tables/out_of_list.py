"""Closed-world answers that name no listed class, by category (the paper's Table 5)."""

from labelwise.evaluation.selection import Run, closed_and_mapped, prompted
from labelwise.records import CATEGORIES
from labelwise.tables import style
from labelwise.tables.files import command
from labelwise.tables.published import Published

COLUMNS = tuple(style.Column(category, "oop", category) for category in CATEGORIES)
PUBLISHED = Published(5, "full")


def build(runs: list[Run]) -> style.Table:
    """Share of closed-world answers outside the class list, percent."""
    return style.by_label_set(
        "out_of_list",
        runs,
        "How often does a closed-world answer name no listed class?",
        caption=lambda shown: (
            "Share of the images of a category, in percent, whose closed-world (CW) answer is none"
            " of the listed names: other texts, refusals, and answers that are cut off, empty, not"
            " parsed or wrongly numbered."
        ),
        missing="closed protocol with mapper exact (CW)",
        stubs=("Model",),
        columns=COLUMNS,
        rows=lambda group: map(_row, prompted(group).values()),
        groups=style.kind_groups,
    )


def _row(own: list[Run]) -> style.Row:
    exact, _ = closed_and_mapped(own)
    if exact is None:
        note = "not run: a closed protocol with mapper exact (CW)"
        return style.Row(((own[0].name, ""),), own[0], note=note)
    return style.Row(((exact.name, ""),), exact, [style.cell(exact, column) for column in COLUMNS])


if __name__ == "__main__":
    command(build)
