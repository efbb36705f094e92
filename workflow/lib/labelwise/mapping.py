"""Answers to classes: parse every response; map what is outside the list if a mapper says so.

- ``exact``: only what parsing found (closed world, CW); ``relaxed: true`` for
  the laxer match (``classnames.relaxed_form``);
- ``options``: the same for multiple choice, where a class is that of the chosen option;
- ``nearest``: answers outside the list and abstentions get the class whose name is nearest to the
  answer in a text-embedding space, by cosine (CW+, open world; paper 1.4 and 4.3). In-list answers
  stay themselves. An answer cut at its token limit is mapped by the text that there is. Without a
  text (``empty``, ``parse_error``, ``count_mismatch``, ``content_filter``, ``image_error``) there
  is no class. Cosines that differ by less than 1e-6 tie: the lowest class id wins, with margin 0.
  ``margin`` is the lead over the next different name.

An answer of exact likelihood has its probability as ``score`` (``labelwise.likelihood``).

One row per repeat and image of the set, also for images that could not be read. Each different text
is embedded once, without its harmless wrapping (see ``parsing``).
"""

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelwise import classnames, gpu, likelihood, records
from labelwise.asking import prompts
from labelwise.classnames import Names
from labelwise.errors import LabelwiseError, cli
from labelwise.reading.response import answers
from labelwise.reading.wording import unwrapped

if TYPE_CHECKING:
    import numpy as np

MAPPED = ("out_of_list", "abstain", "truncated")
"""Outcomes that ``nearest`` gives a class, if there is a text."""
TIE = 1e-6
LONGEST = 1000
"""Characters of an answer that predictions keep; the responses keep all."""
BLOCK = 4096
"""Answers compared with all names at a time: bounds memory."""


def nearest(
    answers: "np.ndarray", names: "np.ndarray"
) -> "tuple[np.ndarray, np.ndarray, np.ndarray]":
    """For each answer the nearest name: index int [n], cosine [n] and lead over the second [n].

    Args:
        answers: embeddings [n, d] float32, L2-normalised.
        names: embeddings [names, d] float32, L2-normalised, in the order that breaks ties.
    """
    import numpy as np

    n = len(answers)
    best = np.empty(n, dtype=np.int64)
    score, margin = np.empty(n, dtype=np.float32), np.zeros(n, dtype=np.float32)
    for start in range(0, n, BLOCK):
        block = slice(start, start + BLOCK)
        cosines = answers[block] @ names.T
        rows = np.arange(len(cosines))
        first = (cosines >= cosines.max(axis=1, keepdims=True) - TIE).argmax(axis=1)
        best[block], score[block] = first, cosines[rows, first]
        if len(names) > 1:
            cosines[rows, first] = -np.inf
            margin[block] = np.maximum(score[block] - cosines.max(axis=1), 0)
    margin[margin < TIE] = 0
    return best, score, margin


def predict(
    responses: Iterable[dict],
    header: dict,
    asked: Iterable[dict],
    images: Sequence[dict[str, str]],
    names: Names,
) -> list[dict[str, Any]]:
    """Rows of a predictions file before mapping: by repeat, then in the image set's order.

    Args:
        responses: one per request, in any order; see ``labelwise.reading.response``.
        header: of the requests file.
        asked: its requests.
        images: rows of the image set, with ``image`` and ``status``.
        names: the class names that were asked about.

    Raises:
        LabelwiseError: a request has no response, or an image no request.
    """
    rule = header.get("decoding", {}).get("score", "")
    found: dict[tuple[int, str], dict[str, Any]] = {}
    repeats = 1
    for request, response in _answered(asked, responses):
        repeats = max(repeats, request["repeat"] + 1)
        for answer in answers(response, header, request, names):
            found[request["repeat"], answer.image] = {
                "repeat": request["repeat"],
                "image": answer.image,
                "position": answer.position,
                "outcome": answer.outcome,
                "answer": answer.answer[:LONGEST],
                "class": " ".join(map(str, answer.classes)),
                "mapped": 0,
            }
            if "scored" in response:
                found[request["repeat"], answer.image] |= likelihood.cells(response["scored"], rule)
    rows = []
    for repeat in range(repeats):
        for image in images:
            key = repeat, image["image"]
            if key in found:
                rows.append(found[key])
            elif image["status"] != "ok":
                lost = {"repeat": repeat, "image": image["image"], "outcome": "image_error"}
                rows.append(lost | {"mapped": 0})
            else:
                raise LabelwiseError(
                    f"requests: image {image['image']} is not asked about in repeat {repeat};"
                    " write the requests again"
                )
    return rows


def _answered(asked: Iterable[dict], responses: Iterable[dict]) -> Iterator[tuple[dict, dict]]:
    """Each request with its response; in memory are only responses that come before their turn."""
    coming, early = iter(responses), {}
    for request in asked:
        number = request["request"]
        while number not in early:
            response = next(coming, None)
            if response is None:
                raise LabelwiseError(f"responses: request {number} has none; ask again")
            early[response["request"]] = response
        yield request, early.pop(number)


def map_rows(
    rows: Sequence[dict[str, Any]],
    names: Names,
    embeddings: "np.ndarray",
    embed: Any,
) -> None:
    """Give the rows whose text is outside the list the class of the nearest name, in place.

    Args:
        rows: of ``predict``.
        names: class names.
        embeddings: [classes, d] float32, L2-normalised.
        embed: texts -> float32 [n, d], L2-normalised; called once, with each different text once.
    """
    said = [
        (row, unwrapped(row["answer"])[-1])
        for row in rows
        if row["outcome"] in MAPPED and row["answer"]
    ]
    if not said:
        return
    index = {text: i for i, text in enumerate(dict.fromkeys(text for _, text in said))}
    distinct = names.distinct()
    first = [classes[0] for _, classes in distinct]
    best, score, margin = nearest(embed(list(index)), embeddings[first])
    for row, text in said:
        i = index[text]
        row |= {
            "class": " ".join(map(str, distinct[best[i]][1])),
            "score": f"{score[i]:.6g}",
            "margin": f"{margin[i]:.6g}",
            "mapped": 1,
        }


@cli
def main(argv: Sequence[str] | None = None) -> None:
    """Turn the responses of a run into predictions."""
    parser = argparse.ArgumentParser(prog="python -m labelwise.mapping", description=main.__doc__)
    parser.add_argument("responses", type=Path, help="results/responses/**/*.jsonl")
    parser.add_argument("--requests", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True, help="results/images/*.csv")
    parser.add_argument("--classes", type=Path, required=True, help="results/classes/*.csv")
    parser.add_argument("--mapper", type=json.loads, required=True, help="the mappers entry, JSON")
    parser.add_argument("--embeddings", type=Path, help="nearest: results/embeddings/*/*.npz")
    parser.add_argument("--encoder", type=json.loads, help="nearest: the encoders entry, JSON")
    parser.add_argument("--cache", type=Path, help="sqlite file that keeps embeddings of answers")
    parser.add_argument("--gpus", type=int, help=gpu.HELP)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    mapper = args.mapper
    header = prompts.read_header(args.requests)
    choice, kind = header["kind"] == "choice", mapper["kind"]
    if kind not in ("exact", "nearest", "options"):
        raise LabelwiseError(f"mappers: kind {kind!r} is none of exact, nearest, options")
    if choice != (kind == "options"):
        raise LabelwiseError(
            f"mappers: kind {kind} cannot map a {header['kind']} protocol"
            f" ({header['protocol']}); use {'options' if choice else 'exact or nearest'}"
        )
    names = Names(classnames.read(args.classes), mapper.get("relaxed", False))
    columns = ("image", "status")
    table = records.stream_csv(args.images, columns)
    images = [{column: row[column] for column in columns} for _, row in table]
    asked, responses = prompts.stream(args.requests), records.read_responses(args.responses)
    rows = predict(responses, header, asked, images, names)
    if kind == "nearest":
        if not (args.embeddings and args.encoder):
            raise LabelwiseError("a nearest mapper needs --embeddings and --encoder")
        gpu.lease(args.gpus)
        from labelwise import embed_classes

        map_rows(
            rows,
            names,
            embed_classes.read(args.embeddings, len(names)),
            embed_classes.embedder(mapper, args.encoder, "answers", args.cache),
        )
    records.write_csv(args.out, records.PREDICTIONS, rows)


if __name__ == "__main__":
    main()
