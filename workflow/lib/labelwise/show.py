"""One image on one screen: the question, the raw answer, its parse, its class and the verdict.

``python -m labelwise.show IMAGE --run IMAGES/MODEL/PROTOCOL/BATCHING --mapper M --labels L`` reads
files under ``results/``; nothing is computed again but the parse and the verdict.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from labelwise import classnames, config, labels, records
from labelwise.asking import prompt_view, prompts
from labelwise.classnames import Names
from labelwise.errors import LabelwiseError, cli
from labelwise.reading.response import answers
from labelwise.records import dump_line
from labelwise.score import answer_key, read_predictions
from labelwise.scoring import Judged

LINES = 12
"""Lines of a prompt that are shown from either end, unless all are asked for."""


def screen(
    image: str, run: str, mapper: str, label_set: str, known: dict[str, Any], full: bool = False
) -> Iterator[str]:
    """Lines about one image of one run.

    Args:
        image: its id.
        run: ``images/model/protocol/batching``.
        mapper: name of a mapper.
        label_set: name of a label set.
        known: the configuration.
        full: show the whole prompt, with its class list.

    Raises:
        LabelwiseError: an unknown name, a file that is not made yet, or an image not asked about.
    """
    axes = run.strip("/").split("/")
    if len(axes) != 4:
        raise LabelwiseError(f"--run {run}: must be IMAGES/MODEL/PROTOCOL/BATCHING")
    images, _, protocol, batching = axes
    for kind, name in (("images", images), ("labels", label_set)):
        if name not in known[kind]:
            raise LabelwiseError(f"{kind}: {name!r} is none of {', '.join(known[kind])}")
    if protocol == "classify":
        raise LabelwiseError(
            f"--run {run}: a classifier is asked nothing; its classes and scores are in"
            f" results/predictions/{run}/top5.csv"
        )
    results = Path("results")
    predicted = results / "predictions" / run / f"{mapper}.csv"
    if not predicted.is_file():
        raise LabelwiseError(
            f"{predicted}: no such file; make it with `snakemake --cores 2 {predicted}`"
        )
    header, asked = prompts.read(results / "requests" / images / protocol / f"{batching}.jsonl")
    names = Names(classnames.read(results / "classes" / f"{header['classes']}.csv"))
    said = {r["request"]: r for r in records.read_responses(results / f"responses/{run}.jsonl")}
    rows = {
        int(row["repeat"]): row
        for row in records.read_csv(predicted, records.PREDICTIONS)
        if row["image"] == image
    }
    mine = [request for request in asked if image in request["images"]]
    if not mine:
        raise LabelwiseError(f"image {image}: not among the requests of {run}")
    yield f"=== question (request {mine[0]['request']})"
    without = said[mine[0]["request"]].get("refused", ())
    question = prompt_view.describe(header, mine[0], without=without).split("\n")
    if not full and len(question) > 2 * LINES:
        left_out = f"    ... {len(question) - 2 * LINES} lines; --full shows them ..."
        question[LINES:-LINES] = [left_out]
    yield from question
    original = known["images"][images]["original"]
    own, first = (results / "labels" / f"{name}.csv" for name in (label_set, original))
    listed = results / "images" / f"{images}.csv"
    key = answer_key(own, first, listed, known["labels"][label_set], {image})
    judged = key.judge([{image: run[image]} for run in read_predictions(predicted)])
    for number, request in enumerate(mine):
        response, row = said[request["request"]], rows[request["repeat"]]
        answer = next(a for a in answers(response, header, request, names) if a.image == image)
        yield f"=== repeat {request['repeat']}, image {answer.position} of its prompt"
        if number and "options" in request:
            options = (f"{option['letter']}. {option['name']}" for option in request["options"])
            yield f"options   {', '.join(options)}"
        yield f"raw       {dump_line(response['text'])} (finish: {response['finish']})"
        yield f"parse     {answer.outcome}: {dump_line(answer.answer)}"
        how = f", cosine {row['score']}, margin {row['margin']}" if row["mapped"] == "1" else ""
        yield f"class     {_named(records.ids(row['class']), names)} ({mapper}{how})"
        yield f"verdict   {_verdict(judged, request['repeat'], label_set, key.rules.void)}"
    yield "=== labels"
    for name in dict.fromkeys((original, label_set)):
        label = labels.read(results / "labels" / f"{name}.csv").get(image)
        yield f"{name}: {_named(label.ids, names) if label else 'no row'}"


def _verdict(judged: Judged, repeat: int, label_set: str, void: str) -> str:
    if not judged.images:
        return f"left out: {', '.join(judged.left_out)}"
    words = ["wrong", "right"]
    rule = f" (void images count as {void})" if judged.void[0] else ""
    categories = [name for name, member in judged.members.items() if member[0] and name != "A"]
    return (
        f"{words[int(judged.right[repeat, 0])]} under {label_set},"
        f" {words[int(judged.original is not None and judged.original[repeat, 0])]}"
        " under the original label;"
        f" category {categories[-1]}{rule}"
    )


def _named(classes: Sequence[int], names: Names) -> str:
    known = (f"{c} {names.names[c] if 0 <= c < len(names) else '?'}" for c in classes)
    return "; ".join(known) or "none"


@cli
def main(argv: Sequence[str] | None = None) -> None:
    """Show one image's question, raw answer, parse, mapping and verdict."""
    parser = argparse.ArgumentParser(prog="python -m labelwise.show", description=main.__doc__)
    parser.add_argument("image", help="image id")
    parser.add_argument("--run", required=True, metavar="IMAGES/MODEL/PROTOCOL/BATCHING")
    parser.add_argument("--mapper", required=True)
    parser.add_argument("--labels", required=True)
    parser.add_argument("--full", action="store_true", help="the whole prompt")
    parser.add_argument("--config", default="config/config.yaml")
    args = parser.parse_args(argv)
    known = config.load(args.config)
    for line in screen(args.image, args.run, args.mapper, args.labels, known, args.full):
        print(line)


if __name__ == "__main__":
    main()
