"""Label sets: many published formats, one canonical file.

``python -m labelwise.labels --name NAME --spec JSON [--images CSV] [--classes CSV] --out CSV``
turns one ``labels`` entry of the configuration into ``results/labels/NAME.csv``: image, class ids,
whether the mark -1 ("not sure") was there, whether the image counts as void, and the format.

``labelwise.data.label_formats`` lists the formats and their keys. All take ``sha256`` of their file
and ``n_classes`` (1000).

The rules of a label set (``void``, ``uncertain``, ``sign``, ``equivalents``) are explained in
``labelwise.data.rules``; of them only ``uncertain`` shows in the file, in its column ``void``.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from labelwise import records
from labelwise.data.label_formats import FORMATS, HUB_CLASSES, UNSURE, Beside, hub_file
from labelwise.data.rules import MAX_CLASSES, Pairs, Rules, read_pairs
from labelwise.errors import LabelwiseError, cli

NOTES = {
    "repeated_label": "label rows that say the same again for an image",
    "skipped_label": "label rows left out by the label set's own keys",
}


class Label(NamedTuple):
    """The labels of one image: ids in increasing order, and whether the mark -1 was among them."""

    ids: tuple[int, ...]
    uncertain: bool = False

    def void(self, uncertain: str) -> bool:
        """Whether the image counts as having no label, under the rule ``uncertain``."""
        return not self.ids or (self.uncertain and uncertain == "void")


Labels = dict[str, Label]
"""Labels by image id."""


def load(
    spec: Mapping[str, Any],
    images: Path | None = None,
    classes: Path | None = None,
    notes: Counter[str] | None = None,
) -> Labels:
    """The labels of one ``labels`` entry.

    Args:
        spec: the entry; see ``labelwise.data.label_formats``.
        images: a ``results/images`` file (formats ``folders`` and ``shards`` only).
        classes: a ``results/classes`` file (format ``folders`` only).
        notes: where given, counts what is not used: ``repeated_label``, rows that say the same
            again for an image, and ``skipped_label``, rows that the entry's own keys leave out.

    Raises:
        LabelwiseError: an unknown format or key value, a missing or changed file, a broken row, an
            id outside 0..n_classes-1, or an image that occurs twice with different labels.
    """
    if not isinstance(spec, Mapping):
        raise LabelwiseError(f"labels: {spec!r} is not an entry with keys, as format and file")
    form = spec.get("format")
    if not isinstance(form, str) or form not in FORMATS:
        raise LabelwiseError(f"labels: format {form!r} is none of {', '.join(FORMATS)}")
    n_classes = spec.get("n_classes", 1000)
    if type(n_classes) is not int or n_classes < 1:
        raise LabelwiseError(f"labels: n_classes {n_classes!r} is not a number of classes")
    labels: Labels = {}
    notes = Counter() if notes is None else notes
    for where, name, found in FORMATS[form](spec, Beside(images, classes)):
        image = records.image_id(name)
        if found is None:
            notes["skipped_label"] += 1
            continue
        for i in found:
            if i != UNSURE and not 0 <= i < n_classes:
                raise LabelwiseError(
                    f"{where}: class id {i} of {image} is not in 0..{n_classes - 1} (-1 = not sure)"
                )
        label = Label(tuple(sorted({i for i in found if i != UNSURE})), UNSURE in found)
        notes["repeated_label"] += image in labels
        if labels.setdefault(image, label) != label:
            raise LabelwiseError(f"{where}: image {image} occurs twice, with different labels")
    if not labels:
        raise LabelwiseError(f"{spec.get('file', form)}: no labels in it")
    return labels


def pairs_of(spec: Mapping[str, Any]) -> Pairs:
    """The equivalent pairs that a ``labels`` entry asks for.

    Raises:
        LabelwiseError: as of ``rules.read_pairs``, or ``dataset`` of another format.
    """
    choice = Rules.of(spec).equivalents
    if choice != "dataset":
        return read_pairs(choice)
    if spec.get("format") != "reimagenet":
        raise LabelwiseError(
            "equivalents: dataset goes with format reimagenet; give a file instead"
        )
    if spec.get("file"):
        return read_pairs(Path(spec["file"]).parent / HUB_CLASSES)
    return read_pairs(hub_file(spec, HUB_CLASSES))


def canonical(labels: Labels, rules: Rules, form: str) -> list[dict[str, Any]]:
    """Rows of the canonical file, sorted by image."""
    return [
        {
            "image": image,
            "labels": " ".join(map(str, label.ids)),
            "uncertain": int(label.uncertain),
            "void": int(label.void(rules.uncertain)),
            "source": form,
        }
        for image, label in sorted(labels.items())
    ]


def read(path: str | Path) -> Labels:
    """Read a canonical file (or a plain CSV) back."""
    return load({"format": "csv", "file": str(path), "n_classes": MAX_CLASSES})


@cli
def main(argv: list[str] | None = None) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="python -m labelwise.labels", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--name", required=True, help="name of the label set, for messages")
    parser.add_argument("--spec", required=True, type=json.loads, help="its entry, as JSON")
    parser.add_argument("--images", type=Path, help="a results/images CSV (folders, shards)")
    parser.add_argument("--classes", type=Path, help="a results/classes CSV (format folders)")
    parser.add_argument("--out", required=True, type=Path)
    args = parser.parse_args(argv)
    try:
        rules = Rules.of(args.spec)
        notes: Counter[str] = Counter()
        labels = load(args.spec, args.images, args.classes, notes)
    except LabelwiseError as error:
        raise LabelwiseError(f"labels {args.name}: {error}") from None
    for note, count in (+notes).items():
        print(f"labels {args.name}: {count} {NOTES[note]}", file=sys.stderr)
    records.write_csv(args.out, records.LABELS, canonical(labels, rules, args.spec["format"]))


if __name__ == "__main__":
    main()
