"""Accuracy of the same answers under several label sets, the older ones beside the newer."""

from itertools import pairwise

from labelwise.evaluation.selection import Run, by_model, representative
from labelwise.tables import style
from labelwise.tables.files import command

ACCURACY = style.Column("A", "accuracy", "")


def build(runs: list[Run]) -> style.Table:
    """One row a model, one column a label set; behind each the change from the set before it."""
    panels = []
    for images in dict.fromkeys(run.images for run in runs):
        here = [run for run in runs if run.images == images]
        sets = sorted({run.labels for run in here}, key=lambda name: _age(here, name))
        if len(sets) < 2:
            continue
        columns = [style.Column("A", f"accuracy of {labels}", labels) for labels in sets]
        rows = [_row(own, sets) for own in by_model(here).values()]
        style.mark_best([row for row in rows if row], columns)
        title = f"Images {images}, accuracy under each label set"
        panels.append(
            style.Panel(title, ("Model", "Task"), columns, style.kind_groups(filter(None, rows)))
        )
    return style.Table(
        "revised_labels",
        runs[0].experiment,
        "Does it matter to the models that the labels were revised?",
        "Accuracy in percent of the same answers; behind each number the change from the label set"
        " to its left, in percentage points (the experiment holds no interval for it)."
        f" {style.how_scored(runs)}"
        if panels
        else "",
        panels,
        "" if panels else style.not_run(runs, "second label set"),
    )


def _age(runs: list[Run], labels: str) -> tuple[bool, str]:
    """Original labels come first: under them every image is in S+."""
    return any(r.n("S+") < r.n("A") for r in runs if r.labels == labels), labels


def _row(own: list[Run], sets: list[str]) -> style.Row | None:
    chosen = representative(run for run in own if run.labels == sets[0])
    if chosen is None:
        return None
    setting = (chosen.protocol, chosen.batching, chosen.mapper)
    same = {r.labels: r for r in own if (r.protocol, r.batching, r.mapper) == setting}
    cells = [style.cell(same[labels], ACCURACY) for labels in sets]
    for before, after in pairwise(cells):
        if before.value is not None and after.value is not None:
            after.delta = after.value - before.value
    mapper = chosen.mapper if chosen.task in ("CW+", "OW") else ""
    return style.Row(((chosen.name, ""), (chosen.task, mapper)), chosen, cells)


if __name__ == "__main__":
    command(build)
