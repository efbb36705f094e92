"""The distractor schemes of multiple choice, of every model (the paper's Table 19)."""

from labelwise.selection import Run, by_model, corrected, prompted, usual_batching
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
    panels, shown = [], []
    for (images, labels), group in corrected(runs).items():
        answering = prompted(group)
        rows: list[style.Row] = []
        for model, own in by_model(group).items():
            asked = [run for run in own if run.kind == "choice"]
            if asked:
                closed = [run for run in usual_batching(own) if run.task == "CW"]
                compared = [*asked, *(closed if model in answering else ())]
                rows += [_row(run) for run in compared]
                shown += compared
            elif model in answering:
                note = "not run: multiple-choice protocols"
                rows.append(style.Row((("–", ""), ("", "")), own[0], note=note))
        if shown:
            title_of = style.panel_title(images, labels)
            panels.append(
                style.Panel(title_of, ("Options", "Answer"), COLUMNS, style.model_groups(rows))
            )
    return style.Table(
        name,
        runs[0].experiment,
        title,
        f"{_caption(shown)} {shown_models} {style.how_scored(shown)}".replace("  ", " ")
        if shown
        else "",
        panels if shown else [],
        ""
        if shown
        else style.not_run(runs, "multiple-choice protocol scored under corrected labels"),
    )


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
