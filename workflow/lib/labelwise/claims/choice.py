"""Claims on multiple choice (section 3.2)."""

from labelwise.claims.base import (
    Effect,
    Finding,
    Group,
    Images,
    Term,
    above,
    changes,
    claim,
    effect,
    inside,
    needed,
)
from labelwise.evaluation.selection import Run


def _said(run: Run) -> str:
    return f"{run.name}, by {run.answer}"


def _between(group: Group, easier: str, harder: str) -> list[Effect]:
    """Accuracy under the original labels, one source of distractors minus another."""
    first, second = group.choice(easier), group.choice(harder)
    both = needed(
        [(first[key], second[key]) for key in first if key in second],
        f"model asked with {easier} and with {harder} distractors",
    )
    pairs = [(f"{_said(easy)}, {easier} − {harder}", easy, hard) for easy, hard in both]
    return changes(group, pairs, "original")


@claim("Table 19", "Is every model right on more than 95 % with random distractors?")
def random_saturates(group: Group) -> Finding:
    """Accuracy under the original labels."""
    runs = list(needed(group.choice("random"), "multiple choice with random distractors").values())
    images = Images(group, runs)
    everything = images.within("A")
    return above(
        [effect(_said(r), [Term(1, images.original(r), everything)], "percent") for r in runs], 95
    )


@claim("Table 19", "Do distractors that a classifier confuses cost every model accuracy?")
def confusions_cost(group: Group) -> Finding:
    """Random minus confusions."""
    return above(_between(group, "random", "confusions"))


@claim("Table 19", "Do distractors with near names cost every model accuracy?")
def nearest_cost(group: Group) -> Finding:
    """Random minus nearest names."""
    return above(_between(group, "random", "nearest"))


@claim("Section 3.2", "Are a classifier's confusions harder than near names?")
def confusions_harder(group: Group) -> Finding:
    """Nearest names minus confusions."""
    return above(_between(group, "nearest", "confusions"))


@claim(
    "Table 19",
    "Offered both labels of an S− image, do models take the corrected one half the time?",
)
def even_choice(group: Group) -> Finding:
    """Share of S− images answered with the corrected label; half is taken as 35 to 65 percent."""
    offered = group.choice("random", "original+corrected")
    runs = list(needed(offered, "multiple choice with both labels and random distractors").values())
    images = Images(group, runs)
    mask = images.within("S-")
    found = [effect(_said(run), [Term(1, images.right(run), mask)], "percent") for run in runs]
    return inside(found, 35, 65)


@claim("Table 7", "Is even hard multiple choice easier than closed world?")
def choice_easier(group: Group) -> Finding:
    """Confusions minus CW on the same images, under the original labels."""
    closed = {run.model: run for run in group.closed()}
    asked = [
        (f"{_said(run)}, MC − CW", run, closed[model])
        for (model, _), run in group.choice("confusions").items()
        if model in closed
    ]
    pairs = needed(asked, "model asked with confusions as distractors and in closed world")
    return above(changes(group, pairs, "original"))
