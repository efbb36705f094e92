"""Find the 51 nearest reference images of every image, once for every k and every kind of vote.

The search is exact: every image against every reference, by cosine, in blocks of bounded size;
references are read from their shards once. Of equally near references the earlier row comes first.
References without a label are left out, and so is the image itself: a reference whose file has the
same bytes (sha256), whatever it is called.

Without ``--references`` the images are their own references (leave one out), at float32.

``--table`` has the vote of the nearest 1, 3, 5, 7, 9, 11, 13, 21 and 51 as a CSV in the layout of
the paper's authors: ``img_id, k_1_pred, k_1_conf, ...``.
"""

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from labelwise import arrays, classify, gpu, records
from labelwise.classifiers import references
from labelwise.classifiers.votes import vote
from labelwise.errors import LabelwiseError, cli
from labelwise.progress import progress

NEAREST = 51
"""References kept of each image: the largest k."""

TABLE = (1, 3, 5, 7, 9, 11, 13, 21, 51)
"""Values of k in the authors' files."""

QUERIES, BLOCK = 2048, 8192
"""Images and references that are compared at a time: bounds memory."""


def search(
    queries: np.ndarray,
    blocks: Iterable[np.ndarray],
    total: int,
    k: int = NEAREST,
    skip: Mapping[int, Sequence[int]] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest rows of the references for each query, nearest first.

    Args:
        queries: unit vectors [n, d] float32.
        blocks: the references [total, d] in parts, unit vectors of any float type.
        total: how many references.
        k: rows to find; places that no row takes have row -1 and cosine -inf.
        skip: by query, rows of the references that are left out.

    Returns:
        Rows [n, k] int64 and cosines [n, k] float32.
    """
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cuda.matmul.allow_tf32 = False
    asked = torch.from_numpy(queries).to(device)
    best = torch.full((len(queries), k), -torch.inf, device=device)
    rows = torch.full((len(queries), k), -1, dtype=torch.int64, device=device)
    left_out = sorted((row, query) for query, own in (skip or {}).items() for row in own)
    start = 0
    for part in progress(_pieces(blocks), total, "references", size=len):
        block = torch.from_numpy(np.array(part)).to(device).float()
        mine = [(query, row) for row, query in left_out if start <= row < start + len(block)]
        for first in range(0, len(queries), QUERIES):
            some = slice(first, first + QUERIES)
            cosines = asked[some] @ block.T
            for query, row in mine:
                if first <= query < first + QUERIES:
                    cosines[query - first, row - start] = -torch.inf
            _merge(best[some], rows[some], cosines, start)
        start += len(block)
    return rows.cpu().numpy(), best.cpu().numpy()


def _pieces(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    for block in blocks:
        for start in range(0, len(block), BLOCK):
            yield block[start : start + BLOCK]


def _merge(best: Any, rows: Any, cosines: Any, start: int) -> None:
    """Take into the best so far what is nearer of a block whose first row is ``start``, in place.

    Only what beats a query's worst place is sorted: after a few blocks next to nothing.
    """
    import torch

    k = best.shape[1]
    better = cosines > best[:, -1:]
    if cosines.shape[1] > k and torch.isinf(best[:, -1]).any():
        better &= cosines >= cosines.topk(k).values[:, -1:]
    query, column = better.nonzero(as_tuple=True)
    if not len(query):
        return
    touched, counts = query.unique_consecutive(return_counts=True)
    slot = torch.arange(len(touched), device=best.device).repeat_interleave(counts)
    place = torch.arange(len(query), device=best.device) - (counts.cumsum(0) - counts)[slot]
    shape = (len(touched), int(counts.max()))
    new = torch.full(shape, -torch.inf, device=best.device)
    which = torch.full(shape, -1, dtype=torch.int64, device=best.device)
    new[slot, place] = cosines[query, column]
    which[slot, place] = column + start
    values = torch.cat([best[touched], new], 1)
    order = values.sort(dim=1, descending=True, stable=True).indices[:, :k]
    best[touched] = values.gather(1, order)
    rows[touched] = torch.cat([rows[touched], which], 1).gather(1, order)


def find(
    queries: np.ndarray,
    asked: Sequence[str],
    blocks: Iterable[np.ndarray],
    known: Sequence[str],
    votes: Sequence[bool],
) -> tuple[np.ndarray, np.ndarray]:
    """Rows [n, 51] and cosines [n, 51] of the nearest references that may vote.

    Args:
        queries: features [n, d] of the images.
        asked: sha256 of each image file.
        blocks: features of the references in parts.
        known: sha256 of each reference file.
        votes: whether each reference has a label.
    """
    voters = np.flatnonzero(np.asarray(votes, dtype=bool))
    place: dict[str, list[int]] = {}
    for position, row in enumerate(voters.tolist()):
        place.setdefault(known[row], []).append(position)
    skip = {i: place[digest] for i, digest in enumerate(asked) if digest in place}
    rows, cosines = search(references.unit(queries), _voting(blocks, votes), len(voters), skip=skip)
    return np.where(rows < 0, -1, voters[rows] if len(voters) else -1), cosines


def _voting(blocks: Iterable[np.ndarray], votes: Sequence[bool]) -> Iterator[np.ndarray]:
    start = 0
    for block in blocks:
        mine = np.asarray(votes[start : start + len(block)], dtype=bool)
        yield block if mine.all() else block[mine]
        start += len(block)


def write(
    path: str, images: np.ndarray, rows: np.ndarray, cosines: np.ndarray, known: Sequence[str]
) -> None:
    """Write image [n], neighbour [n, 51] (places in reference, -1 for none), reference, cosine."""
    used, places = np.unique(rows, return_inverse=True)
    none = int(used[0] < 0) if len(used) else 0
    reference = np.array([known[row] for row in used[none:].tolist()], dtype=np.str_)
    neighbour = (places.reshape(rows.shape) - none).astype(np.int32)
    found = {"image": images, "neighbour": neighbour, "reference": reference, "cosine": cosines}
    arrays.write(path, **found)


def read(path: str) -> list[tuple[str, list[str], list[float]]]:
    """Image, its nearest references by id, and their cosines, of each row of a file of ``write``.

    Raises:
        LabelwiseError: it is no such file.
    """
    stored = arrays.read(path, "image", "neighbour", "reference", "cosine")
    image, neighbour, reference, cosine = (array.tolist() for array in stored.values())
    found = []
    for name, places, cosines in zip(image, neighbour, cosine, strict=True):
        near = [reference[place] for place in places if place >= 0]
        found.append((name, near, cosines[: len(near)]))
    return found


def table(found: Iterable[tuple[str, list[str], list[float]]], labels: Mapping[str, Any]) -> Any:
    """Rows of the authors' layout: the vote of the nearest k for each k of ``TABLE``."""
    for image, near, cosines in found:
        row = {"img_id": image}
        for k in TABLE:
            ranked = vote([labels[name] for name in near[:k]], cosines[:k], "uniform")
            if ranked:
                row |= {f"k_{k}_pred": ranked[0][0], f"k_{k}_conf": f"{ranked[0][1]:.6g}"}
        yield row


@cli
def main(argv: list[str] | None = None) -> None:
    """Command line of the stage ``neighbours``."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.classifiers.neighbours",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("queries", help="results/logits/*/*.npz")
    parser.add_argument("--images", required=True, help="results/images/*.csv of the queries")
    parser.add_argument("--references", help="results/references/*/*, a folder of shards")
    parser.add_argument("--reference-images", help="results/images/*.csv of the references")
    parser.add_argument("--labels", required=True, help="results/labels/*.csv of the references")
    parser.add_argument("--gpus", type=int, help=gpu.HELP)
    parser.add_argument("--out", required=True, help="the nearest of each image (npz)")
    parser.add_argument("--table", required=True, help="votes for several k (csv)")
    args = parser.parse_args(argv)
    gpu.lease(args.gpus)
    data = classify.read(args.queries)
    images = data["image"].tolist()
    if args.references and not args.reference_images:
        raise LabelwiseError("--references: give their --reference-images as well")
    digests = _digests(args.images, images)
    if args.references:
        store = references.References(args.references)
        known, blocks = store.images, store.blocks()
        theirs = _digests(args.reference_images, known)
    else:
        known, blocks = images, iter([references.unit(data["features"])])
        theirs = digests
    labels = {
        row["image"]: records.ids(row["labels"])
        for row in records.read_csv(args.labels, records.LABELS)
    }
    votes = [bool(labels.get(image)) for image in known]
    rows, cosines = find(data["features"], digests, blocks, theirs, votes)
    write(args.out, data["image"], rows, cosines, known)
    columns = ["img_id", *(f"k_{k}_{what}" for k in TABLE for what in ("pred", "conf"))]
    records.write_csv(args.table, columns, table(read(args.out), labels))


def _digests(path: str, images: Sequence[str]) -> list[str]:
    """The sha256 of each image's file, by an images table."""
    table = {row["image"]: row["sha256"] for row in records.read_csv(path, records.IMAGES)}
    missing = next((image for image in images if image not in table), None)
    if missing is not None:
        raise LabelwiseError(f"{path}: image {missing} has features and is not in this table")
    return [table[image] for image in images]


if __name__ == "__main__":
    main()
