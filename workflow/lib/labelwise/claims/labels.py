"""Claims on original and corrected labels, and on how alike models are (sections 3.1, 3.4, B)."""

import itertools
from collections.abc import Sequence

import numpy as np

from labelwise.claims.base import (
    FEWEST,
    PROMPTED,
    SHOWN,
    Effect,
    Finding,
    Group,
    Images,
    Lacking,
    Term,
    above,
    below,
    claim,
    effect,
    inside,
    needed,
    resampled,
)
from labelwise.evaluation.selection import Run, accuracy

WRONG = ("S-", "M-")
"""Images whose original label is not among the corrected ones."""

FERRET = 359


def _gains(images: Images, runs: Sequence[Run], weight: float) -> list[Term]:
    """The mean gain of some models, times a weight."""
    part, everything = weight / len(runs), images.within("A")
    return [
        term
        for run in runs
        for term in (
            Term(part, images.right(run), everything),
            Term(-part, images.original(run), everything),
        )
    ]


def _gain_apart(group: Group, first: Sequence[str], second: Sequence[str], what: str) -> Finding:
    one = needed(group.best(*first), f"model of kind {' or '.join(first)}")
    two = needed(group.best(*second), f"model of kind {' or '.join(second)}")
    images = Images(group, [*one, *two])
    return above([effect(what, [*_gains(images, one, 1), *_gains(images, two, -1)])])


def _original(run: Run) -> float:
    return run.get("A", "original") or 0.0


def _rivals(group: Group) -> tuple[Run, Run]:
    """The best prompted model and the best supervised one, each by its corrected accuracy."""
    asked = needed(group.best(*PROMPTED), "prompted model")
    trained = needed(group.best("supervised"), "supervised classifier")
    return max(asked, key=accuracy), max(trained, key=accuracy)


@claim("Table 4", "Is every prompted model right more often under the corrected labels?")
def prompted_gain(group: Group) -> Finding:
    """Gain of each prompted model."""
    runs = needed(group.best(*PROMPTED), "prompted model")
    images = Images(group, runs)
    return above([effect(f"{run.name}, {run.task}", _gains(images, [run], 1)) for run in runs])


@claim("Table 4", "Do prompted models gain more from corrected labels than supervised ones?")
def prompted_gain_more(group: Group) -> Finding:
    """Mean gain, prompted minus supervised."""
    return _gain_apart(group, PROMPTED, ["supervised"], "mean gain, prompted − supervised")


@claim("Table 4", "Do zero-shot scorers gain more from corrected labels than supervised models?")
def zero_shot_gain_more(group: Group) -> Finding:
    """Mean gain, dual encoders minus supervised."""
    return _gain_apart(group, ["dual-encoder"], ["supervised"], "mean gain, zero-shot − supervised")


@claim("Table 4", "Do prompted models gain more from corrected labels than zero-shot scorers?")
def prompted_gain_over_zero_shot(group: Group) -> Finding:
    """Mean gain, prompted minus dual encoders."""
    return _gain_apart(group, PROMPTED, ["dual-encoder"], "mean gain, prompted − zero-shot")


@claim("Table 4", "Is a supervised classifier the best model under both label sets?")
def supervised_best(group: Group) -> Finding:
    """Best supervised minus best other, under each label set."""
    trained = needed(group.best("supervised"), "supervised classifier")
    others = needed(group.best(*(k for k in SHOWN if k != "supervised")), "other model")
    effects = []
    for under, measure, said in (
        ("original", _original, "original labels"),
        ("right", accuracy, "corrected labels"),
    ):
        best, other = max(trained, key=measure), max(others, key=measure)
        images = Images(group, [best, other])
        flags, everything = getattr(images, under), images.within("A")
        effects.append(
            effect(
                f"{best.name} − {other.name}, {said}",
                [Term(1, flags(best), everything), Term(-1, flags(other), everything)],
            )
        )
    return above(effects)


def _gap(images: Images, asked: Run, trained: Run, under: str, weight: float) -> list[Term]:
    flags, everything = getattr(images, under), images.within("A")
    return [Term(weight, flags(trained), everything), Term(-weight, flags(asked), everything)]


@claim("Table 4", "Is the best prompted model nearer to the best supervised one after correction?")
def gap_shrinks(group: Group) -> Finding:
    """Gap under original minus gap under corrected labels."""
    asked, trained = _rivals(group)
    images = Images(group, [asked, trained])
    before = _gap(images, asked, trained, "original", 1)
    after = _gap(images, asked, trained, "right", -1)
    return above([effect(f"gap {trained.name} − {asked.name}, its decrease", [*before, *after])])


@claim("Section 1", "Does the gap between them lose more than a third by correction?")
def gap_loses_a_third(group: Group) -> Finding:
    """Two thirds of the gap under original labels minus the gap under corrected ones."""
    asked, trained = _rivals(group)
    images = Images(group, [asked, trained])
    before = _gap(images, asked, trained, "original", 2 / 3)
    after = _gap(images, asked, trained, "right", -1)
    what = f"gap {trained.name} − {asked.name}: two thirds of the original − the corrected one"
    return above([effect(what, [*before, *after])])


@claim("Table 4", "Where the original label is wrong, does a model without its training lead?")
def free_models_lead(group: Group) -> Finding:
    """Best prompted or zero-shot model minus best supervised one, on S− and on M−."""
    free = needed(group.best(*PROMPTED, "dual-encoder"), "prompted or zero-shot model")
    trained = needed(group.best("supervised"), "supervised classifier")
    effects = []
    enough = [category for category in WRONG if trained[0].n(category) >= FEWEST]
    for category in needed(enough, f"category S− or M− with {FEWEST} images"):
        one, two = (
            max(runs, key=lambda run: run.get(category, "accuracy") or 0.0)
            for runs in (free, trained)
        )
        images = Images(group, [one, two])
        mask = images.within(category)
        terms = [Term(1, images.right(one), mask), Term(-1, images.right(two), mask)]
        what = f"{one.name} − {two.name} on {category.replace('-', '−')}"
        effects.append(effect(what, terms))
    return above(effects)


@claim(
    "Section 3.1",
    "Is the share of wrong original labels within 2 points of the best classifier's error?",
)
def wrong_labels_and_error(group: Group) -> Finding:
    """Share of S− and M− minus the error of the best supervised model under original labels."""
    best = max(needed(group.best("supervised"), "supervised classifier"), key=_original)
    images = Images(group, [best])
    everything = images.within("A")
    terms = [
        Term(1, images.within(*WRONG), everything),
        Term(-1, ~images.original(best), everything),
    ]
    return inside([effect(f"share of S− and M− − error of {best.name}", terms)], -2, 2)


@claim("Table 4", "Is every model right more often on images with one label than with several?")
def single_easier(group: Group) -> Finding:
    """Accuracy on S minus accuracy on M, of each model."""
    runs = needed(group.best(*SHOWN), "model")
    images = Images(group, runs)
    one, several = images.within("S"), images.within("M")
    return above(
        [
            effect(
                f"{run.name}, S − M",
                [Term(1, images.right(run), one), Term(-1, images.right(run), several)],
            )
            for run in runs
        ]
    )


def _experts(group: Group) -> None:
    if group.names.get("labels", {}).get(group.labels) != "expert":
        raise Lacking("no label set made by experts of the weasel family (labels: paper: expert)")


@claim(
    "Table 9", "Do prompted and zero-shot models gain more than supervised from experts' labels?"
)
def experts_gain(group: Group) -> Finding:
    """Mean gain under the experts' labels, free models minus supervised ones."""
    _experts(group)
    free = (*PROMPTED, "dual-encoder")
    return _gain_apart(
        group, free, ["supervised"], "mean gain, prompted and zero-shot − supervised"
    )


@claim("Section 3.1", "Do experts deny more than a fifth of the original labels of their classes?")
def experts_deny(group: Group) -> Finding:
    """Share of images whose original label the experts do not give."""
    _experts(group)
    images = Images(group, group.best(*SHOWN)[:1])
    terms = [Term(1, images.within(*WRONG), images.within("A"))]
    return above([effect("share of S− and M−", terms, "percent")], 20)


@claim("Table 10", "Do supervised models lose recall on the ferret under the experts' labels?")
def ferret_recall(group: Group) -> Finding:
    """Recall of class 359 by the experts' labels minus by the original ones, supervised models."""
    _experts(group)
    runs = needed(group.best("supervised"), "supervised classifier")
    images = Images(group, runs)
    key = group.judge.key(group.images, group.labels, None)
    of = dict(zip(key.images, key.clusters, strict=True))
    labelled = np.array([of[image] == str(FERRET) for image in images.names])
    return below(
        [
            effect(
                run.name,
                [
                    Term(1, images.right(run), images.single(FERRET)),
                    Term(-1, images.original(run), labelled),
                ],
            )
            for run in runs
        ]
    )


def _likeness(group: Group, kinds: Sequence[str], others: Sequence[str], what: str) -> Finding:
    """Mean phi of correctness among some models minus that between them and others."""
    own, far = group.best(*kinds), group.best(*others)
    if len(own) < 2 or not far:
        raise Lacking(
            f"fewer than two models of kind {' or '.join(kinds)}, or none to compare with"
        )
    images = Images(group, [*own, *far])
    labelled = images.within("S", "M")
    right = {run.key: images.right(run)[0][labelled] for run in (*own, *far)}
    pairs = [(1 / n, a, b) for n, a, b in _counted(itertools.combinations(own, 2))]
    pairs += [(-1 / n, a, b) for n, a, b in _counted(itertools.product(own, far))]
    flags = [
        column
        for _, a, b in pairs
        for column in (right[a.key], right[b.key], right[a.key] & right[b.key])
    ]

    def apart(means: np.ndarray) -> np.ndarray:
        total = np.zeros(means.shape[:-1])
        for i, (weight, _, _) in enumerate(pairs):
            a, b, both = (means[..., 3 * i + k] for k in range(3))
            total += weight * (both - a * b) / np.sqrt(a * (1 - a) * b * (1 - b))
        return total

    columns = np.stack(flags, axis=1)
    if len(columns) < FEWEST:
        raise Lacking(f"fewer than {FEWEST} images with a label")
    return above([Effect(what, *resampled(columns, apart), len(columns), unit="phi")])


def _counted(pairs: itertools.combinations | itertools.product) -> list[tuple[int, Run, Run]]:
    found = list(pairs)
    return [(len(found), a, b) for a, b in found]


@claim("Figure 9", "Are supervised and k-NN models more like each other than like prompted ones?")
def supervised_cluster(group: Group) -> Finding:
    """Phi among supervised and k-NN models minus phi with prompted models."""
    return _likeness(
        group,
        ["supervised", "knn"],
        PROMPTED,
        "supervised and k-NN: phi among them − with prompted",
    )


@claim("Figure 9", "Are prompted models more like each other than like supervised ones?")
def prompted_cluster(group: Group) -> Finding:
    """Phi among prompted models minus phi with supervised ones."""
    return _likeness(group, PROMPTED, ["supervised"], "prompted: phi among them − with supervised")


@claim("Figure 9", "Are zero-shot scorers more like each other than like prompted models?")
def zero_shot_cluster(group: Group) -> Finding:
    """Phi among dual encoders minus phi with prompted models."""
    return _likeness(group, ["dual-encoder"], PROMPTED, "zero-shot: phi among them − with prompted")
