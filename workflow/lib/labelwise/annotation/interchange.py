"""Decisions as files: plain CSV, Label Studio's JSON, and ``reannotation.jsonl`` of ReImageNet.

``python -m labelwise.annotation.interchange CASES --db FILE.sqlite --export FILE`` (or ``--import
FILE``). The suffix says the format, and each format holds all of a decision, so that a file read
back gives the same decisions:

``.csv``    a row a decision; boxes are JSON in their cell
``.json``   Label Studio: a task a case, an annotation a decision; ``--export FILE.xml`` writes the
            labelling interface that goes with it
``.jsonl``  the ReImageNet schema, a line an image, so one decision an image: that of
            ``--annotator``, or the one that stands (``--settled``); what the schema lacks is under
            the key ``labelwise``
"""

import argparse
import json
import sys
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from labelwise import draw, records
from labelwise.annotation import cases as case_files
from labelwise.annotation.cases import Cases
from labelwise.annotation.decisions import FLAGS, Decision, settle
from labelwise.annotation.store import opened
from labelwise.data import class_ids
from labelwise.data.rules import read_pairs
from labelwise.errors import LabelwiseError, cli
from labelwise.labels import UNSURE

COLUMNS = ("case", "image", "annotator", "role", "labels", "boxes", "comment", "seconds", "at")
NONE, NOT_SURE = "no class of the list", "not sure"


def read(path: Path, cases: Cases | None, n_classes: int, annotator: str = "") -> list[Decision]:
    """The decisions of a file of any of the formats.

    Args:
        path: the file; its suffix says the format.
        cases: the cases, where an image that has no case of its own in the file is looked up.
        n_classes: ids are 0..n_classes-1.
        annotator: who decided, where the file does not say.

    Raises:
        LabelwiseError: not such a file, or two decisions of one annotator on one image.
    """
    if path.suffix not in READERS:
        raise LabelwiseError(f"{path}: its suffix is none of {', '.join(READERS)}")
    found, seen = [], set()
    for where, value in READERS[path.suffix](path):
        if not isinstance(value.get("image"), str) or not value["image"]:
            raise LabelwiseError(f"{where}: no image")
        image = records.image_id(value["image"])
        case = cases.by_image.get(image) if cases else None
        known = {"case": value.get("case") or (case.case if case else image)}
        who = {"annotator": value.get("annotator") or annotator}
        decision = Decision.of({**value, **known, **who, "image": image}, where, n_classes)
        one = decision.image, decision.annotator, decision.role
        if one in seen:
            raise LabelwiseError(f"{where}: {one[1]} decides twice on {one[0]}")
        seen.add(one)
        found.append(decision)
    return found


Values = Iterator[tuple[str, dict[str, Any]]]
"""What a format yields: the place in the file, and a decision as ``Decision.of`` reads it."""


def _read_csv(path: Path) -> Values:
    for number, row in records.csv_lines(path, COLUMNS):
        where = f"{path}: line {number}"
        marks = list(class_ids.cell(row["labels"], where))
        try:
            boxes = json.loads(row["boxes"] or "[]")
        except (ValueError, RecursionError):
            raise LabelwiseError(f"{where}: boxes are not JSON") from None
        yield where, {**row, "marks": marks, "boxes": boxes}


def write_csv(path: Path, decisions: Iterable[Decision], cases: Cases) -> None:
    """Write plain CSV."""
    rows = [
        {
            **decision.as_dict(),
            "labels": " ".join(map(str, decision.marks)),
            "boxes": records.dump_line([b.as_dict() for b in decision.boxes])
            if decision.boxes
            else "",
        }
        for decision in decisions
    ]
    records.write_csv(path, COLUMNS, [{c: row[c] for c in COLUMNS} for row in rows])


# ReImageNet


def _read_reimagenet(path: Path) -> Values:
    for number, line in enumerate(records.read_jsonl(path), 1):
        where = f"{path}: line {number}"
        if not isinstance(line, dict) or not isinstance(line.get("labelwise", {}), dict):
            raise LabelwiseError(f"{where}: not an object with image_name, reannotated_labels")
        yield (
            where,
            {
                **line.get("labelwise", {}),
                "image": line.get("image_name"),
                "marks": line.get("reannotated_labels"),
                "boxes": line.get("bboxes"),
            },
        )


def write_reimagenet(
    path: Path, decisions: Iterable[Decision], cases: Cases, original: Mapping[str, Sequence[int]]
) -> None:
    """Write ``reannotation.jsonl``, one line an image.

    Args:
        path: the file.
        decisions: at most one an image.
        cases: where the images lie.
        original: the original class ids of each image, if known.

    Raises:
        LabelwiseError: two decisions on one image.
    """
    lines, seen = [], set()
    for decision in sorted(decisions, key=lambda d: d.image):
        if decision.image in seen:
            raise LabelwiseError(
                f"{path}: {decision.image} has several decisions and the schema one line an image:"
                " choose with --annotator NAME or --settled"
            )
        seen.add(decision.image)
        case = cases.by_image.get(decision.image)
        parts = Path(case.file if case else decision.image).parts
        same = records.image_id(parts[-1]) == decision.image
        own = ("case", "annotator", "role", "comment", "seconds", "at")
        value = decision.as_dict()
        lines.append(
            {
                "image_name": parts[-1] if same else decision.image,
                "file_path": "/".join(parts[-2:]),
                "original_class": list(original.get(decision.image, ())),
                "reannotated_labels": value["marks"],
                "bboxes": value["boxes"],
                "labelwise": {key: value[key] for key in own},
            }
        )
    records.write_jsonl(path, lines)


# Label Studio


def label(i: int, cases: Cases) -> str:
    """A class in Label Studio: its id and name, since names may occur twice."""
    return NOT_SURE if i == UNSURE else f"{i} {cases.classes[i].name}"


def interface(cases: Cases) -> str:
    """Label Studio's labelling interface (XML) for the tasks of ``write_label_studio``."""
    classes = [label(i, cases) for i in range(len(cases.classes))]
    choices = [f"      <Choice value={quoteattr(c)}/>" for c in (NONE, NOT_SURE, *classes)]
    boxes = [f"      <Label value={quoteattr(c)}/>" for c in (NOT_SURE, *classes)]
    flags = [f"      <Choice value={quoteattr(flag)}/>" for flag in FLAGS]
    return "\n".join(
        [
            "<View>",
            '  <Image name="image" value="$image" zoom="true"/>',
            '  <Filter name="filter" toName="classes"/>',
            '  <Choices name="classes" toName="image" choice="multiple" required="true">',
            *choices,
            "  </Choices>",
            '  <RectangleLabels name="boxes" toName="image" choice="multiple">',
            *boxes,
            "  </RectangleLabels>",
            '  <Choices name="flags" toName="image" choice="multiple" perRegion="true">',
            *flags,
            "  </Choices>",
            '  <Number name="group" toName="image" perRegion="true"/>',
            '  <TextArea name="comment" toName="image" maxSubmissions="1"/>',
            '  <TextArea name="who" toName="image" editable="false"/>',
            "</View>",
            "",
        ]
    )


def write_label_studio(
    path: Path, decisions: Iterable[Decision], cases: Cases, prefix: str = ""
) -> None:
    """Write tasks with annotations.

    The annotator, the role and the time are texts of the field ``who``: they survive Label Studio,
    which puts its own user and time into an imported annotation.

    Args:
        path: the file.
        decisions: those of a case become the annotations of one task.
        cases: the images, with their sizes.
        prefix: goes before each image's file to make its URL.

    Raises:
        LabelwiseError: a decision about a case that is none of these.
    """
    of_case: dict[str, list[Decision]] = {}
    for decision in decisions:
        of_case.setdefault(decision.case, []).append(decision)
    tasks = []
    for number, (case, found) in enumerate(sorted(of_case.items()), 1):
        own = cases.by_id.get(case)
        if own is None:
            raise LabelwiseError(f"{path}: case {case} is none of these cases")
        tasks.append(
            {
                "id": number,
                "data": {"image": f"{prefix}{own.file}", "case": case, "image_id": own.image},
                "annotations": [
                    {
                        "result": list(_results(d, own.width, own.height, cases)),
                        "lead_time": d.seconds,
                        "was_cancelled": False,
                        "ground_truth": d.role == "adjudicator",
                        **({"created_at": d.at} if d.at else {}),
                    }
                    for d in found
                ],
                "predictions": [],
            }
        )
    records.write_json(path, tasks)


def _results(d: Decision, width: int, height: int, cases: Cases) -> Iterator[dict[str, Any]]:
    def result(kind: str, name: str, value: Any, **more: Any) -> dict[str, Any]:
        key = f"{d.annotator} {d.role} {d.case} {name} {more.pop('box', '')}"
        region = draw.key(0, "label studio", key).hex()[:10]
        head = {"id": region, "from_name": name, "to_name": "image", "type": kind}
        return {**head, "value": value, **more}

    marks = [label(i, cases) for i in d.marks] or [NONE]
    yield result("choices", "classes", {"choices": marks})
    yield result("textarea", "who", {"text": [d.annotator, d.role, d.at]})
    if d.comment:
        yield result("textarea", "comment", {"text": [d.comment]})
    for k, box in enumerate(d.boxes):
        x0, y0, x1, y1 = box.coordinates
        place = {
            "x": 100 * x0 / width,
            "y": 100 * y0 / height,
            "width": 100 * (x1 - x0) / width,
            "height": 100 * (y1 - y0) / height,
            "rotation": 0,
        }
        size = {"original_width": width, "original_height": height, "image_rotation": 0}
        names = [label(i, cases) for i in box.labels]
        first = result("rectanglelabels", "boxes", {**place, "rectanglelabels": names}, box=k)
        yield {**first, **size}
        if box.flags:
            yield {
                **result("choices", "flags", {**place, "choices": list(box.flags)}),
                **size,
                "id": first["id"],
            }
        if box.group is not None:
            yield {
                **result("number", "group", {**place, "number": box.group}),
                **size,
                "id": first["id"],
            }


def _read_label_studio(path: Path) -> Values:
    tasks = records.read_json(path)
    if not isinstance(tasks, list):
        raise LabelwiseError(f"{path}: not a list of Label Studio's tasks")
    for number, task in enumerate(tasks, 1):
        try:
            data = task["data"]
            annotations = [a for a in task["annotations"] if not a.get("was_cancelled")]
        except (TypeError, KeyError, AttributeError):
            raise LabelwiseError(f"{path}: task {number}: no data and annotations") from None
        image = data.get("image_id") or Path(str(data.get("image", ""))).name
        for k, annotation in enumerate(annotations, 1):
            where = f"{path}: task {number}: annotation {k}"
            try:
                yield (
                    where,
                    {"image": image, "case": data.get("case"), **_from_results(annotation)},
                )
            except (TypeError, KeyError, AttributeError, ValueError, IndexError) as error:
                raise LabelwiseError(f"{where}: not as exported: {error!r}") from None


def _from_results(annotation: Mapping[str, Any]) -> dict[str, Any]:
    """A decision from an annotation's results; times and names of Label Studio where ours lack."""
    found: dict[str, Any] = {"seconds": annotation.get("lead_time"), "marks": []}
    found["at"] = annotation.get("created_at", "")
    boxes: dict[str, dict[str, Any]] = {}
    for result in annotation["result"]:
        name, value, region = result["from_name"], result["value"], result["id"]
        if name == "classes":
            found["marks"] = [_id(text) for text in value["choices"] if text != NONE]
        elif name == "comment":
            found["comment"] = "\n".join(value["text"])
        elif name == "who":
            found["annotator"], found["role"], found["at"] = value["text"]
        elif name == "boxes":
            width, height = result["original_width"], result["original_height"]
            x, y = value["x"], value["y"]
            ends = (x, y, x + value["width"], y + value["height"])
            sizes = (width, height, width, height)
            coordinates = [e * s / 100 for e, s in zip(ends, sizes, strict=True)]
            ids = [_id(text) for text in value["rectanglelabels"]]
            boxes.setdefault(region, {}).update(coordinates=coordinates, labels=ids)
        elif name == "group":
            boxes.setdefault(region, {})["group"] = value["number"]
        elif name == "flags":
            boxes.setdefault(region, {}).update(dict.fromkeys(value["choices"], True))
    return {**found, "boxes": list(boxes.values())}


def _id(text: str) -> int:
    return UNSURE if text == NOT_SURE else int(text.split(" ", 1)[0])


READERS = {".csv": _read_csv, ".json": _read_label_studio, ".jsonl": _read_reimagenet}


@cli
def main(argv: list[str] | None = None) -> None:
    """Export decisions from, or import them into, an SQLite file of the page."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.annotation.interchange",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("cases", type=Path, help="results/annotation/*/cases.jsonl")
    parser.add_argument("--db", type=Path, required=True, help="the page's SQLite file")
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--export", type=Path, metavar="FILE", help=".csv, .json, .jsonl or .xml")
    way.add_argument("--import", type=Path, metavar="FILE", dest="source", help="the same")
    parser.add_argument("--annotator", default="", help="export: of this one; import: who decided")
    parser.add_argument("--settled", action="store_true", help="export only decisions that stand")
    parser.add_argument("--equivalents", default="paper", help="classes that count as one there")
    parser.add_argument("--key", type=Path, help=".jsonl: key.csv, for the original classes")
    parser.add_argument("--prefix", default="", help=".json: what makes an image's file its URL")
    args = parser.parse_args(argv)
    cases = case_files.read(args.cases)
    with opened(args.db, cases) as store:
        if args.source:
            found = read(args.source, cases, len(cases.classes), args.annotator)
            strange = [d for d in found if d.case not in cases.by_id]
            if strange:
                raise LabelwiseError(
                    f"{args.source}: {len(strange)} images are no case here, first"
                    f" {strange[0].image}"
                )
            for kept in [store.decide(decision, uuid.uuid4().hex) for decision in found]:
                kept.result()
            print(f"{len(found)} decisions taken in", file=sys.stderr)
            return
        found = [d for d in store.all() if args.annotator in ("", d.annotator)]
    if args.settled:
        standing = settle(found, read_pairs(args.equivalents)).values()
        found = [decision for decision, _ in standing if decision]
    if args.export.suffix == ".xml":
        records.write_text(args.export, interface(cases))
        return
    if args.export.suffix == ".csv":
        write_csv(args.export, found, cases)
    elif args.export.suffix == ".json":
        write_label_studio(args.export, found, cases, args.prefix)
    elif args.export.suffix == ".jsonl":
        key = case_files.read_key(args.key).values() if args.key else ()
        original = {one.image: s.labels for one in key if (s := one.source("original"))}
        write_reimagenet(args.export, found, cases, original)
    else:
        raise LabelwiseError(f"{args.export}: its suffix is none of .csv, .json, .jsonl, .xml")
    print(f"{len(found)} decisions in {args.export}", file=sys.stderr)


if __name__ == "__main__":
    main()
