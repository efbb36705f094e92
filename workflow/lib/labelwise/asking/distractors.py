"""The options of a multiple-choice question: true ones, distractors and their order (paper 1.2).

A scheme is ``true`` x ``distractors``. True options: ``[original]``, ``[corrected]`` or both.
Distractors: ``random``; ``confusions``, a classifier's most frequent confusions of the true
classes; ``nearest``, the names nearest to theirs in a text-embedding space. Rules, each tested:

1. The corrected label that is offered is one that is not the original label where the image has
   such a one (drawn once an image, the same in all repeats); otherwise it is the original label.
2. Two true options take two places and leave n - 2 to the distractors. Where they are one class, or
   two with one name, they merge, and the free place gets a *random* distractor. So on S+
   "original + corrected + random" asks the very questions of "original + random", and
   "original + corrected + confusions" has one random distractor (it is easier, as in Table 19).
3. An image without a corrected label (void) is asked with its original label as the true option.
4. ``confusions`` and ``nearest`` are fixed rankings a class, taken from the top; two true options
   take turns, the original one first. Confusions: by how often the class
   was predicted, then by the probability it was given (those never predicted come last), then by
   class id; with ``by: weight`` by the probability first. Where a ranking is used up, random
   distractors fill the rest.
5. Never a distractor: a true option, its equivalents, anything that bears the name of an option;
   and, with ``exclude_corrected`` (the default), every corrected label and its equivalents.
6. Random distractors and the order of options are drawn anew in each repeat, keyed by (seed,
   purpose, image, repeat). An option's sort key does not depend on the others: schemes share their
   orders.
"""

import string
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any

from labelwise import draw, records
from labelwise.classnames import normal
from labelwise.errors import LabelwiseError, brief

if TYPE_CHECKING:
    import numpy as np

Ranking = Callable[[int], Sequence[int]]
"""Class id -> ids of hard distractors, hardest first."""


def no_ranking(_: int) -> Sequence[int]:
    """The ranking of ``from: random``: none, so random distractors fill every place."""
    return ()


@dataclass(frozen=True)
class Scheme:
    """How the options of every question of a protocol are made.

    Args:
        names: class names by id.
        true: ("original",), ("corrected",) or ("original", "corrected").
        n: options a question.
        seed: of every draw.
        ranking: hard distractors of a class.
        equivalents: class id -> ids of its equivalents.
        exclude_corrected: rule 5.
    """

    names: Sequence[str]
    true: tuple[str, ...] = ("original",)
    n: int = 4
    seed: int = 0
    ranking: Ranking = no_ranking
    equivalents: Mapping[int, Iterable[int]] = field(default_factory=dict)
    exclude_corrected: bool = True

    def __post_init__(self):
        if self.true not in (("original",), ("corrected",), ("original", "corrected")):
            raise LabelwiseError(
                "protocols: true must be [original], [corrected] or [original, corrected]"
            )
        if not 2 <= self.n <= len(string.ascii_uppercase):
            raise LabelwiseError(f"protocols: options must be 2..26, not {self.n}")
        if self.n <= len(self.true):
            raise LabelwiseError("protocols: options must leave room for a distractor; raise it")

    def options(
        self, image: str, original: int, corrected: Sequence[int], repeat: int = 0
    ) -> list[dict]:
        """The options of one question, in order: letter, class, name and role.

        Args:
            image: image id, a key of the draws.
            original: the original label.
            corrected: corrected labels; empty for a void image or where none are known.
            repeat: number of the repeat.

        Raises:
            LabelwiseError: there are fewer allowed classes than places.
        """
        self._check(f"image {image}: label", (original, *corrected))
        true = self._true(image, original, corrected)
        chosen = list(true)
        names = {normal(self.names[c]) for c in chosen}
        banned = self._with_equivalents(chosen)
        if self.exclude_corrected:
            banned |= self._with_equivalents(corrected)

        def take(candidates: Iterable[int], places: int) -> None:
            for c in candidates:
                if places <= 0:
                    return
                self._check("a hard distractor,", (c,))
                if c not in banned and normal(self.names[c]) not in names:
                    banned.add(c)
                    names.add(normal(self.names[c]))
                    chosen.append(c)
                    places -= 1

        rankings = zip_longest(*map(self.ranking, true))
        hard = (c for c in chain.from_iterable(rankings) if c is not None)
        take(hard, self.n - len(self.true))
        rng = draw.rng(self.seed, "random distractors", image, repeat)
        take(map(int, rng.permutation(len(self.names))), self.n - len(chosen))
        if len(chosen) < self.n:
            raise LabelwiseError(
                f"image {image}: only {len(chosen)} of {self.n} options can be made from"
                f" {len(self.names)} classes; lower the protocol's options"
            )
        roles = dict.fromkeys(chosen, "distractor") | {
            c: self._role(c, original, corrected) for c in true
        }
        order = sorted(chosen, key=lambda c: draw.key(self.seed, "option order", image, repeat, c))
        return [
            {"letter": letter, "class": c, "name": self.names[c], "role": roles[c]}
            for letter, c in zip(string.ascii_uppercase, order, strict=False)
        ]

    def _check(self, what: str, classes: Iterable[int]) -> None:
        for c in classes:
            if not 0 <= c < len(self.names):
                raise LabelwiseError(
                    f"{what} {c} is not among the {len(self.names)} classes of the protocol;"
                    " give it the class names that the labels and distractors are of"
                )

    def _true(self, image: str, original: int, corrected: Sequence[int]) -> list[int]:
        """One class per true option, merged (rules 1 to 3)."""
        same = {c for c in corrected if self._same_name(c, original)}
        others = sorted(set(corrected) - same) or sorted(same)
        if others and original not in others:
            rng = draw.rng(self.seed, "corrected label", image)
            other = others[int(rng.integers(len(others)))]
        else:
            other = original
        classes = {"original": original, "corrected": other}
        merged: dict[str, int] = {}
        for kind in self.true:
            merged.setdefault(normal(self.names[classes[kind]]), classes[kind])
        return list(merged.values())

    def _role(self, c: int, original: int, corrected: Sequence[int]) -> str:
        if c != original:
            return "corrected"
        return "both" if any(self._same_name(c, other) for other in corrected) else "original"

    def _same_name(self, a: int, b: int) -> bool:
        return normal(self.names[a]) == normal(self.names[b])

    def _with_equivalents(self, classes: Iterable[int]) -> set[int]:
        classes = set(classes)
        return classes.union(*(self.equivalents.get(c, ()) for c in classes))


def confusions(rows: Iterable[Mapping[str, Any]], by: str = "count") -> Ranking:
    """Ranking from the rows of a confusions file (``read_confusions``).

    Args:
        rows: labelled, predicted, count, weight.
        by: what ranks first, ``count`` (hard) or ``weight`` (soft); the other breaks its ties.
    """
    other = {"count": "weight", "weight": "count"}[by]
    found = defaultdict(list)
    for row in rows:
        labelled, predicted = int(row["labelled"]), int(row["predicted"])
        if labelled != predicted and float(row["weight"]) > 0:
            found[labelled].append((-float(row[by]), -float(row[other]), predicted))
    ranked = {c: [predicted for *_, predicted in sorted(entries)] for c, entries in found.items()}
    return lambda c: ranked.get(c, ())


def read_confusions(path: str) -> list[dict[str, Any]]:
    """Rows labelled, predicted, count and weight of a confusions file, ours or a published one.

    A CSV with the columns labelled, predicted and count (class ids and a number; without a column
    weight the count is the weight), or a ``.npy`` matrix [classes, classes] of numbers, a row a
    labelled class.

    Raises:
        LabelwiseError: it is neither, or a cell is no number.
    """
    if path.endswith(".npy"):
        import numpy as np

        try:
            matrix = np.load(path, allow_pickle=False)
        except Exception as error:  # a broken header raises anything
            raise LabelwiseError(f"{path}: no confusion matrix: {brief(error)}") from None
        if not isinstance(matrix, np.ndarray) or matrix.dtype.kind not in "iuf":
            raise LabelwiseError(f"{path}: no array of numbers")
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            raise LabelwiseError(f"{path}: shape {matrix.shape}, not [classes, classes]")
        cells = zip(*np.nonzero(matrix), matrix[matrix != 0], strict=True)
        names = ("labelled", "predicted", "count", "weight")
        return [dict(zip(names, (i, j, n, n), strict=True)) for i, j, n in cells]
    rows = []
    for number, row in records.csv_lines(path, ("labelled", "predicted", "count")):
        row.setdefault("weight", row["count"])
        try:
            int(row["labelled"]), int(row["predicted"]), float(row["count"]), float(row["weight"])
        except (TypeError, ValueError):
            raise LabelwiseError(
                f"{path}: line {number}: labelled and predicted must be class ids, count and weight"
                " numbers"
            ) from None
        rows.append(row)
    return rows


def nearest(embeddings: "np.ndarray") -> Ranking:
    """Ranking by cosine between class-name embeddings [classes, d], L2-normalised; ties by id."""
    import numpy as np

    order: dict[int, list[int]] = {}

    def ranking(c: int) -> list[int]:
        if c not in order:
            cosines = np.round(embeddings @ embeddings[c], 6)
            order[c] = [int(i) for i in np.argsort(-cosines, kind="stable") if i != c]
        return order[c]

    return ranking
