"""Which classifiers share one look at the images, and what their files are made from (stdlib only).

Scores and features of images are computed once a *look*: what decides the pixels and the numbers,
that is weights, transform and precision. Class names, templates, k, votes and labels come later, so
changing them shows no image to any model. A look is named after the model (engines timm and
features), or after the encoder that a dual encoder's mapper names (engine open_clip); ConSE and
k-NN look through their ``classifier``.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labelwise.classifiers import LOOKING
from labelwise.errors import LabelwiseError

DECIDE: tuple[str, ...] = ("engine", "weights", "hf", "revision", "folder", "model", "pretrained")
DECIDE = (*DECIDE, "size", "pool", "outputs", "dtype")
"""Keys of an entry that decide what a look gives."""


class Looks:
    """Looks and what is computed from them, by the entries of a config.

    Args:
        config: the configuration, valid by its schema, its image folders filled in.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config

    def name(self, model: str) -> str:
        """The look of a classifier; '' where it has none (engine file)."""
        entry = self.config["models"][model]
        if entry["engine"] in ("conse", "knn"):
            return self.name(entry["classifier"])
        if entry["engine"] == "open_clip":
            return self.config["mappers"][entry["mapper"]]["encoder"]
        return model if entry["engine"] in LOOKING else ""

    def names(self) -> list[str]:
        """All looks."""
        return sorted({self.name(model) for model in self._looking()})

    def spec(self, look: str) -> str:
        """What decides a look, as JSON."""
        return self._spec(self._users(look)[0])

    def weights(self, look: str) -> dict[str, list[str]]:
        """Inputs of a look: the record of its fetched weights, or files of the user's own."""
        spec = json.loads(self.spec(look))
        fetched = [spec["weights"]] if "weights" in spec else []
        fetched += [look] if "hf" in spec or "folder" in spec else []
        files = [f"results/weights/{name}.json" for name in fetched]
        own = [spec.get(key, "") for key in ("pretrained", "outputs")]
        return {"weights": [*files, *(path for path in own if Path(path).is_file())]}

    def most(self, look: str, key: str, default: Any) -> Any:
        """What a look's job needs (``gpus``, ``memory``): of its models, the first that says so."""
        entries = [self.config["models"][model] for model in self._users(look)]
        return next((entry[key] for entry in entries if key in entry), default)

    def neighbours(self, images: str, model: str) -> str:
        """File of the nearest references of each image, for a model of engine knn."""
        reference = self.config["models"][model].get("reference", images)
        return f"results/neighbours/{images}/{reference}/{self.name(model)}.npz"

    def neighbour_inputs(self, images: str, reference: str, look: str) -> dict[str, str]:
        """Inputs of ``find_neighbours``; where the images are their own references, no shards."""
        inputs = {
            "queries": f"results/logits/{images}/{look}.npz",
            "images": f"results/images/{images}.csv",
            "labels": self._original(reference),
        }
        if reference != images:
            inputs["references"] = f"results/references/{reference}/{look}"
            inputs["reference_images"] = f"results/images/{reference}.csv"
        return inputs

    def predict_inputs(self, images: str, model: str) -> dict[str, str]:
        """Inputs of ``predict``: what its engine makes predictions from."""
        entry = self.config["models"][model]
        if entry["engine"] == "file":
            return {"file": entry["file"]}
        if entry["engine"] == "knn":
            reference = entry.get("reference", images)
            return {
                "neighbours": self.neighbours(images, model),
                "labels": self._original(reference),
            }
        inputs = {"logits": f"results/logits/{images}/{self.name(model)}.npz"}
        if entry["engine"] in ("conse", "open_clip"):
            names = entry["classes"]
            inputs["embeddings"] = f"results/embeddings/{entry['mapper']}/{names}.npz"
            inputs["classes"] = f"results/classes/{names}.csv"
        if "targets" in entry:
            inputs["targets"] = f"results/embeddings/{entry['mapper']}/{entry['targets']}.npz"
        return inputs

    def narrow_inputs(self, images: str, protocol: str) -> dict[str, str]:
        """Inputs of ``narrow``: what the model that chooses candidates scores classes by."""
        model = self.config["protocols"][protocol]["candidates"]["model"]
        found = self.predict_inputs(images, model)
        wanted = ("logits", "embeddings", "targets")
        return {name: found[name] for name in wanted if name in found}

    def confuse_inputs(self, images: str, model: str) -> dict[str, str]:
        """Inputs of ``confuse``: probabilities where the engine has them, else predictions."""
        if self.config["models"][model]["engine"] in ("timm", "open_clip"):
            return self.predict_inputs(images, model)
        return {"predictions": f"results/predictions/{images}/{model}/classify/b1/argmax.csv"}

    def confusions(self, images: str, source: Mapping[str, Any]) -> str:
        """File of the confusions that a protocol's ``distractors`` ask for."""
        if "file" in source:
            return source["file"]
        counted = source.get("images", images)
        labels = source.get("labels", self.config["images"][counted]["original"])
        return f"results/confusions/{counted}/{source['model']}/{labels}.csv"

    def check(self) -> None:
        """Refuse what does not go together; names are known to be defined.

        Raises:
            LabelwiseError: the first such entry.
        """
        for model, entry in self.config["models"].items():
            where, engine = f"config: models: {model}", entry["engine"]
            if engine in ("conse", "knn"):
                can = ("timm",) if engine == "conse" else LOOKING
                other = self.config["models"][entry["classifier"]]["engine"]
                if other not in can:
                    raise LabelwiseError(
                        f"{where}: classifier: {entry['classifier']} is of engine {other};"
                        f" {engine} needs one of {', '.join(can)}"
                    )
            if engine == "open_clip":
                given = [key for key in DECIDE[1:] if key in entry and key != "dtype"]
                if given:
                    raise LabelwiseError(
                        f"{where}: {given[0]}: belongs to the encoder that the mapper names"
                    )
                encoder = self.config["mappers"][entry["mapper"]].get("encoder", "")
                tower = self.config["encoders"].get(encoder, {}).get("engine")
                if tower != "open_clip":
                    raise LabelwiseError(
                        f"{where}: mapper: {entry['mapper']} has no encoder of engine open_clip;"
                        " a dual encoder's class names are embedded by its own text tower"
                    )
        for look in self.names():
            first, *others = self._users(look)
            for other in others:
                if self._spec(other) != self._spec(first):
                    raise LabelwiseError(
                        f"config: models: {first} and {other} share the look {look!r} and differ in"
                        " weights or dtype; give one of them (or its encoder) another name"
                    )

    def _looking(self) -> list[str]:
        models = self.config["models"]
        return [model for model, entry in models.items() if entry["engine"] in LOOKING]

    def _users(self, look: str) -> list[str]:
        return [model for model in self._looking() if self.name(model) == look]

    def _spec(self, model: str) -> str:
        entry = self.config["models"][model]
        if entry["engine"] == "open_clip":
            tower = self.config["encoders"][self.name(model)]
            entry = tower | {key: entry[key] for key in ("engine", "dtype") if key in entry}
        return json.dumps({key: entry[key] for key in DECIDE if key in entry}, sort_keys=True)

    def _original(self, images: str) -> str:
        return f"results/labels/{self.config['images'][images]['original']}.csv"
