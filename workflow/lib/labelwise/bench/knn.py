"""``python -m labelwise.bench knn``: exact search at the size of ImageNet's training set.

Made-up features of 1.28 million references (1024 dimensions, float16 shards: 2.6 GB in a temporary
folder, removed at the end) are searched for the 51 nearest of 1,000 queries, as ``find_neighbours``
does. Beside it the floor: nothing but the products of the same size, of one block that is in memory
as float32 already. Memory is what the search holds of its own (anonymous pages); the mapped shards
are the page cache's, which the system takes back when it needs to. The result of a few queries is
compared with a full sort of all their cosines.
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labelwise import bench
from labelwise.classifiers import neighbours, references

CHECKED = 5
"""Queries whose result is compared with a full sort."""


def invent(n: int, d: int, folder: Path) -> references.References:
    """Shards of n made-up references, float16 [n, d] of length 1, written into a folder."""
    rng, shards = np.random.default_rng(0), []
    for number, start in enumerate(range(0, n, references.ROWS)):
        rows = rng.standard_normal((min(references.ROWS, n - start), d), dtype=np.float32)
        shards.append(folder / f"made-{number}.npy")
        np.save(shards[-1], references.unit(rows).astype(np.float16))
    references.publish(shards, [str(i) for i in range(n)], folder / "references")
    return references.References(folder / "references")


def watched(function: Callable[[], Any]) -> tuple[Any, float, float]:
    """What a function returns, its seconds, and how much anonymous memory it added at most (MB)."""
    before, done, most = _anonymous(), threading.Event(), [0.0]

    def watch() -> None:
        while not done.wait(0.02):
            most[0] = max(most[0], _anonymous() - before)

    thread = threading.Thread(target=watch)
    thread.start()
    start = time.perf_counter()
    try:
        return function(), time.perf_counter() - start, most[0]
    finally:
        done.set()
        thread.join()


def _anonymous() -> float:
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) / 1024


def products(queries: np.ndarray, n: int) -> None:
    """The products of a search for queries [q, d] among n references, and nothing else."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    asked = torch.from_numpy(queries).to(device)
    block = torch.rand(neighbours.BLOCK, queries.shape[1], device=device)
    for start in range(0, n, neighbours.BLOCK):
        rows = block[: n - start]
        for first in range(0, len(asked), neighbours.QUERIES):
            asked[first : first + neighbours.QUERIES] @ rows.T
    if device == "cuda":
        torch.cuda.synchronize()


def measure(n: int, d: int, asked: int, folder: Path) -> dict[str, Any]:
    """A search among made-up references beside its floor.

    Args:
        n: references.
        d: dimensions.
        asked: queries.
        folder: where shards are written.

    Returns:
        ``search_s`` and ``floor_s``, seconds in all; ``ratio``, the search over its floor;
        megabytes stored and held; how many of the ``checked`` queries are ``exact``.
    """
    store = invent(n, d, folder)
    queries = references.unit(np.random.default_rng(1).standard_normal((asked, d)))
    digests, known = [f"query {i}" for i in range(asked)], [f"reference {i}" for i in range(n)]
    votes = [True] * n
    products(queries[:10], neighbours.BLOCK)
    _, floor, _ = watched(lambda: products(queries, n))
    (rows, _), seconds, memory = watched(
        lambda: neighbours.find(queries, digests, store.blocks(), known, votes)
    )
    cosines = np.concatenate(
        [queries[:CHECKED] @ block.astype(np.float32).T for block in store.blocks()], axis=1
    )
    order = np.argsort(-cosines, axis=1, kind="stable")[:, : neighbours.NEAREST]
    found = np.take_along_axis(cosines, rows[:CHECKED], 1)
    best = np.take_along_axis(cosines, order, 1)
    return {
        "references": n,
        "dimensions": d,
        "queries": asked,
        "stored_mb": n * d * 2 / 1e6,
        "search_s": seconds,
        "floor_s": floor,
        "ratio": seconds / floor,
        "memory_mb": memory,
        "checked": len(found),
        "exact": int((np.abs(found - best) < 1e-6).all(1).sum()),
    }


def main(argv: Sequence[str]) -> None:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.bench knn",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--n", type=int, default=1_281_167, help="references")
    parser.add_argument("--dimensions", type=int, default=1024)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--folder", help="where the shards are made (the system's temporary one)")
    parser.add_argument("--json", type=Path, metavar="OUT")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        m = measure(args.n, args.dimensions, args.queries, Path(folder))
    print(
        f"{m['queries']} queries x {m['references']} references x {m['dimensions']} dimensions"
        f" ({m['stored_mb']:.0f} MB stored): {m['search_s']:.1f} s, the products alone"
        f" {m['floor_s']:.1f} s: {m['ratio']:.2f} times the floor; {m['memory_mb']:.0f} MB of"
        f" memory; {m['exact']} of {m['checked']} checked queries exact"
    )
    bench.finish(m, args.json)
