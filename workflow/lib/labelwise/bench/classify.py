"""``python -m labelwise.bench classify``: images a second, beside the loop of timm or open_clip.

The plain loop is what their own evaluations do: a DataLoader with the library's transform and one
worker process a core, and the whole batch through the model in one call that uses all cores; with
batches of 8 and of 32, of which the faster counts. Ours is the stage ``classify``. Both have real
architectures with random weights (timm: resnet50; open_clip: ViT-B-32), the same photographs and
the same cores, each side alone in a process of its own that may use no other core, in turns, of
which the median counts. Models are loaded and warm before the clock starts. The top-1 of every
image is compared: of logits (timm), or of 100 made-up names (open_clip).
"""

import argparse
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, set_start_method
from pathlib import Path
from typing import Any

import numpy as np

from labelwise import bench, records

PHOTOS = Path("data/demo/photos")
LIBRARIES = {"timm": "resnet50", "open_clip": "ViT-B-32"}
BATCHES = (8, 32)
"""Batches of the plain loop, unless others are named; on a GPU ours has 64."""


def make(library: str, folder: Path) -> Path:
    """Write a real architecture with random weights as a folder in the library's own layout."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    name = LIBRARIES[library]
    if library == "timm":
        import timm

        model = timm.create_model(name)
        data = {k: model.pretrained_cfg[k] for k in ("input_size", "crop_pct", "mean", "std")}
        config: dict[str, Any] = {"architecture": name, "num_classes": 1000, "pretrained_cfg": data}
        save_file(model.state_dict(), folder / "model.safetensors")
        records.write_json(folder / "config.json", config)
    else:
        import open_clip

        model = open_clip.create_model(name)
        config = {"model_cfg": open_clip.get_model_config(name), "preprocess_cfg": {}}
        save_file(model.state_dict(), folder / "open_clip_model.safetensors")
        records.write_json(folder / "open_clip_config.json", config)
    return folder


def names(d: int) -> np.ndarray:
    """Unit vectors [100, d] that stand for class names."""
    rows = np.random.default_rng(0).normal(size=(100, d)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def ours(spec: Mapping[str, str], files: Sequence[str]) -> tuple[list[int], float, float]:
    """Top-1 of each image by our stage, its seconds and its seconds of processor time."""
    from labelwise import classify

    model = classify.load(spec)
    classify.classify(model, files[:16])
    start, busy = time.perf_counter(), _busy()
    logits, features = classify.classify(model, files)
    seconds, cpu = time.perf_counter() - start, _busy() - busy
    scores = logits if logits.shape[1] else features @ names(features.shape[1]).T
    return scores.argmax(1).tolist(), seconds, cpu


def plain(
    spec: Mapping[str, str], files: Sequence[str], cores: int, batch: int
) -> tuple[list[int], float, float]:
    """As ``ours``, by the library's loop with batches of ``batch``, a worker process a core."""
    import torch
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset

    name = f"local-dir:{spec['folder']}"
    if spec["engine"] == "timm":
        import timm

        model = timm.create_model(name, pretrained=True).eval()
        config = timm.data.resolve_model_data_config(model, use_test_size=True)
        transform = timm.data.create_transform(**config, is_training=False)
    else:
        import open_clip

        model, _, transform = open_clip.create_model_and_transforms(name)
        model.eval()

    class Photos(Dataset):
        def __init__(self, files: Sequence[str]):
            self.files = files

        def __len__(self) -> int:
            return len(self.files)

        def __getitem__(self, i: int) -> Any:
            return transform(Image.open(self.files[i]).convert("RGB"))

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device)

    def loop(files: Sequence[str]) -> list[int]:
        found = []
        workers = cores if cores > 1 else 0
        with torch.inference_mode():
            for pixels in DataLoader(Photos(files), batch_size=batch, num_workers=workers):
                pixels = pixels.to(device)
                if spec["engine"] == "timm":
                    scores = model(pixels)
                else:
                    features = model.encode_image(pixels, normalize=True)
                    scores = features @ torch.from_numpy(names(features.shape[1])).to(device).T
                found += scores.argmax(1).tolist()
        return found

    loop(files[:batch])
    start, busy = time.perf_counter(), _busy()
    found = loop(files)
    return found, time.perf_counter() - start, _busy() - busy


def _busy() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _confine(cores: Sequence[int]) -> None:
    os.sched_setaffinity(0, cores)
    set_start_method("fork", force=True)  # of a loader's workers, as in a process of the workflow


def alone(cores: Sequence[int], side: Any, *given: Any) -> Any:
    """What a picklable function returns in a new process that has only these cores.

    It finds their number in ``OMP_NUM_THREADS``.
    """
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(len(cores))
    try:
        with ProcessPoolExecutor(
            1, get_context("spawn"), initializer=_confine, initargs=(cores,)
        ) as pool:
            return pool.submit(side, *given).result()
    finally:
        os.environ.pop("OMP_NUM_THREADS")
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before


def measure(
    library: str,
    folder: Path,
    n: int,
    cores: Sequence[int],
    repeats: int,
    batches: Sequence[int] = BATCHES,
) -> dict[str, Any]:
    """Images a second of each side, their ratios, and how many top-1 are the same.

    Args:
        library: of ``LIBRARIES``.
        folder: where a model is made.
        n: images.
        cores: numbers of the cores that both sides may use.
        repeats: turns of each side, of which the median counts.
        batches: of the plain loop, of which the faster counts.

    Returns:
        ``ratio`` and ``ratio_cpu`` (seconds, and seconds of processor time, of the plain loop over
        ours) are above 1 where ours is faster.
    """
    spec = {"engine": library, "folder": str(make(library, folder))}
    photos = sorted(map(str, PHOTOS.glob("*.jpg")))
    files = [photos[i % len(photos)] for i in range(n)]
    mine: list[Any] = []
    theirs: dict[int, list[Any]] = {batch: [] for batch in batches}
    for _ in range(repeats):
        mine.append(alone(cores, ours, spec, files))
        for batch, turns in theirs.items():
            turns.append(alone(cores, plain, spec, files, len(cores), batch))
    best = min(theirs.values(), key=lambda turns: statistics.median(turn[1] for turn in turns))
    wall, cpu, plain_wall, plain_cpu = (
        statistics.median(turn[i] for turn in turns) for turns in (mine, best) for i in (1, 2)
    )
    return {
        "library": library,
        "architecture": LIBRARIES[library],
        "images": n,
        "cores": len(cores),
        "repeats": repeats,
        "ours_per_s": n / wall,
        "plain_per_s": n / plain_wall,
        "ratio": plain_wall / wall,
        "ratio_cpu": plain_cpu / cpu,
        "same_top1": sum(a == b for a, b in zip(mine[0][0], best[0][0], strict=True)),
    }


def main(argv: Sequence[str]) -> None:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.bench classify",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    mine = sorted(os.sched_getaffinity(0))
    default = sorted({1, len(mine)})
    parser.add_argument("--libraries", nargs="+", choices=LIBRARIES, default=list(LIBRARIES))
    parser.add_argument("--images", type=int, default=96)
    parser.add_argument("--cores", type=int, nargs="+", default=default, help=f"({default})")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each side")
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES, help="of the plain loop")
    parser.add_argument("--json", type=Path, metavar="OUT")
    args = parser.parse_args(argv)
    results = []
    for library in args.libraries:
        for cores in args.cores:
            with tempfile.TemporaryDirectory() as folder:
                given = (args.images, mine[:cores], args.repeats, args.batches)
                m = measure(library, Path(folder), *given)
            results.append(m)
            print(
                f"{library} {m['architecture']}, {m['images']} images, {m['cores']} cores:"
                f" {m['ours_per_s']:.1f} images/s, plain loop {m['plain_per_s']:.1f}:"
                f" {m['ratio']:.2f} times as fast ({m['ratio_cpu']:.2f} in processor time);"
                f" {m['same_top1']} of {m['images']} top-1 the same",
                flush=True,
            )
    bench.finish(results, args.json)
