"""Show every image of a set to one classifier: logits and features.

Images are decoded and transformed in worker processes, by the library's own transform. Those that
could not be read have no row.

``dtype`` of an entry (bfloat16, float16) asks for half precision (autocast: weights stay float32).
It is used only where it changes nothing that is seen: up to 256 images, spread evenly over the set,
are scored both ways, and with one other top-1 (of models without classes: one other nearest image
among them) all are scored in float32. The record says what was checked and what was used.
"""

import argparse
import importlib
import json
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from labelwise import arrays, gpu, images, provenance, records
from labelwise.classifiers import LOOKING
from labelwise.errors import LabelwiseError, cli
from labelwise.progress import progress

BATCH = {"cpu": 8, "cuda": 64}
"""Images at a time: on a CPU, small batches stay in its cache and are faster."""

CHECKED = 256
"""Images on which half precision must change no top-1."""

Rows = Iterator[tuple[np.ndarray, np.ndarray]]


class Pixels:
    """The transformed images of a set, by position: what worker processes make."""

    def __init__(self, files: Sequence[str], transform: Callable):
        self.files, self.transform = files, transform

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> Any:
        return self.transform(images.read(self.files[i]))


def load(spec: Mapping[str, Any]) -> Any:
    """The model of an entry, by its engine: see ``labelwise.classifiers``.

    On a CPU its weights are kept channels last, which makes convolutions faster (the composed
    engine looks at one image at a time, and leaves its classifier's as they are).

    Raises:
        LabelwiseError: an engine that looks at no images, or weights that cannot be loaded.
    """
    if spec["engine"] not in LOOKING:
        raise LabelwiseError(
            f"models: engine {spec['engine']!r} computes no logits; {', '.join(LOOKING)} do"
        )
    import torch

    model = importlib.import_module(f"labelwise.classifiers.{spec['engine']}").Model(spec)
    if model.device == "cpu":
        model.model.to(memory_format=torch.channels_last)
    return model


def look(model: Any, files: Sequence[str], dtype: str = "float32", what: str = "images") -> Rows:
    """Logits [classes] and features [d], float32, of image files in their order.

    On a CPU each core takes batches of its own, with one thread a batch: that is faster than to
    share a batch, and the numbers do not depend on how many cores there are.
    """
    import torch
    from torch.utils.data import DataLoader

    cores = images.workers()
    cpu = model.device == "cpu"
    workers = cores if len(files) >= images.WORKERS_FROM and cores > 1 else 0
    loader = DataLoader(
        Pixels(files, model.transform),
        batch_size=BATCH[model.device],
        num_workers=workers,
        pin_memory=not cpu,
        prefetch_factor=4 if workers else None,
    )
    if cpu:
        torch.set_num_threads(1)

    def score(batch: Any) -> tuple[np.ndarray, np.ndarray]:
        half = dtype != "float32"
        with torch.autocast(model.device, getattr(torch, dtype) if half else None, enabled=half):
            return model.score(batch)

    def rows() -> Rows:
        if cpu and cores == 1:  # two threads would only take turns
            for batch in loader:
                yield from zip(*score(batch), strict=True)
            return
        waiting: deque[Future] = deque()
        with ThreadPoolExecutor(cores if cpu else 1) as pool:
            for batch in loader:
                waiting.append(pool.submit(score, batch))
                if len(waiting) > 2 * cores:
                    yield from zip(*waiting.popleft().result(), strict=True)
            while waiting:
                yield from zip(*waiting.popleft().result(), strict=True)

    return progress(rows(), len(files), what)


def classify(
    model: Any, files: Sequence[str], dtype: str = "float32"
) -> tuple[np.ndarray, np.ndarray]:
    """Logits [n, classes] and features [n, d], float32, of image files in their order."""
    logits, features = zip(*look(model, files, dtype), strict=True)
    return np.stack(logits), np.stack(features)


def first(logits: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Top-1 [n] of logits [n, classes]: the class; without classes the row with nearest features.

    Features are [n, d]; no row is its own nearest.
    """
    if logits.shape[1]:
        return logits.argmax(1)
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -np.inf)
    return cosines.argmax(1)


def precision(model: Any, files: Sequence[str], dtype: str) -> dict[str, Any]:
    """Which numbers to compute with, and on how many images that was checked.

    Returns:
        ``{"asked", "used"}``, and where half precision was asked for ``checked`` images and how
        many of them ``changed`` their top-1.
    """
    if dtype == "float32":
        return {"asked": dtype, "used": dtype}
    sample = [files[i] for i in np.linspace(0, len(files) - 1, min(CHECKED, len(files)), dtype=int)]
    changed = int((first(*classify(model, sample)) != first(*classify(model, sample, dtype))).sum())
    used = "float32" if changed else dtype
    print(
        f"{dtype}: {changed} of {len(sample)} images change their top-1; {used} is used",
        file=sys.stderr,
    )
    return {"asked": dtype, "used": used, "checked": len(sample), "changed": changed}


def read(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a logits file: image [n], logits [n, classes], features [n, d].

    That of a dual encoder has ``scale`` and ``bias`` besides.

    Raises:
        LabelwiseError: it is none.
    """
    found = arrays.read(path)
    if missing := [name for name in ("image", "logits", "features") if name not in found]:
        raise LabelwiseError(f"{path}: no logits file: it has no {', '.join(missing)}")
    return found


def readable(path: str | Path) -> list[dict[str, str]]:
    """The rows of an images table whose files could be read.

    Raises:
        LabelwiseError: there is none.
    """
    rows = [r for r in records.read_csv(path, records.IMAGES) if r["status"] == "ok"]
    if not rows:
        raise LabelwiseError(f"{path}: no readable image in it")
    return rows


def parser(prog: str, text: str | None) -> argparse.ArgumentParser:
    """What every stage that looks at images is told."""
    made = argparse.ArgumentParser(
        prog=prog, description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--model", type=json.loads, required=True, help="what decides it, JSON")
    made.add_argument("--images", required=True, help="results/images/*.csv")
    made.add_argument("--axes", type=json.loads, default={}, help="names for the record, JSON")
    made.add_argument("--gpus", type=int, help=gpu.HELP)
    made.add_argument("--meta", required=True, help="record of the run (JSON)")
    return made


def begin(args: argparse.Namespace) -> tuple[Any, list[dict[str, str]], dict[str, Any]]:
    """The model, the readable rows of its images, and the facts of the record so far."""
    rows = readable(args.images)
    gpu.lease(args.gpus)
    model = load(args.model)
    files = [row["file"] for row in rows]
    facts = {"axes": args.axes, "model": args.model, "images": len(rows), **model.describe()}
    facts["precision"] = precision(model, files, args.model.get("dtype", "float32"))
    return model, rows, facts


@cli
def main(argv: list[str] | None = None) -> None:
    """Command line of the stage ``classify``."""
    arguments = parser("python -m labelwise.classify", __doc__)
    arguments.add_argument("--out", required=True, help="image, logits and features (npz)")
    args = arguments.parse_args(argv)
    started = time.time()
    model, rows, facts = begin(args)
    loaded = time.time()
    logits, features = classify(model, [row["file"] for row in rows], facts["precision"]["used"])
    seconds = time.time() - loaded
    image = np.array([row["image"] for row in rows])
    arrays.write(args.out, image=image, logits=logits, features=features, **model.arrays)
    facts["images_per_second"] = round(len(rows) / seconds, 1)
    records.write_json(args.meta, provenance.meta(started, **facts))
    print(
        f"{len(rows)} images in {seconds:.1f} s, loaded in {loaded - started:.1f} s",
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()
