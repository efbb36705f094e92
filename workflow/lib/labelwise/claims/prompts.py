"""Claims on images per prompt, order and place, form of the answer, encoders, repeats (B.5)."""

import itertools

import numpy as np

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
    some_below,
)
from labelwise.evaluation.selection import Run, accuracy, predictions, usual_batching
from labelwise.positions import places

BATCHED = "model asked with two numbers of images a prompt in closed world"


def _sizes(group: Group) -> list[tuple[Run, Run]]:
    """The shuffled runs with most and with fewest images a prompt."""
    mixed = [[run for run in asked if not run.same_class] for asked in group.batched()]
    return needed([(runs[-1], runs[0]) for runs in mixed if len(runs) > 1], BATCHED)


def _size_effects(group: Group, pairs: list[tuple[Run, Run]]) -> list[Effect]:
    what = "{}, {} − {} images a prompt"
    return changes(
        group,
        [
            (what.format(many.name, many.images_per_prompt, few.images_per_prompt), many, few)
            for many, few in pairs
        ],
    )


@claim("Table 11", "Do several images in one prompt cost some model accuracy?")
def batch_costs(group: Group) -> Finding:
    """Most minus fewest images a prompt."""
    return some_below(_size_effects(group, _sizes(group)))


@claim("Table 11", "With several images in one prompt, does the best model stay within 3 points?")
def batch_keeps(group: Group) -> Finding:
    """The same of the model that is best with the fewest images a prompt."""
    best = max(_sizes(group), key=lambda pair: accuracy(pair[1]))
    return inside(_size_effects(group, [best]), -3, 3)


@claim("Table 13", "Does some model lose more at the last place of a prompt than at the first?")
def last_place_loses(group: Group) -> Finding:
    """Change from the fewest images a prompt, at the last place minus at the first."""
    effects = []
    for many, few in _sizes(group):
        there = places(predictions(many))
        images = Images(group, [many, few])
        first, last = (
            np.array([image in there[place] for image in images.names])
            for place in (min(there), max(there))
        )
        terms = [
            Term(side * sign, images.right(run), mask)
            for side, mask in ((1, last), (-1, first))
            for sign, run in ((1, many), (-1, few))
        ]
        what = f"{many.name}, place {max(there)} − place 1 of {many.images_per_prompt}"
        effects.append(effect(what, terms)._replace(asked=many.model))
    return some_below(effects)


@claim("Table 12", "Do prompts with images of one class inflate the accuracy of every model?")
def same_class_inflates(group: Group) -> Finding:
    """Same class minus shuffled, as many images a prompt, under the original labels."""
    pairs = [
        (f"{grouped.name}, same class − shuffled", grouped, mixed)
        for asked in group.batched()
        for grouped, mixed in itertools.product(asked, asked)
        if grouped.same_class
        and not mixed.same_class
        and grouped.images_per_prompt == mixed.images_per_prompt
    ]
    needed(pairs, "model asked in a shuffled and a same-class order")
    return above(changes(group, pairs, "original"))


@claim("Table 14", "Is every model better when it answers with names than with numbers?")
def names_over_ids(group: Group) -> Finding:
    """Names minus ids, closed world."""
    pairs = []
    for own in group.prompted.values():
        asked = [run for run in usual_batching(own) if run.task == "CW"]
        named, numbered = ([run for run in asked if run.answer == form] for form in ("name", "id"))
        if named and numbered:
            pairs.append((f"{named[0].name}, names − ids", named[0], numbered[0]))
    needed(pairs, "model asked for names and for ids in closed world")
    return above(changes(group, pairs))


def _open(group: Group) -> dict[str, list[Run]]:
    found = {
        model: [run for run in usual_batching(own) if run.task == "OW"]
        for model, own in group.prompted.items()
    }
    return {model: runs for model, runs in found.items() if runs}


@claim("Table 18", "Do prompt templates help every text encoder and model (open world)?")
def templates_help(group: Group) -> Finding:
    """Templated minus plain."""
    pairs = [
        (f"{with_them.name}, {with_them.encoder}, with − without", with_them, plain)
        for runs in _open(group).values()
        for with_them, plain in itertools.product(runs, runs)
        if with_them.templated and not plain.templated and with_them.encoder == plain.encoder
    ]
    needed(pairs, "text encoder with and without templates in open world")
    return above(changes(group, pairs))


@claim("Table 18", "Does the text encoder with its templates move every model by over 5 points?")
def encoder_matters(group: Group) -> Finding:
    """Best minus worst encoder setting, open world."""
    several = [runs for runs in _open(group).values() if len(runs) > 1]
    needed(several, "model with two text encoders in open world")
    pairs = [(max(runs, key=accuracy), min(runs, key=accuracy)) for runs in several]
    said = [(f"{one.name}, {one.mapper} − {other.mapper}", one, other) for one, other in pairs]
    return above(changes(group, said), 5)


@claim("Table 17", "Asked again, does every model's mean accuracy stay within half a point?")
def repeats_agree(group: Group) -> Finding:
    """Student's t interval of the mean over repeats, around the mean."""
    runs = [
        run
        for own in group.prompted.values()
        for run in own
        if run.task == "CW" and run.repeats > 1
    ]
    effects = []
    for run in needed(runs, "closed protocol that was asked several times"):
        mean, low, high = (run.get("A", name) or 0.0 for name in ("accuracy", "low", "high"))
        if low == high:  # a greedy local engine says the same each time
            continue
        what = f"{run.name}, {run.repeats} repeats, around the mean of {mean:.2f} %"
        effects.append(Effect(what, 0.0, low - mean, high - mean, run.n("A")))
    return inside(needed(effects, "repeats that differ at all"), -0.5, 0.5)
