"""Claims on answers outside the list, on mapping them, and on open world (sections 3.1 and 3.2)."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from labelwise.claims.base import (
    Effect,
    Finding,
    Group,
    Images,
    Lacking,
    Term,
    above,
    below,
    change,
    changes,
    claim,
    effect,
    needed,
    resampled,
    some_above,
)
from labelwise.evaluation.selection import Run, accuracy
from labelwise.evaluation.statistics import wilson

OUTSIDE = "closed-world answer outside the list"


def _outside(group: Group, more: Sequence[str], fewer: Sequence[str], what: str) -> Finding:
    """Rate of answers outside the list, some categories minus others, of each model."""
    runs = needed(group.closed(), "closed protocol with mapper exact (CW)")
    images = Images(group, runs)
    one, other = images.within(*more), images.within(*fewer)
    return above(
        [
            effect(
                f"{run.name}, {what}",
                [Term(1, images.outside(run), one), Term(-1, images.outside(run), other)],
            )
            for run in runs
        ]
    )


@claim("Table 5", "Are more answers outside the list on images with several labels than with one?")
def outside_several(group: Group) -> Finding:
    """Rate on M minus rate on S."""
    return _outside(group, ["M"], ["S"], "M − S")


@claim("Table 5", "Are more answers outside the list where the original label is wrong?")
def outside_wrong(group: Group) -> Finding:
    """Rate on S− and M− minus rate on S+ and M+."""
    return _outside(group, ["S-", "M-"], ["S+", "M+"], "S− and M− − S+ and M+")


@claim("Table 5", "Are more answers outside the list where no class is in the image?")
def outside_none(group: Group) -> Finding:
    """Rate on N minus rate on S and M."""
    return _outside(group, ["N"], ["S", "M"], "N − S and M")


def _kinds(group: Group, *kinds: str) -> list[Effect]:
    """Share of some kinds among the answers outside the list, of each model."""
    found = []
    for _, mapped in group.mapped():
        counts = group.kinds.get(mapped.key)
        if counts is None or counts["oop"] < 10:
            continue
        part, whole = sum(counts[kind] for kind in kinds), counts["oop"]
        low, high = wilson(part, round(whole))
        found.append(
            Effect(
                mapped.name, 100 * part / whole, 100 * low, 100 * high, round(whole), unit="percent"
            )
        )
    return needed(found, f"model with ten {OUTSIDE}s")


@claim(
    "Table 16", "Are most answers outside the list part of a listed name or simply another text?"
)
def kinds_mostly(group: Group) -> Finding:
    """Share of the kinds partial and wrong."""
    return above(_kinds(group, "partial", "wrong"), 50)


@claim("Table 16", "Outside the list, is another text more frequent than part of a listed name?")
def kinds_wrong(group: Group) -> Finding:
    """Share of the kind wrong among partial and wrong."""
    effects = []
    for _, mapped in needed(group.mapped(), "closed protocol with a text encoder"):
        counts = group.kinds.get(mapped.key, {})
        whole = round(counts.get("partial", 0) + counts.get("wrong", 0))
        if whole >= 10:
            low, high = (100 * end for end in wilson(counts["wrong"], whole))
            value = 100 * counts["wrong"] / whole
            effects.append(Effect(mapped.name, value, low, high, whole, unit="percent"))
    return above(needed(effects, f"model with ten {OUTSIDE}s of these kinds"), 50)


@claim("Table 16", "Are fewer than one in ten answers outside the list names of another known set?")
def kinds_other_names(group: Group) -> Finding:
    """Share of the kind other_names."""
    return below(_kinds(group, "other_names"), 10)


@claim("Table 16", "Are fewer than one in ten answers outside the list refusals?")
def kinds_refusals(group: Group) -> Finding:
    """Share of the kind abstain."""
    return below(_kinds(group, "abstain"), 10)


@claim("Table 6", "Does mapping answers to the nearest name help every model (CW+ over CW)?")
def mapping_helps(group: Group) -> Finding:
    """CW+ minus CW under both label sets."""
    pairs = needed(group.mapped(), "closed protocol with a text encoder beside mapper exact")
    images = Images(group, [run for pair in pairs for run in pair])
    return above(
        [
            change(images, f"{mapped.name}, CW+ − CW, {said} labels", mapped, exact, under)
            for exact, mapped in pairs
            for under, said in (("original", "original"), ("right", "corrected"))
        ]
    )


@claim("Section 3.1", "Does mapping help more the more answers are outside the list?")
def mapping_scales(group: Group) -> Finding:
    """Rank correlation over models of the rate outside the list and the gain by mapping."""
    pairs = group.mapped()
    if len(pairs) < 3:
        raise Lacking("fewer than three prompted models with CW and CW+")
    images = Images(group, [run for pair in pairs for run in pair])
    columns = np.stack(
        [
            flags(run)[0]
            for exact, mapped in pairs
            for flags, run in (
                (images.outside, exact),
                (images.right, mapped),
                (images.right, exact),
            )
        ],
        axis=1,
    )

    def correlation(means: np.ndarray) -> np.ndarray:
        rate = rankdata(means[..., 0::3], axis=-1)
        gain = rankdata(means[..., 1::3] - means[..., 2::3], axis=-1)
        rate, gain = (x - x.mean(axis=-1, keepdims=True) for x in (rate, gain))
        return (rate * gain).sum(-1) / np.sqrt((rate**2).sum(-1) * (gain**2).sum(-1))

    what = f"Spearman over {len(pairs)} models"
    return above([Effect(what, *resampled(columns, correlation), len(columns), unit="rho")])


@claim("Section 3.1", "Does mapping help most where the original label is wrong?")
def mapping_where_wrong(group: Group) -> Finding:
    """Gain by mapping on S− and M− minus that on S+ and M+, of each model."""
    pairs = needed(group.mapped(), "closed protocol with a text encoder beside mapper exact")
    images = Images(group, [run for pair in pairs for run in pair])
    wrong, fine = images.within("S-", "M-"), images.within("S+", "M+")
    return above(
        [
            effect(
                f"{mapped.name}, gain on S− and M− − gain on S+ and M+",
                [
                    Term(sign * side, images.right(run), mask)
                    for sign, mask in ((1, wrong), (-1, fine))
                    for side, run in ((1, mapped), (-1, exact))
                ],
            )
            for exact, mapped in pairs
        ]
    )


def _open_over_closed(group: Group) -> list[Effect]:
    pairs = needed(group.opened(), "model asked in closed and in open world")
    return changes(group, [(f"{free.name}, OW − CW", free, exact) for exact, free in pairs])


@claim("Table 6", "Is open world better than closed world for some model?")
def open_wins_somewhere(group: Group) -> Finding:
    """OW minus CW of each model."""
    return some_above(_open_over_closed(group))


@claim("Table 6", "Is closed world better than open world for some model?")
def closed_wins_somewhere(group: Group) -> Finding:
    """CW minus OW of each model."""
    pairs = needed(group.opened(), "model asked in closed and in open world")
    said = [(f"{free.name}, CW − OW", exact, free) for exact, free in pairs]
    return some_above(changes(group, said))


def _leader(group: Group) -> tuple[tuple[Run, Run], list[tuple[Run, Run]]]:
    """(CW, OW) runs of the model that is best in closed world, and of the others."""
    pairs = sorted(group.opened(), key=lambda pair: -accuracy(pair[0]))
    if len(pairs) < 2:
        raise Lacking("fewer than two models asked in closed and in open world")
    return pairs[0], pairs[1:]


@claim("Section 3.1", "Does the lead of the best model of closed world shrink in open world?")
def lead_shrinks(group: Group) -> Finding:
    """Lead over the best other model in CW minus that in OW."""
    (exact, free), others = _leader(group)
    next_exact = max((pair[0] for pair in others), key=accuracy)
    next_free = max((pair[1] for pair in others), key=accuracy)
    images = Images(group, [exact, free, next_exact, next_free])
    everything = images.within("A")
    signed = ((1, exact), (-1, next_exact), (-1, free), (1, next_free))
    terms = [Term(weight, images.right(run), everything) for weight, run in signed]
    return above([effect(f"{exact.name}, lead in CW − lead in OW", terms)])


@claim(
    "Section 3.1", "On M−, is another model in open world ahead of the best one of closed world?"
)
def other_ahead(group: Group) -> Finding:
    """Best other model in OW minus the leader in CW and in OW, on M−."""
    (exact, free), others = _leader(group)
    rival = max((pair[1] for pair in others), key=lambda run: run.get("M-", "accuracy") or 0.0)
    images = Images(group, [exact, free, rival])
    mask = images.within("M-")
    return above(
        [
            effect(
                f"{rival.name}, OW − {run.name}, {run.task}, on M−",
                [Term(1, images.right(rival), mask), Term(-1, images.right(run), mask)],
            )
            for run in (exact, free)
        ]
    )
