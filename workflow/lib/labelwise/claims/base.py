"""How a claim is tested: runs are picked, judged image by image, and compared by resampling images.

A claim is a function of a ``Group`` (the runs of one image set under one corrected label set). It
returns what it found, or says in words what it lacks (``Lacking``). Every interval is a percentile
interval of the paired image bootstrap: all numbers of an effect come from the same resamples.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from labelwise.annotation.counts import Count
from labelwise.evaluation import statistics
from labelwise.evaluation.selection import (
    MODEL_KINDS,
    Run,
    accuracy,
    by_model,
    closed_and_mapped,
    closed_batchings,
    prompted,
    representative,
    usual_batching,
)
from labelwise.evaluation.verdicts import Judge
from labelwise.scoring import OUT_OF_PROMPT

REPLICATES = 2000
FEWEST = 10
"""No number is given on fewer images."""


class Lacking(Exception):
    """What a claim needs and the data do not have; the message is printed."""


class Effect(NamedTuple):
    """One number with its 95 % interval, on ``n`` images; p is McNemar's where two runs differ.

    ``asked`` is the model where the number compares what it said when asked in two ways, which
    numerics alone may change too.
    """

    what: str
    value: float
    low: float
    high: float
    n: int
    p: float | None = None
    unit: str = "points"
    asked: str = ""


class Finding(NamedTuple):
    """What a claim found: whether it holds, whether it still may, and the numbers that say so."""

    holds: bool
    possible: bool
    effects: list[Effect]


class Term(NamedTuple):
    """A share of images in a sum of shares: ``weight`` x (images of ``mask`` that have ``flag``).

    ``flag``: bool, shape (repeats, images), or (images,); ``mask``: bool, shape (images,).
    """

    weight: float
    flag: np.ndarray
    mask: np.ndarray


class Claim(NamedTuple):
    """A question to the data, the section of the paper it is about, and its test."""

    question: str
    about: str
    test: Callable[["Group"], Finding]


CLAIMS: list[Claim] = []
"""All claims, in the order in which they are printed."""


def claim(about: str, question: str) -> Callable[[Callable], Callable]:
    """Register a test."""

    def register(test: Callable) -> Callable:
        CLAIMS.append(Claim(question, about, test))
        return test

    return register


@dataclass
class Group:
    """The runs of one image set under one corrected label set.

    Attributes:
        images, labels: their names.
        runs: all runs of the study there.
        judge: judges a run image by image.
        names: which entries are the paper's, see ``tables.published``.
        kinds: counts of kinds of answers outside the list (category A) by ``Run.key``.
        tallies: what was decided in the study's annotations.
    """

    images: str
    labels: str
    runs: list[Run]
    judge: Judge
    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    kinds: Mapping[tuple[str, ...], Mapping[str, float]] = field(default_factory=dict)
    tallies: Sequence[list[Count]] = ()

    @property
    def n(self) -> int:
        """Number of images."""
        return max(run.n("A") for run in self.runs)

    @cached_property
    def prompted(self) -> dict[str, list[Run]]:
        """Runs of each model that answers prompts, controls and narrowed lists aside."""
        return prompted(run for run in self.runs if run.kind != "narrowed")

    def best(self, *kinds: str) -> list[Run]:
        """The run that stands for each model of these kinds, see ``selection.representative``."""
        found = [
            representative(own)
            for own in by_model(run for run in self.runs if run.model_kind in kinds).values()
        ]
        return [run for run in found if run is not None]

    def closed(self) -> list[Run]:
        """The CW run of each prompted model."""
        found = [closed_and_mapped(own)[0] for own in self.prompted.values()]
        return [run for run in found if run is not None]

    def mapped(self) -> list[tuple[Run, Run]]:
        """The CW and the CW+ run of each prompted model that has both."""
        found = [closed_and_mapped(own) for own in self.prompted.values()]
        return [(exact, mapped) for exact, mapped in found if exact and mapped]

    def opened(self) -> list[tuple[Run, Run]]:
        """The CW run and the best OW run of each prompted model that has both."""
        found = []
        for own in self.prompted.values():
            exact, _ = closed_and_mapped(own)
            free = [run for run in usual_batching(own) if run.task == "OW"]
            if exact and free:
                found.append((exact, max(free, key=accuracy)))
        return found

    def batched(self) -> list[list[Run]]:
        """CW runs of each prompted model and protocol with several numbers of images a prompt."""
        return [
            asked
            for own in self.prompted.values()
            for asked in closed_batchings(own)
            if len({run.images_per_prompt for run in asked}) > 1
        ]

    def choice(self, source: str, true: str = "original") -> dict[tuple[str, str], Run]:
        """Multiple-choice runs by (model, form of the answer), controls aside.

        Args:
            source: of the distractors: random, confusions or nearest.
            true: the true options: original, corrected or original+corrected.
        """
        return {
            (run.model, run.answer): run
            for run in self.runs
            if run.kind == "choice"
            and run.model_kind != "control"
            and (run.choice_from, run.choice_true) == (source, true)
        }


SHOWN = tuple(kind for kind in MODEL_KINDS if kind != "control")
PROMPTED = ("mllm", "composed")


class Images:
    """Runs judged on the images that all of them answered, in one order."""

    def __init__(self, group: Group, runs: Iterable[Run]) -> None:
        self._judged = {run.key: group.judge(run) for run in runs}
        first, *others = self._judged.values()
        common = set(first.images).intersection(*(judged.images for judged in others))
        self.names = [image for image in first.images if image in common]
        self._place = {
            key: np.array([at[image] for image in self.names], dtype=int)
            for key, judged in self._judged.items()
            for at in [{image: i for i, image in enumerate(judged.images)}]
        }
        self._first, self._kept = first, self._place[next(iter(self._judged))]

    def _of(self, run: Run, rows: np.ndarray | None) -> np.ndarray:
        if rows is None:
            raise Lacking(f"no original labels of {run.images}")
        return rows[..., self._place[run.key]]

    def right(self, run: Run) -> np.ndarray:
        """Right under the corrected labels: bool, shape (repeats, images)."""
        return self._of(run, self._judged[run.key].right)

    def original(self, run: Run) -> np.ndarray:
        """Right under the original labels: bool, shape (repeats, images)."""
        return self._of(run, self._judged[run.key].original)

    def outside(self, run: Run) -> np.ndarray:
        """Answers outside the class list: bool, shape (repeats, images)."""
        return np.isin(self._of(run, self._judged[run.key].outcomes), OUT_OF_PROMPT)

    def within(self, *categories: str) -> np.ndarray:
        """Images of any of these categories: bool, shape (images,)."""
        members = [self._first.members[category] for category in categories]
        return np.any(members, axis=0)[self._kept]

    def single(self, label: int) -> np.ndarray:
        """Images whose one corrected label is this: bool, shape (images,)."""
        return (self._first.single == label)[self._kept]


def effect(what: str, terms: Sequence[Term], unit: str = "points") -> Effect:
    """A weighted sum of shares in percent, with its interval over ``REPLICATES`` resamples.

    Raises:
        Lacking: a mask with fewer than ``FEWEST`` images.
    """
    columns: list[np.ndarray] = []
    pieces, mask_of_all = [], np.zeros(len(terms[0].mask), dtype=bool)
    for weight, flag, mask in terms:
        if mask.sum() < FEWEST:
            raise Lacking(f"fewer than {FEWEST} images to compare ({what}: {int(mask.sum())})")
        repeats = np.atleast_2d(flag)
        pieces.append((weight, len(columns), len(repeats)))
        columns += [*(repeat & mask for repeat in repeats), mask]
        mask_of_all |= mask

    def total(means: np.ndarray) -> np.ndarray:
        return 100 * sum(
            weight * means[..., at : at + k].mean(axis=-1) / means[..., at + k]
            for weight, at, k in pieces
        )

    value, low, high = resampled(np.stack(columns, axis=1), total)
    return Effect(what, value, low, high, int(mask_of_all.sum()), _p(terms), unit)


def resampled(
    columns: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]
) -> tuple[float, float, float]:
    """A statistic of column means and its percentile interval over resampled images.

    Args:
        columns: bool, shape (images, columns).
        statistic: of means, shape (..., columns), along the last axis; resamples in which it is
            undefined are left out.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = statistic(statistics.bootstrap(columns, REPLICATES))
        value = float(statistic(columns.mean(axis=0)))
    low, high = statistics.percentile(drawn[np.isfinite(drawn)])
    return value, float(low), float(high)


def _p(terms: Sequence[Term]) -> float | None:
    """McNemar's exact p where the effect is one run minus another on the same images."""
    if len(terms) != 2 or [term.weight for term in terms] != [1, -1]:
        return None
    (_, first, mask), (_, second, other) = terms
    if len(np.atleast_2d(first)) > 1 or len(np.atleast_2d(second)) > 1 or (mask != other).any():
        return None
    return statistics.mcnemar(np.atleast_2d(first)[0][mask], np.atleast_2d(second)[0][mask]).p


def change(images: Images, what: str, new: Run, old: Run, under: str = "right") -> Effect:
    """Accuracy of one run minus that of another in points, on the same images.

    Args:
        images: that both answered.
        what: names the effect.
        new: the one run.
        old: the other.
        under: ``right`` (corrected labels) or ``original``.

    Raises:
        Lacking: too few images.
    """
    flags, everything = getattr(images, under), images.within("A")
    found = effect(what, [Term(1, flags(new), everything), Term(-1, flags(old), everything)])
    twice = new.model == old.model and new.run != old.run
    return found._replace(asked=new.model if twice else "")


def changes(
    group: Group, pairs: Sequence[tuple[str, Run, Run]], under: str = "right"
) -> list[Effect]:
    """``change`` of each (what, new run, old run), on the images that all these runs answered."""
    images = Images(group, [run for _, *pair in pairs for run in pair])
    return [change(images, what, new, old, under) for what, new, old in pairs]


def above(effects: Sequence[Effect], bound: float = 0.0) -> Finding:
    """Holds where every interval lies above the bound."""
    return Finding(
        all(e.low > bound for e in effects), all(e.high > bound for e in effects), list(effects)
    )


def below(effects: Sequence[Effect], bound: float = 0.0) -> Finding:
    """Holds where every interval lies below the bound."""
    return Finding(
        all(e.high < bound for e in effects), all(e.low < bound for e in effects), list(effects)
    )


def inside(effects: Sequence[Effect], low: float, high: float) -> Finding:
    """Holds where every interval lies between the bounds."""
    return Finding(
        all(low < e.low and e.high < high for e in effects),
        all(e.low < high and low < e.high for e in effects),
        list(effects),
    )


def some_above(effects: Sequence[Effect]) -> Finding:
    """Holds where at least one interval lies above zero."""
    return Finding(any(e.low > 0 for e in effects), any(e.high > 0 for e in effects), list(effects))


def some_below(effects: Sequence[Effect]) -> Finding:
    """Holds where at least one interval lies below zero."""
    return Finding(any(e.high < 0 for e in effects), any(e.low < 0 for e in effects), list(effects))


def needed(found: Any, what: str) -> Any:
    """The found things.

    Raises:
        Lacking: there are none.
    """
    if not found:
        raise Lacking(f"no {what}")
    return found
