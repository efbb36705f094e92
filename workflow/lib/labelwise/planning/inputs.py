"""What each file of the study is made from, by the entries of a config (stdlib only)."""

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from labelwise.asking import variations
from labelwise.classifiers import CLASSIFIERS
from labelwise.data import shards
from labelwise.engines import plugins
from labelwise.planning.looks import Looks
from labelwise.planning.points import CLASSIFY, OPTIONS, Point, Run, batch

DISPLAY = {
    "models": ("name", "kind", "restricted", "paper"),
    "images": ("show", "credits", "restricted", "paper"),
    "labels": ("restricted", "passes", "paper"),
    "encoders": ("paper",),
}
"""Keys of an entry that say how it is shown or published: no part of what a result is."""

MACHINES = ("gpus", "memory", "shards")
"""Keys of an entry that say how it is run, not what."""

TRACKED_SHARDS = 100
"""So many shards of a folder, or more, are no inputs: listing them anew is left to the user."""


class Inputs:
    """The entries of a config: their names, their text for a stage, and their files.

    Args:
        config: the configuration, valid by its schema, its image folders filled in.
        locked: names of ``config/weights.lock.yaml``.
    """

    def __init__(self, config: Mapping[str, Any], locked: Iterable[str] = ()) -> None:
        self.config = config
        self.locked = frozenset(locked)
        self.looks = Looks(config)

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

    def writers(self, sharded: bool | None = None) -> list[str]:
        """Models that write text; with ``sharded`` only those whose runs are in shards, or not."""
        found = [model for model in self.config["models"] if not self.classifies(model)]
        return [m for m in found if sharded in (None, self.shards(m) > 1)]

    def shards(self, model: str) -> int:
        """Jobs that one run of a model is divided into."""
        return self.config["models"][model].get("shards", 1)

    def shard_files(self, images: str, model: str, protocol: str, batching: str) -> list[str]:
        """Responses of the shards of one run, in their order."""
        n, run = self.shards(model), Run(images, model, protocol, batching).path
        return [f"results/shards/{run}/{number}-of-{n}.jsonl" for number in range(1, n + 1)]

    def spec(self, kind: str, name: str) -> str:
        """One entry as JSON, without the keys that say how it is shown or where it runs."""
        return json.dumps(self.entry(kind, name), sort_keys=True)

    def entry(self, kind: str, name: str) -> dict[str, Any]:
        """One entry without the keys that say how it is shown, or where it runs."""
        without = DISPLAY.get(kind, ()) + (MACHINES if kind == "models" else ())
        entry = {k: v for k, v in self.config[kind][name].items() if k not in without}
        if kind == "models" and plugins.is_plugin(entry["engine"]):
            where = f"config: models: {name}: engine"
            entry["package"] = plugins.package(plugins.find(entry["engine"], where))
        return entry

    def engine_module(self, model: str) -> str:
        """The module of ours that a model's answers depend on, below ``labelwise.engines``."""
        engine = self.config["models"][model]["engine"]
        return "base" if plugins.is_plugin(engine) else engine

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
        if isinstance(entry.get("class_ids"), str):
            inputs["class_ids"] = entry["class_ids"]
        if entry["source"] == "demo":
            inputs["weights"] = "results/weights/foolbox.json"
        if any(entry.get(key) for key in ("labelled", "class_ids", "per_class")):
            labels = self.config["labels"][entry["original"]]
            wnids = labels["format"] == "folders" and "classes" not in labels
            if not (wnids and entry["source"] == "folder"):  # else its folders say it by themselves
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
                inputs["confusions"] = self.looks.confusions(images, source)
            inputs["equivalents"] = pair_files(entry.get("equivalents", "paper"))
            if source["from"] == "nearest":
                inputs["embeddings"] = self.embeddings(source["mapper"], entry["classes"])
        if batch(batching)[1].startswith("same-class"):
            inputs["original"] = original
        inputs["prompts"] = variations.prompts(entry)
        source = entry.get("candidates", {})
        if "model" in source:
            inputs["candidates"] = f"results/candidates/{images}/{protocol}.csv"
        if "file" in source:
            inputs["listed"] = source["file"]
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
        """How a stage is told a mapper's text encoder; '' where it has none."""
        name = self.config["mappers"].get(mapper, {}).get("encoder")
        if name is None:
            return ""
        entry = self.entry("encoders", name).items()
        known = {key: value for key, value in entry if key not in MACHINES}
        spec = json.dumps({"name": name, **known}, sort_keys=True)
        return f"--encoder {shlex.quote(spec)}"

    def encoder_cache(self, mapper: str) -> str:
        """Where the vectors of answers by a mapper's text encoder are kept, as an option."""
        name = self.config["mappers"].get(mapper, {}).get("encoder")
        if name is None:
            return ""
        return shlex.join(["--cache", f"results/journal/embeddings/{name}.sqlite"])

    def encoder_needs(self, mapper: str) -> Mapping[str, Any]:
        """GPUs and memory of a mapper's text encoder, where its entry says so."""
        name = self.config["mappers"].get(mapper, {}).get("encoder")
        return {} if name is None else self.config["encoders"][name]

    def templates(self, mapper: str) -> list[str]:
        """The file with a mapper's templates, where it names one."""
        return template_files(self.config["mappers"].get(mapper, {}).get("templates", "none"))

    def equivalents(self, labels: str) -> list[str]:
        """The file with the equivalent classes of a label set."""
        return pair_files(self.config["labels"][labels].get("equivalents", "paper"))

    def score_spec(
        self, images: str, model: str, protocol: str, batching: str, mapper: str, labels: str
    ) -> str:
        """The rules of a label set and the axes of a score, as JSON."""
        size, order = batch(batching)
        entry = self.config["protocols"].get(protocol, {"kind": CLASSIFY})
        return json.dumps(
            {
                **self.entry("labels", labels),
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

    def records_of(self, runs: Iterable[Run]) -> list[str]:
        """The records of when and how runs were made; predictions made elsewhere have none."""
        found = set()
        for run in runs:
            if not self.classifies(run.model):
                found.add(run.responses.removesuffix(".jsonl") + ".meta.json")
            elif look := self.looks.name(run.model):
                found.add(f"results/logits/{run.images}/{look}.meta.json")
        return sorted(found)

    def verdict_inputs(
        self, points: Iterable[Point], labels: Iterable[str] = ()
    ) -> dict[str, list[str]]:
        """The files that tell, image by image, whether answers are right.

        Args:
            points: what is judged.
            labels: label sets beside those of the points and the original ones of their images.
        """
        points = list(points)
        images = {point.run.images for point in points}
        sets = {point.labels for point in points} | set(labels)
        sets |= {self.config["images"][name]["original"] for name in images}
        return {
            "predictions": sorted({point.predictions for point in points}),
            "labels": [f"results/labels/{name}.csv" for name in sorted(sets)],
            "images": [f"results/images/{name}.csv" for name in sorted(images)],
            "equivalents": sorted({file for name in sets for file in self.equivalents(name)}),
        }

    def original(self, images: str) -> str:
        """File of the original labels of an image set."""
        return f"results/labels/{self.config['images'][images]['original']}.csv"


def template_files(choice: str) -> list[str]:
    """The file that a choice of templates names, if any."""
    return [] if choice in ("none", "clip-80", "clip-7") else [choice]


def pair_files(choice: str) -> list[str]:
    """The file of a choice of equivalent classes, if any."""
    if choice == "paper":
        return ["config/equivalents/paper.csv"]
    return [] if choice in ("none", "dataset") else [choice]
