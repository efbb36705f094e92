"""Which images a study uses, and how their pixels are read.

Pixels are read by one rule, ``read``: what Pillow's ``Image.open(file).convert("RGB")`` gives, as
in the evaluation code of torchvision, timm and open_clip. So the content decides, not the suffix;
EXIF orientation is ignored; CMYK, grey and palette images become RGB; of an animation the first
frame counts. Two kinds depart from Pillow, whose result would be no picture: transparent pixels
are laid on white (Pillow shows whatever colour is stored under them) and 16-bit grey is scaled to
8 bit (Pillow clips it). Images of more than 200 million pixels are refused, and those of which one
side is more than 200 times the other, which processors of models refuse.
"""

import argparse
import hashlib
import io
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelwise import weights
from labelwise.data import class_ids, hub, shards
from labelwise.draw import key
from labelwise.errors import LabelwiseError, brief, cli
from labelwise.progress import progress
from labelwise.records import IMAGES, SUFFIXES, ids, image_id, read_csv, write_csv

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "TIFF", "WEBP")
"""What Pillow may open. Others run programs (EPS starts Ghostscript) or are no pictures."""

PIXELS = 200_000_000
"""Most pixels of one image (600 MB as RGB): above any camera, below what a hostile file claims."""

SIDES = 200
"""Times that one side of an image may have the other: the limit of Qwen3-VL, the same for all."""

DEMO = "data/demo/photos.csv"
WORKERS_FROM = 256
"""Fewer images than this are read in one process."""


def path(file: str) -> Path:
    """Where a ``file`` of an images table lies; ``weights:NAME/...`` is in fetched weights."""
    if file.startswith("weights:"):
        name, _, rest = file.removeprefix("weights:").partition("/")
        return weights.folder(name) / rest
    return Path(file)


def data(file: str | Path) -> bytes:
    """The original bytes of an image.

    Args:
        file: ``file`` of an images table: a path, ``weights:NAME/...``, or a place in a shard (see
            ``labelwise.data.shards``).

    Raises:
        LabelwiseError: missing, or its shard is cut or damaged; one line that begins with the file.
    """
    inside = shards.data(str(file))
    if inside is not None:
        return inside
    try:
        return path(str(file)).read_bytes()
    except OSError as error:
        raise LabelwiseError(f"{file}: unreadable image: {error.strerror or error}") from None


def read(file: str | Path) -> "Image":
    """One image as RGB, by the rule of this module.

    Args:
        file: as of ``data``.

    Raises:
        LabelwiseError: missing, empty, truncated, not an image, or larger than ``PIXELS``; one line
            that begins with the file.
    """
    return decode(data(file), str(file))


def decode(data: bytes, file: str) -> "Image":
    """The bytes of an image as RGB; ``file`` is what errors call it."""
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = None  # PIXELS is the limit, checked below before any pixel is decoded
    if not data:
        raise LabelwiseError(f"{file}: unreadable image: the file is empty")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height > PIXELS:
                raise LabelwiseError(
                    f"{file}: unreadable image: {width} x {height} pixels are more than"
                    f" {PIXELS // 10**6} million"
                )
            if max(width, height) > SIDES * min(width, height):
                raise LabelwiseError(
                    f"{file}: unreadable image: {width} x {height} pixels: one side is more than"
                    f" {SIDES} times the other, which no model is shown"
                )
            image.load()
            if image.mode.startswith("I"):
                grey = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
                return Image.fromarray(((grey * 255 + 32767) // 65535).astype(np.uint8)).convert(
                    "RGB"
                )
            if image.mode == "F":
                raise LabelwiseError(f"{file}: unreadable image: floating-point pixels")
            if image.has_transparency_data:
                image = image.convert("RGBA")
                white = Image.new("RGBA", image.size, "white")
                return Image.alpha_composite(white, image).convert("RGB")
            return image.convert("RGB")
    except LabelwiseError:
        raise
    except UnidentifiedImageError:
        raise LabelwiseError(
            f"{file}: unreadable image: no format that is read ({', '.join(FORMATS)})"
        ) from None
    except Exception as error:  # decoders of hostile bytes raise anything
        raise LabelwiseError(f"{file}: unreadable image: {brief(error, 200)}") from None


def describe(item: tuple[str, str]) -> dict[str, Any]:
    """One row of the images table for (image, file); ``status`` is ``ok`` or the error."""
    image, file = item
    row: dict[str, Any] = {"image": image, "file": file, "status": "ok"}
    try:
        found = data(file)
        row |= {"sha256": hashlib.sha256(found).hexdigest(), "bytes": len(found)}
        row["width"], row["height"] = decode(found, file).size
    except LabelwiseError as error:
        row["status"] = str(error)
    return row


def workers() -> int:
    """Cores to use: ``OMP_NUM_THREADS``, which Snakemake sets to a job's threads, else all."""
    return int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))


def begin_worker() -> None:
    """Have a worker process end when its parent does, and leave Ctrl-C to it."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end() -> None:
        parent.join()
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end, daemon=True).start()


def in_workers(function: Callable, items: Sequence, what: str) -> Iterable:
    """Yield ``function`` of each item, in order; in worker processes where there are many items."""
    if len(items) < WORKERS_FROM or workers() < 2:
        yield from progress(map(function, items), len(items), what)
        return
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(workers(), context, begin_worker) as pool:
        found: Any = pool.map(function, items, chunksize=16)
        with closing(found):
            yield from progress(found, len(items), what)


def find(name: str, spec: Mapping[str, Any]) -> dict[str, str]:
    """Image id to file, of one entry of ``images`` in the configuration, sorted by id.

    Sources: ``demo`` and ``csv`` (a table with columns image,file; files lie in ``folder``, which
    is that of the table unless it is given), ``folder`` (flat or one folder a class, searched to
    any depth; an image's id is its file name without suffix, or with ``ids: path`` its path in the
    folder), ``shards`` (WebDataset or parquet
    files of a folder) and ``hub`` (those of a data set on the Hugging Face hub, which are fetched).

    Raises:
        LabelwiseError: no such folder, nothing in it, a file outside it, a shard that cannot be
            read, no access to the hub, or an id that two files bear.
    """
    where, hint = f"images: {name}", "rename one"
    if spec["source"] in ("folder", "shards") and not Path(spec["folder"]).is_dir():
        raise LabelwiseError(f"{spec['folder']}: no such folder ({where}: folder)")
    if spec["source"] in ("shards", "hub"):
        hint = "set `pattern`, or `id_column` for parquet"
        hubs = spec["source"] == "hub"
        listed = hub.fetch(spec, where) if hubs else shards.files(spec["folder"], spec, where)
        if "pattern" not in spec:
            shards.whole(listed, where)
        pairs = [pair for shard in listed for pair in shards.samples(shard, spec, SUFFIXES)]
        if not pairs:
            raise LabelwiseError(f"{where}: no image in {listed[0]} and the other shards")
    elif spec["source"] == "folder":
        root = Path(spec["folder"])
        by_path = spec.get("ids") == "path"
        hint = hint if by_path else "rename one, or set `ids: path`"
        pairs = [
            (image_id(str(file.relative_to(root)) if by_path else file.name), file.as_posix())
            for file in sorted(root.rglob("*"))
            if file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()
        ]
        if not pairs:
            raise LabelwiseError(
                f"{root}: no image in this folder ({where}: folder); known are"
                f" {' '.join(sorted(SUFFIXES))}"
            )
    else:
        table = Path(spec.get("file", DEMO) if spec["source"] == "demo" else spec["file"])
        root = Path(spec.get("folder", table.parent))
        pairs = [
            (row["image"], _listed(row["file"] or "", root, f"{table}: image '{row['image']}'"))
            for row in read_csv(table, ("image", "file"))
        ]
        if not pairs:
            raise LabelwiseError(f"{table}: no image in this table ({where}: file)")
    found: dict[str, str] = {}
    for image, file in pairs:
        if image in found:
            raise LabelwiseError(
                f"{where}: two files bear the id '{image}': {found[image]} and {file}; {hint}"
            )
        if not image or not image.isprintable():
            raise LabelwiseError(f"{where}: {file!r}: an id must be printable text; {hint}")
        if spec["source"] not in ("shards", "hub") and not path(file).is_file():
            raise LabelwiseError(f"{where}: no such file: {file} (image '{image}')")
        found[image] = file
    return dict(sorted(found.items()))


def _listed(file: str, root: Path, where: str) -> str:
    """A file as a table lists it: inside fetched weights, or inside the folder of the set."""
    packed = file.startswith(("foolbox/", "weights:"))
    inside = packed or Path(os.path.abspath(root / file)).is_relative_to(os.path.abspath(root))
    if not inside or ".." in Path(file).parts:
        raise LabelwiseError(
            f"{where}: {file} is outside {root}; set `folder` of the image set to the folder that"
            " holds all of its files"
        )
    if packed:
        return f"weights:foolbox/{file}" if file.startswith("foolbox/") else file
    return (root / file).as_posix()


def choose(
    found: Mapping[str, str], spec: Mapping[str, Any], labels: Mapping[str, Sequence[int]]
) -> list[str]:
    """The images that a study keeps, by their labels.

    Args:
        found: image id to file.
        spec: ``labelled: true`` keeps images that the label set names; ``class_ids`` keeps those
            with one of these labels; ``per_class: n`` keeps n of each class, drawn by image id with
            ``seed``, so that another class or image moves no other draw.
        labels: image id to class ids.
    """
    kept, classes = list(found), class_list(spec)
    if spec.get("labelled") or "class_ids" in spec or "per_class" in spec:
        kept = [image for image in kept if image in labels]
    if classes is not None:
        kept = [image for image in kept if classes & set(labels[image])]
    if "per_class" in spec:
        wanted = range(10**6) if classes is None else classes
        of_class: dict[int, list[str]] = {}
        for image in kept:
            for label in set(labels[image]).intersection(wanted):
                of_class.setdefault(label, []).append(image)
        seed = spec.get("seed", 0)
        drawn = {
            image
            for members in of_class.values()
            for image in sorted(members, key=lambda i: key(seed, "images", i))[: spec["per_class"]]
        }
        kept = [image for image in kept if image in drawn]
    return kept


def by_folder(found: Mapping[str, str]) -> dict[str, tuple[int, ...]]:
    """The class of each image whose folder bears an ImageNet-1k wnid; others have none."""
    from labelwise.data.label_formats import wnids

    of_wnid = wnids()
    folders = {image: Path(file).parent.name for image, file in found.items()}
    return {image: (of_wnid[name],) for image, name in folders.items() if name in of_wnid}


def class_list(spec: Mapping[str, Any]) -> set[int] | None:
    """The ids that ``class_ids`` gives, a list or a file (``data.class_ids``); None without it."""
    given = spec.get("class_ids")
    if given is None:
        return None
    return class_ids.read(given) if isinstance(given, str) else set(given)


def table(name: str, spec: Mapping[str, Any], labels: str | Path | None) -> list[dict[str, Any]]:
    """Rows of the images table of one entry of ``images``; every file is decoded once.

    Raises:
        LabelwiseError: see ``find``; a restriction without label set; an unreadable image, unless
            ``unreadable: count`` keeps it with this status.
    """
    found = find(name, spec)
    restricted = [k for k in ("labelled", "class_ids", "per_class") if spec.get(k)]
    known: Mapping[str, Sequence[int]] = {}
    if restricted and labels is not None:
        known = {r["image"]: ids(r["labels"]) for r in read_csv(labels, ("image", "labels"))}
    elif restricted and spec["source"] == "folder":
        known = by_folder(found)
    elif restricted:
        raise LabelwiseError(
            f"images: {name}: '{restricted[0]}' needs a label set; set `original` to one"
        )
    kept = choose(found, spec, known)
    if not kept:
        raise LabelwiseError(
            f"images: {name}: no image is left after {', '.join(restricted)} with"
            f" {labels or 'the wnids of its folders'}"
        )
    rows = list(in_workers(describe, [(i, found[i]) for i in kept], f"images {name}"))
    broken = [row for row in rows if row["status"] != "ok"]
    if broken and spec.get("unreadable", "stop") == "stop":
        raise LabelwiseError(
            f"{broken[0]['status']} ({len(broken)} such of {len(rows)} in images: {name};"
            " `unreadable: count` keeps them as wrong answers)"
        )
    for row in broken:
        row["status"] = "unreadable"
    return rows


@cli
def main(argv: list[str] | None = None) -> None:
    """``python -m labelwise.images --name NAME --spec JSON --out results/images/NAME.csv``."""
    parser = argparse.ArgumentParser(prog="python -m labelwise.images", description=__doc__)
    parser.add_argument("--name", required=True, help="the entry of `images` in the configuration")
    parser.add_argument("--spec", type=json.loads, required=True, help="that entry as JSON")
    parser.add_argument("--labels", type=Path, help="label set that classes are chosen by")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args(argv)
    write_csv(arguments.out, IMAGES, table(arguments.name, arguments.spec, arguments.labels))


if __name__ == "__main__":
    main()
