"""Where an image stands in the prompt, closed world (the paper's Table 13)."""

from labelwise.analyses.noise import Noise, caption
from labelwise.evaluation.selection import Run, by_run, closed_batchings, prompted, restricted
from labelwise.tables import style
from labelwise.tables.files import command
from labelwise.tables.published import Names, Published

COLUMNS = (
    style.Column("A", "original", "Original A"),
    style.Column("A", "accuracy", "Corrected A"),
    style.Column("A", "oop_count", "Out of list", "count"),
)
Details = list[dict[str, str]]


def _setting(row: style.Row, column: style.Column, names: Names) -> dict[str, str]:
    return {"position": str(row.position), "images_per_prompt": str(row.run.images_per_prompt)}


PUBLISHED = Published(13, "one-per-class", _setting)


def build(runs: list[Run], details: Details, noise: Noise | None = None) -> style.Table:
    """Closed-world accuracy of the images at the first, a middle and the last position.

    Args:
        runs: of an experiment.
        details: its scores by position, see ``labelwise.positions``.
        noise: of the models, by which differences are marked.
    """
    scores = by_run(details)
    return style.by_label_set(
        "position",
        runs,
        "Does it matter where in the prompt an image stands?",
        caption=lambda shown: (
            "Closed-world (CW) accuracy in percent. Position: the place of an image in its prompt"
            " of the run with most images a prompt; the rows below it are the same images by"
            " images a prompt, where their place may be another. Behind each number the difference"
            " from the row with the fewest, in percentage points or counts (without an interval)."
            " Out of list: answers without a usable class."
            f" {caption(noise, {run.model for run in shown})}"
        ),
        missing="closed protocol with two numbers of images a prompt",
        stubs=("Position", "Images"),
        columns=COLUMNS,
        rows=lambda group: (
            row for own in prompted(group).values() for row in _of_model(own, scores, noise)
        ),
    )


def _of_model(own: list[Run], scores: dict, noise: Noise | None) -> list[style.Row]:
    note = "not run: closed world (CW) with several images a prompt"
    rows = [
        row
        for asked in closed_batchings(own)
        for row in _rows([run for run in asked if not run.same_class], scores, noise)
    ]
    return rows or [style.Row((("–", ""), ("", "")), own[0], note=note)]


def _rows(asked: list[Run], scores: dict, noise: Noise | None) -> list[style.Row]:
    size = max((run.images_per_prompt for run in asked), default=1)
    rows = []
    for position in sorted({1, (size + 1) // 2, size}) if size > 1 else ():
        of_position = [_row(run, position, scores.get(run.key, [])) for run in asked]
        for row in of_position[1:]:
            style.deltas(row, of_position[0], COLUMNS, noise)
        rows += of_position
    return [row for row in rows if row.cells]


def _row(run: Run, position: int, scores: Details) -> style.Row:
    at = restricted(run, [score for score in scores if score["position"] == str(position)])
    n = at.n("A")
    stubs = ((str(position), f"n = {n}"), (str(run.images_per_prompt), ""))
    cells = [style.cell(at, column) for column in COLUMNS] if n else []
    return style.Row(stubs, at, cells, position=position)


if __name__ == "__main__":
    command(build)
