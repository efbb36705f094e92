"""How many answers outside the class list a text encoder maps rightly (the paper's Table 15)."""

from labelwise.evaluation.selection import Run, closed_and_mapped, mapped_right, prompted
from labelwise.records import CATEGORIES
from labelwise.tables import style
from labelwise.tables.files import command
from labelwise.tables.published import Names, Published, Rows

COLUMNS = (
    style.Column("", "out_of_list", "Out of list", "count"),
    style.Column("", "abstained", "Abstained", "count"),
    style.Column("", "unusable", "Unusable", "count"),
    style.Column("", "oop", "Rate"),
    style.Column("", "mapped_right", "Mapped right", "count"),
    style.Column("", "mapped_right_rate", "Share right"),
)
VALUES = {"out_of_list": "oop_count", "mapped_right_rate": "mapped_right_percent"}
"""Our measures that the paper's table calls otherwise."""


def _value(row: style.Row, column: style.Column, names: Names) -> dict[str, str]:
    return {"value": VALUES.get(column.measure, column.measure)}


def _without_void(rows: Rows) -> Rows:
    """Row A as the sum of S and M: the paper counts every answer on an N image as right."""
    found = {(row["model"], row["category"]): row for row in rows}
    changed = []
    for row in rows:
        if row["category"] == "A":
            right, asked = (
                sum(int(found[row["model"], part][name]) for part in "SM")
                for name in ("mapped_right", "oop_count")
            )
            share_right = f"{100 * right / asked:.2f}"
            row = {**row, "mapped_right": str(right), "mapped_right_percent": share_right}
        changed.append(row)
    return changed


PUBLISHED = Published(
    15,
    "full",
    _value,
    _without_void,
    "The paper's row A counts every answer on an N image as mapped rightly; here it is the sum of"
    " its rows S and M, as in ours. Its counts hold refusals, which stand apart in ours.",
)


def build(runs: list[Run]) -> style.Table:
    """Out-of-list answers in CW by category, and how many CW+ maps rightly."""
    return style.by_label_set(
        "mapped_answers",
        runs,
        "What does mapping make of the answers that name no listed class?",
        caption=lambda shown: (
            "Closed-world answers, counts (means over repeats) and percent. Out of list: a text"
            " that is no listed name; abstained: a refusal to answer; unusable: cut off, empty,"
            " not parsed or wrongly numbered. Rate: all three among the images of the category."
            " Mapped right: of the answers out of list or abstained, those whose nearest class"
            " name is a right label (the mapper stands behind the model's name and is chosen as in"
            " the main table). On N images no label can be right, so nothing is counted there, nor"
            " in A: the paper's A counts every such answer as right."
        ),
        missing="closed protocol with mapper exact (CW)",
        stubs=("Category",),
        columns=COLUMNS,
        rows=lambda group: (row for own in prompted(group).values() for row in _rows(own)),
        groups=_groups,
    )


def _groups(rows: list[style.Row]) -> list[tuple[str, list[style.Row]]]:
    return [
        (f"{name}, mapped by {of_model[0].run.mapper}", of_model)
        if of_model[0].run.task in ("CW+", "CN+")
        else (name, of_model)
        for name, of_model in style.model_groups(rows)
    ]


def _rows(own: list[Run]) -> list[style.Row]:
    exact, mapped = closed_and_mapped(own)
    if exact is None:
        return [
            style.Row(
                (("–", ""),), own[0], note="not run: a closed protocol with mapper exact (CW)"
            )
        ]
    return [
        style.Row(
            ((style.true_minus(category), f"n = {exact.n(category)}"),),
            mapped or exact,
            _cells(exact, mapped, category),
            category=category,
        )
        for category in CATEGORIES
    ]


def _cells(exact: Run, mapped: Run | None, category: str) -> list[style.Cell]:
    n = exact.n(category)
    listed, abstained = (
        exact.get(category, f"n_{outcome}") or 0.0 for outcome in ("out_of_list", "abstain")
    )
    rate = style.cell(exact, style.Column(category, "oop", ""))
    unusable = (rate.value or 0.0) * n / 100 - listed - abstained
    right, base = mapped_right(exact, mapped, category)
    return [
        style.Cell(listed, n),
        style.Cell(abstained, n),
        style.Cell(abs(round(unusable, 6)), n),
        rate,
        style.Cell(right, n),
        style.share(right, base),
    ]


if __name__ == "__main__":
    command(build)
