"""The ``annotations`` of a config: checked, and the files that each stage reads (stdlib only)."""

import json
import shlex
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from labelwise.errors import LabelwiseError
from labelwise.planning import checks

if TYPE_CHECKING:
    from labelwise.planning.grid import Grid

FORMAT = "annotations"
"""Format of a label set that decisions make."""


class Annotations:
    """Every annotation of a config.

    Args:
        grid: the grid of the same config, which knows all names.

    Raises:
        LabelwiseError: a name that nothing defines, or values that do not go together.
    """

    def __init__(self, grid: "Grid") -> None:
        self.grid = grid
        self.entries: Mapping[str, Mapping[str, Any]] = grid.config["annotations"]
        for name, entry in self.entries.items():
            self._check(f"annotations: {name}", entry)
        for name in self.label_sets():
            entry = grid.config["labels"][name]
            where = f"labels: {name}: annotation"
            checks.known(grid.config, "annotations", entry["annotation"], where)
            if "decisions" not in self.entries[entry["annotation"]]:
                raise LabelwiseError(
                    f"config: {where}: {entry['annotation']!r} has no decisions yet; give it the"
                    " file that labelwise.annotation.interchange exports"
                )

    def _check(self, where: str, entry: Mapping[str, Any]) -> None:
        known = partial(checks.known, self.grid.config)
        for key, kind in (
            ("images", "images"),
            ("classes", "class_names"),
            ("corrected", "labels"),
        ):
            known(kind, entry[key], f"{where}: {key}")
        for key in ("guidelines", "decisions"):
            if key in entry:
                checks.there(entry[key], f"{where}: {key}")
        predictions = entry.get("predictions", {})
        for name, source in predictions.items():
            here = f"{where}: predictions: {name}"
            known("models", source["model"], f"{here}: model")
            asked = {"protocol", "mapper"} & source.keys()
            if self.grid.classifies(source["model"]) and asked:
                raise LabelwiseError(f"config: {here}: a classifier takes no {', '.join(asked)}")
            if not self.grid.classifies(source["model"]):
                for key, kind in (("protocol", "protocols"), ("mapper", "mappers")):
                    if key not in source:
                        raise LabelwiseError(f"config: {here}: {key}: say which of the model's")
                    known(kind, source[key], f"{here}: {key}")
        for key in ("show", "helper"):
            names = [entry[key]] if key == "helper" and key in entry else entry.get(key, ())
            for name in names:
                self._source(predictions, name, f"{where}: {key}")
        if entry.get("helper") and entry["helper"] not in entry.get("show", ()):
            raise LabelwiseError(
                f"config: {where}: helper: {entry['helper']!r} is not shown; add it to show"
            )
        for number, block in enumerate(entry["select"], 1):
            here = f"{where}: select {number}"
            for key in ("model", "planted"):
                if key in block:
                    known("models", block[key], f"{here}: {key}")
                    engine = self.grid.config["models"][block[key]]["engine"]
                    if engine not in ("timm", "open_clip"):
                        raise LabelwiseError(
                            f"config: {here}: {key}: {block[key]} gives no probabilities of all"
                            " classes; name a classifier"
                        )
            for name in block.get("models", ()):
                self._source(predictions, name, f"{here}: models")

    @staticmethod
    def _source(predictions: Mapping[str, Any], name: str, where: str) -> None:
        if name not in predictions:
            raise LabelwiseError(
                f"config: {where}: {name!r} is none of its predictions: {', '.join(predictions)}"
            )

    def label_sets(self) -> list[str]:
        """The label sets that decisions make."""
        labels = self.grid.config["labels"]
        return [name for name, entry in labels.items() if entry["format"] == FORMAT]

    @property
    def targets(self) -> list[str]:
        """What can be made of each annotation: its tally, or the cases that wait for decisions."""
        return [
            f"results/annotation/{name}/{'tally.csv' if 'decisions' in entry else 'cases.jsonl'}"
            for name, entry in self.entries.items()
        ]

    @property
    def tallies(self) -> list[str]:
        """What the decisions say, of the annotations that have some."""
        return [target for target in self.targets if target.endswith("tally.csv")]

    def predictions(self, name: str) -> dict[str, str]:
        """The file of each of an annotation's predictions."""
        entry = self.entries[name]
        files = {}
        for source, given in entry.get("predictions", {}).items():
            run = f"{entry['images']}/{given['model']}"
            tail = "classify/b1/argmax"
            if not self.grid.classifies(given["model"]):
                tail = f"{given['protocol']}/b1/{given['mapper']}"
            files[source] = f"results/predictions/{run}/{tail}.csv"
        return files

    def logits(self, name: str) -> dict[str, str]:
        """The file of the probabilities of each classifier that selection or planting looks at."""
        entry = self.entries[name]
        models = {block[k] for block in entry["select"] for k in ("model", "planted") if k in block}
        return {m: f"results/logits/{entry['images']}/{m}.npz" for m in sorted(models)}

    def select_inputs(self, name: str) -> dict[str, Any]:
        """Inputs of ``select_cases``."""
        entry = self.entries[name]
        inputs: dict[str, Any] = {
            "images": f"results/images/{entry['images']}.csv",
            "classes": f"results/classes/{entry['classes']}.csv",
            "original": self.grid.original(entry["images"]),
            "corrected": f"results/labels/{entry['corrected']}.csv",
            "equivalents": self.grid.equivalents(entry["corrected"]),
            "predictions": list(self.predictions(name).values()),
            "logits": list(self.logits(name).values()),
        }
        if "guidelines" in entry:
            inputs["guidelines"] = entry["guidelines"]
        return inputs

    def select_options(self, name: str) -> str:
        """Predictions and logits as command-line options."""
        named = {"predictions": self.predictions(name), "logits": self.logits(name)}
        return " ".join(
            f"--{option} {' '.join(shlex.quote(f'{n}={f}') for n, f in files.items())}"
            for option, files in named.items()
            if files
        )

    def spec(self, name: str) -> str:
        """An entry with the name of the original labels, as JSON."""
        entry = self.entries[name]
        original = self.grid.config["images"][entry["images"]]["original"]
        return json.dumps({**entry, "original": original, "name": name}, sort_keys=True)

    def rules(self, name: str) -> str:
        """The rules of the corrected labels, as JSON."""
        return self.grid.spec("labels", self.entries[name]["corrected"])

    def decisions(self, name: str) -> str:
        """The file with an annotation's decisions; an error where it has none yet."""
        entry = self.entries[name]
        if "decisions" not in entry:
            raise LabelwiseError(f"config: annotations: {name}: decisions: give their file")
        return entry["decisions"]

    def of_labels(self, labels: str) -> str:
        """The annotation that makes a label set."""
        return self.grid.config["labels"][labels]["annotation"]

    def relabel_inputs(self, labels: str) -> dict[str, Any]:
        """Inputs of ``relabel``."""
        name = self.of_labels(labels)
        return {
            "base": f"results/labels/{self.entries[name]['corrected']}.csv",
            "decisions": self.decisions(name),
            "equivalents": self.grid.equivalents(labels),
        }
