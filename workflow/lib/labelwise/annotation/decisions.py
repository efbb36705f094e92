"""What one annotator decided about one case.

A decision is a set of class ids, the mark "not sure" (-1 in label files), boxes and a comment. No
id and no mark means "no class of the list". Box coordinates are kept to a hundredth of a pixel and
seconds to a tenth, so that every file format gives back the same numbers.
"""

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labelwise.agreement import merged
from labelwise.data.rules import Pairs
from labelwise.errors import LabelwiseError
from labelwise.labels import UNSURE

FLAGS = ("crowd_flag", "reflected_flag", "rendition_flag", "ocr_needed_flag", "dominant_object")
"""What may be said of a box in the ReImageNet schema."""

ROLES = ("annotator", "adjudicator")
NAME = re.compile(r"[^\W_][\w .@+-]{0,63}")
"""What an annotator may be called."""

COMMENT = 4000
"""Most characters of a comment."""


@dataclass(frozen=True)
class Box:
    """A region: x_min, y_min, x_max, y_max in pixels of the original image, and its class ids."""

    coordinates: tuple[float, float, float, float]
    labels: tuple[int, ...] = ()
    group: int | None = None
    flags: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The box as the ReImageNet schema has it, every flag given."""
        return {
            "coordinates": list(self.coordinates),
            "labels": list(self.labels),
            "group": self.group,
            **{flag: flag in self.flags for flag in FLAGS},
        }

    @classmethod
    def of(cls, value: Any, where: str, n_classes: int) -> "Box":
        """Read a box of the ReImageNet schema; ids may hold -1 and stay in their order.

        Raises:
            LabelwiseError: not such a box; the message begins with ``where``.
        """
        try:
            x0, y0, x1, y1 = (round(float(x), 2) for x in value["coordinates"])
            labels = tuple(value.get("labels") or ())
            group = value.get("group")
            flags = tuple(flag for flag in FLAGS if value.get(flag))
        except (TypeError, KeyError, ValueError, AttributeError):
            raise LabelwiseError(f"{where}: a box has coordinates (four numbers) and labels") from (
                None
            )
        if not all(math.isfinite(x) for x in (x0, y0, x1, y1)) or x0 > x1 or y0 > y1:
            raise LabelwiseError(f"{where}: coordinates are x_min, y_min, x_max, y_max in pixels")
        if any(type(i) is not int or not UNSURE <= i < n_classes for i in labels):
            raise LabelwiseError(f"{where}: box labels {list(labels)} are not class ids or -1")
        if group is not None and type(group) is not int:
            raise LabelwiseError(f"{where}: group {group!r} is not a whole number")
        return cls((x0, y0, x1, y1), labels, group, flags)


@dataclass(frozen=True)
class Decision:
    """One decision. ``labels``: class ids in rising order; ``at``: UTC, as 2026-01-31T09:30:00Z."""

    case: str
    image: str
    annotator: str
    labels: tuple[int, ...] = ()
    unsure: bool = False
    boxes: tuple[Box, ...] = ()
    comment: str = ""
    seconds: float = 0.0
    at: str = ""
    role: str = "annotator"

    @property
    def marks(self) -> tuple[int, ...]:
        """Class ids, and -1 at the end where the annotator was not sure, as label files have it."""
        return (*self.labels, UNSURE) if self.unsure else self.labels

    def meaning(self, pairs: Pairs) -> frozenset[int]:
        """What two annotators must share to agree: the marks, equivalent classes taken as one."""
        return merged(self.marks, pairs)

    @classmethod
    def of(cls, value: Mapping[str, Any], where: str, n_classes: int) -> "Decision":
        """Read a decision from JSON with the fields' names, of which ``marks`` gives the ids.

        Raises:
            LabelwiseError: a field that is missing or wrong; the message begins with ``where``.
        """
        name, comment = value.get("annotator"), value.get("comment") or ""
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise LabelwiseError(
                f"{where}: annotator {name!r}: a name starts with a letter or digit and has at most"
                " 64 letters, digits, spaces and . _ @ + -"
            )
        if not isinstance(comment, str) or len(comment) > COMMENT:
            raise LabelwiseError(f"{where}: a comment is text of at most {COMMENT} characters")
        comment = clean(comment)
        labels, unsure = read_marks(value.get("marks", ()), where, n_classes)
        boxes = value.get("boxes") or ()
        if not isinstance(boxes, Sequence) or isinstance(boxes, str):
            raise LabelwiseError(f"{where}: boxes is a list of boxes")
        role = value.get("role", ROLES[0])
        if role not in ROLES:
            raise LabelwiseError(f"{where}: role {role!r} is none of {', '.join(ROLES)}")
        try:
            seconds = round(float(value.get("seconds") or 0), 1)
        except (TypeError, ValueError):
            seconds = -1.0
        if not 0 <= seconds < 1e7:
            raise LabelwiseError(f"{where}: seconds {value['seconds']!r} is no time")
        return cls(
            str(value.get("case", "")),
            str(value.get("image", "")),
            name,
            labels,
            unsure,
            tuple(Box.of(box, where, n_classes) for box in boxes),
            comment,
            seconds,
            str(value.get("at", "")),
            role,
        )

    def as_dict(self) -> dict[str, Any]:
        """The decision as JSON; ``of`` reads it back."""
        return {
            "case": self.case,
            "image": self.image,
            "annotator": self.annotator,
            "role": self.role,
            "marks": list(self.marks),
            "boxes": [box.as_dict() for box in self.boxes],
            "comment": self.comment,
            "seconds": self.seconds,
            "at": self.at,
        }


def clean(text: str) -> str:
    """Text without control characters and halves of letters; line ends become unix ones."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs"))


def read_marks(value: Any, where: str, n_classes: int) -> tuple[tuple[int, ...], bool]:
    """Class ids in rising order, and whether -1 ("not sure") was among them.

    Raises:
        LabelwiseError: no list of class ids; the message begins with ``where``.
    """
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise LabelwiseError(f"{where}: labels {value!r} is not a list of class ids")
    found = list(value)
    if any(type(i) is not int or not UNSURE <= i < n_classes for i in found):
        raise LabelwiseError(
            f"{where}: labels {found} are not class ids of 0..{n_classes - 1} (-1 = not sure)"
        )
    return tuple(sorted(set(found) - {UNSURE})), UNSURE in found


def settle(decisions: Iterable[Decision], pairs: Pairs) -> dict[str, tuple[Decision | None, str]]:
    """The decision that stands for each case, and how it came about.

    ``adjudicated``: an adjudicator decided; ``agreed``: two or more annotators said the same;
    ``single``: only one was asked; ``disputed``: they differ, and no decision stands (None). Of
    equal decisions that of the first name stands.
    """
    of_case: dict[str, list[Decision]] = {}
    for decision in decisions:
        of_case.setdefault(decision.case, []).append(decision)
    settled: dict[str, tuple[Decision | None, str]] = {}
    for case, found in sorted(of_case.items()):
        ruled = [d for d in found if d.role == "adjudicator"]
        own = sorted((d for d in found if d.role == "annotator"), key=lambda d: d.annotator)
        if ruled:
            settled[case] = max(ruled, key=lambda d: (d.at, d.annotator)), "adjudicated"
        elif len({d.meaning(pairs) for d in own}) > 1:
            settled[case] = None, "disputed"
        else:
            settled[case] = own[0], "agreed" if len(own) > 1 else "single"
    return settled
