"""CW, CW+ and OW of each prompted model (the paper's Table 6), and the same with short lists."""

from labelwise.evaluation.selection import Run, prompted, representative, usual_batching
from labelwise.tables import style
from labelwise.tables.files import command
from labelwise.tables.published import Published, by_task

KINDS = {"closed": ("CW", "CW+"), "narrowed": ("CN", "CN+"), "open": ("OW",)}
"""Tasks of each kind of protocol; a narrowed list is shown where a model was given one."""

PUBLISHED = Published(6, "full", by_task)


def build(runs: list[Run]) -> style.Table:
    """Closed world with exact matching (CW), with mapping (CW+), and open world (OW)."""
    return style.by_label_set(
        "protocols",
        runs,
        "What does mapping answers to class names change, and what a prompt without the list?",
        caption=lambda shown: (
            "Accuracy in percent. CW: the prompt lists the class names and the answer must match"
            " one exactly; CW+: the same answers, those out of the list mapped to the nearest name"
            " by a text encoder; CN and CN+: the same with a few names chosen for each image; OW:"
            " no list in the prompt, every answer mapped. Behind each number the difference from"
            " the model's CW (or CN) row in percentage points (same images; the experiment holds"
            " no interval for it). Bold: best of the model. CW+, CN+ and OW use one encoder a"
            " model, that of its row with the highest accuracy under the corrected labels: a"
            " choice made on the test images."
        ),
        missing="closed or open protocol scored under corrected labels",
        stubs=("Task", "Protocol"),
        columns=style.ACCURACIES,
        rows=lambda group: (
            row for own in prompted(group).values() for row in _rows(usual_batching(own))
        ),
    )


def _rows(own: list[Run]) -> list[style.Row]:
    chosen = representative(own)
    mapper = chosen.mapper if chosen else ""
    rows = []
    for kind, tasks in KINDS.items():
        protocols = dict.fromkeys(run.protocol for run in own if run.kind == kind)
        if kind == "narrowed" and not protocols:
            continue
        for protocol in protocols or [""]:
            for task in tasks:
                wanted = "exact" if task in ("CW", "CN") else mapper
                found = [
                    run
                    for run in own
                    if (run.protocol, run.mapper, run.task) == (protocol, wanted, task)
                ]
                if found:
                    cells = [style.cell(found[0], column) for column in style.ACCURACIES]
                    stubs = ((task, ""), (protocol, "" if wanted == "exact" else wanted))
                    rows.append(style.Row(stubs, found[0], cells))
                else:
                    with_mapper = f" with mapper {wanted}" if protocol else ""
                    note = f"not run: {task}{with_mapper}"
                    rows.append(style.Row(((task, ""), (protocol, "")), own[0], note=note))
    _against_closed(rows)
    style.mark_best(rows, style.ACCURACIES)
    return rows


def _against_closed(rows: list[style.Row]) -> None:
    closed = {row.run.protocol: row for row in rows if row.cells and row.run.task in ("CW", "CN")}
    first = next(iter(closed.values()), None)
    for row in rows:
        reference = closed.get(row.run.protocol, first)
        if row.cells and reference is not None and row is not reference:
            style.deltas(row, reference, style.ACCURACIES)


if __name__ == "__main__":
    command(build)
