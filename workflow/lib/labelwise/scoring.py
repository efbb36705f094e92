"""Scoring: which answers are right, in which category, and how surely. Pure numpy.

``python -m labelwise.scoring PREDICTIONS LABELS...`` scores predictions made elsewhere; see
``labelwise.reading.foreign`` for what it reads. The stage of the workflow is ``labelwise.score``.

An answer is right under a label set when any class that it names is among the labels of the image,
or is equivalent to one of them (paper, section 3, Eq. 1 and 2). The original labels are matched in
the same way. What empty and unsure labels mean is said by the label set's rules
(``labelwise.data.rules``); an image without an original label is never right under the original
labels.

Categories (paper, Table 1): A all; N void; S one label and M several, each with + (an original
label among them) or - (none). ``sign`` chooses whether equivalent labels count as one there.

Every percentage is over the images that were asked: those of the image set that have a label row,
an original label row where original labels are given, and an answer in every repeat; with
``void: exclude`` not the void ones. All others are counted in ``left_out``, each under the first
reason that applies.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from labelwise.data.rules import Pairs, Rules
from labelwise.evaluation.statistics import LEVEL, newcombe, student, wilson
from labelwise.labels import Label, Labels
from labelwise.records import CATEGORIES, OUTCOMES

OUTCOME = {name: code for code, name in enumerate(OUTCOMES)}
OUT_OF_PROMPT = [OUTCOME[o] for o in OUTCOMES if o not in ("ok", "image_error")]
MAPPABLE = [OUTCOME["out_of_list"], OUTCOME["abstain"]]


class Answer(NamedTuple):
    """What one prompt said of one image: class ids, an outcome, and whether an encoder chose."""

    classes: tuple[int, ...]
    outcome: str = "ok"
    mapped: bool = False


Run = Mapping[str, Answer]
"""The answers of one repeat, by image id."""

UNASKED = Answer(())


class Admitted(NamedTuple):
    """The classes that are right for each image.

    ``codes`` holds ``image * n_classes + class`` of each, sorted; ``n_classes`` bounds the ids.
    """

    codes: np.ndarray
    n_classes: int


def admissible(labels: Sequence[Sequence[int]], pairs: Pairs, n_classes: int) -> Admitted:
    """Which classes are right for each image: its labels and what is paired with them (Eq. 1).

    Args:
        labels: class ids of each image.
        pairs: equivalent classes.
        n_classes: an upper bound of all ids.
    """
    rows, ids = _flat(labels)
    right = [rows * n_classes + ids]
    for pair in pairs:
        for one, other in (pair, pair[::-1]):
            right.append(rows[ids == one] * n_classes + other)
    return Admitted(np.unique(np.concatenate(right)), n_classes)


def hits(admitted: Admitted, answers: Sequence[Sequence[int]]) -> np.ndarray:
    """Whether any class of each answer is admitted; ids that no label has are simply wrong.

    Args:
        admitted: what ``admissible`` returns.
        answers: class ids, one entry an image.

    Returns:
        bool, shape (images,).
    """
    rows, ids = _flat(answers)
    known = (ids >= 0) & (ids < admitted.n_classes)
    rows, ids = rows[known], ids[known]
    right = np.zeros(len(answers), dtype=bool)
    right[rows[np.isin(rows * admitted.n_classes + ids, admitted.codes)]] = True
    return right


def _flat(lists: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    sizes = np.fromiter(map(len, lists), dtype=np.int64, count=len(lists))
    try:
        ids = np.fromiter(chain.from_iterable(lists), dtype=np.int64, count=int(sizes.sum()))
    except OverflowError:
        ids = np.array([i if abs(i) < 2**62 else -1 for ids in lists for i in ids], dtype=np.int64)
    return np.repeat(np.arange(len(lists)), sizes), ids


def distinct(ids: Sequence[int], pairs: Pairs) -> int:
    """Number of labels when equivalent ones count once: take one, strike its equivalents, go on."""
    left, count = list(ids), 0
    while left:
        taken = left.pop(0)
        left = [i for i in left if (min(i, taken), max(i, taken)) not in pairs]
        count += 1
    return count


class Key:
    """The answer key: for each image that can be asked, what is right and in which category.

    Attributes:
        images: their ids, in the order of every array.
        single: int, shape (images,): the label of an image that has exactly one, else -1.
        void: bool, shape (images,).
        members: category -> bool, shape (images,); without original labels only A, S, M and N.
        clusters: the class each image counts to when whole classes are resampled: its original
            labels, or its labels where there are no original ones.
        left_out: reason -> number of images of the set that cannot be asked.
    """

    def __init__(
        self,
        labels: Labels,
        original: Labels | None,
        rules: Rules,
        pairs: Pairs,
        images: Iterable[str] | None = None,
    ) -> None:
        """Prepare a key.

        Args:
            labels: the label set.
            original: the original labels; None where there are none.
            rules: the rules of the label set.
            pairs: its equivalent classes.
            images: the image set; None takes all images that have a label row.
        """
        self.rules = rules
        self.left_out: Counter[str] = Counter()
        self.known: set[str] = set()
        self.images: list[str] = []
        found: list[Label] = []
        for image in labels if images is None else images:
            self.known.add(image)
            label = labels.get(image)
            if label is None:
                self.left_out["no_label"] += 1
            elif original is not None and image not in original:
                self.left_out["no_original"] += 1
            elif rules.void == "exclude" and label.void(rules.uncertain):
                self.left_out["void"] += 1
            else:
                self.images.append(image)
                found.append(label)
        sets = [label.ids for label in found]
        self.void = np.array([label.void(rules.uncertain) for label in found], dtype=bool)
        self.single = np.array([ids[0] if len(ids) == 1 else -1 for ids in sets], dtype=np.int64)
        self.single[self.void] = -1
        first = [original[image].ids for image in self.images] if original is not None else None
        self.clusters = [" ".join(map(str, ids)) for ids in (sets if first is None else first)]
        self._n = 1 + max(chain.from_iterable([*sets, *(first or ()), *pairs]), default=0)
        self._right = admissible(sets, pairs, self._n)
        self._original = None if first is None else admissible(first, pairs, self._n)
        self.members = self._members(sets, first, pairs)

    def _members(
        self, sets: list[tuple[int, ...]], first: list | None, pairs: Pairs
    ) -> dict[str, np.ndarray]:
        collapse = self.rules.sign == "equivalents"
        paired = set(chain.from_iterable(pairs)) if collapse else set()
        counts = [
            distinct(ids, pairs) if len(ids) > 1 and not paired.isdisjoint(ids) else len(ids)
            for ids in sets
        ]
        sizes = np.where(self.void, 0, np.array(counts, dtype=int))
        members = {"A": np.ones(len(sets), dtype=bool), "S": sizes == 1, "M": sizes > 1}
        members["N"] = self.void
        if first is not None:
            known = admissible(first, pairs if collapse else frozenset(), self._n)
            agrees = hits(known, sets)
            for name in "SM":
                members[name + "+"], members[name + "-"] = (
                    members[name] & agrees,
                    members[name] & ~agrees,
                )
        return {name: members[name] for name in CATEGORIES if name in members}

    def judge(self, runs: Sequence[Run]) -> "Judged":
        """Hold the answers of the repeats against the key."""
        answered = set(runs[0]).intersection(*runs[1:])
        asked = np.array([image in answered for image in self.images], dtype=bool)
        left_out = Counter(self.left_out)
        if not asked.all():
            left_out["no_prediction"] = int((~asked).sum())
        unknown = set().union(*runs) - self.known
        if unknown:
            left_out["unknown_image"] = len(unknown)
        answers = [[run.get(image, UNASKED) for image in self.images] for run in runs]
        fields = [zip(*run, strict=True) if run else ((), (), ()) for run in answers]
        classes, outcomes, mapped = zip(*fields, strict=True)
        right = np.array([hits(self._right, run) for run in classes])
        right[:, self.void] = self.rules.void == "correct"
        original = None
        if self._original is not None:
            original = np.array([hits(self._original, run) for run in classes])[:, asked]
        return Judged(
            [image for image, a in zip(self.images, asked, strict=True) if a],
            self.single[asked],
            right[:, asked],
            original,
            np.array([[OUTCOME[o] for o in run] for run in outcomes], dtype=np.int8)[:, asked],
            np.array(mapped, dtype=bool)[:, asked],
            self.void[asked],
            {name: mask[asked] for name, mask in self.members.items()},
            dict(sorted(left_out.items())),
        )


class Judged(NamedTuple):
    """Answers held against a key: R repeats on the n images that were asked.

    Attributes:
        images: ids, length n.
        single: int, shape (n,): the label of an image that has exactly one, else -1.
        right: bool, shape (R, n), under the label set and its void rule.
        original: bool, shape (R, n), under the original labels; None without them.
        outcomes: codes of ``OUTCOMES``, shape (R, n).
        mapped: bool, shape (R, n): a text encoder chose the class.
        void: bool, shape (n,).
        members: category -> bool, shape (n,).
        left_out: reason -> number of images.
    """

    images: list[str]
    single: np.ndarray
    right: np.ndarray
    original: np.ndarray | None
    outcomes: np.ndarray
    mapped: np.ndarray
    void: np.ndarray
    members: dict[str, np.ndarray]
    left_out: dict[str, int]

    def summary(self) -> dict[str, Any]:
        """Accuracy, intervals and outcomes of every category; all rates in percent.

        95 % intervals: Wilson for one run, Student t over repeats, cut at 0 and 100 %. The gain
        over the original labels is paired: Newcombe's interval for one run, Student t over the
        gains of the repeats.
        """
        return {
            "repeats": len(self.right),
            "level": LEVEL,
            "interval": "wilson" if len(self.right) == 1 else "student-t",
            "categories": {name: self._category(m) for name, m in self.members.items()},
            "recall": self.recall(),
            "left_out": self.left_out,
        }

    def counts(self, repeats: Sequence[int] | None = None) -> dict[str, int | float]:
        """``n_ok`` and so on: answers by outcome over all images, mean over some or all repeats."""
        chosen = self.outcomes if repeats is None else self.outcomes[list(repeats)]
        codes = np.bincount(chosen.ravel(), minlength=len(OUTCOMES)) / len(chosen)
        return {f"n_{outcome}": _number(codes[i]) for i, outcome in enumerate(OUTCOMES)}

    def recall(self) -> dict[str, list]:
        """Class -> [images with exactly that one label, mean number of them that are right]."""
        one = self.single >= 0
        counts = np.bincount(self.single[one])
        right = np.bincount(self.single[one], weights=self.right[:, one].sum(axis=0))
        mean = right / len(self.right)
        return {str(c): [int(counts[c]), _number(mean[c])] for c in np.flatnonzero(counts)}

    def _category(self, member: np.ndarray) -> dict[str, Any]:
        n = int(member.sum())
        right, outcomes = self.right[:, member], self.outcomes[:, member]
        repeats = len(right)
        oop = np.isin(outcomes, OUT_OF_PROMPT)
        mapped = right & self.mapped[:, member] & np.isin(outcomes, MAPPABLE)
        codes = np.bincount(outcomes.ravel(), minlength=len(OUTCOMES)) / repeats
        row = {
            "n": n,
            "correct": _number(right.sum() / repeats),
            "accuracy": _percent(right.sum() / repeats, n),
            **_ends("", _interval(right)),
        }
        if self.original is not None:
            first, void = self.original[:, member], self.void[member]
            difference = right.astype(int) - first
            row |= {
                "original": _percent(first.sum() / repeats, n),
                **_ends("original_", _interval(first)),
                "both": _percent((right & first).sum() / repeats, n),
                **_ends("both_", _interval(right & first)),
                "gain": _percent(difference.sum() / repeats, n),
                **_ends("gain_", _gain_interval(right, first)),
                "gain_void": _percent(difference[:, void].sum() / repeats, n),
            }
        return row | {
            "outcomes": {o: _number(codes[i]) for i, o in enumerate(OUTCOMES) if codes[i]},
            "oop": _percent(oop.sum() / repeats, n),
            **_ends("oop_", _interval(oop)),
            "mapped_right": _number(mapped.sum() / repeats),
        }


def _number(value: float) -> int | float:
    """A count or a mean of counts; whole ones as int."""
    return int(value) if value == int(value) else float(value)


def _percent(part: float, n: int) -> float | None:
    return float(100 * part / n) if n else None


def _ends(prefix: str, interval: tuple[float, float] | None) -> dict[str, float | None]:
    low, high = (None, None) if interval is None else (100 * interval[0], 100 * interval[1])
    return {f"{prefix}low": low, f"{prefix}high": high}


def _interval(right: np.ndarray) -> tuple[float, float] | None:
    if right.shape[1] == 0:
        return None
    if len(right) == 1:
        return wilson(int(right.sum()), right.shape[1])
    low, high = student(right.mean(axis=1))
    return max(low, 0.0), min(high, 1.0)


def _gain_interval(right: np.ndarray, first: np.ndarray) -> tuple[float, float] | None:
    if right.shape[1] == 0:
        return None
    if len(right) == 1:
        both, only_right = int((right & first).sum()), int((right & ~first).sum())
        only_first, neither = int((~right & first).sum()), int((~right & ~first).sum())
        return newcombe(both, only_right, only_first, neither)
    return student(right.mean(axis=1) - first.mean(axis=1))


if __name__ == "__main__":
    from labelwise.evaluation.score_foreign import main

    main()
