"""Recall of single classes under the original and the corrected labels (the paper's Table 10)."""

from collections.abc import Mapping

from labelwise.evaluation.selection import Run, by_model, by_run, differing, usual_batching
from labelwise.tables import style
from labelwise.tables.files import command
from labelwise.tables.published import Names, Published

CLASSES = 4
"""So many classes are shown: those with most images by the labels that give them fewer."""

Details = list[dict[str, str]]
Recall = Mapping[str, tuple[int, float]]
"""Class id -> images with exactly that label, mean number of them that are right."""


def _class(row: style.Row, column: style.Column, names: Names) -> dict[str, str]:
    return {"class": column.category}


PUBLISHED = Published(10, "weasels", _class)


def build(runs: list[Run], details: Details) -> style.Table:
    """Recall by class under both label sets.

    Args:
        runs: of an experiment.
        details: its recall by class, see ``labelwise.recall``.
    """
    found = by_run(details)
    called = {row["class"]: row["name"] for row in details}
    groups = differing(runs)
    originals = {run.key[:-1]: run for run in runs if (run.images, run.labels) not in groups}
    panels, shown = [], []
    for (images, labels), group in groups.items():
        pairs = [
            (run, _recall(found, originals.get(run.key[:-1])), _recall(found, run))
            for own in by_model(group).values()
            for run in usual_batching(own)
            if run.task == "CW"
        ]
        pairs = [pair for pair in pairs if pair[1]]
        if not pairs:
            continue
        _, before, after = pairs[0]
        sizes = {c: (min(n, after.get(c, (0, 0))[0]), n) for c, (n, _) in before.items()}
        classes = sorted(sizes, key=lambda c: (-sizes[c][0], -sizes[c][1], int(c)))[:CLASSES]
        columns = [
            style.Column(c, measure, f"{called[c] if measure == 'original' else 'corrected'}")
            for c in sorted(classes, key=int)
            for measure in ("original", "accuracy")
        ]
        rows = [_row(run, before, after, columns) for run, before, after in pairs]
        style.mark_best(rows, columns)
        shown += [row.run for row in rows]
        stubs = ("Model",)
        panels.append(
            style.Panel(style.panel_title(images, labels), stubs, columns, style.kind_groups(rows))
        )
    return style.Table(
        "recall",
        runs[0].experiment,
        "How does the recall of a class change when its images are chosen by other labels?",
        "Recall in percent, closed world (CW) or classification. Two columns a class: of the images"
        " with this original label, then of those whose one corrected label it is; these are"
        " other images. Behind the second number the difference in percentage points (other images:"
        f" no interval). Shown: the {CLASSES} classes with most images by both."
        f" {style.how_scored(shown)} What became of single answers: the case browser, by class."
        if panels
        else "",
        panels,
        "" if panels else style.not_run(runs, "run scored under original and corrected labels"),
    )


def _recall(found: Mapping[tuple[str, ...], list], run: Run | None) -> Recall:
    rows = found.get(run.key, []) if run else []
    return {row["class"]: (int(row["n"]), float(row["right"])) for row in rows}


def _row(run: Run, before: Recall, after: Recall, columns: list[style.Column]) -> style.Row:
    cells: list[style.Cell] = []
    for column in columns:
        n, right = (before if column.measure == "original" else after).get(column.category, (0, 0))
        own = style.share(right, n)
        if column.measure == "accuracy" and own.value is not None:
            own.delta = own.value - (cells[-1].value or 0.0)
        cells.append(own)
    return style.Row(((run.name, ""),), run, cells)


if __name__ == "__main__":
    command(build)
