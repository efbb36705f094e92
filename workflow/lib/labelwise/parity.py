"""How often two engines answer the same images differently: the flip rate of parsed answers.

Two answers to an image are the same when they denote the same classes, or, where they denote none,
when outcome and text are the same (case, spaces and punctuation at the ends aside). A repeat of a
question counts on its own. What an engine's numerics, a server's batching or a prefix cache changes
is seen here before it is mistaken for a finding.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labelwise import classnames, records
from labelwise.asking import prompts
from labelwise.classnames import Names, normal
from labelwise.errors import LabelwiseError, cli
from labelwise.evaluation.statistics import wilson
from labelwise.reading.response import answers
from labelwise.records import write_json

Answers = dict[tuple[int, str], tuple[Any, str]]


def beside(responses: Path) -> Path:
    """The requests of ``results/responses/{images}/{model}/{protocol}/{batching}.jsonl``.

    Raises:
        LabelwiseError: the file lies elsewhere.
    """
    try:
        folder, images, _, protocol = responses.absolute().parts[-5:-1]
    except ValueError:
        folder = ""
    if folder != "responses":
        raise LabelwiseError(f"{responses}: not below results/responses; give --requests")
    return responses.absolute().parents[4] / "requests" / images / protocol / responses.name


def read(responses: Path, requests: Path | None, classes: Path | None) -> Answers:
    """Answers by repeat and image: what each denotes, and its text.

    Args:
        responses: a responses file.
        requests: its requests; None finds them by the path.
        classes: class names; None finds them by the requests.

    Raises:
        LabelwiseError: no such file, or a request without answer.
    """
    requests = requests or beside(responses)
    header, asked = prompts.read(requests)
    classes = classes or requests.parents[3] / "classes" / f"{header['classes']}.csv"
    names = Names(classnames.read(classes))
    said = {line["request"]: line for line in records.read_responses(responses)}
    found: Answers = {}
    for request in asked:
        line = said.get(request["request"])
        if line is None:
            raise LabelwiseError(f"{responses}: no answer to request {request['request']}")
        for answer in answers(line, header, request, names):
            meant = answer.classes or (answer.outcome, normal(answer.answer))
            found[request["repeat"], answer.image] = meant, answer.answer
    return found


def compare(first: Answers, second: Answers) -> dict[str, Any]:
    """Flips between two sets of answers, on the questions that both have.

    Returns:
        ``n``, ``flips``, ``rate``, ``low`` and ``high`` (Wilson, 95 %), ``texts`` (how many texts
        differ in any way), ``only`` (answers that one side alone has) and ``pairs`` (the flips as
        repeat, image and both texts).

    Raises:
        LabelwiseError: no question is in both.
    """
    both = sorted(first.keys() & second.keys())
    if not both:
        raise LabelwiseError("the two files answer no image in common")
    pairs = [
        (*key, first[key][1], second[key][1]) for key in both if first[key][0] != second[key][0]
    ]
    low, high = wilson(len(pairs), len(both))
    return {
        "n": len(both),
        "flips": len(pairs),
        "rate": len(pairs) / len(both),
        "low": low,
        "high": high,
        "texts": sum(first[key][1] != second[key][1] for key in both),
        "only": len(first.keys() ^ second.keys()),
        "pairs": pairs,
    }


@cli
def main(argv: Sequence[str] | None = None) -> None:
    """``python -m labelwise.parity RESPONSES_A RESPONSES_B``."""
    parser = argparse.ArgumentParser(prog="python -m labelwise.parity", description=__doc__)
    parser.add_argument("first", type=Path, metavar="RESPONSES_A")
    parser.add_argument("second", type=Path, metavar="RESPONSES_B")
    parser.add_argument("--requests", type=Path, help="of both, where they cannot be told by path")
    parser.add_argument("--classes", type=Path, help="class names (CSV)")
    parser.add_argument("--show", type=int, default=10, help="flips to show (10)")
    parser.add_argument("--json", type=Path, metavar="OUT")
    args = parser.parse_args(argv)
    first, second = (read(path, args.requests, args.classes) for path in (args.first, args.second))
    m = compare(first, second)
    print(
        f"{m['flips']} of {m['n']} answers differ: {100 * m['rate']:.2f} %"
        f" (95 % Wilson {100 * m['low']:.2f} to {100 * m['high']:.2f});"
        f" {m['texts']} texts differ in any way"
    )
    if m["only"]:
        print(f"{m['only']} answers are in one of the files only and are not counted")
    for repeat, image, a, b in m["pairs"][: args.show]:
        print(f"  {image}{f' (repeat {repeat})' if repeat else ''}: {a!r} | {b!r}")
    if args.json:
        write_json(args.json, m)


if __name__ == "__main__":
    main()
