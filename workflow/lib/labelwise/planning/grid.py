"""The experiments that a config declares, as the files that hold their results (stdlib only).

Nothing heavy may be imported here: every Snakemake process, and on a cluster every job, imports
this module to parse the workflow. All names are checked here, before any job starts.
"""

import difflib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from labelwise.errors import LabelwiseError
from labelwise.planning import checks
from labelwise.planning.inputs import Inputs
from labelwise.planning.points import ARGMAX, CLASSIFY, OPTIONS, Point, Run, batching
from labelwise.planning.sources import LIB
from labelwise.servers import entries as servers


class Grid(Inputs):
    """Every point that some experiment asks for, each once, and what each file is made from.

    Args:
        config: the configuration, valid by its schema.
        locked: names of ``config/weights.lock.yaml``.

    Raises:
        LabelwiseError: a name that nothing defines, or values that do not go together.
    """

    def __init__(self, config: Mapping[str, Any], locked: Iterable[str] = ()) -> None:
        filled = {
            "images": checks.with_folders(config["images"]),
            "encoders": config.get("encoders", {}),
            "annotations": config.get("annotations", {}),
        }
        super().__init__({**config, **filled}, locked)
        checks.entries(self.config, self.locked)
        self.points_of = {
            name: sorted(set(self._expand(name, entry)))
            for name, entry in config["experiments"].items()
        }
        self.points = sorted(set(itertools.chain(*self.points_of.values())))
        for kind in ("figures", "tables"):
            for name, entry in config[kind].items():
                for key in ("experiment", "noise", "annotation"):
                    if key in entry:
                        where = f"{kind}: {name}: {key}"
                        named = "annotations" if key == "annotation" else "experiments"
                        checks.known(self.config, named, entry[key], where)
                if not (LIB / "labelwise" / kind / f"{name}.py").is_file():
                    there = [path.stem for path in (LIB / "labelwise" / kind).glob("*.py")]
                    near = difflib.get_close_matches(name, there, 1)
                    raise LabelwiseError(
                        f"config: {kind}: {name}: no module workflow/lib/labelwise/{kind}/{name}.py"
                        + (f"; did you mean {near[0]!r}?" if near else "")
                    )
        self.scores = [point.scores for point in self.points]
        self.responses = sorted(
            {point.run.responses for point in self.points if not self.classifies(point.run.model)}
        )

    @property
    def oop(self) -> list[str]:
        """Files of the out-of-list analysis: every closed-world run with every text encoder."""
        return [point.oop for point in self.points if self.maps_closed(point)]

    def maps_closed(self, point: Point) -> bool:
        """Whether a point is closed world, or a narrowed list, with a text encoder (CW+, CN+)."""
        kind = self.config["protocols"].get(point.run.protocol, {}).get("kind")
        return (
            kind in ("closed", "narrowed")
            and self.config["mappers"][point.mapper]["kind"] == "nearest"
        )

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

    def _expand(self, experiment: str, entry: Mapping[str, Any]) -> Iterator[Point]:
        where = f"experiments: {experiment}"
        for kind in ("images", "labels"):
            for name in entry[kind]:
                checks.known(self.config, kind, name, f"{where}: {kind}")
        for number, chosen in enumerate(entry["runs"], 1):
            here = f"{where}: runs {number}"
            for model in chosen["models"]:
                checks.known(self.config, "models", model, f"{here}: models")
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
            checks.can_classify(self.config["models"][model], f"config: {where}: {model}")
            yield CLASSIFY, "b1", ARGMAX
            return
        if "protocols" not in chosen:
            raise LabelwiseError(f"config: {where}: protocols: say what {model} is asked")
        served = self.config["models"][model]["engine"] == "openai"
        if served:
            servers.check(self.config["models"][model], f"config: models: {model}")
        for protocol in chosen["protocols"]:
            checks.known(self.config, "protocols", protocol, f"{where}: protocols")
            prompt = self.config["protocols"][protocol]["prompt"]
            if served and checks.PRIMER.search(Path(prompt).read_text(encoding="utf-8")):
                raise LabelwiseError(
                    f"config: {where}: protocols: {protocol}: {prompt} starts the answer (primer),"
                    f" which chat completions cannot; give {model} a prompt without one"
                )
            kind = self.config["protocols"][protocol]["kind"]
            sizes: Sequence[int] = chosen.get("batches", [1])
            if refusal := checks.cannot(self.config["models"][model], kind, max(sizes)):
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
                checks.known(self.config, "mappers", mapper, f"{where}: mappers")
            for size, order, mapper in itertools.product(
                sizes, chosen.get("orders", ["shuffled-s0"]), chosen.get("mappers", [OPTIONS])
            ):
                yield protocol, batching(size, order), mapper
