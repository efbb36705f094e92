"""Do the labels change who is best? Ranks and gains with the uncertainty of the images.

``python -m labelwise.analyses.ranks results/experiments/NAME.csv --spec JSON --out CSV`` takes the
run that stands for each model (``selection.representative``, controls aside) and resamples the
images, all models and label sets together, so that every comparison is paired. Rows of the output,
one number each (``measure``; percent, points or ranks; 95 % percentile intervals):

- ``accuracy``, ``rank`` (1 and the number of better models) and ``p_best`` (percent of the
  resamples in which the model is best; ties share) under each label set;
- ``move``: ranks lost (+) or won (-) from the original labels to this label set;
- ``gain`` over the original labels, on all images; ``gain_labelled``, on the images that have a
  label, so that images that count as right for every answer add nothing; ``gain_void``, the rest;
- ``ceiling`` and ``ceiling_labelled``, of label sets with ``passes``: how right one annotator's
  label is by another annotator's labels (``annotator``: A by B), or by the adjudicated ones. No
  model can be told apart above what annotators agree on. An annotator with several labels counts
  by the share of them that are right; one without, on an image that has labels, is wrong.

Only images that every model answered and every label set labels are used.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labelwise import labels, records, score
from labelwise.data.rules import Rules
from labelwise.errors import LabelwiseError, cli
from labelwise.evaluation import selection, statistics
from labelwise.scoring import Answer, Key

COLUMNS = (
    "experiment",
    "images",
    "labels",
    "model",
    "model_name",
    "model_kind",
    "protocol",
    "mapper",
    "annotator",
    "measure",
    "unit",
    "value",
    "low",
    "high",
    "n",
    *selection.COUNTED,
    "rules",
)
REPLICATES = 10_000


def ranked(accuracy: np.ndarray) -> np.ndarray:
    """Ranks of accuracies [..., models], float: 1 and the number of larger values.

    Ties share the best rank among them.
    """
    from scipy.stats import rankdata

    return rankdata(-accuracy, method="min", axis=-1)


def best(accuracy: np.ndarray) -> np.ndarray:
    """How often each column is the largest of its row, float [columns], ties shared; sums to 1."""
    top = accuracy >= accuracy.max(axis=1, keepdims=True)
    return (top / top.sum(axis=1, keepdims=True)).mean(axis=0)


def interval(drawn: np.ndarray) -> dict[str, float]:
    """The 95 % percentile interval of one statistic's replicates [replicates]: low and high."""
    low, high = statistics.percentile(drawn)
    return {"low": float(low), "high": float(high)}


def compare(right: np.ndarray, original: np.ndarray, void: np.ndarray, seed: int = 0) -> list[dict]:
    """Numbers of each model under one label set, beside those under the original labels.

    Args:
        right: bool [images, models] under the label set.
        original: the same under the original labels.
        void: bool [images]: no label in the label set.
        seed: of the resamples.

    Returns:
        One dict a model: measure -> value, low and high.
    """
    n = right.shape[1]
    labelled = ~void
    columns = np.concatenate(
        [
            right,
            original,
            right & labelled[:, None],
            original & labelled[:, None],
            labelled[:, None],
        ],
        axis=1,
    )
    point = columns.mean(axis=0)
    drawn = statistics.bootstrap(columns, REPLICATES, seed)
    ours, theirs = ranked(drawn[:, :n]), ranked(drawn[:, n : 2 * n])
    rank, rank_original = ranked(point[:n]), ranked(point[n : 2 * n])
    p_best = best(drawn[:, :n])

    def gains(means: np.ndarray, i: int) -> tuple[Any, Any, Any]:
        """Gain on all images, its part from labelled ones, the rate among these; points [...]."""
        whole = means[..., i] - means[..., n + i]
        part = means[..., 2 * n + i] - means[..., 3 * n + i]
        return 100 * whole, 100 * part, 100 * part / np.maximum(means[..., -1], 1e-12)

    found = []
    for i in range(n):
        whole, part, rate = gains(point, i)
        whole_drawn, part_drawn, rate_drawn = gains(drawn, i)
        numbers = {
            "accuracy": (100 * point[i], 100 * drawn[:, i]),
            "rank": (rank[i], ours[:, i]),
            "move": (rank[i] - rank_original[i], ours[:, i] - theirs[:, i]),
            "gain": (whole, whole_drawn),
            "gain_labelled": (rate, rate_drawn),
            "gain_void": (whole - part, whole_drawn - part_drawn),
        }
        own: dict[str, dict[str, Any]] = {
            name: {"value": float(v), **interval(d)} for name, (v, d) in numbers.items()
        }
        own["p_best"] = {"value": float(100 * p_best[i]), "low": None, "high": None}
        found.append(own)
    return found


UNITS = {
    "accuracy": "percent",
    "p_best": "percent",
    "rank": "rank",
    "move": "rank",
    "gain": "points",
    "gain_labelled": "points",
    "gain_void": "points",
    "ceiling": "percent",
    "ceiling_labelled": "percent",
}


def agreement(said: labels.Labels, key: Key) -> np.ndarray:
    """How right an annotator is by a key: float [images of the key], the share of right labels.

    An annotator who names several classes is held to each of them.
    """
    found = np.zeros(len(key.images))
    most = max((len(said[i].ids) for i in key.images if i in said), default=0)
    counts = np.array([len(said[i].ids) if i in said else 0 for i in key.images])
    for place in range(most):
        answers = {
            image: Answer(said[image].ids[place : place + 1] if image in said else ())
            for image in key.images
        }
        judged = key.judge([answers])
        found += np.where(counts > place, judged.right[0], False)
    void_right = key.void & (key.rules.void == "correct")
    return np.where(void_right, 1.0, found / np.maximum(counts, 1))


class Study:
    """The label files of an experiment, read once.

    Args:
        spec: ``labels``: name -> entry; ``original``: image set -> label set.
    """

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self.spec = spec
        self.read: dict[str, labels.Labels] = {}

    def labels(self, name: str) -> labels.Labels:
        """One canonical label set."""
        if name not in self.read:
            self.read[name] = labels.read(f"results/labels/{name}.csv")
        return self.read[name]

    def key(self, name: str, images: str, of: str | None = None) -> Key:
        """The answer key of a label set on an image set, by the rules of ``of`` (itself)."""
        entry = self.spec["labels"][of or name]
        rows = records.read_csv(f"results/images/{images}.csv", ("image",))
        original = self.labels(self.spec["original"][images])
        pairs = labels.pairs_of(entry)
        return Key(
            self.labels(name), original, Rules.of(entry), pairs, [row["image"] for row in rows]
        )

    def passes(self, name: str) -> list[str]:
        """The label sets of single annotators from which a label set was adjudicated."""
        return self.spec["labels"][name].get("passes", [])


def chosen(runs: Sequence[selection.Run]) -> dict[str, list[selection.Run]]:
    """The run that stands for each model, by image set; chosen under the corrected labels."""
    found: dict[str, dict[str, selection.Run]] = {}
    sets = selection.corrected(runs)
    for (images, _), group in sets.items():
        for model, own in selection.by_model(group).items():
            run = selection.representative(own)
            if run is not None and run.model_kind != "control":
                found.setdefault(images, {}).setdefault(model, run)
    return {images: list(of_model.values()) for images, of_model in found.items()}


def rows(runs: Sequence[selection.Run], study: Study) -> list[dict[str, Any]]:
    """Rows of the output (``COLUMNS``); the module says what each measure is, and in what unit.

    Raises:
        LabelwiseError: no image is labelled in every set and answered by every model.
    """
    made = []
    for images, models in chosen(runs).items():
        names = sorted({run.labels for run in runs if run.images == images})
        original = study.spec["original"][images]
        answers = [score.read_predictions(selection.predictions(run))[0] for run in models]
        keys = {name: study.key(name, images) for name in names}
        common = set.intersection(*(set(key.images) for key in keys.values()), *map(set, answers))
        if not common:
            raise LabelwiseError(f"images {images}: no image that all models answered is labelled")
        rules = {run.labels: run.rules for run in runs if run.images == images}
        for name in names:
            judged = [keys[name].judge([{i: own[i] for i in common}]) for own in answers]
            found = compare(
                np.stack([j.right[0] for j in judged], axis=1),
                np.stack([j.original[0] for j in judged if j.original is not None], axis=1),
                judged[0].void,
            )
            head: dict[str, Any] = {
                "experiment": runs[0].experiment,
                "images": images,
                "labels": name,
            }
            head |= {"n": len(judged[0].images), "rules": rules[name]}
            for run, numbers, one in zip(models, found, judged, strict=True):
                about = {"model": run.model, "model_name": run.name, "model_kind": run.model_kind}
                about |= {"protocol": run.protocol, "mapper": run.mapper}
                for measure, number in numbers.items():
                    if name == original and measure in ("move", "gain", "gain_labelled"):
                        continue
                    if name == original and measure == "gain_void":
                        continue
                    counts = one.counts() if measure == "accuracy" else {}
                    made.append({**head, **about, "measure": measure, **number, **counts})
            made += ceilings(study, name, images, head)
    for row in made:
        row["unit"] = UNITS[row["measure"]]
    return made


def ceilings(study: Study, name: str, images: str, head: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows ``ceiling`` and ``ceiling_labelled`` of a label set with ``passes``."""
    made = []
    passes = study.passes(name)
    for first in passes:
        for second in (*(p for p in passes if p != first), name):
            key = study.key(second, images, of=name)
            right = agreement(study.labels(first), key)
            for measure, kept in (
                ("ceiling", np.ones(len(right), bool)),
                ("ceiling_labelled", ~key.void),
            ):
                values = right[kept]
                drawn = statistics.clustered(values[:, None], range(len(values)), REPLICATES)[:, 0]
                number = {"value": 100 * float(values.mean()), **interval(100 * drawn)}
                about = {"annotator": f"{first} by {second}", "measure": measure}
                made.append({**head, **about, **number, "n": len(values)})
    return made


@cli
def main(argv: list[str] | None = None) -> None:
    """Command line of the stage ``ranks``."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.analyses.ranks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("experiment", type=Path, help="results/experiments/NAME.csv")
    parser.add_argument("--spec", type=json.loads, required=True, help="label sets, as JSON")
    parser.add_argument("--out", required=True, help="results/ranks/NAME.csv")
    args = parser.parse_args(argv)
    found = rows(selection.load(args.experiment), Study(args.spec))
    records.write_csv(args.out, COLUMNS, found)


if __name__ == "__main__":
    main()
