"""Text encoders that map answers to class names (CW+, and OW as in the paper's Table 18)."""

from labelwise.evaluation.selection import Run, prompted, usual_batching
from labelwise.tables import style
from labelwise.tables.files import command
from labelwise.tables.published import Names, Published


def _setting(row: style.Row, column: style.Column, names: Names) -> dict[str, str]:
    run = row.run
    encoder = names["encoders"].get(run.encoder, "") if run.task == "OW" else ""
    return {"encoder": encoder, "templates": str(int(run.templated))}


PUBLISHED = Published(18, "full", _setting)


def build(runs: list[Run]) -> style.Table:
    """Accuracy by text encoder and templates, in CW+ and OW."""
    return style.by_label_set(
        "encoders",
        runs,
        "How much does the text encoder that maps answers to class names decide?",
        caption=lambda shown: (
            "Accuracy in percent. CW+: closed-world answers out of the list mapped to the nearest"
            " class name; OW: every open-world answer mapped. The CW row is the same answers by"
            " exact match. Templates: the prompt sentences that names are put into before they are"
            " encoded. Bold: best of the model and task."
        ),
        missing="mapper with a text encoder",
        stubs=("Task", "Encoder", "Templates"),
        columns=style.ACCURACIES,
        rows=_panel,
    )


def _panel(group: list[Run]) -> list[style.Row]:
    """The rows of a panel; none where no text encoder maps."""
    rows = [row for own in prompted(group).values() for row in _rows(usual_batching(own))]
    return rows if any(row.run.encoder for row in rows) else []


def _rows(own: list[Run]) -> list[style.Row]:
    rows, encoders = [], list(dict.fromkeys(run.encoder for run in own))
    for task in ("CW", "CW+", "OW"):
        of_task = [
            style.Row(
                (
                    (task, ""),
                    (run.encoder or "exact match", ""),
                    (run.templates if run.templated else "none" if run.encoder else "–", ""),
                ),
                run,
                [style.cell(run, column) for column in style.ACCURACIES],
            )
            for run in sorted(own, key=lambda r: (encoders.index(r.encoder), r.templated))
            if run.task == task
        ]
        for protocol in dict.fromkeys(row.run.protocol for row in of_task):
            style.mark_best(
                [row for row in of_task if row.run.protocol == protocol], style.ACCURACIES
            )
        if not of_task and task != "CW":
            note = f"not run: {task} with a text encoder"
            of_task = [style.Row(((task, ""), ("", ""), ("", "")), own[0], note=note)]
        rows += of_task
    return rows


if __name__ == "__main__":
    command(build)
