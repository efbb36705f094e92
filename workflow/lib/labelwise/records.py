"""What a line of each file holds, and how files are read and written (stdlib only).

Every data file has deterministic bytes: no times, hosts or absolute paths of our own, sorted where
order carries no meaning. A file appears whole or not at all (``atomic``).
"""

import csv
import errno
import hashlib
import itertools
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from labelwise.errors import LabelwiseError, brief

CATEGORIES = ("A", "S", "S+", "S-", "M", "M+", "M-", "N")
"""The paper's Table 1: all, single, multilabel, none; +/- = the original label is in the set."""

LEAVES = ("S+", "S-", "M+", "M-", "N")
"""The categories that part the images."""

OUTCOMES = (
    "ok",
    "out_of_list",
    "abstain",
    "parse_error",
    "count_mismatch",
    "truncated",
    "content_filter",
    "empty",
    "image_error",
)
"""What became of one image's answer. Only ``ok`` names a class by itself; see ``parsing``."""

CERTAIN = ("constrained", "likelihood")
"""Kinds of protocols whose answer is a listed name by construction."""

LISTED = ("closed", *CERTAIN)
"""Kinds of protocols that list every class name in the prompt and ask for one an image."""

SUFFIXES = frozenset(
    [".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"]
)
"""What counts as an image in a folder, by the end of its name in lower case."""

IMAGES = ("image", "file", "sha256", "bytes", "width", "height", "status")
CLASSES = ("class", "name")
LABELS = ("image", "labels", "uncertain", "void", "source")
PREDICTIONS = (
    "repeat",
    "image",
    "position",
    "outcome",
    "answer",
    "class",
    "score",
    "margin",
    "mapped",
)
NUMBERS = (
    "correct",
    "accuracy",
    "low",
    "high",
    "original",
    "original_low",
    "original_high",
    "both",
    "both_low",
    "both_high",
    "gain",
    "gain_low",
    "gain_high",
    "gain_void",
    "oop",
    "oop_low",
    "oop_high",
    "mapped_right",
)
"""What a score says of each category: counts, percentages and the ends of their intervals."""

CONFUSIONS = ("labelled", "predicted", "count", "weight")

Row = dict[Any, Any]
"""Cells of a row by heading: text, None where there is none, a list under None beyond them."""

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What a disk that takes no more says; the error of such a write names no file."""


@contextmanager
def atomic(path: str | Path, mode: str = "w") -> Iterator[Any]:
    """Open a temporary file beside ``path``; on success it replaces ``path``, synced to disk.

    Raises:
        LabelwiseError: the disk takes no more; ``path`` is as before.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    text: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
    try:
        with os.fdopen(handle, mode, **text) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in FULL and error.filename is None:
            raise LabelwiseError(f"{path}: cannot write: {error.strerror}") from None
        raise


def write_text(path: str | Path, text: str) -> None:
    """Write one text file, whole or not at all."""
    with atomic(path) as file:
        file.write(text)


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON with sorted keys and two spaces of indent."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read one JSON file; a broken one is an error that names the place."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LabelwiseError(f"{path}: no such file") from None
    except OSError as error:
        raise LabelwiseError(f"{path}: cannot be read: {error.strerror}") from None
    except RecursionError:
        raise LabelwiseError(f"{path}: JSON nested too deep") from None
    except ValueError as error:
        raise LabelwiseError(f"{path}: not JSON: {error}") from None


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read one YAML file of sections by name; an empty one has none, a broken one is an error."""
    import yaml

    try:
        value = yaml.safe_load(read_text(path))
    except RecursionError:
        raise LabelwiseError(f"{path}: YAML nested too deep") from None
    except (yaml.YAMLError, ValueError) as error:
        if isinstance(error, LabelwiseError):
            raise
        raise LabelwiseError(f"{path}: not YAML: {brief(error)}") from None
    if not isinstance(value, dict | None):
        raise LabelwiseError(f"{path}: not keys with values but {type(value).__name__}")
    return value or {}


def read_text(path: str | Path) -> str:
    """Read one text file in UTF-8, with or without its mark; line ends become unix ones."""
    with _reading(path):
        return Path(path).read_text(encoding="utf-8-sig")


def write_csv(path: str | Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows (dicts) under ``columns``, with unix line ends; None is an empty cell."""
    with atomic(path) as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_csv(path: str | Path, columns: Sequence[str] = ()) -> list[Row]:
    """Read rows as dicts of strings; a missing file or column is an error that names it."""
    return [row for _, row in csv_lines(path, columns)]


def csv_lines(path: str | Path, columns: Sequence[str] = ()) -> list[tuple[int, Row]]:
    """Read rows as ``stream_csv`` does, all at once."""
    return list(stream_csv(path, columns))


def stream_csv(path: str | Path, columns: Sequence[str] = ()) -> Iterator[tuple[int, Row]]:
    """Yield rows as dicts of strings, each with the number of its first line.

    A row with more cells than headings has the rest under None; one with fewer has None in them.

    Raises:
        LabelwiseError: no such file, not CSV in UTF-8, a quote that is never closed, a missing
            column, or a heading that occurs twice.
    """
    with _reading(path), open(path, encoding="utf-8-sig") as file:
        reader = csv.reader(file, strict=True)
        lines = _lines(path, reader)
        first, headings = next(
            ((number, cells) for number, cells in lines if any(map(str.strip, cells))), (1, [])
        )
        missing = [c for c in columns if c not in headings]
        if missing:
            there = " ".join(", ".join(headings).split())[:300]  # a quoted heading may have lines
            raise LabelwiseError(f"{path}: no column {', '.join(missing)}; it has {there}")
        twice = [c for c in dict.fromkeys(headings) if c and headings.count(c) > 1]
        if twice:
            named = " ".join(", ".join(twice).split())[:300]
            raise LabelwiseError(f"{path}: line {first}: two columns are named {named}")
        n = len(headings)
        for number, cells in lines:
            row: Row = dict(itertools.zip_longest(headings, cells[:n]))
            if len(cells) > n:
                row[None] = cells[n:]
            yield number, row


def _lines(path: str | Path, reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Rows that have cells, each with the number of its first line."""
    last = 0
    try:
        for cells in reader:
            if cells:
                yield last + 1, cells
            last = reader.line_num
    except csv.Error as error:
        where = f"{path}: line {last + 1}"
        if "unexpected end" in str(error):
            raise LabelwiseError(f"{where}: a quote is opened and never closed") from None
        hint = "; is a quote never closed?" if reader.line_num > last + 1 else ""
        raise LabelwiseError(f"{where}: not CSV: {error}{hint}") from None


@contextmanager
def _reading(path: str | Path) -> Iterator[None]:
    """Say in one line why a text file cannot be read."""
    try:
        yield
    except FileNotFoundError:
        raise LabelwiseError(f"{path}: no such file") from None
    except OSError as error:
        raise LabelwiseError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise LabelwiseError(f"{path}: not UTF-8 text: {error}") from None


def one_line(where: str, row: Row, but: Sequence[str] = ()) -> None:
    """Raise where a cell holds a line break: nearly always a quote that was left open."""
    for column, cell in row.items():
        if isinstance(cell, str) and column not in but and ("\n" in cell or "\r" in cell):
            raise LabelwiseError(
                f"{where}: column {column} holds a line break; is a quote never closed?"
            )


def dump_line(value: Any) -> str:
    """One JSON value on one line, keys in the order given, so equal values give equal bytes."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def write_jsonl(path: str | Path, lines: Iterable[Any]) -> None:
    """Write one JSON value a line."""
    with atomic(path) as file:
        for line in lines:
            file.write(dump_line(line) + "\n")


def read_jsonl(path: str | Path) -> Iterator[Any]:
    """Yield the values of a JSON-lines file; a broken line is an error that gives its number."""
    with _reading(path), open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                yield json.loads(line)
            except RecursionError:
                raise LabelwiseError(f"{path}:{number}: JSON nested too deep") from None
            except ValueError as error:
                raise LabelwiseError(f"{path}:{number}: not JSON: {error}") from None


def hold(value: Any, where: str, **kinds: type) -> None:
    """Raise unless a JSON value is an object that holds these keys, with values of these kinds."""
    for key, kind in kinds.items():
        if not isinstance(value, dict) or not isinstance(value.get(key), kind):
            raise LabelwiseError(f"{where}: no {key} in it, or it is no {kind.__name__}")


def read_responses(path: str | Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a responses file, each with ``request``, ``text`` and ``finish``."""
    for number, line in enumerate(read_jsonl(path), 1):
        where = f"{path}:{number}: not a response"
        hold(line, where, request=int, text=str, finish=str)
        if "refused" in line:
            hold(line, where, refused=list)
        yield line


def sha256(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def image_id(name: str) -> str:
    """An image's id: its file name without the suffix of an image, so that ``x.JPEG`` is ``x``.

    Image sets, label sets and predictions made elsewhere are joined by it.
    """
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and f".{suffix.lower()}" in SUFFIXES else name


@lru_cache(2**16)
def ids(text: str) -> tuple[int, ...]:
    """Class ids of a cell: ``"65 795"`` -> ``(65, 795)``; an empty cell is ``()``."""
    return tuple(int(part) for part in text.split())
