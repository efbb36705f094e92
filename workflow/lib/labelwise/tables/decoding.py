"""What answers that are certain to be listed names change, against mapping by a text encoder."""

from collections.abc import Mapping, Sequence

from labelwise.evaluation.selection import Run, closed_and_mapped, prompted
from labelwise.records import CERTAIN
from labelwise.tables import style
from labelwise.tables.files import command

ACCURACIES = (
    style.Column("A", "original", "Original A"),
    *(style.Column(c, "accuracy", f"Corrected {c}") for c in ("A", "S", "M")),
)
COLUMNS = (
    style.Column("A", "oop", "Out of list"),
    *ACCURACIES,
    style.Column("A", "prefilled", "Tokens of the prompt", "count"),
    style.Column("A", "generated", "Tokens of the answer", "count"),
)


def build(runs: list[Run], tokens: Sequence[Mapping[str, str]] = ()) -> style.Table:
    """CW, CW+, constrained decoding and exact likelihood of the same prompts."""
    spent: dict[tuple[str, ...], Mapping[str, str]] = {
        (r["images"], r["model"], r["protocol"], r["batching"]): r for r in tokens
    }
    return style.by_label_set(
        "decoding",
        runs,
        "What does it change to let a model name listed classes only, against mapping its answers?",
        caption=lambda shown: (
            "The same prompt, which lists the class names, answered in different ways. CW: the"
            " model writes freely and the answer must match a name; CW+: the same answers, those"
            " out of the list mapped to the nearest name by a text encoder; constrained: greedy"
            " decoding that can write listed names only; likelihood: the name of the highest"
            " probability of all, exactly. Accuracy in percent; behind each the difference from"
            " CW+ in percentage points (same images; the experiment holds no interval for it)."
            " Bold: best of the model. Tokens are computed for each prompt behind what all prompts"
            " share, and for its answer (means); CW+ costs an embedding of each answer out of the"
            " list on top."
        ),
        missing="constrained or likelihood protocol",
        stubs=("Answer", "Protocol"),
        columns=COLUMNS,
        rows=lambda group: (row for own in prompted(group).values() for row in _rows(own, spent)),
    )


def _rows(own: list[Run], spent: Mapping[tuple[str, ...], Mapping[str, str]]) -> list[style.Row]:
    certain = [run for run in own if run.kind in CERTAIN]
    if not certain:
        return []
    exact, mapped = closed_and_mapped(own)
    rows = []
    for name, run in (("CW", exact), ("CW+", mapped), *((run.kind, run) for run in certain)):
        if run is not None:
            stubs = ((name, ""), (run.protocol, run.mapper if name == "CW+" else ""))
            told = spent.get((run.images, run.model, run.protocol, run.batching), {})
            rows.append(style.Row(stubs, run, [_cell(run, column, told) for column in COLUMNS]))
    reference = next((row for row in rows if row.run is mapped), rows[0])
    for row in rows:
        if row is not reference:
            style.deltas(row, reference, COLUMNS)
        for own_cell, column in zip(row.cells, COLUMNS, strict=True):
            if column not in ACCURACIES:
                own_cell.delta, own_cell.noise = None, False
    style.mark_best(rows, COLUMNS)
    return rows


def _cell(run: Run, column: style.Column, told: Mapping[str, str]) -> style.Cell:
    if column.unit != "count":
        return style.cell(run, column)
    text = told.get(column.measure)
    return style.Cell(float(text) if text else None, run.n("A"))


if __name__ == "__main__":
    command(build)
