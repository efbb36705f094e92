"""Stage ``relabel``: decisions become a label set, and a list says who decided what.

``python -m labelwise.annotation.relabel DECISIONS --name NAME --base CSV --annotation JSON --spec
JSON --out CSV --decided CSV --meta JSON``. The new set is the base label set, with the labels of
every image that has a decision that stands replaced by it; where annotators differ and nobody
adjudicated, the base stays. The column ``source`` says who decided on each image.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from labelwise import labels, records
from labelwise.agreement import merged
from labelwise.annotation import interchange
from labelwise.annotation.decisions import Decision, settle
from labelwise.data.rules import MAX_CLASSES, Pairs, Rules
from labelwise.errors import LabelwiseError, cli
from labelwise.labels import Label

DECIDED = ("image", "before", "after", "changed", "how", "decided_by", "kind", "at", "comment")


def relabel(
    base: labels.Labels,
    decisions: Sequence[Decision],
    annotators: Mapping[str, str],
    pairs: Pairs,
) -> tuple[labels.Labels, list[dict[str, Any]]]:
    """The new labels, and one row a case that was decided or is in dispute.

    Args:
        base: the label set under revision.
        decisions: every decision, each about an image of the base.
        annotators: what each annotator is: person or system.
        pairs: equivalent classes: a change from one to the other is none.

    Raises:
        LabelwiseError: a decision about an image that the base does not have.
    """
    strange = sorted({d.image for d in decisions} - set(base))
    if strange:
        raise LabelwiseError(f"{len(strange)} decided images have no label yet, first {strange[0]}")
    new, rows = dict(base), []
    of_image = settle((replace(d, case=d.image) for d in decisions), pairs)
    for image, (decision, how) in sorted(of_image.items()):
        row = {"image": image, "before": _text(base[image]), "how": how, "changed": 0}
        if decision is None:
            names = sorted({d.annotator for d in decisions if d.image == image})
            row |= {"after": row["before"], "decided_by": " & ".join(names)}
        else:
            new[image] = Label(decision.labels, decision.unsure)
            names = [decision.annotator]
            row |= {"after": _text(new[image]), "decided_by": decision.annotator}
            row |= {"at": decision.at, "comment": decision.comment}
            row["changed"] = int(_merged(base[image], pairs) != _merged(new[image], pairs))
        row["kind"] = " & ".join(sorted({annotators.get(n, "unstated") for n in names}))
        rows.append(row)
    return new, rows


def _merged(label: Label, pairs: Pairs) -> tuple[frozenset[int], bool]:
    return merged(label.ids, pairs), label.uncertain


def _text(label: Label) -> str:
    return " ".join(map(str, (*label.ids, *([labels.UNSURE] if label.uncertain else []))))


@cli
def main(argv: list[str] | None = None) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.annotation.relabel",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "decisions", type=Path, help="what interchange exports: .csv, .json, .jsonl"
    )
    parser.add_argument("--name", required=True, help="name of the new label set")
    parser.add_argument("--base", type=Path, required=True, help="results/labels/*.csv")
    parser.add_argument("--annotation", type=json.loads, required=True, help="its entry, as JSON")
    parser.add_argument("--spec", type=json.loads, default={}, help="entry of the label set")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--decided", type=Path, required=True, help="who decided what")
    parser.add_argument("--meta", type=Path, required=True, help="the version")
    args = parser.parse_args(argv)
    n_classes = args.spec.get("n_classes", 1000)
    decisions = interchange.read(args.decisions, None, min(n_classes, MAX_CLASSES))
    base = labels.read(args.base)
    annotators = {
        **args.annotation.get("annotators", {}),
        **args.annotation.get("adjudicators", {}),
    }
    try:
        new, rows = relabel(base, decisions, annotators, labels.pairs_of(args.spec))
    except LabelwiseError as error:
        raise LabelwiseError(f"{args.decisions}: {error} in {args.base}") from None
    who = {row["image"]: row for row in rows if row["how"] != "disputed"}
    table = labels.canonical(new, Rules.of(args.spec), args.annotation["corrected"])
    for line in table:
        if row := who.get(line["image"]):
            line["source"] = f"{args.annotation['name']}: {row['decided_by']} ({row['kind']})"
    records.write_csv(args.out, records.LABELS, table)
    records.write_csv(args.decided, DECIDED, rows)
    version = hashlib.sha256(args.base.read_bytes() + args.decisions.read_bytes()).hexdigest()
    changed = sum(row["changed"] for row in rows)
    disputed = sum(row["how"] == "disputed" for row in rows)
    records.write_json(
        args.meta,
        {
            "labels": args.name,
            "version": version[:16],
            "annotation": args.annotation["name"],
            "base": args.annotation["corrected"],
            "decided": len(rows) - disputed,
            "changed": changed,
            "disputed": disputed,
            "annotators": {
                name: annotators.get(name, "unstated")
                for name in sorted({d.annotator for d in decisions})
            },
        },
    )
    print(f"{changed} of {len(rows)} images that were looked at have new labels", file=sys.stderr)


if __name__ == "__main__":
    main()
