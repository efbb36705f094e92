"""The same questions asked several times (the paper's Table 17)."""

from labelwise.selection import Run, corrected, prompted
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
    panels, shown = [], []
    for (images, labels), group in corrected(runs).items():
        rows = [
            style.Row(
                ((str(run.images_per_prompt), ""), (str(run.repeats), "")),
                run,
                [style.cell(run, column) for column in COLUMNS],
            )
            for own in prompted(group).values()
            for run in own
            if run.task == "CW" and run.repeats > 1
        ]
        shown += [row.run for row in rows]
        if rows:
            panels.append(
                style.Panel(
                    style.panel_title(images, labels),
                    ("Images", "Repeats"),
                    COLUMNS,
                    style.model_groups(rows),
                )
            )
    return style.Table(
        "stability",
        runs[0].experiment,
        "How far does a model agree with itself when it is asked again?",
        "Closed-world (CW) accuracy in percent, mean over repeats of the very same prompts; images"
        " a prompt. An interval of no width: every repeat scored alike. Out of list: answers"
        f" without a usable class. {style.how_scored(shown)}"
        if shown
        else "",
        panels,
        ""
        if panels
        else style.not_run(runs, "closed protocol that was asked several times (repeats)"),
    )


if __name__ == "__main__":
    command(build)
