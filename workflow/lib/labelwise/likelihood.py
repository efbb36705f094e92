"""The likeliest names of a run of kind ``likelihood``, as probabilities (stdlib only).

A name's score is its log-probability with its end (``score: sum``) or that spread over its tokens
(``mean``); its probability is the softmax of the scores over all names. Of names that the search
did not visit only the sum of what they may have is known, at most; so a probability is a lower
bound then, and exact with ``search: full``. Nothing is fitted here; ``labelwise.calibration`` tells
how far these probabilities can be trusted.

``python -m labelwise.likelihood RESPONSES --requests REQUESTS --classes CLASSES --out CSV`` writes
the lists: a row an image and name, likeliest first. ``logprob`` is the sum, ``tokens`` what the
mean is taken over, ``class`` holds all classes of the name.
"""

import argparse
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from labelwise import classnames, records
from labelwise.asking import prompts
from labelwise.classnames import Names
from labelwise.errors import LabelwiseError, cli

COLUMNS = ("repeat", "image", "rank", "name", "class", "logprob", "tokens", "probability")


def probabilities(scored: Mapping[str, Any], rule: str) -> list[float]:
    """The softmax over all names, of the names told: at least this much.

    Args:
        scored: ``names`` and ``rest`` of an answer (``engines.base.Answer``).
        rule: ``sum`` or ``mean``.
    """
    scores = [total / tokens if rule == "mean" else total for _, total, tokens in scored["names"]]
    top, rest = scores[0], scored["rest"]
    others = 0.0 if rest is None else math.exp(rest - top)
    weights = [math.exp(score - top) for score in scores]
    whole = sum(weights) + others
    return [weight / whole for weight in weights]


def cells(scored: Mapping[str, Any], rule: str) -> dict[str, str]:
    """``score`` and ``margin`` of a prediction: the first name's probability, and its lead.

    Where the second name is not told it may have all that the others have.
    """
    first, *others = probabilities(scored, rule)
    second = others[0] if others else 1 - first
    return {"score": f"{first:.6g}", "margin": f"{max(first - second, 0):.6g}"}


def rows(
    header: Mapping[str, Any],
    asked: Sequence[Mapping[str, Any]],
    responses: Sequence[Mapping[str, Any]],
    names: Names,
) -> Iterator[dict[str, Any]]:
    """One row an image and name told; see ``COLUMNS``.

    Args:
        header: of the requests.
        asked: the requests.
        responses: one each, in any order.
        names: class names.

    Raises:
        LabelwiseError: a response that scored no names.
    """
    said = {response["request"]: response for response in responses}
    rule = header.get("decoding", {}).get("score", "")
    for request in asked:
        scored = said[request["request"]].get("scored")
        if said[request["request"]].get("refused"):
            continue
        if scored is None:
            raise LabelwiseError(
                f"responses: {header['protocol']} scored no names; only runs of kind likelihood do"
            )
        shown = zip(scored["names"], probabilities(scored, rule), strict=True)
        for rank, ((name, total, tokens), probability) in enumerate(shown, 1):
            yield {
                "repeat": request["repeat"],
                "image": request["images"][0],
                "rank": rank,
                "name": name,
                "class": " ".join(map(str, names.find(name))),
                "logprob": total,
                "tokens": tokens,
                "probability": f"{probability:.6g}",
            }


@cli
def main(argv: Sequence[str] | None = None) -> None:
    """Write the likeliest names of every image of a run."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.likelihood",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("responses", type=Path, help="results/responses/**/*.jsonl")
    parser.add_argument("--requests", type=Path, required=True)
    parser.add_argument("--classes", type=Path, required=True, help="results/classes/*.csv")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    header, asked = prompts.read(args.requests)
    names = Names(classnames.read(args.classes))
    told = list(records.read_jsonl(args.responses))
    records.write_csv(args.out, COLUMNS, rows(header, asked, told, names))


if __name__ == "__main__":
    main()
