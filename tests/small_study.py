"""A study of hand-made predictions, scored and gathered by the real stages."""

import json
from pathlib import Path

from labelwise import gather, records, score
from labelwise.evaluation.selection import Run, load

LABELS = {"single": {"format": "csv"}, "multi": {"format": "csv"}}
PLAN = {"labels": LABELS, "original": {"few": "single"}}


class SmallStudy:
    """A ``results`` folder below the working directory.

    Args:
        root: the working directory.
        truth: image -> (original class, corrected classes).
    """

    def __init__(self, root: Path, truth: dict[str, tuple[int, tuple[int, ...]]]):
        self.root, self.truth, self.scores = root, truth, []
        self.known = {"models": {}, "protocols": {}, "mappers": {}}
        self._labels("single", {image: (own,) for image, (own, _) in truth.items()})
        self._labels("multi", {image: found for image, (_, found) in truth.items()})
        rows = [dict.fromkeys(records.IMAGES, "") | {"image": image} for image in truth]
        records.write_csv(root / "results/images/few.csv", records.IMAGES, rows)

    def _labels(self, name: str, found: dict[str, tuple[int, ...]]) -> None:
        rows = [
            {"image": i, "labels": " ".join(map(str, ids)), "void": int(not ids), "source": "hand"}
            for i, ids in found.items()
        ]
        records.write_csv(self.root / f"results/labels/{name}.csv", records.LABELS, rows)

    def predict(self, model, answers, protocol="closed", batching="b1", mapper="exact", **said):
        """Write and score one run. ``answers``: image -> class, '' (outside the list), or a list
        of one a repeat; ``places``: image -> position; ``kind``: of the model; ``protocol_``,
        ``mapper_``: what the configuration says of them.
        """
        self.known["models"][model] = {"name": model, "kind": said.get("kind", "mllm")}
        self.known["protocols"][protocol] = {"kind": protocol.split("-")[0]} | said.get(
            "protocol_", {}
        )
        self.known["mappers"][mapper] = said.get("mapper_", {})
        path = f"few/{model}/{protocol}/{batching}/{mapper}"
        rows = []
        for image, answer in answers.items():
            for repeat, one in enumerate(answer if isinstance(answer, list) else [answer]):
                row = dict.fromkeys(records.PREDICTIONS, "") | {"repeat": repeat, "image": image}
                row |= {"position": said.get("places", {}).get(image, 1), "class": one, "mapped": 0}
                rows.append(row | {"outcome": "out_of_list" if one == "" else "ok"})
        file = self.root / f"results/predictions/{path}.csv"
        records.write_csv(file, records.PREDICTIONS, rows)
        for labels in LABELS:
            size, _, order = batching.removeprefix("b").partition("-")
            axes = {"images": "few", "model": model, "protocol": protocol, "batching": batching}
            axes |= {"mapper": mapper, "labels": labels, "images_per_prompt": int(size)}
            axes |= {"order": order, "kind": protocol.split("-")[0]}
            found = score.score(
                file,
                self.root / f"results/labels/{labels}.csv",
                self.root / "results/labels/single.csv",
                self.root / "results/images/few.csv",
                LABELS[labels] | axes,
            )
            out = self.root / f"results/scores/{path}/{labels}.json"
            records.write_json(out, found)
            self.scores.append(out)

    def gather(self) -> list[Run]:
        """The runs of all predictions."""
        out = self.root / "results/experiments/small.csv"
        where = ["--experiment", "small", "--describe", json.dumps(self.known), "--out", str(out)]
        gather.main([*map(str, self.scores), *where])
        return load(out)
