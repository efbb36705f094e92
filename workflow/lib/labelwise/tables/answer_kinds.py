"""What answers outside the class list are (the paper's Table 16)."""

from labelwise.evaluation.selection import Run, by_run, closed_and_mapped, prompted
from labelwise.tables import style
from labelwise.tables.files import command
from labelwise.tables.published import Names, Published

KINDS = {
    "partial": "Part of a name",
    "other_names": "Other name",
    "abstain": "Refusal",
    "wrong": "Other text",
    "no_text": "Unreadable",
}
COLUMNS = (
    style.Column("A", "oop_count", "Out of list", "count"),
    *(style.Column("A", kind, label) for kind, label in KINDS.items()),
)
Details = list[dict[str, str]]


def _kind(row: style.Row, column: style.Column, names: Names) -> dict[str, str]:
    called = {"other_names": "openai-name"}.get(column.measure, column.measure)
    return {"kind": called, "value": "percent"}


PUBLISHED = Published(16, "full", _kind)


def build(runs: list[Run], details: Details) -> style.Table:
    """Kinds of the closed-world answers outside the class list, percent of them.

    Args:
        runs: of an experiment.
        details: its ``results/oop`` rows, see ``labelwise.oop``.
    """
    found = by_run(details)
    return style.by_label_set(
        "answer_kinds",
        runs,
        "What are the answers that name no listed class?",
        caption=lambda shown: (
            "Closed-world (CW) answers outside the list: their number (mean over repeats), and in"
            " percent of it: the words of part of a listed name in any order; exactly a name of"
            " another known set; a refusal to answer; any other text; nothing that could be read"
            " (cut off, empty, not parsed, wrongly numbered), which the paper does not tell apart."
        ),
        missing="closed protocol with a text encoder beside mapper exact",
        stubs=("Model",),
        columns=COLUMNS,
        rows=lambda group: (_row(own, found) for own in prompted(group).values()),
        groups=style.kind_groups,
    )


def _row(own: list[Run], details: dict) -> style.Row:
    exact, mapped = closed_and_mapped(own)
    rows = details.get(mapped.key, []) if mapped else []
    found = [row for row in rows if row["category"] == "A"]
    if exact is None or not found:
        note = "not run: closed world (CW) with a text encoder"
        return style.Row(((own[0].name, ""),), own[0], note=note)
    counted = {kind: float(found[0][kind]) for kind in KINDS}
    total = float(found[0]["oop"])
    cells = [style.Cell(total, exact.n("A"))]
    cells += [style.share(round(count, 6), round(total, 6)) for count in counted.values()]
    return style.Row(((exact.name, ""),), exact, cells)


if __name__ == "__main__":
    command(build)
