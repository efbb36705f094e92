"""The experiments that a config declares, as the files that hold their results (stdlib only).

Nothing heavy may be imported here: every Snakemake process, and on a cluster every job, imports
this module to parse the workflow. All names are checked here, before any job starts.
"""

import difflib
import itertools
import json
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from labelwise import servers, shards
from labelwise.errors import LabelwiseError
from labelwise.sources import LIB

CLASSIFIERS = ("timm", "open_clip", "conse", "knn", "file")
"""Engines of models that score classes; all others write text."""

DISPLAY = ("name", "kind")
"""Keys of a model's entry that only tables and figures read."""

CLASSIFY, ARGMAX, OPTIONS = "classify", "argmax", "options"
"""Protocol and mapper of classifiers, and the mapper of multiple choice: they are no choice."""

PRIMER = re.compile(r"^primer:(?!\s*(?:\"\"|'')?\s*$)", re.M)
"""A prompt file that starts the model's answer."""

TRACKED_SHARDS = 100
"""So many shards of a folder, or more, are no inputs: listing them anew is left to the user."""

ORDER = r"(?:shuffled-s\d+|same-class-s\d+|sorted)"
BATCHING = rf"b1|b(?:[2-9]|[1-9]\d+)-{ORDER}"


class Run(NamedTuple):
    """One model asked one protocol about one image set, in one batching."""

    images: str
    model: str
    protocol: str
    batching: str

    @property
    def path(self) -> str:
        """The run as path segments."""
        return "/".join(self)


class Point(NamedTuple):
    """One cell of the grid: a run, how its answers become classes, what they are scored against."""

    run: Run
    mapper: str
    labels: str

    @property
    def predictions(self) -> str:
        """File of the point's predictions."""
        return f"results/predictions/{self.run.path}/{self.mapper}.csv"

    @property
    def scores(self) -> str:
        """File of the point's scores."""
        return f"results/scores/{self.run.path}/{self.mapper}/{self.labels}.json"


def batching(size: int, order: str) -> str:
    """``b1``, ``b10-shuffled-s0``: images per prompt and their order; a batch of one has none."""
    return "b1" if size == 1 else f"b{size}-{order}"


def batch(name: str) -> tuple[int, str]:
    """Images per prompt and order of a batching: ``b10-shuffled-s0`` -> ``(10, "shuffled-s0")``."""
    size, _, order = name.removeprefix("b").partition("-")
    return int(size), order


class Grid:
    """Every point that some experiment asks for, each once, and what each file is made from.

    Args:
        config: the configuration, valid by its schema.
        locked: names of ``config/weights.lock.yaml``.

    Raises:
        LabelwiseError: a name that nothing defines, or values that do not go together.
    """

    def __init__(self, config: Mapping[str, Any], locked: Iterable[str] = ()) -> None:
        self.config = {**config, "images": _with_folders(config["images"])}
        self.locked = frozenset(locked)
        self._check_entries()
        self.points_of = {
            name: sorted(set(self._expand(name, entry)))
            for name, entry in config["experiments"].items()
        }
        self.points = sorted(set(itertools.chain(*self.points_of.values())))
        for kind in ("figures", "tables"):
            for name, entry in config[kind].items():
                self._known("experiments", entry["experiment"], f"{kind}: {name}: experiment")
                if not (LIB / "labelwise" / kind / f"{name}.py").is_file():
                    raise LabelwiseError(
                        f"config: {kind}: {name}: no module workflow/lib/labelwise/{kind}/{name}.py"
                    )
        self.scores = [point.scores for point in self.points]
        self.responses = sorted(
            {
                f"results/responses/{point.run.path}.jsonl"
                for point in self.points
                if not self.classifies(point.run.model)
            }
        )

    @property
    def oop(self) -> list[str]:
        """Files of the out-of-list analysis: every closed-world run with every text encoder."""
        return [
            f"results/oop/{point.run.path}/{point.mapper}/{point.labels}.csv"
            for point in self.points
            if self.config["protocols"].get(point.run.protocol, {}).get("kind") == "closed"
            and self.config["mappers"][point.mapper]["kind"] == "nearest"
        ]

    # names

    def names(self, kind: str, chosen: Iterable[str] | None = None) -> str:
        """A wildcard constraint: just the names that the config defines (or ``chosen`` of them)."""
        names = self.config[kind] if chosen is None else chosen
        return "|".join(map(re.escape, sorted(names))) or "(?!)"

    def classifies(self, model: str) -> bool:
        """Whether a model scores classes instead of writing text."""
        return self.config["models"][model]["engine"] in CLASSIFIERS

    def classifiers(self) -> list[str]:
        """Models that score classes."""
        return [model for model in self.config["models"] if self.classifies(model)]

    def writers(self) -> list[str]:
        """Models that write text."""
        return [model for model in self.config["models"] if not self.classifies(model)]

    def spec(self, kind: str, name: str) -> str:
        """One entry as JSON, without the keys that only tables and figures read."""
        entry = self.config[kind][name]
        return json.dumps(
            {key: value for key, value in entry.items() if kind != "models" or key not in DISPLAY},
            sort_keys=True,
        )

    # what each file is made from

    def weights_of(self, kind: str, name: str) -> list[str]:
        """Files that say which weights a model or encoder has fetched."""
        entry = self.config[kind][name]
        found = [entry[key] for key in ("weights", "vision", "language") if key in entry]
        if "hf" in entry or "folder" in entry:
            found.append(name)
        return [f"results/weights/{weights}.json" for weights in found]

    def weights(self) -> str:
        """A wildcard constraint: locked names, and models and encoders of a hub or a folder."""
        hub = [
            name
            for kind in ("models", "encoders")
            for name, entry in self.config[kind].items()
            if "hf" in entry or "folder" in entry
        ]
        return self.names("weights", [*self.locked, *hub])

    def weights_option(self, weights: str) -> str:
        """How the stage that fetches weights is told what a hub's name stands for."""
        for kind in ("models", "encoders"):
            entry = self.config[kind].get(weights, {})
            spec = {key: entry[key] for key in ("hf", "revision", "folder") if key in entry}
            if spec:
                return f"--spec {shlex.quote(json.dumps(spec))}"
        return ""

    def image_inputs(self, images: str) -> dict[str, Any]:
        """Inputs of ``list_images``."""
        entry = self.config["images"][images]
        inputs: dict[str, Any] = {}
        if entry["source"] == "shards":
            found = shards.files(entry["folder"], entry, f"images: {images}")
            if len(found) < TRACKED_SHARDS:
                inputs["shards"] = found
        if entry["source"] in ("demo", "csv"):
            inputs["table"] = entry.get("file", "data/demo/photos.csv")
        if isinstance(entry.get("classes"), str):
            inputs["classes"] = entry["classes"]
        if entry["source"] == "demo":
            inputs["weights"] = "results/weights/foolbox.json"
        if any(entry.get(key) for key in ("labelled", "classes", "per_class")):
            inputs["labels"] = f"results/labels/{entry['original']}.csv"
        return inputs

    def label_inputs(self, labels: str) -> dict[str, Any]:
        """Inputs of ``read_labels``; an absolute or home path is the user's and is not tracked."""
        entry = self.config["labels"][labels]
        inputs: dict[str, Any] = {}
        if "file" in entry:
            inputs["file"] = entry["file"]
        if "images" in entry:
            inputs["images"] = f"results/images/{entry['images']}.csv"
        if "classes" in entry:
            inputs["classes"] = f"results/classes/{entry['classes']}.csv"
        return inputs

    def class_inputs(self, classes: str) -> list[str]:
        """Inputs of ``list_classes``."""
        entry = self.config["class_names"][classes]
        return [entry["file"]] if "file" in entry else []

    def classes(self, protocol: str) -> str:
        """File of the class names that a protocol uses."""
        return f"results/classes/{self.config['protocols'][protocol]['classes']}.csv"

    def request_inputs(self, images: str, protocol: str, batching: str) -> dict[str, Any]:
        """Inputs of ``write_requests``: those of the protocol's kind and the batching's order."""
        entry = self.config["protocols"][protocol]
        original = self.original(images)
        inputs: dict[str, Any] = {}
        if entry["kind"] == "choice":
            source = entry.get("distractors", {"from": "random"})
            inputs["original"] = original
            if "corrected" in entry:
                inputs["corrected"] = f"results/labels/{entry['corrected']}.csv"
            if source["from"] == "confusions":
                inputs["confusions"] = (
                    f"results/confusions/{source.get('images', images)}/{source['model']}.csv"
                )
            inputs["equivalents"] = self._pairs(entry.get("equivalents", "paper"))
            if source["from"] == "nearest":
                inputs["embeddings"] = self.embeddings(source["mapper"], entry["classes"])
        if batch(batching)[1].startswith("same-class"):
            inputs["original"] = original
        return inputs

    def other_names(self, protocol: str) -> dict[str, str]:
        """Another known name set, told apart among the answers outside the list (Table 16)."""
        entry = self.config["protocols"][protocol]
        return (
            {"others": f"results/classes/{entry['other_names']}.csv"}
            if "other_names" in entry
            else {}
        )

    def control_labels(self, model: str) -> dict[str, str]:
        """The label set that a control looks at."""
        entry = self.config["models"][model]
        return {"labels": f"results/labels/{entry['labels']}.csv"} if "labels" in entry else {}

    def embeddings(self, mapper: str, classes: str) -> str:
        """File of the class names as a mapper embeds them."""
        return f"results/embeddings/{mapper}/{classes}.npz"

    def map_inputs(self, protocol: str, mapper: str) -> dict[str, str]:
        """Inputs of ``map_responses`` that only a text encoder needs."""
        if self.config["mappers"].get(mapper, {}).get("kind") != "nearest":
            return {}
        classes = self.config["protocols"][protocol]["classes"]
        found = {"embeddings": self.embeddings(mapper, classes)}
        if templates := self.templates(mapper):
            found["templates"] = templates[0]
        return found

    def mapper_spec(self, mapper: str) -> str:
        """A mapper's entry as JSON; ``options`` is multiple choice's own."""
        if mapper == OPTIONS:
            return json.dumps({"kind": OPTIONS})
        return self.spec("mappers", mapper)

    def encoder_options(self, mapper: str) -> str:
        """How a stage is told a mapper's text encoder and its cache; '' where it has none."""
        name = self.config["mappers"].get(mapper, {}).get("encoder")
        if name is None:
            return ""
        spec = json.dumps({"name": name, **self.config["encoders"][name]}, sort_keys=True)
        return f"--encoder {shlex.quote(spec)} --cache results/journal/embeddings/{name}.sqlite"

    def templates(self, mapper: str) -> list[str]:
        """The file with a mapper's templates, where it names one."""
        return self._templates(self.config["mappers"].get(mapper, {}).get("templates", "none"))

    @staticmethod
    def _templates(choice: str) -> list[str]:
        return [] if choice in ("none", "clip-80", "clip-7") else [choice]

    def equivalents(self, labels: str) -> list[str]:
        """The file with the equivalent classes of a label set."""
        return self._pairs(self.config["labels"][labels].get("equivalents", "paper"))

    @staticmethod
    def _pairs(choice: str) -> list[str]:
        if choice == "paper":
            return ["config/equivalents/paper.csv"]
        return [] if choice in ("none", "dataset") else [choice]

    def score_spec(
        self, images: str, model: str, protocol: str, batching: str, mapper: str, labels: str
    ) -> str:
        """The rules of a label set and the axes of a score, as JSON."""
        size, order = batch(batching)
        entry = self.config["protocols"].get(protocol, {"kind": CLASSIFY})
        return json.dumps(
            {
                **self.config["labels"][labels],
                "images": images,
                "model": model,
                "engine": self.config["models"][model]["engine"],
                "protocol": protocol,
                "kind": entry["kind"],
                "batching": batching,
                "images_per_prompt": size,
                "order": order,
                "mapper": mapper,
                "labels": labels,
                "original": self.config["images"][images]["original"],
            },
            sort_keys=True,
        )

    def predict_inputs(self, images: str, model: str) -> dict[str, str]:
        """Inputs of ``predict``: scores and features of a classifier, and what its engine adds."""
        entry = self.config["models"][model]
        logits = f"results/logits/{images}/{entry.get('classifier', model)}.npz"
        inputs = {"logits": logits}
        if entry["engine"] == "conse":
            inputs["embeddings"] = self.embeddings(entry["mapper"], entry["class_names"])
            inputs["classes"] = f"results/classes/{entry['class_names']}.csv"
        if entry["engine"] == "knn":
            inputs["labels"] = self.original(images)
        if entry["engine"] == "file":
            inputs = {"file": entry["file"]}
        return inputs

    def original(self, images: str) -> str:
        """File of the original labels of an image set."""
        return f"results/labels/{self.config['images'][images]['original']}.csv"

    def describe(self, experiment: str) -> str:
        """Names and kinds of an experiment's models, protocols and mappers, as JSON."""
        found: dict[str, dict[str, Any]] = {"models": {}, "protocols": {}, "mappers": {}}
        for point in self.points_of[experiment]:
            model = self.config["models"][point.run.model]
            found["models"][point.run.model] = {
                "engine": model["engine"],
                "name": model.get("name", point.run.model),
                "kind": model["kind"],
            }
            protocol = self.config["protocols"].get(point.run.protocol, {"kind": CLASSIFY})
            said = {"kind": protocol["kind"]}
            if said["kind"] != CLASSIFY:
                said["answer"] = protocol.get("answer", "name")
            if said["kind"] == "choice":
                said["true"] = protocol.get("true", ["original"])
                said["distractors"] = protocol.get("distractors", {"from": "random"})
            found["protocols"][point.run.protocol] = said
            mapper = self.config["mappers"].get(point.mapper, {})
            found["mappers"][point.mapper] = {
                key: mapper[key] for key in ("encoder", "templates") if key in mapper
            }
        return json.dumps(found, sort_keys=True)

    # checks

    def _known(self, kind: str, name: str, where: str) -> None:
        known = self.config[kind]
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise LabelwiseError(
                f"config: {where}: {name!r} is not defined{hint} {kind} has {', '.join(known)}"
            )

    def _check_entries(self) -> None:
        """Every name inside an entry is defined, and every file or folder given is there."""
        config: Mapping[str, Any] = self.config
        for name, entry in config["images"].items():
            where = f"images: {name}"
            self._known("labels", entry["original"], f"{where}: original")
            if "folder" in entry:
                self._there(entry["folder"], f"{where}: folder", folder=True)
            if entry["source"] == "shards":
                shards.files(entry["folder"], entry, f"config: {where}")
            if "file" in entry:
                self._there(entry["file"], f"{where}: file")
            if isinstance(entry.get("classes"), str):
                self._there(entry["classes"], f"{where}: classes")
        for kind in ("labels", "class_names"):
            for name, entry in config[kind].items():
                if "file" in entry:
                    self._there(entry["file"], f"{kind}: {name}: file")
        for name, entry in config["labels"].items():
            for key, kind in (("images", "images"), ("classes", "class_names")):
                if key in entry:
                    self._known(kind, entry[key], f"labels: {name}: {key}")
        for kind in ("models", "encoders"):
            for name, entry in config[kind].items():
                for key in ("weights", "vision", "language"):
                    if key in entry and entry[key] not in self.locked:
                        raise LabelwiseError(
                            f"config: {kind}: {name}: {key}: {entry[key]!r} is not in"
                            f" config/weights.lock.yaml; it has {', '.join(sorted(self.locked))}"
                        )
        for name, entry in config["models"].items():
            where = f"models: {name}"
            for key, kind in (
                ("labels", "labels"),
                ("classifier", "models"),
                ("mapper", "mappers"),
                ("class_names", "class_names"),
            ):
                if key in entry:
                    self._known(kind, entry[key], f"{where}: {key}")
        for kind, key, files in (
            ("labels", "equivalents", self._pairs),
            ("protocols", "equivalents", self._pairs),
            ("mappers", "templates", self._templates),
        ):
            for name, entry in config[kind].items():
                for file in files(entry.get(key, "none")):
                    self._there(file, f"{kind}: {name}: {key}")
        for name, entry in config["mappers"].items():
            if name in (ARGMAX, OPTIONS):
                raise LabelwiseError(f"config: mappers: {name!r} is reserved; choose another name")
            if entry["kind"] == "nearest":
                self._known("encoders", entry["encoder"], f"mappers: {name}: encoder")
        for name, entry in config["protocols"].items():
            where = f"protocols: {name}"
            if name == CLASSIFY:
                raise LabelwiseError(f"config: {where}: the name is reserved; choose another")
            self._there(entry["prompt"], f"{where}: prompt")
            for key in ("classes", "other_names"):
                if key in entry:
                    self._known("class_names", entry[key], f"{where}: {key}")
            if "corrected" in entry:
                self._known("labels", entry["corrected"], f"{where}: corrected")
            elif "corrected" in entry.get("true", ()):
                raise LabelwiseError(f"config: {where}: corrected: name the corrected label set")
            source = entry.get("distractors", {})
            for key, kind in (("model", "models"), ("images", "images"), ("mapper", "mappers")):
                if key in source:
                    self._known(kind, source[key], f"{where}: distractors: {key}")

    @staticmethod
    def _there(path: str, where: str, folder: bool = False) -> None:
        if not (Path(path).is_dir() if folder else Path(path).is_file()):
            what = "folder" if folder else "file"
            raise LabelwiseError(f"config: {where}: no such {what}: {path}")

    def _expand(self, experiment: str, entry: Mapping[str, Any]) -> Iterator[Point]:
        where = f"experiments: {experiment}"
        for kind in ("images", "labels"):
            for name in entry[kind]:
                self._known(kind, name, f"{where}: {kind}")
        for number, chosen in enumerate(entry["runs"], 1):
            here = f"{where}: runs {number}"
            for model in chosen["models"]:
                self._known("models", model, f"{here}: models")
            for images, model, labels in itertools.product(
                entry["images"], chosen["models"], entry["labels"]
            ):
                for protocol, name, mapper in self._asked(model, chosen, here):
                    yield Point(Run(images, model, protocol, name), mapper, labels)

    def _asked(
        self, model: str, chosen: Mapping[str, Any], where: str
    ) -> Iterator[tuple[str, str, str]]:
        """Protocol, batching and mapper of each run of one model in one block of an experiment."""
        asks = [key for key in ("protocols", "batches", "orders", "mappers") if key in chosen]
        if self.classifies(model):
            if asks:
                raise LabelwiseError(
                    f"config: {where}: {model} is a classifier and takes no {', '.join(asks)};"
                    " give it a block of its own with models alone"
                )
            yield CLASSIFY, "b1", ARGMAX
            return
        if "protocols" not in chosen:
            raise LabelwiseError(f"config: {where}: protocols: say what {model} is asked")
        served = self.config["models"][model]["engine"] == "openai"
        if served:
            servers.check(self.config["models"][model], f"config: models: {model}")
        for protocol in chosen["protocols"]:
            self._known("protocols", protocol, f"{where}: protocols")
            prompt = self.config["protocols"][protocol]["prompt"]
            if served and PRIMER.search(Path(prompt).read_text(encoding="utf-8")):
                raise LabelwiseError(
                    f"config: {where}: protocols: {protocol}: {prompt} starts the answer (primer),"
                    f" which chat completions cannot; give {model} a prompt without one"
                )
            kind = self.config["protocols"][protocol]["kind"]
            sizes: Sequence[int] = chosen.get("batches", [1])
            if refusal := cannot(self.config["models"][model], kind, max(sizes)):
                raise LabelwiseError(f"config: {where}: {model} and {protocol}: {refusal}")
            choice = kind == "choice"
            if choice and "mappers" in chosen:
                raise LabelwiseError(
                    f"config: {where}: mappers: {protocol} is multiple choice; its options decide"
                )
            if not choice and "mappers" not in chosen:
                raise LabelwiseError(
                    f"config: {where}: mappers: say how answers to {protocol} become classes"
                )
            if choice and sizes != [1]:
                raise LabelwiseError(f"config: {where}: batches: {protocol} takes one image")
            for mapper in chosen.get("mappers", []):
                self._known("mappers", mapper, f"{where}: mappers")
            for size, order, mapper in itertools.product(
                sizes, chosen.get("orders", ["shuffled-s0"]), chosen.get("mappers", [OPTIONS])
            ):
                yield protocol, batching(size, order), mapper


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
    if paligemma and kind == "closed":
        return "PaliGemma's context is too short for a list of classes; leave closed world out"
    return ""


def _with_folders(images: Mapping[str, Any]) -> dict[str, Any]:
    """Image sets with the environment variables of their folders filled in."""
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
