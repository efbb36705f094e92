"""Text encoders and templates at one glance: accuracy of every mapping (cf. Table 18)."""

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from labelwise.evaluation.selection import Run, corrected, prompted, usual_batching
from labelwise.figures import style


def build(runs: list[Run]) -> Figure:
    """Heat map of accuracy under the corrected labels: models and tasks by encoder, templates."""
    panels = []
    for (images, labels), group in corrected(runs).items():
        lines = {
            (own[0].name, task, protocol): [r for r in mapped if r.protocol == protocol]
            for own in prompted(group).values()
            for mapped in [[run for run in usual_batching(own) if run.encoder]]
            for task, protocol in dict.fromkeys((run.task, run.protocol) for run in mapped)
        }
        if lines:
            panels.append((f"{images}, {labels}, n = {group[0].n('A')}", lines))
    if not panels:
        return style.not_run(runs[0].experiment, "mapper with a text encoder")
    mapped = [run for _, lines in panels for own in lines.values() for run in own]
    columns = sorted(
        {(run.encoder, run.templated) for run in mapped},
        key=lambda c: ([run.encoder for run in mapped].index(c[0]), c[1]),
    )
    accuracies = [value for run in mapped if (value := run.get("A", "accuracy")) is not None]
    figure, axes = plt.subplots(
        len(panels),
        1,
        figsize=(style.PAGE, sum(0.75 + 0.24 * len(lines) for _, lines in panels)),
        squeeze=False,
        height_ratios=[len(lines) for _, lines in panels],
    )
    for axis, (title, lines) in zip(axes[:, 0], panels, strict=True):
        values = [
            [
                next(
                    (r.get("A", "accuracy") for r in own if (r.encoder, r.templated) == column),
                    None,
                )
                for column in columns
            ]
            for own in lines.values()
        ]
        style.heat(axis, values, lambda v: f"{v:.1f}", min(accuracies), max(accuracies))
        tasks = [(name, task) for name, task, _ in lines]
        axis.set_yticks(
            range(len(lines)),
            [
                style.short(f"{name}, {task}", 38)
                if tasks.count((name, task)) == 1
                else style.short(f"{name}, {protocol}", 38)
                for name, task, protocol in lines
            ],
        )
        axis.set_xticks(
            range(len(columns)),
            [
                style.short(encoder, 18) + ("\nin templates" if templated else "\nnames alone")
                for encoder, templated in columns
            ],
        )
        axis.set_title(style.plain(f"{title}: accuracy, corrected labels (%)"), loc="left")
    return figure


if __name__ == "__main__":
    style.command(build)
