"""How much the wrong options decide: multiple choice by its distractors (cf. Tables 7 and 19)."""

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from labelwise.evaluation.selection import Run, by_model, corrected, usual_batching
from labelwise.figures import style

LOOKS = (
    (style.VERMILLION, "o"),
    (style.BLUE, "s"),
    (style.GREEN, "^"),
    (style.PURPLE, "D"),
    (style.ORANGE, "v"),
    (style.SKY, "P"),
    (style.BLACK, "*"),
)
"""Colour and marker of each model, in turn; controls are grey crosses."""

WILSON, STUDENT = 0.9, 2.2
"""Widths of intervals for the images of one run, and over repeats."""

MEASURES = {"original": "original labels", "accuracy": "corrected labels"}


def build(runs: list[Run]) -> Figure:
    """Accuracy by the true options and the source of the distractors, easiest first."""
    panels = {
        key: [run for run in usual_batching(group) if run.task in ("MC", "CW") and _asked(run)]
        for key, group in corrected(runs).items()
        if any(run.kind == "choice" for run in group)
    }
    if not panels:
        return style.not_run(runs[0].experiment, "multiple choice")
    rows = {key: _schemes(shown) for key, shown in panels.items()}
    figure, axes = plt.subplots(
        len(panels),
        len(MEASURES),
        figsize=(style.PAGE, 0.65 + sum(0.45 + 0.25 * len(found) for found in rows.values())),
        squeeze=False,
        sharex=True,
        height_ratios=[len(found) for found in rows.values()],
    )
    looks = _looks([run for shown in panels.values() for run in shown])
    for line, (key, shown) in zip(axes, panels.items(), strict=True):
        for axis, measure in zip(line, MEASURES, strict=True):
            _panel(axis, shown, rows[key], measure, looks)
            title = f"{', '.join(key)}, n = {shown[0].n('A')}: {MEASURES[measure]}"
            axis.set_title(style.plain(title), loc="left")
        line[0].set_yticks(range(len(rows[key])), [style.plain(text) for text in rows[key]])
        line[1].set_yticks(range(len(rows[key])), [])
    for axis in axes[-1]:
        axis.set_xlabel("accuracy (%)")
    every = [run for shown in panels.values() for run in shown]
    names = {run.model: run.name for run in every}
    intervals = [
        (text, width)
        for text, width, once in (
            ("Student's t over repeats", STUDENT, False),
            ("Wilson's for the images of one run", WILSON, True),
        )
        if any((run.repeats == 1) is once for run in every)
    ]
    handles = [
        Line2D([], [], color=ink, marker=mark, linestyle="")
        for ink, mark in (looks[model] for model in names)
    ]
    handles += [Line2D([], [], color="black", linewidth=width) for _, width in intervals]
    figure.legend(
        handles,
        [*(style.short(name, 30) for name in names.values()), *(text for text, _ in intervals)],
        loc="outside lower center",
        ncols=4,
    )
    return figure


def _asked(run: Run) -> bool:
    """Whether a run is one of a model that reads prompts: classifiers are no reference here."""
    return run.kind in ("choice", "closed")


def scheme(run: Run) -> str:
    """What a run offered, in words: the true options, the source of the others, the answer."""
    if run.kind != "choice":
        return "every class (closed world)"
    true = run.choice_true.replace("+", " + ")
    return f"{true} + {run.choice_from} ({run.answer})"


def _schemes(shown: list[Run]) -> list[str]:
    """The schemes by the mean accuracy of the models under the original labels, easiest first."""
    found: dict[str, list[float]] = {}
    for run in shown:
        if run.model_kind != "control":
            found.setdefault(scheme(run), []).append(run.get("A", "original") or 0.0)
    found = found or {scheme(run): [0.0] for run in shown}
    return sorted(found, key=lambda name: (-sum(found[name]) / len(found[name]), name))


def _looks(shown: list[Run]) -> dict[str, tuple[str, str]]:
    own = by_model(shown)
    models = [model for model in own if own[model][0].model_kind != "control"]
    looks = {model: LOOKS[i % len(LOOKS)] for i, model in enumerate(models)}
    return {model: looks.get(model, style.KINDS["control"]) for model in own}


def _panel(axis: Axes, shown: list[Run], rows: list[str], measure: str, looks: dict) -> None:
    prefix = "" if measure == "accuracy" else f"{measure}_"
    for run in shown:
        value, low, high = (run.get("A", c) for c in (measure, f"{prefix}low", f"{prefix}high"))
        if value is None or scheme(run) not in rows:
            continue
        place = list(looks).index(run.model)
        y = rows.index(scheme(run)) + 0.6 * ((place + 0.5) / len(looks) - 0.5)
        ink, mark = looks[run.model]
        if low is not None and high is not None:
            width = STUDENT if run.repeats > 1 else WILSON
            axis.plot([low, high], [y, y], color=ink, linewidth=width, solid_capstyle="butt")
        axis.plot(value, y, mark, color=ink, markersize=4)
    axis.grid(axis="x")
    axis.tick_params(axis="y", length=0)
    axis.set_xlim(-2, 102)
    axis.set_ylim(len(rows) - 0.5, -0.5)


if __name__ == "__main__":
    style.command(build)
