"""How far the probabilities of answers can be trusted: calibration and selective accuracy.

``python -m labelwise.calibration results/judged/X.csv --out results/calibration/X.csv``: for every
run of an experiment whose ``score`` is a probability, that is of supervised classifiers and of
exact likelihood. The confidence of an image is the probability of the class that was named. Void
images are left out, since no answer to them can be wrong or right, and so are answers without a
class. Measures, each a fraction:

- ``accuracy``, ``confidence``: the means over images;
- ``ece``: expected calibration error, the mean gap between confidence and accuracy over bins of
  equally many images (``BIN`` at least, ``BINS`` bins at most). With few images in a bin it is
  above zero for a perfect model, too;
- ``brier``: mean squared difference of confidence and right (1) or wrong (0);
- ``aurc``: area under the risk-coverage curve, the mean over coverages of the share of wrong among
  the most confident answers; 0 is best;
- ``ece_scaled``, ``brier_scaled``: the same of confidences scaled as Platt (1999) does, a logistic
  function of their log-odds, fitted by cross-validation: every image is scaled by what fits the
  ``FOLDS`` - 1 folds that it is not in.

Rows ``bin`` and ``bin_scaled`` have the mean confidence of a bin in ``at`` and its accuracy in
``value``; rows ``selective`` a coverage in ``at`` and the accuracy of so many most confident
answers. Intervals: Wilson of accuracies, else percentile bootstrap over images, widened to hold the
estimate where they do not (resampling adds to ``ece``, which noise can only make larger).
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labelwise import draw, records
from labelwise.errors import LabelwiseError, cli
from labelwise.evaluation import judged
from labelwise.evaluation.calibrated import COLUMNS, HEAD
from labelwise.evaluation.statistics import percentile, wilson

if TYPE_CHECKING:
    import pandas

BIN, BINS = 8, 10
FOLDS = 5
REPLICATES = 1000
CURVE = 200
"""Points of a selective curve at most."""
CLIP = 1e-6


def bins(confidence: np.ndarray) -> np.ndarray:
    """The bin of each image, int [n]: equally many images a bin, in the order of confidence."""
    n = len(confidence)
    found = np.empty(n, dtype=np.int64)
    count = min(BINS, max(1, n // BIN))
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
    """Area under the risk-coverage curve of confidences [n] and hits bool [n], 0 to 1."""
    return float((1 - selective(confidence, right) / np.arange(1, len(right) + 1)).mean())


def log_odds(confidence: np.ndarray) -> np.ndarray:
    """Log-odds of probabilities [n], which are kept ``CLIP`` from 0 and 1."""
    p = np.clip(confidence, CLIP, 1 - CLIP)
    return np.log(p / (1 - p))


def platt(confidence: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of Platt's logistic function of the log-odds of confidences [n].

    As he proposes, hits aim at (hits + 1) / (hits + 2) and the others at 1 / (others + 2), so that
    no number runs away where all answers are right.
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    odds, hits = log_odds(confidence), right.sum()
    aim = np.where(right, (hits + 1) / (hits + 2), 1 / (len(right) - hits + 2))

    def loss(line: np.ndarray) -> tuple[float, np.ndarray]:
        z = line[0] * odds + line[1]
        gap = expit(z) - aim
        return float((np.logaddexp(0, z) - aim * z).mean()), np.array(
            [(gap * odds).mean(), gap.mean()]
        )

    slope, intercept = minimize(loss, np.array([1.0, 0.0]), jac=True, method="BFGS").x
    return float(slope), float(intercept)


def scaled(confidence: np.ndarray, right: np.ndarray, images: Sequence[str]) -> np.ndarray:
    """Confidences [n] scaled by what fits the folds that an image is not in, drawn by image."""
    n = len(right)
    order = sorted(range(n), key=lambda i: draw.key(0, "calibration fold", images[i]))
    fold = np.empty(n, dtype=np.int64)
    fold[order] = np.arange(n) % min(FOLDS, n)
    found = np.empty(n)
    for number in range(fold.max() + 1):
        here = fold == number
        slope, intercept = platt(confidence[~here], right[~here]) if n > 1 else (1.0, 0.0)
        found[here] = 1 / (1 + np.exp(-(slope * log_odds(confidence[here]) + intercept)))
    return found


def measure(
    confidence: np.ndarray, right: np.ndarray, images: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Rows of one run (``COLUMNS`` from ``measure`` on), from confidences [n] and hits bool [n]."""
    n = len(right)
    later = scaled(confidence, right, images)
    kinds = {"": (confidence, bins(confidence)), "_scaled": (later, bins(later))}
    numbers: dict[str, Callable[[np.ndarray], float]] = {
        "confidence": lambda pick: float(confidence[pick].mean()),
        "aurc": lambda pick: aurc(confidence[pick], right[pick]),
    }
    for suffix, (said, member) in kinds.items():
        numbers[f"ece{suffix}"] = partial(_picked, ece, said, right, member)
        numbers[f"brier{suffix}"] = partial(_picked, brier, said, right)
    generator = draw.rng(0, "calibration", n)
    picks = [generator.integers(n, size=n) for _ in range(REPLICATES)]
    yield _row("accuracy", None, right.mean(), wilson(int(right.sum()), n), n)
    for name, number in numbers.items():
        ends = percentile(np.array([number(pick) for pick in picks]))
        low, high = map(float, ends)
        value = number(np.arange(n))
        yield _row(name, None, value, (min(low, value), max(high, value)), n)
    for suffix, (said, member) in kinds.items():
        for own in range(member.max() + 1):
            here = member == own
            hit, size = int(right[here].sum()), int(here.sum())
            yield _row(f"bin{suffix}", said[here].mean(), hit / size, wilson(hit, size), size)
    hits = selective(confidence, right)
    for k in sorted({round(k) for k in np.linspace(1, n, min(n, CURVE))}):
        own = int(hits[k - 1])
        yield _row("selective", k / n, own / k, wilson(own, k), k)


def _picked(number: Callable[..., float], *arrays: Any) -> float:
    """A number of resampled arrays; the last of them are the places that were drawn."""
    *whole, pick = arrays
    return number(*(array[pick] for array in whole))


def _row(
    name: str, at: float | None, value: float, ends: Sequence[float], n: int
) -> dict[str, Any]:
    low, high = (f"{float(end):.6g}" for end in ends)
    where = None if at is None else f"{at:.6g}"
    return {"measure": name, "at": where, "value": f"{value:.6g}", "low": low, "high": high, "n": n}


def rows(judged: "pandas.DataFrame") -> Iterator[dict[str, Any]]:
    """All rows, from those of ``labelwise.judge``; of several batchings and mappers the first.

    Raises:
        LabelwiseError: a score that is no probability.
    """
    asked = judged[
        ((judged.model_kind == "supervised") | (judged.kind == "likelihood"))
        & judged.score.notna()
        & (judged["class"] != "")
        & (judged.category != "N")
    ].drop_duplicates([*HEAD, "image"])
    if not asked.score.between(0, 1).all():
        raise LabelwiseError("judged: score: not all are probabilities; make predictions again")
    for head, own in asked.groupby(list(HEAD), sort=False):
        named = dict(zip(HEAD, head, strict=True))
        confidence, right = own.score.to_numpy(float), own.right.to_numpy(bool)
        for row in measure(confidence, right, own.image.tolist()):
            yield named | row


@cli
def main(argv: list[str] | None = None) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.calibration",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("judged", type=Path, help="results/judged/*.csv")
    parser.add_argument("--out", type=Path, required=True, help="results/calibration/*.csv")
    args = parser.parse_args(argv)
    columns = (*HEAD, "image", "category", "class", "score", "right")
    records.write_csv(args.out, COLUMNS, rows(judged.read(args.judged, columns)))


if __name__ == "__main__":
    main()
