"""Show every image of a set to one classifier: logits and features.

Images are decoded and transformed in worker processes. Those that could not be read have no row.
"""

import argparse
import io
import json
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from labelwise import gpu, images, provenance, records
from labelwise.errors import LabelwiseError, cli
from labelwise.progress import progress

BATCH = {"cpu": 8, "cuda": 64}
"""Images at a time: on a CPU, small batches stay in its cache and are faster."""


class Pixels:
    """The transformed images of a set, by position: what worker processes make."""

    def __init__(self, files: Sequence[str], transform: Callable):
        self.files, self.transform = files, transform

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> Any:
        return self.transform(images.read(self.files[i]))


def classify(model: Any, files: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Logits [n, classes] and features [n, d], float32, of image files in their order.

    On a CPU each core takes batches of its own, with one thread a batch: that is faster than to
    share a batch, and the numbers do not depend on how many cores there are.
    """
    import torch
    from torch.utils.data import DataLoader

    cores = images.workers()
    loader = DataLoader(
        Pixels(files, model.transform),
        batch_size=BATCH[model.device],
        num_workers=cores if len(files) >= images.WORKERS_FROM and cores > 1 else 0,
    )
    if model.device == "cpu":
        torch.set_num_threads(1)

    def rows() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        waiting: deque[Future] = deque()
        with ThreadPoolExecutor(cores if model.device == "cpu" else 1) as pool:
            for batch in loader:
                waiting.append(pool.submit(model.score, batch))
                if len(waiting) > 2 * cores:
                    yield from zip(*waiting.popleft().result(), strict=True)
            while waiting:
                yield from zip(*waiting.popleft().result(), strict=True)

    logits, features = zip(*progress(rows(), len(files), "images"), strict=True)
    return np.stack(logits), np.stack(features)


def write(path: str | Path, **arrays: np.ndarray) -> None:
    """Write arrays as npz, with deterministic bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    with records.atomic(path, "wb") as file:
        file.write(buffer.getvalue())


def read(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a logits file: image [n], logits [n, classes], features [n, d]."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in ("image", "logits", "features")}
    except (OSError, KeyError, ValueError) as error:
        raise LabelwiseError(f"{path}: no logits file: {error}") from None


@cli
def main(argv: list[str] | None = None) -> None:
    """Command line of the stage ``classify``."""
    parser = argparse.ArgumentParser(prog="python -m labelwise.classify", description=__doc__)
    parser.add_argument("--model", type=json.loads, required=True, help="the models entry, JSON")
    parser.add_argument("--images", required=True, help="results/images/*.csv")
    parser.add_argument("--axes", type=json.loads, default={}, help="names for the record, JSON")
    parser.add_argument("--gpus", type=int, help=gpu.HELP)
    parser.add_argument("--out", required=True, help="image, logits and features (npz)")
    parser.add_argument("--meta", required=True, help="record of the run (JSON)")
    args = parser.parse_args(argv)
    started = time.time()
    spec: Mapping[str, Any] = args.model
    rows = [r for r in records.read_csv(args.images, records.IMAGES) if r["status"] == "ok"]
    if not rows:
        raise LabelwiseError(f"{args.images}: no readable image in it")
    if spec["engine"] != "timm":
        raise LabelwiseError(f"models: engine {spec['engine']!r} computes no logits; timm does")
    gpu.lease(args.gpus)
    from labelwise.classifiers.timm import Model

    model = Model(spec)
    loaded = time.time()
    logits, features = classify(model, [row["file"] for row in rows])
    seconds = time.time() - loaded
    image = np.array([row["image"] for row in rows])
    write(args.out, image=image, logits=logits, features=features)
    facts = {"axes": args.axes, "model": spec, "images": len(rows), **model.describe()}
    facts["images_per_second"] = round(len(rows) / seconds, 1)
    records.write_json(args.meta, provenance.meta(started, **facts))
    print(f"{len(rows)} images in {seconds:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
