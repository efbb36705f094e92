"""A tally as tables and figures show it (stdlib only)."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from labelwise.errors import LabelwiseError
from labelwise.records import CATEGORIES, read_csv

TEXTS = ("annotation", "annotator", "annotator_kind", "category", "measure", "source", "unit")
NUMBERS = ("count", "n", "value", "low", "high")
SETTLED = "settled"

VERDICTS = {
    "preferred": "model preferred, old labels wrong",
    "combined": "model combined with old labels",
    "kept": "old labels kept, model not added",
    "other": "other change, neither in the new",
}
"""What a decision makes of a model's disagreement (paper, Figure 7), in the order of the paper."""


@dataclass(frozen=True)
class Count:
    """One row of a tally; numbers that a row lacks are None."""

    annotation: str
    annotator: str
    annotator_kind: str
    category: str
    measure: str
    source: str
    unit: str
    count: float | None
    n: float | None
    value: float | None
    low: float | None
    high: float | None


def load(path: str | Path) -> list[Count]:
    """The rows of results/annotation/*/tally.csv.

    Raises:
        LabelwiseError: no such file, no rows, or a cell that is no number.
    """
    rows = read_csv(path, (*TEXTS, *NUMBERS))
    if not rows:
        raise LabelwiseError(f"{path}: no rows; the tally counted nothing")
    try:
        return [
            Count(*(r[t] for t in TEXTS), *(float(r[k]) if r[k] else None for k in NUMBERS))
            for r in rows
        ]
    except ValueError as error:
        raise LabelwiseError(f"{path}: {error}") from None


def find(counts: Iterable[Count], **wanted: str) -> Count | None:
    """The first row whose columns have these values."""
    return next((c for c in counts if all(getattr(c, k) == v for k, v in wanted.items())), None)


def categories(counts: Iterable[Count]) -> list[str]:
    """The categories of the decisions that stand, in the order of the paper, all (A) last."""
    found = {c.category for c in counts if c.annotator == SETTLED}
    return [c for c in CATEGORIES[1:] if c in found] + ["A"] * ("A" in found)


def deciders(counts: Iterable[Count]) -> str:
    """Who decided, each with what they are, as text; says so where no person did."""
    found = {
        c.annotator: c.annotator_kind
        for c in counts
        if c.annotator != SETTLED and " & " not in c.annotator
    }
    who = ", ".join(f"{name} ({kind})" for name, kind in found.items())
    return who if "person" in found.values() else f"{who}; no person"
