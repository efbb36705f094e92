"""Answers that name no listed class, and how many a text encoder maps rightly (Tables 5 and 15)."""

from labelwise.records import CATEGORIES
from labelwise.selection import Run, closed_and_mapped, corrected, mapped_right, prompted
from labelwise.tables.style import (
    Cell,
    Column,
    Panel,
    Row,
    Table,
    cell,
    command,
    how_scored,
    model_groups,
    not_run,
    panel_title,
    share,
    true_minus,
)

COLUMNS = (
    Column("", "out_of_list", "Out of list", "count"),
    Column("", "abstained", "Abstained", "count"),
    Column("", "unusable", "Unusable", "count"),
    Column("", "oop", "Rate"),
    Column("", "mapped_right", "Mapped right", "count"),
    Column("", "mapped_right_rate", "Share right"),
)


def build(runs: list[Run]) -> Table:
    """Out-of-list answers in CW by category, and how many CW+ maps rightly."""
    panels, shown = [], []
    for (images, labels), group in corrected(runs).items():
        rows: list[Row] = []
        for own in prompted(group).values():
            rows += _rows(own)
        shown += [row.run for row in rows if row.cells]
        if shown:
            panels.append(Panel(panel_title(images, labels), ("Category",), COLUMNS, _groups(rows)))
    return Table(
        "out_of_list",
        runs[0].experiment,
        "How often does an answer name no listed class, and what does mapping make of it?",
        _caption(shown) if shown else "",
        panels,
        "" if panels else not_run(runs, "closed protocol with mapper exact (CW)"),
    )


def _groups(rows: list[Row]) -> list[tuple[str, list[Row]]]:
    return [
        (f"{name}, mapped by {of_model[0].run.mapper}", of_model)
        if of_model[0].run.task == "CW+"
        else (name, of_model)
        for name, of_model in model_groups(rows)
    ]


def _caption(runs: list[Run]) -> str:
    return (
        "Closed-world answers, counts (means over repeats) and percent. Out of list: a text that is"
        " no listed name; abstained: a refusal to answer; unusable: cut off, empty, not parsed or"
        " wrongly numbered. Rate: all three among the images of the category. Mapped right: of the"
        " answers out of list or abstained, those whose nearest class name is a right label (the"
        " mapper stands behind the model's name and is chosen as in the main table). On N images no"
        " label can be right, so nothing is counted there, nor in A: the paper's A counts every"
        " such answer as right."
        f" {how_scored(runs)}"
    )


def _rows(own: list[Run]) -> list[Row]:
    exact, mapped = closed_and_mapped(own)
    if exact is None:
        return [Row((("–", ""),), own[0], note="not run: a closed protocol with mapper exact (CW)")]
    return [
        Row(
            ((true_minus(category), f"n = {exact.n(category)}"),),
            mapped or exact,
            _cells(exact, mapped, category),
            category=category,
        )
        for category in CATEGORIES
    ]


def _cells(exact: Run, mapped: Run | None, category: str) -> list[Cell]:
    n = exact.n(category)
    listed, abstained = (
        exact.get(category, f"n_{outcome}") or 0.0 for outcome in ("out_of_list", "abstain")
    )
    rate = cell(exact, Column(category, "oop", ""))
    unusable = (rate.value or 0.0) * n / 100 - listed - abstained
    right, base = mapped_right(exact, mapped, category)
    return [
        Cell(listed, n),
        Cell(abstained, n),
        Cell(abs(round(unusable, 6)), n),
        rate,
        Cell(right, n),
        share(right, base),
    ]


if __name__ == "__main__":
    command(build)
