"""Which rows of an experiment's CSV a table or a figure shows (stdlib only).

A run is one score: images x model x protocol x batching x mapper x labels, with all its categories.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from labelwise.errors import LabelwiseError
from labelwise.records import CATEGORIES, CERTAIN, NUMBERS, OUTCOMES, read_csv

TEXTS = (
    "experiment",
    "images",
    "model",
    "model_name",
    "model_kind",
    "protocol",
    "kind",
    "order",
    "batching",
    "mapper",
    "encoder",
    "templates",
    "labels",
    "voids",
    "rules",
    "choice_true",
    "choice_from",
    "answer",
)
COUNTS = ("images_per_prompt", "repeats")
AXES = ("images", "model", "protocol", "batching", "mapper", "labels")
"""What identifies a run."""

COUNTED = tuple(f"n_{outcome}" for outcome in OUTCOMES)
"""How many answers had which outcome."""

MEASURES = ("n", *NUMBERS, *COUNTED)
MODEL_KINDS = {
    "mllm": "Multimodal LLMs",
    "composed": "Composed models",
    "dual-encoder": "Zero-shot scorers",
    "knn": "Nearest neighbours",
    "supervised": "Supervised classifiers",
    "control": "Controls",
}
"""Headings of the groups of models, in the order in which they are shown."""


@dataclass(frozen=True)
class Run:
    """One score of an experiment. ``categories``: category -> column -> number, None if empty."""

    experiment: str
    images: str
    model: str
    model_name: str
    model_kind: str
    protocol: str
    kind: str
    order: str
    batching: str
    mapper: str
    encoder: str
    templates: str
    labels: str
    voids: str
    rules: str
    choice_true: str
    choice_from: str
    answer: str
    images_per_prompt: int
    repeats: int
    categories: Mapping[str, Mapping[str, float | None]]

    @property
    def name(self) -> str:
        """The model's display name; a composed model is always called composed."""
        if self.model_kind == "composed" and "composed" not in self.model_name.lower():
            return f"composed {self.model_name}"
        return self.model_name

    @property
    def task(self) -> str:
        """The paper's name of the task (Table 8): OW, CW, CW+ or MC; ``all`` for all labels.

        CN and CN+ are the same as CW and CW+ with a narrowed list.
        """
        if self.kind in ("closed", "narrowed"):
            listed = "CW" if self.kind == "closed" else "CN"
            return listed if self.mapper == "exact" else f"{listed}+"
        return {"open": "OW", "choice": "MC", "classify": "CW"}.get(self.kind, self.kind)

    @property
    def key(self) -> tuple[str, ...]:
        """The run's axes."""
        return tuple(getattr(self, axis) for axis in AXES)

    @property
    def same_class(self) -> bool:
        """Whether all images of a prompt share their original label."""
        return self.order.startswith("same-class")

    @property
    def templated(self) -> bool:
        """Whether the mapper puts names into prompt templates."""
        return self.templates not in ("", "none")

    @property
    def run(self) -> str:
        """The run as path segments."""
        return f"{self.images}/{self.model}/{self.protocol}/{self.batching}"

    def get(self, category: str, column: str) -> float | None:
        """One number; None where the experiment has an empty cell or no such category."""
        return self.categories.get(category, {}).get(column)

    def n(self, category: str) -> int:
        """Number of images of a category."""
        return int(self.get(category, "n") or 0)


def stand_in(row: Mapping[str, str]) -> Run:
    """The run that a row of an analysis is about; what it does not say is ''.

    Of numbers it has those that the row has: how many answers (``n``) had which outcome.
    """
    texts = {name: row.get(name) or "" for name in TEXTS}
    numbers = {c: _number(row.get(c) or "", f"an analysis: {c}") for c in ("n", *COUNTED)}
    known = {"A": numbers} if row.get(COUNTED[0]) else {}
    return Run(**texts, images_per_prompt=1, repeats=1, categories=known)


def load(path: str | Path) -> list[Run]:
    """Read results/experiments/*.csv; a missing file, column or row is an error that names it."""
    rows = read_csv(path, (*TEXTS, *COUNTS, "category", *MEASURES))
    if not rows:
        raise LabelwiseError(f"{path}: no rows; the experiment ran nothing: give it runs")
    grouped: dict[tuple[str, ...], dict[str, dict[str, float | None]]] = {}
    for number, row in enumerate(rows, 2):
        if row["category"] not in CATEGORIES:
            raise LabelwiseError(f"{path}:{number}: category {row['category']!r} is unknown")
        key = tuple(row[column] for column in (*TEXTS, *COUNTS))
        grouped.setdefault(key, {})[row["category"]] = {
            column: _number(row[column], f"{path}:{number}: {column}") for column in MEASURES
        }
    runs = []
    for key, categories in grouped.items():
        axes: dict[str, Any] = dict(zip((*TEXTS, *COUNTS), key, strict=True))
        axes |= {name: int(float(axes[name] or 1)) for name in COUNTS}
        runs.append(Run(**axes, categories=categories))
    return runs


def by_run(rows: Iterable[Mapping[str, str]]) -> dict[tuple[str, ...], list[Mapping[str, str]]]:
    """Rows of a finer CSV of an experiment, by ``Run.key``."""
    grouped: dict[tuple[str, ...], list[Mapping[str, str]]] = {}
    for row in rows:
        grouped.setdefault(tuple(row[axis] for axis in AXES), []).append(row)
    return grouped


def restricted(run: Run, rows: Iterable[Mapping[str, str]]) -> Run:
    """The run on some of its images: rows with a category and ``MEASURES`` in place of its own."""
    place = f"scores of {'/'.join(run.key)}"
    return replace(
        run,
        categories={
            row["category"]: {column: _number(row[column], place) for column in MEASURES}
            for row in rows
        },
    )


def _number(text: str, place: str) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        raise LabelwiseError(f"{place}: {text!r} is no number") from None


def scored(runs: Iterable[Run]) -> dict[tuple[str, str], list[Run]]:
    """Runs by (images, labels). Models are ordered by kind and then as in the file."""
    grouped: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        grouped.setdefault((run.images, run.labels), []).append(run)
    order = list(MODEL_KINDS)
    return {
        key: sorted(
            group,
            key=lambda run: order.index(run.model_kind) if run.model_kind in order else len(order),
        )
        for key, group in grouped.items()
    }


def differing(runs: Iterable[Run]) -> dict[tuple[str, str], list[Run]]:
    """As ``scored``, of label sets that differ from the original labels somewhere.

    Under the original label set itself every image is in S+.
    """
    return {
        key: group
        for key, group in scored(runs).items()
        if any(run.n("S+") < run.n("A") for run in group)
    }


def corrected(runs: Iterable[Run]) -> dict[tuple[str, str], list[Run]]:
    """The label sets to show: those that differ from the original labels, else all there are."""
    runs = list(runs)
    return differing(runs) or scored(runs)


def usual_batching(runs: Iterable[Run]) -> list[Run]:
    """Of each model and protocol, the runs with the fewest images a prompt, shuffled if any."""
    runs = list(runs)
    best: dict[tuple[str, str], tuple[int, bool, str]] = {}
    for run in runs:
        key, rank = (run.model, run.protocol), _batching_rank(run)
        best[key] = min(best.get(key, rank), rank)
    return [run for run in runs if _batching_rank(run) == best[run.model, run.protocol]]


def _batching_rank(run: Run) -> tuple[int, bool, str]:
    return run.images_per_prompt, run.same_class, run.batching


def closed_batchings(own: Iterable[Run]) -> list[list[Run]]:
    """A model's CW runs by protocol: the fewest images a prompt first, mixed before same class."""
    asked = sorted(
        (run for run in own if run.task == "CW" and run.kind == "closed"), key=_batching_rank
    )
    protocols = dict.fromkeys(run.protocol for run in asked)
    return [[run for run in asked if run.protocol == protocol] for protocol in protocols]


def by_model(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """Runs of each model, in the order given."""
    grouped: dict[str, list[Run]] = {}
    for run in runs:
        grouped.setdefault(run.model, []).append(run)
    return grouped


def representative(runs: Iterable[Run]) -> Run | None:
    """The run that stands for one model in comparisons, or None where it answered no such task.

    As in the paper (Table 4): of its CW+ and OW runs (CW where nothing maps answers) the one with
    the highest accuracy under the corrected labels, which is a choice made on the test images.
    """
    tasks = ("CW", "CW+", "CN", "CN+", "OW")
    candidates = [run for run in usual_batching(runs) if run.task in tasks]
    mapped = [run for run in candidates if run.mapper not in ("exact", "argmax")]
    return max(mapped or candidates, key=accuracy, default=None)


def standing(runs: Iterable[Run]) -> list[Run]:
    """Of every model the runs whose answers are looked at singly, in all batchings.

    Exact matching and classifiers as they are; of the mapped runs those with the mapper that stands
    for the model (``representative``). Only closed (or narrowed) and open world, names that are
    certain to be listed (``records.CERTAIN``), and classification.
    """
    kept = []
    for own in by_model(runs).values():
        best = representative(own)
        mappers = {"exact", "argmax"} | ({best.mapper} if best else set())
        tasks = ("CW", "CW+", "CN", "CN+", "OW", *CERTAIN)
        kept += [run for run in own if run.task in tasks and run.mapper in mappers]
    return kept


def accuracy(run: Run) -> float:
    """Accuracy over all images under the run's label set, in percent; -1 where there is none."""
    value = run.get("A", "accuracy")
    return -1.0 if value is None else value


def prompted(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """Runs of each model that answers prompts (controls aside), in the order given."""
    return {
        model: own
        for model, own in by_model(runs).items()
        if own[0].model_kind != "control"
        and any(r.kind in ("closed", "narrowed", "open") for r in own)
    }


def closed_and_mapped(own: Iterable[Run]) -> tuple[Run | None, Run | None]:
    """A model's CW run and the CW+ run of the same answers, by the mapper that stands for it.

    A model that was asked no whole list has its CN and CN+ runs instead.
    """
    own = usual_batching(own)
    exact = next((run for task in ("CW", "CN") for run in own if run.task == task), None)
    chosen = representative(own)
    if exact is None or chosen is None:
        return exact, None
    wanted = (exact.protocol, chosen.mapper, f"{exact.task}+")
    return exact, next((r for r in own if (r.protocol, r.mapper, r.task) == wanted), None)


def mapped_right(exact: Run, mapped: Run | None, category: str) -> tuple[float | None, float]:
    """Mean counts: (answers mapped to a right label, answers that could be mapped).

    A is the sum of S and M, since on N images no label can be right; there it is None.
    """
    parts = {"A": ("S", "M"), "N": ()}.get(category, (category,))
    base = sum(
        exact.get(part, f"n_{outcome}") or 0.0
        for part in parts
        for outcome in ("out_of_list", "abstain")
    )
    if mapped is None or not parts:
        return None, base
    return sum(mapped.get(part, "mapped_right") or 0.0 for part in parts), base


def requests(run: Run) -> str:
    """File of the prompts of a run that was asked."""
    return f"results/requests/{run.images}/{run.protocol}/{run.batching}.jsonl"


def responses(run: Run) -> str:
    """File of the answers of a run that was asked."""
    return f"results/responses/{run.run}.jsonl"


def predictions(run: Run) -> str:
    """File of the classes that a run came to."""
    return f"results/predictions/{run.run}/{run.mapper}.csv"
