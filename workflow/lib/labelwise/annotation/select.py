"""Stage ``select_cases``: which images people look at again, and what they are shown.

``python -m labelwise.annotation.select --spec JSON --images CSV --classes CSV --original CSV
--corrected CSV [--predictions NAME=CSV ...] [--logits MODEL=NPZ ...] --out JSONL --key CSV``;
``--spec`` is the entry of ``annotations`` in the configuration, with its name and that of the
original labels.

Blocks of ``select`` are taken in their order, each from the images that none before it took:

``category``      images of the ``categories`` (all of them unless ``n`` is given)
``disagreement``  images on which most of the ``models`` contradict the corrected labels, first
``label-errors``  the least credible original labels by ``model``'s probabilities (cleanlab's
                  normalised margin), first
``class-ids``     images whose original or corrected labels hold one of the ``class_ids``
``random``        any image, for audit

``n`` is the most images of each stratum (``strata``: none, category or class, the class being the
original label). Where a block ranks no image before another, a draw keyed by the image decides, so
that adding images moves no other. ``planted: MODEL`` adds a wrong label to every case of the block:
a class among the model's likely ones that no source holds, equivalent classes included.

The options of a case are what the two label sets and the models under ``show`` say, at most four,
equal ones merged. A planted label takes the place of the last option where there are four already.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from labelwise import classify, classnames, draw, labels, records
from labelwise.annotation import classinfo
from labelwise.annotation.cases import Case, Cases, Option, Sealed, Source, write_key
from labelwise.data.rules import Pairs, Rules
from labelwise.errors import LabelwiseError, cli
from labelwise.labels import UNSURE, Label
from labelwise.score import read_predictions
from labelwise.scoring import Answer, Key, admissible, hits

OPTIONS = 4
"""Most options of a case, as in the paper."""

PLANTED_RANKS = (4, 20)
"""A planted label is drawn among a model's likely classes, from this rank up to that one."""


@dataclass
class Material:
    """All that selection looks at, over the images that can be read.

    Attributes:
        images: rows of the image set by id.
        names: class names by id.
        original: original labels.
        corrected: the labels that are under revision.
        predictions: model -> image -> answer.
        logits: model -> image -> float32 [classes].
        rules: rules of the corrected labels, and ``pairs`` their equivalent classes.
    """

    images: dict[str, dict[str, str]]
    names: list[str]
    original: labels.Labels
    corrected: labels.Labels
    predictions: dict[str, dict[str, Answer]] = field(default_factory=dict)
    logits: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    rules: Rules = field(default_factory=Rules)
    pairs: Pairs = frozenset()

    def categories(self) -> dict[str, str]:
        """The smallest category of each image that both label sets know: S+, S-, M+, M- or N."""
        key = Key(self.corrected, self.original, self.rules, self.pairs, self.images)
        return {
            image: next(c for c in records.LEAVES if key.members[c][i])
            for i, image in enumerate(key.images)
        }


def chosen(spec: Mapping[str, Any], material: Material) -> dict[str, Mapping[str, Any]]:
    """The images that become cases, and the block that took each; an error where there is none."""
    categories, seed = material.categories(), spec.get("seed", 0)
    taken: dict[str, Mapping[str, Any]] = {}
    for number, block in enumerate(spec["select"], 1):
        left = [image for image in categories if image not in taken]
        if "categories" in block:
            left = [image for image in left if categories[image] in block["categories"]]
        if "class_ids" in block:
            wanted = set(block["class_ids"])
            left = [image for image in left if wanted & _ids(material, image)]
        rank = RANKS[block["by"]](block, left, material)
        ordered = sorted(
            (image for image in left if rank(image) is not None),
            key=lambda i: (rank(i), draw.key(seed, f"select {number}", i)),
        )
        stratum = _stratum(block, material, categories)
        counts: dict[str, int] = {}
        for image in ordered:
            own = stratum(image)
            if counts.get(own, 0) < block.get("n", len(ordered)):
                counts[own] = counts.get(own, 0) + 1
                taken[image] = block
        print(f"block {number}: by {block['by']}: {sum(counts.values())} cases", file=sys.stderr)
    if not taken:
        raise LabelwiseError("annotations: select takes no image; loosen a block or add one")
    return taken


def _ids(material: Material, image: str) -> set[int]:
    return {*material.original[image].ids, *material.corrected[image].ids}


def _stratum(
    block: Mapping[str, Any], material: Material, categories: Mapping[str, str]
) -> Callable[[str], str]:
    default = "category" if block["by"] == "category" else "none"
    kind = block.get("strata", default)
    if kind == "category":
        return lambda image: categories[image]
    if kind == "class":
        return lambda image: " ".join(map(str, material.original[image].ids))
    return lambda image: ""


Rank = Callable[[str], float | None]
"""The lower the earlier; None leaves an image out."""


def _any(block: Mapping[str, Any], left: Sequence[str], material: Material) -> Rank:
    return lambda image: 0.0


def _disagreement(block: Mapping[str, Any], left: Sequence[str], material: Material) -> Rank:
    """Minus the share of the models that contradict the corrected labels; none may agree at all."""
    sets = [material.corrected[image].ids for image in left]
    bound = 1 + max((i for s in [*sets, *material.pairs] for i in s), default=0)
    admitted = admissible(sets, material.pairs, bound)
    models = block.get("models") or list(material.predictions)
    wrong = np.zeros(len(left))
    for model in models:
        answers = [material.predictions[model].get(image, Answer(())) for image in left]
        named = np.array([bool(answer.classes) for answer in answers], dtype=bool)
        wrong += named & ~hits(admitted, [answer.classes for answer in answers])
    score = dict(zip(left, wrong / len(models), strict=True))
    return lambda image: -score[image] if score[image] > 0 else None


def _label_errors(block: Mapping[str, Any], left: Sequence[str], material: Material) -> Rank:
    """Label quality (normalised margin) by cleanlab of the original label, 0 the worst."""
    from cleanlab.rank import get_label_quality_scores

    from labelwise.predict import softmax

    logits = material.logits[block["model"]]
    single = [i for i in left if i in logits and len(material.original[i].ids) == 1]
    if not single:
        return lambda image: None
    given = np.array([material.original[i].ids[0] for i in single])
    probabilities = softmax(np.stack([logits[i] for i in single]))
    scores = get_label_quality_scores(given, probabilities, method="normalized_margin")
    score = dict(zip(single, map(float, scores), strict=True))
    return score.get


RANKS: dict[str, Callable[..., Rank]] = {
    "category": _any,
    "class-ids": _any,
    "random": _any,
    "disagreement": _disagreement,
    "label-errors": _label_errors,
}


def sources(spec: Mapping[str, Any], material: Material, image: str) -> list[Source]:
    """What each source says of an image: the two label sets, then the models of ``show``."""

    def labelled(name: str, kind: str, label: Label) -> Source:
        marks = (*label.ids, UNSURE) if label.uncertain else label.ids
        return Source(name, kind, marks, bool(label.ids) or not label.uncertain)

    found = [
        labelled(spec["original"], "original", material.original[image]),
        labelled(spec["corrected"], "corrected", material.corrected[image]),
    ]
    for model in spec.get("show", ()):
        answer = material.predictions[model].get(image, Answer(()))
        ids = tuple(sorted({i for i in answer.classes if 0 <= i < len(material.names)}))
        found.append(Source(model, "model", ids, bool(ids)))
    return found


def options(found: Iterable[Source], planted: Source | None) -> list[Option]:
    """What the annotator sees: valid sources' label sets, equal ones merged, at most four."""
    distinct = list(dict.fromkeys(source.labels for source in found if source.valid))[:OPTIONS]
    if planted:
        distinct = [*distinct[: OPTIONS - 1], planted.labels]
    return sorted(distinct)


def plant(model: str, material: Material, image: str, held: set[int], seed: int) -> Source | None:
    """A wrong label for an image: one of the model's likely classes that no source holds.

    Args:
        model: whose ``logits`` of the material say what is likely.
        material: what selection looks at.
        image: its id.
        held: class ids that some source holds.
        seed: of the draw.

    Returns:
        The planted source; None where the model has not seen the image, or no class is left.
    """
    logits = material.logits[model].get(image)
    if logits is None:
        return None
    equal = {i for pair in material.pairs if held & set(pair) for i in pair}
    first, last = PLANTED_RANKS
    ranked = [int(i) for i in np.argsort(-logits, kind="stable")[first - 1 : last]]
    free = [i for i in ranked if i not in held | equal]
    if not free:
        return None
    one = free[int(draw.rng(seed, "planted", image).integers(len(free)))]
    return Source(f"planted from {model}", "planted", (one,), True)


def deal(images: Sequence[str], spec: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Who is asked about each image.

    A share ``overlap`` of the cases goes to every annotator, the rest to one each, in turn; without
    ``annotators`` anybody may decide on all.
    """
    people, seed = list(spec.get("annotators", ())), spec.get("seed", 0)
    if not people:
        return dict.fromkeys(images, ())
    order = sorted(images, key=lambda image: draw.key(seed, "deal", image))
    shared = round(spec.get("overlap", 1.0) * len(order))
    return {
        image: tuple(people) if i < shared else (people[(i - shared) % len(people)],)
        for i, image in enumerate(order)
    }


def build(
    spec: Mapping[str, Any], material: Material, guidelines: str
) -> tuple[Cases, list[Sealed]]:
    """The cases file and its key."""
    name, seed = spec["name"], spec.get("seed", 0)
    taken, categories = chosen(spec, material), material.categories()
    asked = deal(sorted(taken), spec)
    cases, sealed = [], []
    for image, block in sorted(taken.items()):
        found = sources(spec, material, image)
        planted = None
        if "planted" in block:
            held = {i for source in found for i in source.labels}
            planted = plant(block["planted"], material, image, held, seed)
        row = material.images[image]
        case = draw.key(seed, "case", name, image).hex()[:12]
        shown = tuple(options(found, planted))
        size = int(row["width"]), int(row["height"])
        cases.append(Case(case, image, row["file"], *size, shown, asked[image]))
        every = (*found, planted) if planted else tuple(found)
        sealed.append(Sealed(case, image, categories[image], block["by"], every))
    cases.sort(key=lambda one: one.case)
    classes = classinfo.describe(
        material.names,
        {image: row["file"] for image, row in material.images.items()},
        taken,
        material.original,
        material.corrected,
        seed,
    )
    whole = Cases(name, seed, dict(spec.get("annotators", {})), classes, guidelines, cases)
    return whole, sorted(sealed, key=lambda one: one.image)


def load(args: argparse.Namespace) -> Material:
    """Read all files of a selection."""
    rows = records.read_csv(args.images, records.IMAGES)
    images = {row["image"]: row for row in rows if row["status"] == "ok"}
    if len(images) < len(rows):
        print(f"{len(rows) - len(images)} images cannot be read and are left out", file=sys.stderr)
    logits = {}
    for name, file in _named(args.logits):
        data = classify.read(file)
        logits[name] = dict(zip(data["image"].tolist(), data["logits"], strict=True))
    spec = args.rules
    return Material(
        images,
        classnames.read(args.classes),
        labels.read(args.original),
        labels.read(args.corrected),
        {name: read_predictions(file)[0] for name, file in _named(args.predictions)},
        logits,
        Rules.of(spec),
        labels.pairs_of(spec),
    )


def _named(pairs: Iterable[str]) -> Iterable[tuple[str, Path]]:
    for pair in pairs:
        name, equal, file = pair.partition("=")
        if not equal:
            raise LabelwiseError(f"{pair}: give NAME=FILE")
        yield name, Path(file)


@cli
def main(argv: list[str] | None = None) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.annotation.select",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--spec", type=json.loads, required=True, help="the annotation, as JSON")
    parser.add_argument("--rules", type=json.loads, default={}, help="the corrected labels")
    parser.add_argument("--images", type=Path, required=True, help="results/images/*.csv")
    parser.add_argument("--classes", type=Path, required=True, help="results/classes/*.csv")
    parser.add_argument("--original", type=Path, required=True, help="results/labels/*.csv")
    parser.add_argument("--corrected", type=Path, required=True, help="the labels under revision")
    parser.add_argument("--predictions", nargs="*", default=[], metavar="NAME=CSV")
    parser.add_argument("--logits", nargs="*", default=[], metavar="NAME=NPZ")
    parser.add_argument("--guidelines", type=Path, help="Markdown that the page shows")
    parser.add_argument("--out", type=Path, required=True, help="the cases, for the page")
    parser.add_argument("--key", type=Path, required=True, help="where the options come from")
    args = parser.parse_args(argv)
    guidelines = records.read_text(args.guidelines) if args.guidelines else ""
    cases, sealed = build(args.spec, load(args), guidelines)
    cases.write(args.out)
    write_key(args.key, sealed)


if __name__ == "__main__":
    main()
