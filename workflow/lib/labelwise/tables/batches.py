"""Images per prompt and their order, closed world (the paper's Tables 11 and 12)."""

from labelwise.noise import Noise, caption
from labelwise.selection import Run, corrected, prompted
from labelwise.tables.style import (
    ACCURACIES,
    Column,
    Panel,
    Row,
    Table,
    cell,
    command,
    deltas,
    how_scored,
    model_groups,
    not_run,
    panel_title,
)

COLUMNS = (*ACCURACIES, Column("A", "oop", "Out of list"))


def build(runs: list[Run], noise: Noise | None = None) -> Table:
    """Closed-world accuracy by images per prompt and order."""
    panels, shown, several = [], [], False
    for (images, labels), group in corrected(runs).items():
        rows: list[Row] = []
        for own in prompted(group).values():
            of_model, compared = _rows([run for run in own if run.task == "CW"], own[0], noise)
            rows, several = rows + of_model, several or compared
        shown += [row.run for row in rows if row.cells]
        panels.append(
            Panel(panel_title(images, labels), ("Images", "Order"), COLUMNS, model_groups(rows))
        )
    return Table(
        "batches",
        runs[0].experiment,
        "Do several images in one prompt, and their order, change the answers?",
        "Closed-world (CW) accuracy in percent by images a prompt. Shuffled: in a random order;"
        " same class: images that share an original label follow one another. Behind each number"
        " the difference in percentage points, for shuffled rows from the model's row with the"
        " fewest images a prompt, for same-class rows from the shuffled row with as many images"
        " (the experiment holds no interval for it). Out of list: answers without a usable class."
        f" {caption(noise, {run.model for run in shown})} {how_scored(shown)}"
        if several
        else "",
        panels if several else [],
        "" if several else not_run(runs, "closed protocol with two numbers of images a prompt"),
    )


def _rows(closed: list[Run], anyone: Run, noise: Noise | None) -> tuple[list[Row], bool]:
    closed = sorted(closed, key=lambda r: (r.protocol, r.images_per_prompt, not _shuffled(r)))
    rows = [_row(run) for run in closed]
    for row in rows:
        reference = _reference(row, rows)
        if reference is not None:
            deltas(row, reference, noise)
    several = len({(run.images_per_prompt, run.order) for run in closed}) > 1
    if not several:
        note = "not run: any other number of images a prompt or order in closed world (CW)"
        rows.append(Row((("–", ""), ("", "")), anyone, note=note))
    return rows, several


def _row(run: Run) -> Row:
    order = "shuffled" if _shuffled(run) else "same class"
    return Row(
        (
            (str(run.images_per_prompt), ""),
            ("–", "") if run.images_per_prompt == 1 else (order, run.order),
        ),
        run,
        [cell(run, column) for column in COLUMNS],
    )


def _reference(row: Row, rows: list[Row]) -> Row | None:
    own = row.run
    same = [r for r in rows if r.run.protocol == own.protocol and r is not row]
    if _shuffled(own):
        fewer = [r for r in same if r.run.images_per_prompt < own.images_per_prompt]
        return min(fewer, key=lambda r: r.run.images_per_prompt, default=None)
    equal = [r for r in same if r.run.images_per_prompt == own.images_per_prompt]
    return next((r for r in equal if _shuffled(r.run)), None)


def _shuffled(run: Run) -> bool:
    return not run.order.startswith("same-class")


if __name__ == "__main__":
    command(build)
