"""Text encoders that map answers to class names (CW+, and OW as in the paper's Table 18)."""

from labelwise.selection import Run, corrected, prompted, usual_batching
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
    panels, shown, mapped = [], [], False
    for (images, labels), group in corrected(runs).items():
        rows: list[style.Row] = []
        for own in prompted(group).values():
            of_model = _rows(usual_batching(own))
            mapped = mapped or any(row.run.encoder for row in of_model)
            rows += of_model
        shown += [row.run for row in rows if row.cells]
        panels.append(
            style.Panel(
                style.panel_title(images, labels),
                ("Task", "Encoder", "Templates"),
                style.ACCURACIES,
                style.model_groups(rows),
            )
        )
    return style.Table(
        "encoders",
        runs[0].experiment,
        "How much does the text encoder that maps answers to class names decide?",
        "Accuracy in percent. CW+: closed-world answers out of the list mapped to the nearest class"
        " name; OW: every open-world answer mapped. The CW row is the same answers by exact match."
        " Templates: the prompt sentences that names are put into before they are encoded. Bold:"
        f" best of the model and task. {style.how_scored(shown)}"
        if mapped
        else "",
        panels if mapped else [],
        "" if mapped else style.not_run(runs, "mapper with a text encoder"),
    )


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
