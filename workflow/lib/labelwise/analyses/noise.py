"""How much of a difference numerics alone could make: what tables and figures mark it by.

The noise of a model, in points of accuracy, is the upper end of the 95 % interval of its flip rate
under the worst variant of the numerics panel that keeps the dtype: an accuracy cannot move by more
than the share of answers that change. A difference between two prompts, orders or batches that is
not larger is no finding. Few images in the panel make the limit wide, never the finding strong.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from labelwise import records

MARK = "≈"
"""Stands behind a difference that does not exceed the noise."""

Noise = Mapping[str, float]
"""Points of accuracy, by model."""


def read(path: str | Path) -> dict[str, float]:
    """The noise of each model of a ``results/numerics`` file; of none without a path."""
    if not path:
        return {}
    return noisiest(records.read_csv(path, ("model", "same_dtype", "high")))


def noisiest(rows: Iterable[Mapping[str, str]]) -> dict[str, float]:
    """The noise of each model by the rows of a ``results/numerics`` file."""
    found: dict[str, float] = {}
    for row in rows:
        if row["same_dtype"] == "1":
            found[row["model"]] = max(found.get(row["model"], 0.0), float(row["high"]))
    return found


def within(difference: float, model: str, noise: Noise) -> bool:
    """Whether a difference in points is not larger than the noise; False where that is unknown."""
    return model in noise and abs(difference) <= noise[model]


def caption(noise: Noise | None, shown: set[str]) -> str:
    """The sentence that explains the mark, or says what was not measured."""
    if not noise:
        return "No numerics panel was given, so no difference is held against its noise."
    known = {model: points for model, points in noise.items() if model in shown}
    if not known:
        return "The numerics panel holds none of these models, so no difference is marked."
    said = ", ".join(f"{points:.1f} points for {model}" for model, points in sorted(known.items()))
    return (
        f"{MARK}: the difference does not exceed what numerics alone may change (the upper 95 %"
        " limit of the answers that flip with tensor batch, prefix, decoding loop or repeat:"
        f" {said}; this is the limit of detection: a smaller effect may be there and is not shown)."
    )
