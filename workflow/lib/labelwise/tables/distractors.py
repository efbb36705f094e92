"""The distractor schemes of multiple choice, of every model (the paper's Table 19)."""

from collections.abc import Iterator

from labelwise.evaluation.selection import Run, by_model, prompted, usual_batching
from labelwise.tables import style
from labelwise.tables.files import command
from labelwise.tables.published import Names, Published

COLUMNS = (*style.ACCURACIES, style.Column("A", "oop_count", "Unusable", "count"))


def options(row: style.Row, column: style.Column, names: Names) -> dict[str, str]:
    """The paper's name of a row's options; 999 stands for the whole list."""
    if row.run.task == "CW":
        return {"options": "original+999"}
    true = "both" if "+" in row.run.choice_true else row.run.choice_true
    return {"options": f"{true}+{row.run.choice_from}"}


PUBLISHED = Published(19, "one-per-class", options)


def build(runs: list[Run]) -> style.Table:
    """Multiple choice of every model beside closed world, percent."""
    return choices(
        runs,
        "distractors",
        "How much do the other options of a multiple-choice question decide?",
    )


def choices(runs: list[Run], name: str, title: str, shown_models: str = "") -> style.Table:
    """A table of multiple choice by options and form of the answer.

    Args:
        runs: those to show.
        name: of the table.
        title: its question.
        shown_models: a sentence on which models are shown, if not all.
    """
    return style.by_label_set(
        name,
        runs,
        title,
        caption=lambda shown: " ".join(filter(None, (_caption(shown), shown_models))),
        missing="multiple-choice protocol scored under corrected labels",
        stubs=("Options", "Answer"),
        columns=COLUMNS,
        rows=_rows,
    )


def _rows(group: list[Run]) -> Iterator[style.Row]:
    answering = prompted(group)
    for model, own in by_model(group).items():
        if asked := [run for run in own if run.kind == "choice"]:
            closed = [run for run in usual_batching(own) if run.task == "CW"]
            yield from map(_row, [*asked, *(closed if model in answering else ())])
        elif model in answering:
            note = "not run: multiple-choice protocols"
            yield style.Row((("–", ""), ("", "")), own[0], note=note)


def _caption(runs: list[Run]) -> str:
    closed = " CW: the same images with the whole class list, for comparison."
    return (
        "Accuracy in percent. Options: the true option (a class of the original or the corrected"
        " labels) + where the others come from: random classes, classes that a classifier confuses"
        " with the true one (confusions), or nearest names (nearest). Answer: by letter, name or"
        f" id.{closed if any(run.kind == 'closed' for run in runs) else ''} Where only the original"
        " label is a true option, S− and M− cannot be answered rightly. Unusable: answers that name"
        " no option."
    )


def _row(run: Run) -> style.Row:
    offered = f"{run.choice_true.replace('+', ' and ')} + {run.choice_from}"
    stub = (offered, "") if run.kind == "choice" else ("all class names (CW)", "")
    repeats = f"{run.repeats} repeats" if run.repeats > 1 else ""
    return style.Row(
        (stub, (run.answer, repeats)), run, [style.cell(run, column) for column in COLUMNS]
    )


if __name__ == "__main__":
    command(build)
