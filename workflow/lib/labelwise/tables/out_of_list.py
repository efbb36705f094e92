"""Closed-world answers that name no listed class, by category (the paper's Table 5)."""

from labelwise.records import CATEGORIES
from labelwise.selection import Run, closed_and_mapped, corrected, prompted
from labelwise.tables.files import command
from labelwise.tables.published import Published
from labelwise.tables.style import (
    Column,
    Panel,
    Row,
    Table,
    cell,
    how_scored,
    kind_groups,
    not_run,
    panel_title,
)

COLUMNS = tuple(Column(category, "oop", category) for category in CATEGORIES)
PUBLISHED = Published(5, "full")


def build(runs: list[Run]) -> Table:
    """Share of closed-world answers outside the class list, percent."""
    panels, shown = [], []
    for (images, labels), group in corrected(runs).items():
        rows = [_row(own) for own in prompted(group).values()]
        asked = [row.run for row in rows if row.cells]
        if asked:
            shown += asked
            panels.append(
                Panel(panel_title(images, labels), ("Model",), COLUMNS, kind_groups(rows))
            )
    return Table(
        "out_of_list",
        runs[0].experiment,
        "How often does a closed-world answer name no listed class?",
        "Share of the images of a category, in percent, whose closed-world (CW) answer is none of"
        " the listed names: other texts, refusals, and answers that are cut off, empty, not parsed"
        f" or wrongly numbered. {how_scored(shown)}"
        if panels
        else "",
        panels,
        "" if panels else not_run(runs, "closed protocol with mapper exact (CW)"),
    )


def _row(own: list[Run]) -> Row:
    exact, _ = closed_and_mapped(own)
    if exact is None:
        note = "not run: a closed protocol with mapper exact (CW)"
        return Row(((own[0].name, ""),), own[0], note=note)
    return Row(((exact.name, ""),), exact, [cell(exact, column) for column in COLUMNS])


if __name__ == "__main__":
    command(build)
