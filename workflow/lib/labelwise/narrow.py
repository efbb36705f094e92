"""Narrowed class lists: for each image the few names that a classifier finds most likely.

A list of 20,000 names fits into no prompt. Protocols of kind ``narrowed`` offer ``n`` names instead
(``candidates``), chosen by one of two rules:

- ``model``: a model that scores classes (``timm``, and dual encoders of ``open_clip``: its logits;
  ``conse``: the cosines of the image's point in a text-embedding space to the class names, which
  works for any class list and needs no dual encoder).
  The n highest are offered; of equal scores the lowest class id. Prompts then differ an image;
- ``file``: the class ids of a file, one a line, the same for all images.

The names stand in the order of the list (``list_order``), never by score, so that their place tells
nothing. What was offered stays in the requests; a class that was not offered is out of the list.
The control ``oracle`` answers with a true class that was offered, else with any: its accuracy is
the ceiling that the choice of names leaves to any model.

``python -m labelwise.narrow LOGITS.npz --model JSON --n N ... --out CSV`` writes the table.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from labelwise import classify, classnames, embed_classes, predict, records
from labelwise.asking import candidates
from labelwise.errors import LabelwiseError, cli


def best(scores: np.ndarray, n: int) -> np.ndarray:
    """The n highest columns of each row, int [rows, n] in ascending order; ties by lowest column.

    Args:
        scores: float [rows, classes].
        n: columns to keep; all where there are fewer.
    """
    order = np.argsort(-scores, axis=1, kind="stable")[:, :n]
    return np.sort(order, axis=1)


def scores(
    model: Mapping[str, object],
    data: Mapping[str, np.ndarray],
    embeddings: Path | None,
    targets: Path | None,
) -> np.ndarray:
    """How likely a model finds each class: float [images, classes].

    Args:
        model: the ``models`` entry, of engine ``timm``, ``open_clip`` or ``conse``.
        data: arrays of the logits file of the entry itself, or of ConSE's classifier.
        embeddings: class names of a dual encoder, or of ConSE's classifier.
        targets: conse: the names to score, where they are others.

    Raises:
        LabelwiseError: embeddings are missing, or of another number of classes.
    """
    if model["engine"] == "timm":
        return data["logits"]
    if embeddings is None:
        raise LabelwiseError(f"candidates: engine {model['engine']} needs --embeddings")
    _, own = embed_classes.load(embeddings)
    if model["engine"] == "open_clip":
        return predict.dual(data, own)[0]
    if len(own) != data["logits"].shape[1]:
        classes = data["logits"].shape[1]
        raise LabelwiseError(f"{embeddings}: {len(own)} names, but {classes} classes")
    where = predict.points(data["logits"], own, int(str(model.get("top", 10))))
    return where @ (embed_classes.load(targets)[1] if targets else own).T


@cli
def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the stage ``narrow``."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.narrow",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("logits", help="results/logits/*/*.npz")
    parser.add_argument("--model", type=json.loads, required=True, help="the models entry, JSON")
    parser.add_argument("--n", type=int, required=True, help="class names to offer an image")
    parser.add_argument("--classes", required=True, help="results/classes/*.csv of the protocol")
    parser.add_argument(
        "--embeddings", type=Path, help="class names: open_clip's, conse's classifier's"
    )
    parser.add_argument("--targets", type=Path, help="conse: other class names (npz)")
    parser.add_argument("--out", required=True)
    args = parser.parse_args(argv)
    data = classify.read(args.logits)
    found = scores(args.model, data, args.embeddings, args.targets)
    n_classes = len(classnames.read(args.classes))
    if found.shape[1] != n_classes:
        raise LabelwiseError(
            f"candidates: the model scores {found.shape[1]} classes, the protocol's list has"
            f" {n_classes}; for a list of your own take engine conse with targets"
        )
    rows = zip(data["image"].tolist(), best(found, args.n).tolist(), strict=True)
    records.write_csv(
        args.out,
        candidates.COLUMNS,
        ({"image": image, "candidates": " ".join(map(str, ids))} for image, ids in rows),
    )


if __name__ == "__main__":
    main()
