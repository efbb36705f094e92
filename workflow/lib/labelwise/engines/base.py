"""What every engine is: a small class that answers questions, in any order."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from labelwise.asking.prompts import Prompt


@dataclass(frozen=True)
class Run:
    """What an engine may know of the run: the requests' header, the class names in class order.

    ``labels`` (image -> class ids) is given to controls alone. ``state`` is a file that an engine
    may keep beside the journal, ``spent`` what the known answers have cost (USD), ``cache`` a
    folder for what an engine computes of an image whatever it is asked about it.
    """

    header: dict[str, Any]
    names: list[str]
    labels: dict[str, tuple[int, ...]] = field(default_factory=dict)
    state: Path | None = None
    spent: float = 0.0
    cache: Path | None = None


@dataclass(frozen=True)
class Question:
    """One prompt to answer.

    ``id`` is the request's number in its file, ``request`` the request itself, ``files`` what
    ``images.read`` and ``images.data`` take for each image, in the prompt's order, ``key`` its key
    in the journal.
    """

    id: int
    prompt: Prompt
    request: dict[str, Any]
    files: tuple[str | Path, ...]
    key: str = ""


FINISHES = ("stop", "length", "content_filter")
"""Why an answer ended: by itself, cut at the token limit, or refused by a filter."""


@dataclass(frozen=True)
class Answer:
    """What a model said: ``text`` without the primer, and why it ended.

    ``finish`` is one of ``FINISHES``. ``usage`` counts tokens: ``prefilled`` (computed for this
    prompt alone), ``shared`` (the prefix, computed once a run) and ``generated``; of a server
    ``prompt``, ``cached`` (of these) and ``completion``.
    ``facts`` is what else is kept with the answer: who gave it, what it cost. ``scored`` is what a
    search among class names found (``engines.search``): ``names``, the likeliest as [name,
    log-probability, tokens], and ``rest``, the logarithm of the sum of all others'
    scores at most.
    """

    id: int
    text: str
    finish: str
    usage: dict[str, int] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    scored: dict[str, Any] | None = None


@dataclass(frozen=True)
class Refused:
    """Images of a question that the model cannot be shown: told in place of an answer.

    ``why`` has the reason of each by its number in the prompt, from 1, and at least one. The prompt
    is asked again without them where it has others (``prompts.render``).
    """

    id: int
    why: dict[int, str]


Told = Answer | Refused
"""What an engine tells of a question."""


class Engine(Protocol):
    """Answers questions. Only ``__init__`` and ``answer`` are to be written (docs/engine.md).

    Loading weights happens in ``__init__``, which is not called when every answer is known already.
    An engine never invents an answer: what fails is raised. An image that the model cannot take is
    no failure of the run: it is told (``Refused``).

    Args:
        spec: the model's entry of the config, without name and machine; what an engine of another
            package is told is under ``options``.
        run: what may be known of the run.
    """

    journalled: bool = True
    """False for controls, whose answers cost nothing and depend on labels."""

    synced: bool = False
    """True where answers are paid for: each is on disk before the next."""

    def __init__(self, spec: dict[str, Any], run: Run) -> None: ...

    def answer(self, questions: Iterable[Question]) -> Iterator[Told]:
        """Yield one answer a question, in any order, as soon as each is known."""
        ...

    def note(self) -> str:
        """What else the line of progress tells."""
        return ""

    def describe(self) -> dict[str, Any]:
        """Facts for the record: device, dtype, tensor batch, counters."""
        return {}


def cut(text: str, stops: Iterable[str]) -> str:
    """A text up to the first of the strings that end an answer."""
    places = [text.find(stop) for stop in stops if stop in text]
    return text[: min(places)] if places else text
