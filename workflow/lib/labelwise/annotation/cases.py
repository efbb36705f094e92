"""The cases of an annotation: what the page may know, and the key that it must not.

``cases.jsonl`` is all that the page and its server read. Its first line is the header: the
annotation's name and seed, the annotators, the classes with synonyms, definitions and example
images, and the guidelines. Every other line is a case: an opaque id, the image, its options (sets
of class ids in rising order, without a hint at where they come from) and who is asked (empty:
everybody). ``key.csv`` says where each option comes from; only ``tally`` and ``relabel`` read it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from labelwise import draw, records
from labelwise.data import class_ids
from labelwise.errors import LabelwiseError

FORMAT = "labelwise-cases/1"
KEY = ("case", "image", "category", "selected_by", "source", "kind", "labels", "valid")
"""Columns of the key: a row a case and source. ``kind``: original, corrected, model or planted."""

Option = tuple[int, ...]
"""Class ids in rising order, -1 ("not sure") last; none for "no class of the list"."""


@dataclass(frozen=True)
class Case:
    """One image to decide on."""

    case: str
    image: str
    file: str
    width: int
    height: int
    options: tuple[Option, ...]
    asked: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClassInfo:
    """A class as the search shows it; ``examples``: files of images of it, none of them a case."""

    name: str
    synonyms: str = ""
    definition: str = ""
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cases:
    """A cases file; ``annotators`` says of each name whether it is a person or a system.

    A system is software, an AI model among it.
    """

    name: str
    seed: int
    annotators: Mapping[str, str]
    classes: Sequence[ClassInfo]
    guidelines: str
    cases: Sequence[Case] = field(default_factory=list)

    @cached_property
    def by_id(self) -> dict[str, Case]:
        """Cases by their opaque ids."""
        return {case.case: case for case in self.cases}

    @cached_property
    def by_image(self) -> dict[str, Case]:
        """Cases by image id."""
        return {case.image: case for case in self.cases}

    def asked(self, annotator: str) -> list[str]:
        """The cases that an annotator is asked, in this annotator's order."""
        mine = (c.case for c in self.cases if not c.asked or annotator in c.asked)
        return self.shuffled(mine, annotator)

    def shuffled(self, cases: Iterable[str], annotator: str) -> list[str]:
        """Cases in an order of this annotator alone, which no other case changes."""
        return sorted(
            cases, key=lambda case: draw.key(self.seed, "annotation order", annotator, case)
        )

    def options(self, case: str, annotator: str, options: Iterable[Option]) -> list[Option]:
        """Options in the order in which an annotator sees them on a case."""
        return sorted(
            options,
            key=lambda option: draw.key(self.seed, "annotation options", annotator, case, *option),
        )

    def write(self, path: str | Path) -> None:
        """Write the file."""
        head = {key: value for key, value in asdict(self).items() if key != "cases"}
        records.write_jsonl(path, [{"format": FORMAT, **head}, *map(asdict, self.cases)])


def read(path: str | Path) -> Cases:
    """Read a cases file.

    Raises:
        LabelwiseError: no such file, or not a cases file.
    """
    lines = list(records.read_jsonl(path))
    if not lines or not isinstance(lines[0], dict) or lines[0].get("format") != FORMAT:
        raise LabelwiseError(f"{path}: not a cases file: its first line has no format {FORMAT}")
    head = {key: value for key, value in lines[0].items() if key != "format"}
    try:
        classes = [ClassInfo(**c | {"examples": tuple(c["examples"])}) for c in head.pop("classes")]
        cases = [_case(line) for line in lines[1:]]
        found = Cases(**head, classes=classes, cases=cases)
    except (TypeError, KeyError) as error:
        raise LabelwiseError(f"{path}: damaged cases file: {error}") from None
    if len(found.by_id) != len(cases):
        raise LabelwiseError(f"{path}: a case occurs twice")
    return found


def _case(line: Mapping[str, Any]) -> Case:
    fields = {"options": tuple(map(tuple, line["options"])), "asked": tuple(line["asked"])}
    return Case(**{**line, **fields})


@dataclass(frozen=True)
class Source:
    """What one source says of a case; ``valid``: it names a class, or says that there is none."""

    name: str
    kind: str
    labels: Option
    valid: bool


@dataclass(frozen=True)
class Sealed:
    """What the page does not know of a case."""

    case: str
    image: str
    category: str
    selected_by: str
    sources: tuple[Source, ...]

    def source(self, kind: str) -> Source | None:
        """The source of a kind that a case has once (original, corrected, planted)."""
        return next((s for s in self.sources if s.kind == kind), None)


def write_key(path: str | Path, sealed: Iterable[Sealed]) -> None:
    """Write the key."""
    rows = [
        {
            "case": one.case,
            "image": one.image,
            "category": one.category,
            "selected_by": one.selected_by,
            "source": source.name,
            "kind": source.kind,
            "labels": " ".join(map(str, source.labels)),
            "valid": int(source.valid),
        }
        for one in sealed
        for source in one.sources
    ]
    records.write_csv(path, KEY, rows)


def read_key(path: str | Path) -> dict[str, Sealed]:
    """The key by case; a broken cell is an error."""
    found: dict[str, Sealed] = {}
    for number, row in records.csv_lines(path, KEY):
        marks = class_ids.cell(row["labels"], f"{path}: line {number}")
        source = Source(row["source"], row["kind"], marks, row["valid"] == "1")
        own = found.get(row["case"])
        head = {name: row[name] for name in ("case", "image", "category", "selected_by")}
        sources = (*(own.sources if own else ()), source)
        found[row["case"]] = Sealed(**head, sources=sources)
    return found
