"""Multiple choice by true option, distractors and form of the answer (Tables 7 and 19)."""

from labelwise.selection import Run, by_model, corrected, prompted, usual_batching
from labelwise.tables.style import (
    ACCURACIES,
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
)

COLUMNS = (*ACCURACIES, Column("A", "oop", "Unusable"))


def build(runs: list[Run]) -> Table:
    """Multiple choice beside closed world, percent."""
    panels, shown = [], []
    for (images, labels), group in corrected(runs).items():
        answering = prompted(group)
        rows: list[Row] = []
        for model, own in by_model(group).items():
            choices = [run for run in own if run.kind == "choice"]
            if choices:
                closed = [run for run in usual_batching(own) if run.task == "CW"]
                compared = [*choices, *(closed if model in answering else ())]
                rows += [_row(run) for run in compared]
                shown += compared
            elif model in answering:
                rows.append(
                    Row((("–", ""), ("", "")), own[0], note="not run: multiple-choice protocols")
                )
        if shown:
            panels.append(
                Panel(
                    panel_title(images, labels), ("Options", "Answer"), COLUMNS, model_groups(rows)
                )
            )
    return Table(
        "multiple_choice",
        runs[0].experiment,
        "How much easier is choosing among few options, and how much do the distractors decide?",
        _caption(shown) if shown else "",
        panels if shown else [],
        "" if shown else not_run(runs, "multiple-choice protocol scored under corrected labels"),
    )


def _caption(runs: list[Run]) -> str:
    closed = " CW: the same images with the whole class list, for comparison."
    return (
        "Accuracy in percent. Options: the true option (a class of the original or the corrected"
        " labels) + where the others come from: random classes, classes that a classifier confuses"
        " with the true one (confusions), or nearest names (nearest). Answer: by letter, name or"
        f" id.{closed if any(run.kind == 'closed' for run in runs) else ''} Where only the original"
        " label is a true option, S− and M− cannot be answered rightly. Unusable: answers that name"
        f" no option. {how_scored(runs)}"
    )


def _row(run: Run) -> Row:
    options = f"{run.choice_true.replace('+', ' and ')} + {run.choice_from}"
    stub = (options, "") if run.kind == "choice" else ("all class names (CW)", "")
    repeats = f"{run.repeats} repeats" if run.repeats > 1 else ""
    return Row((stub, (run.answer, repeats)), run, [cell(run, column) for column in COLUMNS])


if __name__ == "__main__":
    command(build)
