"""Checks of a config that a schema cannot make: names that nothing defines, missing files.

Stdlib only, as all that Snakemake imports to parse the workflow.
"""

import difflib
import json
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from labelwise.asking import variations
from labelwise.classifiers import CLASSIFIERS
from labelwise.data import shards
from labelwise.engines import plugins
from labelwise.errors import LabelwiseError
from labelwise.planning.inputs import pair_files, template_files
from labelwise.planning.looks import Looks
from labelwise.planning.points import ARGMAX, CLASSIFY, OPTIONS
from labelwise.records import CERTAIN, LISTED

PRIMER = re.compile(r"^primer:(?!\s*(?:\"\"|'')?\s*$)", re.M)
"""The line of a prompt file that starts the model's answer."""

SEARCHING = ("composed", "transformers", "oracle", "chance")
"""Engines that find answers among the names of a list (and controls, which know them)."""


def known(config: Mapping[str, Any], kind: str, name: str, where: str) -> None:
    """Refuse a name that the section ``kind`` of the config does not define; ``where`` uses it."""
    names = config[kind]
    if name not in names:
        near = difflib.get_close_matches(name, names, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ";"
        raise LabelwiseError(
            f"config: {where}: {name!r} is not defined{hint} {kind} has {', '.join(names)}"
        )


def entries(config: Mapping[str, Any], locked: Collection[str]) -> None:
    """Every name inside an entry is defined, and every file or folder given is there.

    Args:
        config: the configuration, valid by its schema, its image folders filled in.
        locked: names of ``config/weights.lock.yaml``.

    Raises:
        LabelwiseError: the first that is not.
    """
    _images(config)
    _labels_and_names(config)
    _weights(config, locked)
    _models(config)
    _mappers(config)
    _protocols(config)
    Looks(config).check()


def _images(config: Mapping[str, Any]) -> None:
    for name, entry in config["images"].items():
        where = f"images: {name}"
        known(config, "labels", entry["original"], f"{where}: original")
        if "folder" in entry:
            there(entry["folder"], f"{where}: folder", folder=True)
        if entry["source"] == "shards":
            shards.files(entry["folder"], entry, f"config: {where}")
        for key in ("file", "class_ids", "credits"):
            if isinstance(entry.get(key), str):
                there(entry[key], f"{where}: {key}")
        if isinstance(entry.get("show"), list) and "credits" not in entry:
            raise LabelwiseError(f"config: {where}: show: licences need `credits`, their table")


def _labels_and_names(config: Mapping[str, Any]) -> None:
    for kind in ("labels", "class_names"):
        for name, entry in config[kind].items():
            if "file" in entry:
                there(entry["file"], f"{kind}: {name}: file")
    for name, entry in config["labels"].items():
        for key, kind in (("images", "images"), ("classes", "class_names")):
            if key in entry:
                known(config, kind, entry[key], f"labels: {name}: {key}")
        for one in entry.get("passes", ()):
            known(config, "labels", one, f"labels: {name}: passes")
        for file in pair_files(entry.get("equivalents", "none")):
            there(file, f"labels: {name}: equivalents")


def _weights(config: Mapping[str, Any], locked: Collection[str]) -> None:
    for kind in ("models", "encoders"):
        for name, entry in config[kind].items():
            for key in ("weights", "vision", "language"):
                if key in entry and entry[key] not in locked:
                    raise LabelwiseError(
                        f"config: {kind}: {name}: {key}: {entry[key]!r} is not in"
                        f" config/weights.lock.yaml; it has {', '.join(sorted(locked))}"
                    )


def _models(config: Mapping[str, Any]) -> None:
    for name, entry in config["models"].items():
        where = f"models: {name}"
        for key, kind in (
            ("labels", "labels"),
            ("classifier", "models"),
            ("mapper", "mappers"),
            ("classes", "class_names"),
            ("reference", "images"),
            ("targets", "class_names"),
        ):
            if key in entry:
                known(config, kind, entry[key], f"{where}: {key}")
        if plugins.is_plugin(entry["engine"]):
            plugins.find(entry["engine"], f"config: {where}: engine")
        elif "options" in entry:
            raise LabelwiseError(
                f"config: {where}: options: {entry['engine']} is built in and has keys of its own;"
                " options are of engines of other packages"
            )
        if entry["engine"] in (*CLASSIFIERS, "openai") and entry.get("shards", 1) > 1:
            what = "a server takes `concurrency`" if entry["engine"] == "openai" else "one job"
            raise LabelwiseError(f"config: {where}: shards: leave it out; {what} is enough")


def _mappers(config: Mapping[str, Any]) -> None:
    for name, entry in config["mappers"].items():
        if name in (ARGMAX, OPTIONS):
            raise LabelwiseError(f"config: mappers: {name!r} is reserved; choose another name")
        for file in template_files(entry.get("templates", "none")):
            there(file, f"mappers: {name}: templates")
        if entry["kind"] == "nearest":
            known(config, "encoders", entry["encoder"], f"mappers: {name}: encoder")


def _protocols(config: Mapping[str, Any]) -> None:
    for name, entry in config["protocols"].items():
        where = f"protocols: {name}"
        if name == CLASSIFY:
            raise LabelwiseError(f"config: {where}: the name is reserved; choose another")
        for prompt in variations.prompts(entry):
            there(prompt, f"{where}: prompt")
        for file in pair_files(entry.get("equivalents", "none")):
            there(file, f"{where}: equivalents")
        for key in ("classes", "other_names"):
            if key in entry:
                known(config, "class_names", entry[key], f"{where}: {key}")
        if "corrected" in entry:
            known(config, "labels", entry["corrected"], f"{where}: corrected")
        elif "corrected" in entry.get("true", ()):
            raise LabelwiseError(f"config: {where}: corrected: name the corrected label set")
        _candidates(config, entry.get("candidates", {}), f"{where}: candidates")
        _distractors(config, entry.get("distractors", {}), f"{where}: distractors")


def _candidates(config: Mapping[str, Any], source: Mapping[str, Any], where: str) -> None:
    if "file" in source:
        there(source["file"], f"{where}: file")
    if "model" in source:
        known(config, "models", source["model"], f"{where}: model")
        engine = config["models"][source["model"]]["engine"]
        if engine not in ("timm", "open_clip", "conse"):
            raise LabelwiseError(
                f"config: {where}: model: {source['model']} (engine {engine}) scores no classes;"
                " name a model of engine timm, open_clip or conse"
            )


def _distractors(config: Mapping[str, Any], source: Mapping[str, Any], where: str) -> None:
    for key in ("model", "images", "labels", "mapper"):
        if key in source:
            kind = key if key in config else f"{key}s"
            known(config, kind, source[key], f"{where}: {key}")
    if "file" in source:
        if "model" in source:
            raise LabelwiseError(f"config: {where}: give model or file, not both")
        there(source["file"], f"{where}: file")


def there(path: str, where: str, folder: bool = False) -> None:
    """Refuse a file, or a folder, that is not there."""
    if not (Path(path).is_dir() if folder else Path(path).is_file()):
        what = "folder" if folder else "file"
        raise LabelwiseError(f"config: {where}: no such {what}: {path}")


def can_classify(entry: Mapping[str, Any], where: str) -> None:
    """Refuse a classifier that has no classes, or whose predictions are not there."""
    if entry["engine"] == "features":
        raise LabelwiseError(
            f"{where} has features and no classes; name it as `classifier` of a model of engine knn"
        )
    if entry["engine"] == "file" and not Path(entry["file"]).is_file():
        raise LabelwiseError(f"{where}: file: no such file: {entry['file']}")


def cannot(entry: Mapping[str, Any], kind: str, images: int) -> str:
    """Why a model cannot be asked a kind of protocol with so many images a prompt; '' if it can."""
    name = entry.get("hf", "").lower()
    config = Path(entry.get("folder", "")) / "config.json"
    if "folder" in entry and config.is_file():
        name = json.loads(config.read_text(encoding="utf-8")).get("model_type", "")
    paligemma = entry["engine"] == "transformers" and "paligemma" in name
    most = 1 if paligemma else entry.get("max_images", images)
    if images > most:
        return f"batches: the model takes {most} image{'s' if most > 1 else ''} a prompt"
    if kind in CERTAIN and entry["engine"] not in SEARCHING:
        structured = kind == "constrained" and entry["engine"] == "openai"
        instead = "a closed protocol with format structured" if structured else "a model run here"
        return (
            f"the engine {entry['engine']} does not search names, {' and '.join(SEARCHING[:2])} do;"
            f" take {instead}"
        )
    if kind in CERTAIN and entry.get("numerics", {}).get("decoding") == "generate":
        return "numerics: decoding generate writes freely and searches no names; leave it out"
    if kind in CERTAIN and images > 1:
        return f"batches: a {kind} protocol takes one image a prompt"
    if paligemma and kind in LISTED:
        return "PaliGemma's context is too short for a list of classes; leave closed world out"
    return ""


def with_folders(images: Mapping[str, Any]) -> dict[str, Any]:
    """Image sets with the environment variables of their folders filled in.

    Raises:
        LabelwiseError: a variable that is not set.
    """
    filled = {}
    for name, entry in images.items():
        folder = os.path.expandvars(os.path.expanduser(entry.get("folder", "")))
        if "$" in folder:
            raise LabelwiseError(
                f"config: images: {name}: folder: {entry['folder']} is not set; export it as the"
                " folder with the images"
            )
        filled[name] = {**entry, "folder": folder} if folder else entry
    return filled
