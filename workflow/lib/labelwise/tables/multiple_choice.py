"""Multiple choice beside closed world, of the best model (the paper's Table 7)."""

from labelwise.evaluation.selection import Run, accuracy, by_model, corrected, prompted
from labelwise.tables import distractors
from labelwise.tables.files import command
from labelwise.tables.published import Published
from labelwise.tables.style import Table

PUBLISHED = Published(7, "one-per-class", distractors.options)


def build(runs: list[Run]) -> Table:
    """Multiple choice of one model and of the controls, percent."""
    best = {own[0].model for group in corrected(runs).values() if (own := _best(group))}
    shown = [r for r in runs if r.model in best or r.model_kind == "control"]
    return distractors.choices(
        shown if best else runs,
        "multiple_choice",
        "How much easier is choosing among few options than naming one of all classes?",
        "Shown: the model that is most often right in closed world (in multiple choice where none"
        " was asked), and controls.",
    )


def _best(group: list[Run]) -> list[Run]:
    """The runs of the model with the highest accuracy under the corrected labels."""
    candidates = {
        model: [run for run in own if run.kind == "choice"]
        for model, own in by_model(group).items()
        if own[0].model_kind != "control" and any(run.kind == "choice" for run in own)
    }
    closed = {
        model: [run for run in own if run.task == "CW"]
        for model, own in prompted(group).items()
        if model in candidates
    }
    ranked = closed if any(closed.values()) else candidates
    return max(ranked.values(), key=lambda own: max(map(accuracy, own), default=-1.0), default=[])


if __name__ == "__main__":
    command(build)
