"""Closed-world answers that name no listed class, by category (the paper's Table 5)."""

from labelwise.records import CATEGORIES
from labelwise.selection import Run, closed_and_mapped, corrected, prompted
from labelwise.tables import style
from labelwise.tables.files import command
from labelwise.tables.published import Published

COLUMNS = tuple(style.Column(category, "oop", category) for category in CATEGORIES)
PUBLISHED = Published(5, "full")


def build(runs: list[Run]) -> style.Table:
    """Share of closed-world answers outside the class list, percent."""
    panels, shown = [], []
    for (images, labels), group in corrected(runs).items():
        rows = [_row(own) for own in prompted(group).values()]
        asked = [row.run for row in rows if row.cells]
        if asked:
            shown += asked
            panels.append(
                style.Panel(
                    style.panel_title(images, labels), ("Model",), COLUMNS, style.kind_groups(rows)
                )
            )
    return style.Table(
        "out_of_list",
        runs[0].experiment,
        "How often does a closed-world answer name no listed class?",
        "Share of the images of a category, in percent, whose closed-world (CW) answer is none of"
        " the listed names: other texts, refusals, and answers that are cut off, empty, not parsed"
        f" or wrongly numbered. {style.how_scored(shown)}"
        if panels
        else "",
        panels,
        "" if panels else style.not_run(runs, "closed protocol with mapper exact (CW)"),
    )


def _row(own: list[Run]) -> style.Row:
    exact, _ = closed_and_mapped(own)
    if exact is None:
        note = "not run: a closed protocol with mapper exact (CW)"
        return style.Row(((own[0].name, ""),), own[0], note=note)
    return style.Row(((exact.name, ""),), exact, [style.cell(exact, column) for column in COLUMNS])


if __name__ == "__main__":
    command(build)
