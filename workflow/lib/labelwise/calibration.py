"""Reading results/calibration/*.csv for figures and tables (stdlib only)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from labelwise.records import read_csv
from labelwise.selection import MODEL_KINDS

HEAD = ("experiment", "images", "model", "model_name", "model_kind", "protocol", "kind", "mapper")
COLUMNS = (*HEAD, "labels", "rules", "measure", "at", "value", "low", "high", "n")


@dataclass(frozen=True)
class Number:
    """One number: where on the axis it stands, itself, its interval, and images under it."""

    at: float | None
    value: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Calibrated:
    """One run under one label set; ``series``: measure -> its numbers in order."""

    experiment: str
    images: str
    model: str
    model_name: str
    model_kind: str
    protocol: str
    kind: str
    mapper: str
    labels: str
    rules: str
    series: dict[str, list[Number]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The model, and the protocol of one that is prompted."""
        return self.model_name if self.kind == "classify" else f"{self.model_name}, {self.protocol}"

    def one(self, measure: str) -> Number:
        """The only number of a measure."""
        return self.series[measure][0]


def load(path: str | Path) -> list[Calibrated]:
    """The runs of a file, by kind of model and then as in the file; none if none has any."""
    runs: dict[tuple[str, ...], Calibrated] = {}
    for row in read_csv(path, COLUMNS):
        key = tuple(row[name] for name in (*HEAD, "labels", "rules"))
        run = runs.setdefault(key, Calibrated(*key))
        at, value, low, high = (_number(row, name) for name in ("at", "value", "low", "high"))
        run.series.setdefault(row["measure"], []).append(
            Number(at, value or 0.0, low, high, int(row["n"]))
        )
    order = list(MODEL_KINDS)
    return sorted(runs.values(), key=lambda r: order.index(r.model_kind))


def _number(row: Mapping[str, str], name: str) -> float | None:
    return float(row[name]) if row[name] else None


def corrected(runs: Iterable[Calibrated]) -> dict[tuple[str, str], list[Calibrated]]:
    """Runs by (images, labels)."""
    grouped: dict[tuple[str, str], list[Calibrated]] = {}
    for run in runs:
        grouped.setdefault((run.images, run.labels), []).append(run)
    return grouped
