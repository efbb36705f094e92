"""Answers outside the class list: how many, of what kind, and how many an encoder maps rightly.

The paper's Tables 5, 15 and 16. Kinds, of which each answer gets the first that applies:

- ``no_text``: nothing that could be read (``empty``, ``parse_error``, ``count_mismatch``,
  ``truncated``, ``content_filter``); the paper does not have this kind;
- ``abstain``: the model says that it does not answer;
- ``other_names``: exactly a name of another known set (in the paper: OpenAI's);
- ``partial``: its words are some, in any order, of those of a listed name;
- ``wrong``: all others.

An image whose file cannot be read was not asked: it is no answer of any kind. Where a label set
counts void images as right for every answer, each of their answers counts as mapped rightly (as in
Table 15's rows A); the columns ``..._labelled`` leave void images out.
"""

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labelwise import classnames, records
from labelwise.classnames import Names, normal
from labelwise.errors import LabelwiseError, cli
from labelwise.evaluation.selection import AXES
from labelwise.score import answer_key, read_predictions
from labelwise.scoring import Key

KINDS = ("partial", "other_names", "abstain", "wrong", "no_text")
INSIDE = ("ok", "image_error")
COLUMNS = (
    *AXES,
    "category",
    "n",
    "oop",
    "oop_percent",
    *KINDS,
    *(f"{kind}_percent" for kind in KINDS),
    "mapped_right",
    "mapped_right_percent",
    "oop_labelled",
    "mapped_right_labelled",
    "mapped_right_labelled_percent",
)
"""The run; counts (means over repeats); ``oop_percent`` is of images, other rates of ``oop``."""


class Kinds:
    """Tells what kind of out-of-list answer a text is.

    Args:
        names: the listed names.
        others: names of another known set.
    """

    def __init__(self, names: Sequence[str], others: Sequence[str] = ()):
        self._others = Names(others)
        self._holders: dict[str, set[int]] = {}
        for i, name in enumerate(names):
            for word in words(name):
                self._holders.setdefault(word, set()).add(i)

    def kind(self, outcome: str, answer: str) -> str:
        """One of ``KINDS``."""
        if outcome == "abstain":
            return "abstain"
        if outcome != "out_of_list":
            return "no_text"
        if self._others.find(answer):
            return "other_names"
        said = words(answer)
        holders = [self._holders.get(word, set()) for word in said]
        return "partial" if holders and set.intersection(*holders) else "wrong"


def words(text: str) -> set[str]:
    """The words of a text, lower-cased, without punctuation."""
    return set(re.findall(r"\w+", normal(text)))


def analyse(
    rows: Sequence[Mapping[str, str]], mapped: Sequence[Mapping[str, Any]], key: Key, kinds: Kinds
) -> list[dict[str, Any]]:
    """One row a category, see ``COLUMNS``.

    Args:
        rows: of the predictions by the ``exact`` mapper.
        mapped: the answers after mapping, one dict a repeat (``score.read_predictions``).
        key: of the label set.
        kinds: of the class names.

    Raises:
        LabelwiseError: the two predictions have not as many repeats.
    """
    judged = key.judge(mapped)
    place = {image: i for i, image in enumerate(judged.images)}
    repeats = sorted({row["repeat"] for row in rows}, key=lambda text: (len(text), text))
    if len(repeats) != len(mapped):
        raise LabelwiseError(
            f"--mapped: {len(mapped)} repeats, but the exact predictions have {len(repeats)}"
        )
    found = []
    for row in rows:
        if row["outcome"] not in INSIDE and row["image"] in place:
            i, repeat = place[row["image"]], repeats.index(row["repeat"])
            kind = kinds.kind(row["outcome"], row["answer"])
            found.append((i, kind, bool(judged.right[repeat, i]), bool(judged.void[i])))
    table = []
    for category, member in judged.members.items():
        n, here = int(member.sum()), [entry for entry in found if member[entry[0]]]
        counts = {kind: sum(k == kind for _, k, _, _ in here) for kind in KINDS}
        right = sum(r for _, _, r, _ in here)
        labelled = [entry for entry in here if not entry[3]]
        right_labelled = sum(r for _, _, r, _ in labelled)
        table.append(
            {
                "category": category,
                "n": n,
                "oop": _mean(len(here), len(mapped)),
                "oop_percent": _percent(len(here), n * len(mapped)),
                **{kind: _mean(count, len(mapped)) for kind, count in counts.items()},
                **{f"{kind}_percent": _percent(c, len(here)) for kind, c in counts.items()},
                "mapped_right": _mean(right, len(mapped)),
                "mapped_right_percent": _percent(right, len(here)),
                "oop_labelled": _mean(len(labelled), len(mapped)),
                "mapped_right_labelled": _mean(right_labelled, len(mapped)),
                "mapped_right_labelled_percent": _percent(right_labelled, len(labelled)),
            }
        )
    return table


def _mean(count: int, repeats: int) -> str:
    return f"{count / repeats:.6g}"


def _percent(part: int, whole: int) -> float | str:
    return 100 * part / whole if whole else ""


@cli
def main(argv: Sequence[str] | None = None) -> None:
    """Analyse the answers outside the class list of one run against one label set."""
    parser = argparse.ArgumentParser(prog="python -m labelwise.oop", description=main.__doc__)
    parser.add_argument("predictions", type=Path, help="those of an exact mapper")
    parser.add_argument("--mapped", type=Path, required=True, help="those of a nearest mapper")
    parser.add_argument("--images", type=Path, required=True, help="results/images/*.csv")
    parser.add_argument("--labels", type=Path, required=True, help="results/labels/*.csv")
    parser.add_argument("--original", type=Path, required=True, help="that of the original labels")
    parser.add_argument("--classes", type=Path, required=True, help="the listed names")
    parser.add_argument("--others", type=Path, help="another known set of names")
    parser.add_argument("--spec", type=json.loads, default={}, help="the labels entry, JSON")
    parser.add_argument("--axes", type=json.loads, default={}, help="axes of the run, JSON")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    key = answer_key(args.labels, args.original, args.images, args.spec)
    others = classnames.read(args.others) if args.others else ()
    table = analyse(
        records.read_csv(args.predictions, records.PREDICTIONS),
        read_predictions(args.mapped),
        key,
        Kinds(classnames.read(args.classes), others),
    )
    records.write_csv(args.out, COLUMNS, ({**args.axes, **row} for row in table))


if __name__ == "__main__":
    main()
