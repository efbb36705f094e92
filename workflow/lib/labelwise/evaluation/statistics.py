"""Intervals, resampling, tests and agreement: everything that is said about a number.

scipy and statsmodels do what they offer; they are imported where they are needed, because a score
needs none of them. Proportions and their intervals are fractions here, percent in the files.
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from labelwise.draw import rng

LEVEL = 0.95
BLOCK = 1 << 19
"""Counts that a thread draws at once in a bootstrap: 4 MB, whatever the number of replicates."""
THREADS = 4
RARE = 8
"""Up to this count, a pattern is cheaper to draw one by one than as a binomial number."""


def wilson(correct: float, n: float, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's score interval of a proportion (one run); equals statsmodels' ``wilson``.

    Args:
        correct: number of hits, 0..n.
        n: number of trials; 0 gives the interval (0, 1).
        level: confidence level.
    """
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + level / 2)
    p, z2 = correct / n, z * z
    middle = p + z2 / (2 * n)
    half = z * np.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    low, high = (middle - half) / (1 + z2 / n), (middle + half) / (1 + z2 / n)
    return float(max(low, 0.0)) if correct else 0.0, float(min(high, 1.0)) if correct < n else 1.0


def student(values: Sequence[float], level: float = LEVEL) -> tuple[float, float]:
    """Student-t interval of the mean of repeated runs (paper, tables 7, 17 and 19; n - 1 d.f.).

    Raises:
        ValueError: fewer than two values.
    """
    from scipy.special import stdtrit

    runs = np.asarray(values, dtype=float)
    if len(runs) < 2:
        raise ValueError("a Student-t interval needs at least two runs")
    half = stdtrit(len(runs) - 1, 0.5 + level / 2) * runs.std(ddof=1) / np.sqrt(len(runs))
    return float(runs.mean() - half), float(runs.mean() + half)


def newcombe(
    both: float, first: float, second: float, neither: float, level: float = LEVEL
) -> tuple[float, float]:
    """Interval of a difference of two proportions on the same images (first minus second).

    Newcombe's score interval for paired data (Statistics in Medicine 17, 1998, method 10): Wilson's
    intervals of the two proportions, combined with their correlation phi (with his correction for
    continuity). It stays within -1..1 and needs no resampling.

    Args:
        both: number of images that are right twice.
        first: only the first time.
        second: only the second time.
        neither: never. No image at all gives (-1, 1).
        level: confidence level.
    """
    n = both + first + second + neither
    if n == 0:
        return -1.0, 1.0
    p1, p2 = (both + first) / n, (both + second) / n
    low1, high1 = wilson(both + first, n, level)
    low2, high2 = wilson(both + second, n, level)
    margins = (both + first) * (second + neither) * (both + second) * (first + neither)
    phi = 0.0
    if margins:
        product = both * neither - first * second
        phi = (max(product - n / 2, 0.0) if product > 0 else product) / np.sqrt(margins)
    down, up = (p1 - low1, high2 - p2), (high1 - p1, p2 - low2)
    half = [np.sqrt(max(a * a - 2 * phi * a * b + b * b, 0.0)) for a, b in (down, up)]
    return float(p1 - p2 - half[0]), float(p1 - p2 + half[1])


def bootstrap(right: np.ndarray, replicates: int, seed: int = 0) -> np.ndarray:
    """Paired image bootstrap: the mean of every column in each resample of the images.

    All columns (models, settings, label sets) are resampled together, so differences of columns of
    the answer are paired. Images that agree in all columns are interchangeable: only the number of
    each pattern is drawn (multinomial), which is exactly the distribution of resampled images.

    Args:
        right: bool, shape (images, columns), at least one image.
        replicates: number of resamples.
        seed: of the draws.

    Returns:
        float64, shape (replicates, columns).
    """
    packed = np.ascontiguousarray(np.packbits(right, axis=1))
    keys = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
    _, first, counts = np.unique(keys, return_index=True, return_counts=True)
    return _resample(counts, len(right), right[first], replicates, seed) / len(right)


def clustered(right: np.ndarray, clusters: Sequence, replicates: int, seed: int = 0) -> np.ndarray:
    """As ``bootstrap``, but whole clusters (the images of a class) are drawn with replacement.

    Args:
        right: bool, shape (images, columns).
        clusters: cluster of each image, shape (images,).
        replicates: number of resamples.
        seed: of the draws.

    Returns:
        float64, shape (replicates, columns): hits of the drawn clusters over their images.
    """
    _, member = np.unique(np.asarray(clusters), return_inverse=True)
    k = int(member.max()) + 1
    columns = [np.bincount(member, weights=column, minlength=k) for column in right.T]
    sums = np.stack([*columns, np.bincount(member, minlength=k)], axis=1)
    drawn = _resample(np.ones(k, dtype=int), k, sums, replicates, seed)
    return drawn[:, :-1] / drawn[:, -1:]


def _resample(
    counts: np.ndarray, n: int, values: np.ndarray, replicates: int, seed: int
) -> np.ndarray:
    """Sums of ``values`` over n draws of its rows, in proportion to ``counts`` (whole numbers).

    How often each row is drawn is multinomial. The rows that count little are drawn as one and then
    told apart draw by draw: the same distribution, at less than half the time. Blocks have
    generators of their own, so the number of threads changes no draw.
    """
    order = np.argsort(-counts, kind="stable")
    counts, values = counts[order], values[order].astype(float)
    often = int((counts > RARE).sum())
    few = len(counts) - often
    rare = np.repeat(np.arange(few), counts[often:])
    p = np.append(counts[:often], len(rare)) / counts.sum()
    step = max(1, BLOCK // len(counts))

    def block(start: int) -> np.ndarray:
        draw, size = rng(seed, "bootstrap", start), min(step, replicates - start)
        drawn = draw.multinomial(n, p, size=size)
        sums = drawn[:, :often].astype(float) @ values[:often]
        if few:
            total = drawn[:, often]
            cell = rare[draw.integers(len(rare), size=total.sum())]
            cell += np.repeat(few * np.arange(size), total)
            each = np.bincount(cell, minlength=few * size).reshape(size, few)
            sums += each.astype(float) @ values[often:]
        return sums

    with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool:
        return np.concatenate(list(pool.map(block, range(0, replicates, step))))


def percentile(replicates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """95 % percentile interval of bootstrap replicates [replicates, ...]: low [...], high [...]."""
    low, high = np.quantile(replicates, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2], axis=0)
    return low, high


class McNemar(NamedTuple):
    """Two answers' correctness on the same images: only-first, only-second, exact p-value."""

    first: int
    second: int
    p: float


def mcnemar(first: np.ndarray, second: np.ndarray) -> McNemar:
    """Exact McNemar test (statsmodels) that two bool vectors [images] are right equally often."""
    from statsmodels.stats.contingency_tables import mcnemar as test

    table = [
        [int((first & second).sum()), int((first & ~second).sum())],
        [int((~first & second).sum()), int((~first & ~second).sum())],
    ]
    return McNemar(table[0][1], table[1][0], float(test(table, exact=True).pvalue))


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Holm-adjusted p-values of one table (statsmodels), float [n], in the order given."""
    from statsmodels.stats.multitest import multipletests

    return multipletests(p_values, method="holm")[1] if len(p_values) else np.empty(0)


def ranks(values: Sequence[float], digits: int | None = 2) -> np.ndarray:
    """Ranks, 1 for the largest; equal values share a rank and the next one follows directly.

    That is the paper's rule in Table 4 (dense ranking: 37.66 twice is 5, 5, and then 6). Values are
    equal when they print alike.

    Args:
        values: shape (n,); percent.
        digits: decimals that are printed; None compares exactly.
    """
    shown = np.asarray(values, dtype=float)
    if digits is not None:
        shown = np.round(shown, digits)
    return 1 + np.unique(-shown, return_inverse=True)[1]


def spearman(
    first: Mapping[str, Sequence[float]], second: Mapping[str, Sequence[float]]
) -> float | None:
    """Spearman correlation of per-class recall (paper, Fig. 9 left).

    Args:
        first: ``recall`` of a score file: class -> [images, mean number of hits], of the
            images with exactly one label.
        second: the other model's, from the same label set.

    Returns:
        The correlation over the classes of both; None where it is undefined (fewer than two
        classes, or one model has the same recall in all).
    """
    from scipy.stats import spearmanr

    common = sorted(set(first) & set(second))
    a, b = ([recall[c][1] / recall[c][0] for c in common] for recall in (first, second))
    if len(set(a)) < 2 or len(set(b)) < 2:
        return None
    return float(spearmanr(a, b).statistic)


def phi(first: np.ndarray, second: np.ndarray) -> float | None:
    """Phi of two bool vectors [images] (paper, Fig. 9 right); None where one is constant."""
    if first.all() or second.all() or not first.any() or not second.any():
        return None
    return float(np.corrcoef(first, second)[0, 1])
