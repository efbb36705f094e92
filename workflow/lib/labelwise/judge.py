"""Stage ``judge``: every single answer of an experiment held against the corrected labels.

One row an image and run: what was said, what it was taken for, what is right. Figures that look at
single answers (confusions, positions, agreement) are drawn from it. Runs are those that stand for a
model: exact matching, and the mapper with the best accuracy (``selection.standing``); of a run with
several repeats the first. Multiple choice is left out: its questions are not the same for all.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from labelwise import classnames, labels, records
from labelwise.data.rules import Pairs, Rules
from labelwise.errors import cli
from labelwise.evaluation.judged import COLUMNS
from labelwise.evaluation.selection import (
    Run,
    by_model,
    corrected,
    load,
    predictions,
    representative,
    standing,
)
from labelwise.scoring import Answer, Key, admissible, hits


def judge(
    run: Run, key: Key, pairs: Pairs, sets: Sequence[labels.Labels], names: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Rows of one run: an image each, of those that can be asked, in the order of the image set.

    Args:
        run: of the experiment.
        key: the answer key of its label set.
        pairs: the equivalent classes of the label set.
        sets: the label set, and the original labels.
        names: class names by id.
    """
    table = records.read_csv(predictions(run), records.PREDICTIONS)
    rows = {row["image"]: row for row in table if row["repeat"] == "0"}
    answers = {
        image: Answer(records.ids(row["class"]), row["outcome"], row["mapped"] == "1")
        for image, row in rows.items()
    }
    judged = key.judge([answers])
    own, original = ([found[image].ids for image in judged.images] for found in sets)
    n = 1 + max((i for ids in (*own, *original) for i in ids), default=0)
    fits = hits(admissible(own, pairs, n), original)
    fits[judged.void] = key.rules.void == "correct"
    head = {column: getattr(run, column) for column in COLUMNS[: COLUMNS.index("stands")]}
    head["model_name"] = run.name
    for i, image in enumerate(judged.images):
        row = rows[image]
        ids = () if judged.void[i] else own[i]
        yield {
            **head,
            "image": image,
            "position": row["position"],
            "category": next(c for c in records.LEAVES if judged.members[c][i]),
            "outcome": row["outcome"],
            "answer": "" if row["outcome"] == "ok" else row["answer"],
            "class": row["class"],
            "said": _named(records.ids(row["class"])[:1], names),
            "score": row["score"],
            "mapped": row["mapped"],
            "right": int(judged.right[0, i]),
            "label": " ".join(map(str, ids)),
            "labelled": _named(ids, names),
            "original": _named(original[i], names),
            "original_right": int(fits[i]),
        }


def _named(ids: Sequence[int], names: Sequence[str]) -> str:
    return "; ".join(names[i] if 0 <= i < len(names) else str(i) for i in ids)


@cli
def main(argv: Sequence[str] | None = None) -> None:
    """Hold every single answer of an experiment against the corrected labels."""
    parser = argparse.ArgumentParser(prog="python -m labelwise.judge", description=main.__doc__)
    parser.add_argument("experiment", type=Path, help="results/experiments/*.csv")
    parser.add_argument(
        "--plan",
        type=json.loads,
        required=True,
        help="JSON: labels (name to entry), original (image set to label set), classes (protocol"
        " to class-name set, with the one of classifiers under classify)",
    )
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    records.write_csv(args.out, COLUMNS, table(load(args.experiment), args.plan))


def table(runs: Sequence[Run], plan: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows of all standing runs; see ``main`` for the plan."""
    for (images, label_set), group in corrected(runs).items():
        spec = plan["labels"][label_set]
        mine, original = (
            labels.read(f"results/labels/{name}.csv")
            for name in (label_set, plan["original"][images])
        )
        listed = [r["image"] for r in records.read_csv(f"results/images/{images}.csv", ("image",))]
        pairs = labels.pairs_of(spec)
        key = Key(mine, original, Rules.of(spec), pairs, listed)
        chosen = [representative(own) for own in by_model(group).values()]
        for run in standing(group):
            names = classnames.read(f"results/classes/{plan['classes'][run.protocol]}.csv")
            for row in judge(run, key, pairs, (mine, original), names):
                yield row | {"stands": int(run in chosen)}


if __name__ == "__main__":
    main()
