"""The rules of a label set: what its empty, unsure and equivalent labels mean.

Four options, each the paper's choice by default, none of them silent (every score repeats them):

``void``
    An image without any label is ``correct`` for every answer, even one outside the class list
    (paper, Eq. 2, and the authors' code), ``exclude``-d from every denominator (the original ReaL
    metric), or ``wrong`` for every answer.
``uncertain``
    The mark -1, "an object is there but we are not sure": ``ignore`` drops the mark, so an image
    with nothing else is void (the authors' code); ``void`` makes every image that bears it void.
``sign``
    What the categories count. ``plain``: Table 1 of the paper, on the label set L as it stands:
    S has one label, M several, + holds the original label. ``equivalents``: the authors' released
    code: equivalent labels count once, and + holds the original label or an equivalent of it.
    The option never changes which answers are right.
``equivalents``
    The pairs of classes that stand for each other when an answer is matched, under the original
    labels as well (Eq. 1): ``paper`` (its 12 pairs, ``config/equivalents/paper.csv``), ``none``,
    ``dataset`` (the ``class_update_config.json`` that goes with a ReImageNet label set), or a file:
    a CSV of pairs, or JSON with groups under ``eq_classes``. Pairs are used as given: if a=b and
    b=c are listed and a=c is not, then a and c are not equivalent.
"""

import csv
import itertools
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from labelwise.errors import LabelwiseError
from labelwise.records import read_text

OPTIONS = {
    "void": ("correct", "exclude", "wrong"),
    "uncertain": ("ignore", "void"),
    "sign": ("plain", "equivalents"),
}
PAPER_PAIRS = Path(__file__).resolve().parents[4] / "config" / "equivalents" / "paper.csv"

MAX_CLASSES = 100_000
"""No class id reaches this; a larger number in a file is a mistake."""

Pairs = frozenset[tuple[int, int]]
"""Equivalent classes, each pair once, the smaller id first."""


@dataclass(frozen=True)
class Rules:
    """One choice for each option; see the module's text for what they mean."""

    void: str = "correct"
    uncertain: str = "ignore"
    sign: str = "plain"
    equivalents: str = "paper"

    def __post_init__(self) -> None:
        for key, allowed in OPTIONS.items():
            value = getattr(self, key)
            if value not in allowed:
                raise LabelwiseError(f"{key}: {value!r} is none of {', '.join(allowed)}")

    @classmethod
    def of(cls, spec: Mapping) -> "Rules":
        """The rules among the keys of a ``labels`` entry; a key left out is the paper's choice."""
        return cls(**{key: str(spec[key]) for key in cls.__dataclass_fields__ if key in spec})

    def as_dict(self) -> dict[str, str]:
        """The four options by name."""
        return asdict(self)


def read_pairs(source: str | Path) -> Pairs:
    """The pairs of ``paper``, ``none`` or a file (CSV with two ids a row, or JSON).

    A CSV may have a heading and further columns. JSON is ``class_update_config.json``: groups of
    classes under ``eq_classes``, every two classes of a group being a pair.

    Raises:
        LabelwiseError: no such file, no pairs found in it, an id that is no number, or a class
            paired with itself.
    """
    if source == "none":
        return frozenset()
    path = PAPER_PAIRS if source == "paper" else Path(source)
    if not path.is_file():
        raise LabelwiseError(f"equivalents: {source} is neither paper, none, dataset nor a file")
    text = read_text(path)
    groups = _json_groups(path, text) if path.suffix == ".json" else _csv_groups(path, text)
    pairs = set()
    for where, group in groups:
        if len(set(group)) < 2 or min(group) < 0 or max(group) >= MAX_CLASSES:
            raise LabelwiseError(f"{path}: {where}: {group} is not two or more different class ids")
        pairs |= set(itertools.combinations(sorted(set(group)), 2))
    if not pairs:
        raise LabelwiseError(f"{path}: no pairs in it; write equivalents: none if none are meant")
    return frozenset(pairs)


def _csv_groups(path: Path, text: str) -> list[tuple[str, list[int]]]:
    groups = []
    try:
        rows = list(csv.reader(text.splitlines()))
    except csv.Error as error:
        raise LabelwiseError(f"{path}: not CSV: {error}") from None
    for number, row in enumerate(rows, 1):
        if not row or (number == 1 and not row[0].strip().isdigit()):
            continue
        try:
            groups.append((f"line {number}", [int(row[0]), int(row[1])]))
        except (ValueError, IndexError):
            raise LabelwiseError(
                f"{path}: line {number}: {row} does not start with two ids"
            ) from None
    return groups


def _json_groups(path: Path, text: str) -> list[tuple[str, list[int]]]:
    try:
        groups = json.loads(text)["eq_classes"]
        return [(f"eq_classes {name!r}", [int(i) for i in ids]) for name, ids in groups.items()]
    except json.JSONDecodeError as error:
        raise LabelwiseError(f"{path}: not JSON: {error}") from None
    except RecursionError:
        raise LabelwiseError(f"{path}: JSON nested too deep") from None
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise LabelwiseError(
            f"{path}: no groups of class ids under the key eq_classes (name: [ids])"
        ) from None
