"""Claims on what human annotators decide (section 3.4). They wait for people.

Decisions of anybody else, such as an AI system, answer none of them.
"""

from labelwise.annotation.counts import SETTLED, Count, deciders, find
from labelwise.claims.base import (
    FEWEST,
    Effect,
    Finding,
    Group,
    Lacking,
    above,
    below,
    claim,
    inside,
    needed,
)


def _by_people(group: Group) -> list[list[Count]]:
    """Tallies of annotations that people decided."""
    found = [t for t in group.tallies if any(c.annotator_kind == "person" for c in t)]
    if not found:
        others = ", ".join(f"{t[0].annotation}: {deciders(t)}" for t in group.tallies)
        said = f"; the decisions here are by {others}" if others else ", and this study has none"
        raise Lacking(f"needs the decisions of human annotators{said}")
    return found


def _shares(group: Group, measure: str, *categories: str) -> list[Effect]:
    effects = []
    for tally in _by_people(group):
        for category in categories:
            wanted = {"annotator": SETTLED, "category": category, "measure": measure}
            count = find(tally, **wanted)
            if count and count.value is not None and (count.n or 0) >= FEWEST:
                what = f"{count.annotation}, {category.replace('-', '−')}"
                ends = (count.low or 0.0, count.high or 0.0)
                effects.append(Effect(what, count.value, *ends, int(count.n or 0), unit="percent"))
    return needed(
        effects, f"{FEWEST} cases of {' or '.join(categories)} on which the model differs"
    )


@claim(
    "Figure 7", "Do annotators take over a model's disagreeing label in about half of the cases?"
)
def labels_taken_over(group: Group) -> Finding:
    """Share of disagreements in which people confirm or add it; half is 40 to 60 percent."""
    return inside(_shares(group, "confirmed", "S-", "M-"), 40, 60)


@claim("Figure 7", "On S−, do annotators find about half of the corrected labels quite wrong?")
def corrected_wrong(group: Group) -> Finding:
    """Share of S− disagreements in which no corrected label is kept; half is 40 to 60 percent."""
    return inside(_shares(group, "old_wrong", "S-"), 40, 60)


@claim("Figure 7", "On M−, do annotators find fewer than one in five corrected labels quite wrong?")
def corrected_wrong_several(group: Group) -> Finding:
    """Share of M− disagreements in which no corrected label is kept."""
    return below(_shares(group, "old_wrong", "M-"), 20)


@claim("Section 3.4", "Is the model right more often by the labels of the second pass?")
def second_pass(group: Group) -> Finding:
    """Accuracy by the new labels minus by the old ones; the interval takes the worst of both."""
    effects = []
    for tally in _by_people(group):
        helper = next((c.source for c in tally if c.measure == "kept"), "")
        for category in ("S-", "M-"):
            before, after = (
                find(
                    tally,
                    annotator=SETTLED,
                    category=category,
                    measure=f"right_{when}",
                    source=helper,
                )
                for when in ("before", "after")
            )
            if before is None or after is None or (after.n or 0) < FEWEST:
                continue
            what = f"{after.annotation}, {helper}, {category.replace('-', '−')}"
            effects.append(
                Effect(
                    what,
                    (after.value or 0.0) - (before.value or 0.0),
                    (after.low or 0.0) - (before.high or 0.0),
                    (after.high or 0.0) - (before.low or 0.0),
                    int(after.n or 0),
                )
            )
    return above(needed(effects, f"{FEWEST} cases of S− or M− judged before and after"))
