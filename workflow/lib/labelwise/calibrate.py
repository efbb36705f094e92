"""How far the probabilities of answers can be trusted: calibration and selective accuracy.

For every run of an experiment whose predictions have a probability as ``score`` (classifiers with
logits, and exact likelihood), under each label set. The confidence of an image is the probability
of the class that was named; it is right as everywhere (``labelwise.scoring``). Void images are left
out, since no answer to them can be wrong or right, and so are answers without a class.

- ``accuracy``, ``confidence``: the means over images;
- ``ece``: expected calibration error, the mean gap between confidence and accuracy over bins of
  equally many images (``BIN`` at least, ``BINS`` bins at most). With few images in a bin it is
  above zero for a perfect model, too;
- ``brier``: mean squared difference of confidence and right (1) or wrong (0);
- ``aurc``: area under the risk-coverage curve, the mean over coverages of the share of wrong among
  the most confident answers; 0 is best;
- ``temperature``: T of ``sigmoid(log-odds(confidence) / T)`` that fits best (log-loss), over all
  images. ``ece_scaled``, ``brier_scaled`` and ``bin_scaled`` are of confidences scaled by
  cross-validation: every image by the T of the ``FOLDS`` - 1 folds that it is not in.

Rows ``bin`` have the mean confidence in ``at`` and the accuracy in ``value``; rows ``selective`` a
coverage in ``at`` and the accuracy of so many most confident answers. All are fractions. Intervals:
Wilson of accuracies, else percentile bootstrap over images.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labelwise import draw, labels, records
from labelwise.errors import LabelwiseError, cli
from labelwise.rules import Rules
from labelwise.score import read_predictions
from labelwise.scoring import Key
from labelwise.statistics import percentile, wilson

BIN, BINS = 8, 10
FOLDS = 5
REPLICATES = 1000
POINTS = 200
"""Points of a selective curve at most."""
CLIP = 1e-6
AXES = ("images", "model", "model_name", "model_kind", "protocol", "kind", "mapper", "labels")
COLUMNS = ("experiment", *AXES, "rules", "measure", "at", "value", "low", "high", "n")


def bins(confidence: np.ndarray) -> np.ndarray:
    """The bin of each image, int [n]: equally many images a bin, in the order of confidence."""
    n = len(confidence)
    count = min(BINS, max(1, n // BIN))
    found = np.empty(n, dtype=np.int64)
    for number, part in enumerate(np.array_split(np.argsort(confidence, kind="stable"), count)):
        found[part] = number
    return found


def ece(confidence: np.ndarray, right: np.ndarray, member: np.ndarray) -> float:
    """Expected calibration error of confidences [n] and hits bool [n] over bins int [n]."""
    return float(np.abs(np.bincount(member, confidence - right)).sum() / len(right))


def brier(confidence: np.ndarray, right: np.ndarray) -> float:
    """Mean squared difference of confidences [n] and hits bool [n]."""
    return float(((confidence - right) ** 2).mean())


def selective(confidence: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Hits among the k most confident answers, int [n], for k = 1..n; equal ones as given."""
    return np.cumsum(right[np.argsort(-confidence, kind="stable")])


def aurc(confidence: np.ndarray, right: np.ndarray) -> float:
    """Area under the risk-coverage curve."""
    return float((1 - selective(confidence, right) / np.arange(1, len(right) + 1)).mean())


def log_odds(confidence: np.ndarray) -> np.ndarray:
    """Log-odds of probabilities, which are kept ``CLIP`` from 0 and 1."""
    p = np.clip(confidence, CLIP, 1 - CLIP)
    return np.log(p / (1 - p))


def temperature(confidence: np.ndarray, right: np.ndarray) -> float:
    """The T, 1/20 to 20, with the lowest log-loss of ``sigmoid(log-odds / T)``."""
    from scipy.optimize import minimize_scalar

    odds = log_odds(confidence) * np.where(right, 1, -1)

    def loss(log_t: float) -> float:
        return float(np.logaddexp(0, -odds / np.exp(log_t)).mean())

    limit = np.log(20)
    return float(np.exp(minimize_scalar(loss, bounds=(-limit, limit), method="bounded").x))


def scaled(confidence: np.ndarray, right: np.ndarray, images: Sequence[str]) -> np.ndarray:
    """Confidences scaled by the temperature of the folds that an image is not in.

    Folds are drawn by image id, so leaving out images moves no others far.
    """
    n = len(right)
    order = sorted(range(n), key=lambda i: draw.key(0, "calibration fold", images[i]))
    fold = np.empty(n, dtype=np.int64)
    fold[order] = np.arange(n) % min(FOLDS, n)
    found = np.empty(n)
    for number in range(fold.max() + 1):
        here = fold == number
        t = temperature(confidence[~here], right[~here]) if n > 1 else 1.0
        found[here] = 1 / (1 + np.exp(-log_odds(confidence[here]) / t))
    return found


def measure(
    confidence: np.ndarray, right: np.ndarray, images: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Rows of one run (``COLUMNS`` from ``measure`` on), from confidences [n] and hits [n]."""
    n = len(right)
    later = scaled(confidence, right, images)
    kinds = {"": (confidence, bins(confidence)), "_scaled": (later, bins(later))}
    numbers = {
        "confidence": lambda pick: float(confidence[pick].mean()),
        "aurc": lambda pick: aurc(confidence[pick], right[pick]),
    }
    for suffix, (said, member) in kinds.items():
        numbers[f"ece{suffix}"] = lambda pick, s=said, m=member: ece(s[pick], right[pick], m[pick])
        numbers[f"brier{suffix}"] = lambda pick, s=said: brier(s[pick], right[pick])
    generator = draw.rng(0, "calibration", n)
    picks = [generator.integers(n, size=n) for _ in range(REPLICATES)]
    yield _row("accuracy", None, right.mean(), wilson(int(right.sum()), n), n)
    for name, number in numbers.items():
        ends = percentile(np.array([number(pick) for pick in picks]))
        yield _row(name, None, number(np.arange(n)), ends, n)
    yield _row("temperature", None, temperature(confidence, right), None, n)
    for suffix, (said, member) in kinds.items():
        for number in range(member.max() + 1):
            here = member == number
            hits, size = int(right[here].sum()), int(here.sum())
            at = said[here].mean()
            yield _row(f"bin{suffix}", at, hits / size, wilson(hits, size), size)
    hits = selective(confidence, right)
    for k in sorted({round(k) for k in np.linspace(1, n, min(n, POINTS))}):
        own = int(hits[k - 1])
        yield _row("selective", k / n, own / k, wilson(own, k), k)


def _row(
    name: str, at: float | None, value: float, ends: Sequence[float] | None, n: int
) -> dict[str, Any]:
    low, high = (None, None) if ends is None else (f"{float(end):.6g}" for end in ends)
    return {
        "measure": name,
        "at": None if at is None else f"{at:.6g}",
        "value": f"{value:.6g}",
        "low": low,
        "high": high,
        "n": n,
    }


def confident(point: Mapping[str, Any]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Images of a run that count, their confidences float [n] and hits bool [n].

    Args:
        point: paths ``predictions``, ``labels_file``, ``original_file``, ``images_file``, and the
            rules of the label set. Of a run with repeats the first counts.
    """
    key = Key(
        labels.read(point["labels_file"]),
        labels.read(point["original_file"]),
        Rules.of(point),
        labels.pairs_of(point),
        [row["image"] for row in records.read_csv(point["images_file"], ("image",))],
    )
    judged = key.judge(read_predictions(point["predictions"])[:1])
    score = {}
    for row in records.read_csv(point["predictions"], records.PREDICTIONS):
        if row["repeat"] == "0" and row["score"] and row["class"]:
            score[row["image"]] = float(row["score"])
    if any(not 0 <= value <= 1 for value in score.values()):
        raise LabelwiseError(f"{point['predictions']}: score: not all are probabilities")
    known = [
        (image, score[image], bool(right))
        for image, right, void in zip(judged.images, judged.right[0], judged.void, strict=True)
        if image in score and not void
    ]
    images, confidence, right = zip(*known, strict=True) if known else ((), (), ())
    return list(images), np.array(confidence, dtype=float), np.array(right, dtype=bool)


def rows(experiment: str, points: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """All rows of an experiment; a run without probabilities has none."""
    for point in points:
        images, confidence, right = confident(point)
        if images:
            head = {"experiment": experiment, "rules": json.dumps(Rules.of(point).as_dict())}
            head |= {axis: point[axis] for axis in AXES}
            for row in measure(confidence, right, images):
                yield head | row


@cli
def main(argv: list[str] | None = None) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.calibrate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--experiment", required=True, help="its name")
    parser.add_argument("--points", type=json.loads, required=True, help="the runs, as JSON")
    parser.add_argument("--out", type=Path, required=True, help="results/calibration/*.csv")
    args = parser.parse_args(argv)
    records.write_csv(args.out, COLUMNS, rows(args.experiment, args.points))


if __name__ == "__main__":
    main()
