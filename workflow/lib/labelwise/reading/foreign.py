"""Predictions made elsewhere: tolerant readers of their files.

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

import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from labelwise import labels, records
from labelwise.errors import LabelwiseError
from labelwise.score import read_predictions
from labelwise.scoring import Answer

IMAGE_COLUMNS = ("image", "img_id", "file_name", "image_name", "filename", "id")
CLASS_COLUMNS = ("top_1_pred", "k_11_pred", "class", "prediction", "pred", "labels")
RECORD_KEYS = (*CLASS_COLUMNS, "label", "answer")
HUGE = 10**18
"""Stands for every whole number of JSON with more digits: out of range in any case."""


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
        self.n, self.bare_zero = len(names), bare_zero
        self.problems: Counter[str] = Counter()
        self.ids: dict[str, tuple[int, ...]] = {}
        self.ambiguous: set[str] = set()
        for i, name in enumerate(name.lower().strip() for name in names):
            if name in self.ids:
                self.ambiguous.add(name)
            self.ids[name] = (*self.ids.get(name, ()), i) if duplicates == "both" else (i,)

    def read(self, value: Any) -> Answer:
        """One answer: out of the list where a part of it names no class, as the authors count."""
        if type(value) in (int, float) and value == 0:
            self.problems["bare_zero"] += 1
            parts: list[tuple[int, ...]] = [(0,) if self.bare_zero == "class" else ()]
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
    except FileNotFoundError:
        raise LabelwiseError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise LabelwiseError(f"{path}: cannot be read as text: {error}") from None
    if head.lstrip().startswith(("{", "[")):
        rows, original = _json_rows(path, column), labels.Labels()
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
    pairs: list[tuple[str, str]] = []
    original: labels.Labels = {}
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
