"""``python -m labelwise.bench scoring``: scoring at the size of the full study.

Made-up labels and answers of 12 models for 50,000 images (the models' hits depend on how hard an
image is, as real ones do) are scored under 2 label sets: every category with its intervals,
outcomes, recall and gains, and then a paired bootstrap of all 24 columns with 10,000 resamples.
Nothing is read from disk; making up the data is not timed.

The naive way, one resample after another with all images drawn by index, is timed for a few
resamples and scaled to all of them. Both ways draw from the same distribution.
"""

import argparse
import resource
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from labelwise import bench
from labelwise.data.rules import Rules, read_pairs
from labelwise.draw import rng
from labelwise.evaluation import statistics
from labelwise.labels import Label, Labels
from labelwise.scoring import Answer, Key, Run

CLASSES = 1000


def invent(n_images: int, n_models: int) -> tuple[Labels, list[Labels], list[Run]]:
    """Original labels, two corrected label sets, and the answers of the models."""
    draw = rng(0, "benchmark")
    images = [f"image-{i:06d}" for i in range(n_images)]
    first = draw.integers(CLASSES, size=n_images)
    original = {image: Label((int(c),)) for image, c in zip(images, first, strict=True)}
    sets = []
    for _ in range(2):
        extra = draw.integers(CLASSES, size=(n_images, 2))
        size = draw.choice([0, 1, 2, 3], p=[0.05, 0.6, 0.25, 0.1], size=n_images)
        keep = draw.random(n_images) < 0.9
        sets.append(
            {
                image: Label(
                    tuple(sorted({int(c if k else e[1]), *map(int, e[: s - 1])})) if s else ()
                )
                for image, c, e, s, k in zip(images, first, extra, size, keep, strict=True)
            }
        )
    hardness = draw.normal(size=n_images)
    runs: list[Run] = []
    for skill in np.linspace(0.5, 2.0, n_models):
        knows = draw.normal(size=n_images) + hardness + skill > 0
        answers = np.where(knows, first, draw.integers(CLASSES, size=n_images)).tolist()
        runs.append({image: Answer((c,)) for image, c in zip(images, answers, strict=True)})
    return original, sets, runs


def measure(n_images: int, n_models: int, replicates: int, naive: int) -> dict[str, float]:
    """Score and resample made-up answers.

    Args:
        n_images: how many.
        n_models: that answered.
        replicates: resamples.
        naive: resamples of the naive loop, whose seconds for all follow from these.

    Returns:
        Seconds of scoring, of the bootstrap and of the naive loop (``ratio``: over the bootstrap),
        and the peak of memory (MB).
    """
    original, sets, runs = invent(n_images, n_models)
    pairs = read_pairs("paper")
    start, busy = time.perf_counter(), time.process_time()
    columns = []
    for labels in sets:
        key = Key(labels, original, Rules(), pairs)
        for run in runs:
            judged = key.judge([run])
            judged.summary()
            columns.append(judged.right[0])
    scored = time.perf_counter()
    right = np.stack(columns, axis=1)
    drawn = statistics.bootstrap(right, replicates)
    statistics.percentile(drawn)
    done, busy = time.perf_counter(), time.process_time() - busy
    draw = rng(0, "naive")
    for _ in range(naive):
        right[draw.integers(n_images, size=n_images)].mean(axis=0)
    looped = (time.perf_counter() - done) * replicates / naive
    return {
        "images": n_images,
        "models": n_models,
        "label_sets": len(sets),
        "replicates": replicates,
        "patterns": len(np.unique(np.packbits(right, axis=1), axis=0)),
        "score_s": scored - start,
        "bootstrap_s": done - scored,
        "total_s": done - start,
        "cpu_s": busy,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "naive_replicates": naive,
        "naive_bootstrap_s": looped,
        "ratio": looped / (done - scored),
    }


def main(argv: Sequence[str]) -> None:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.bench scoring",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--models", type=int, default=12)
    parser.add_argument("--replicates", type=int, default=10_000)
    parser.add_argument("--naive", type=int, default=50, help="resamples of the naive loop")
    parser.add_argument("--json", type=Path, metavar="OUT")
    args = parser.parse_args(argv)
    m = measure(args.images, args.models, args.replicates, args.naive)
    print(
        f"{m['images']} images x {m['models']} models x {m['label_sets']} label sets, "
        f"{m['replicates']} paired resamples\n"
        f"scored in {m['score_s']:.2f} s, resampled in {m['bootstrap_s']:.2f} s "
        f"({m['patterns']} patterns): {m['total_s']:.2f} s "
        f"({m['cpu_s']:.2f} s of processor time), peak {m['peak_mb']:.0f} MB\n"
        f"naive loop: {m['naive_bootstrap_s']:.1f} s for the resamples alone, scaled from "
        f"{m['naive_replicates']} of them: {m['ratio']:.1f} times as long"
    )
    bench.finish(m, args.json)
