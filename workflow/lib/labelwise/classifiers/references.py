"""Store the features of a reference image set once, as shards that k-NN maps into memory.

The output folder holds ``00000.npy``, ``00001.npy``, ... (float16, unit vectors, [16384, d], the
last one shorter) and ``images.txt`` with an image id a line, in the order of the rows. A shard is
computed once: it is kept in the journal folder under a key of the model, its weights, its
transform, its precision and its images' digests, and linked from there, so that a killed job
continues where it was and an image added at the end costs one shard.
"""

import hashlib
import io
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labelwise import classify, provenance, records, weights
from labelwise.errors import LabelwiseError, cli

ROWS = 16384
"""Images of a shard: 32 MB at 1024 dimensions."""

EPOCH = 2
"""Raised where the same key would stand for other numbers."""

LIST = "images.txt"


def key(model: Mapping[str, Any], images: Sequence[str]) -> str:
    """What a shard is known by.

    Args:
        model: all that its numbers depend on besides the images.
        images: sha256 of each image file, in the order of the rows.
    """
    known = json.dumps({"epoch": EPOCH, "model": model, "images": images}, sort_keys=True)
    return hashlib.sha256(known.encode()).hexdigest()


def unit(features: np.ndarray) -> np.ndarray:
    """Rows [n, d] at length 1, float32; a row of zeros stays one, infinite ones are an error."""
    if not np.isfinite(features).all():
        raise LabelwiseError("features: not finite; give the model `dtype: float32`")
    length = np.linalg.norm(features.astype(np.float32), axis=1, keepdims=True)
    return (features / np.maximum(length, 1e-12)).astype(np.float32)


def embed(
    model: Any,
    known: Mapping[str, Any],
    rows: Sequence[Mapping[str, str]],
    dtype: str,
    journal: Path,
) -> tuple[list[Path], int]:
    """The shards of a set, those that are missing computed, and how many these were.

    Args:
        model: looks at images.
        known: what it is known by, for ``key``.
        rows: rows of an images table, all readable.
        dtype: what it computes with.
        journal: folder with the shards of every model and set.
    """
    shards, fresh = [], 0
    parts = [rows[start : start + ROWS] for start in range(0, len(rows), ROWS)]
    for number, part in enumerate(parts, 1):
        path = journal / f"{key(known, [row['sha256'] for row in part])}.npy"
        if not path.is_file():
            what = f"images of shard {number} of {len(parts)}"
            seen = classify.look(model, [row["file"] for row in part], dtype, what)
            features = unit(np.stack([row for _, row in seen])).astype(np.float16)
            buffer = io.BytesIO()
            np.save(buffer, features, allow_pickle=False)
            with records.atomic(path, "wb") as file:
                file.write(buffer.getvalue())
            fresh += 1
        shards.append(path)
    return shards, fresh


def publish(shards: Sequence[Path], images: Sequence[str], folder: Path) -> None:
    """Write the output folder: linked shards (copied where links cannot be made), and the ids."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        made = Path(scratch) / "made"
        made.mkdir()
        for number, shard in enumerate(shards):
            try:
                os.link(shard, made / f"{number:05d}.npy")
            except OSError:
                shutil.copy(shard, made / f"{number:05d}.npy")
        records.write_text(made / LIST, "".join(f"{image}\n" for image in images))
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(made, folder)


class References:
    """A folder of ``publish``, mapped into memory.

    Attributes:
        images: image ids in the order of the rows.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.images = records.read_text(self.folder / LIST).splitlines()

    def blocks(self) -> Iterator[np.ndarray]:
        """The rows in order, a shard [n, d] float16 at a time.

        Raises:
            LabelwiseError: a shard is damaged, or there are more or fewer rows than images.
        """
        seen = 0
        for path in sorted(self.folder.glob("*.npy")):
            try:
                shard = np.load(path, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError) as error:
                raise LabelwiseError(f"{path}: no shard of features: {error}") from None
            seen += len(shard)
            yield shard
        if seen != len(self.images):
            raise LabelwiseError(f"{self.folder}: {seen} rows of {len(self.images)} images")


@cli
def main(argv: list[str] | None = None) -> None:
    """Command line of the stage ``references``."""
    arguments = classify.parser("python -m labelwise.classifiers.references", __doc__)
    arguments.add_argument("--journal", type=Path, required=True, help="folder that keeps shards")
    arguments.add_argument("--out", type=Path, required=True, help="folder of shards and ids")
    args = arguments.parse_args(argv)
    started = time.time()
    model, rows, facts = classify.begin(args)
    used = facts["precision"]["used"]
    known = {"entry": args.model, "weights": weights.known(args.model)}
    known |= {"transform": facts["transform"], "dtype": used}
    shards, fresh = embed(model, known, rows, used, args.journal)
    publish(shards, [row["image"] for row in rows], args.out)
    facts |= {"shards": len(shards), "computed": fresh}
    records.write_json(args.meta, provenance.meta(started, **facts))
    print(f"{len(rows)} images, {fresh} of {len(shards)} shards computed", file=sys.stderr)


if __name__ == "__main__":
    main()
