"""Raw text to one outcome an image. Nothing is guessed and nothing is random.

**Which text belongs to which image**

- ``plain``, one image a prompt: the whole text. Several: the lines that start with an image's
  number ("1: tench", "2. goldfish", "Image 3 - hen"); other lines are passed over. JSON
  with the images' numbers as keys is read as below, though it was not asked for. The primer
  ("1:") is put before the text, but not where the text starts with a number label of its own. An
  answer that is an id with its own name ("0: tench") is no label.
- ``json`` and ``structured``: the JSON object(s) with the images' numbers as keys, alone, in a code
  fence or amid prose, in any order; "image 1" is key 1; one enclosing object is looked through.
  Keys that are no number of an image are passed over. Broken JSON is a ``parse_error``.
- An image without an answer of its own is a ``count_mismatch``; so are all images if a number 0 is
  there (the model counted from zero, so no number can be trusted). A number that has two different
  answers is a ``parse_error`` for that image. A list without numbers is a ``parse_error``: an
  answer is never given to an image by its position.

**What one image's text says**

- harmless wrapping is taken off: white space, quotes, asterisks, backquotes, one full stop at the
  end, and the image's own number before it;
- a class name, lower-cased and whole (paper 1.3), is ``ok``; so are several in one value if all are
  names, separated by semicolons or in a JSON array: any of them may be right, as in the authors'
  code. Commas never separate names (but see ``all``). A name borne by two classes denotes both;
- an id is a whole number of the list ("207", "id 207"), also followed by its own name ("207: Golden
  Retriever"); a name is not an answer to a question for ids;
- a letter may have punctuation or words around it ("(B)", "The answer is B."). Two options, or a
  letter beside another option's name, are a ``parse_error``, and so is a letter that is denied:
  see ``labelwise.reading.wording``;
- ``all`` protocols take any number of classes, also none; unknown ones beside known ones are left
  out. A whole text may be one JSON array, also in a code fence. Parts stand on lines of their own
  or between semicolons, ids also between commas or white space. List markers before a part
  (bullets, "1.", "2)") are taken off; before ids numbers are markers only if the lines count 1, 2,
  3, ..., else a line "5. 207" is unknown. Commas separate the names of a part that is no name as a
  whole only if all between them are names, in one way alone: "tench, dragon" is unknown as a whole;
- ``abstain``: a text that says it does not answer (``REFUSALS``); ``empty``: nothing is left;
  ``out_of_list``: anything else.

**How the answer ended**: ``content_filter`` holds for all images. An answer cut at its token limit
(``length``) keeps what was complete before the cut; the image it was cut in and those after it are
``truncated`` (a plain text keeps what there is of it). A letter is complete when it stands.
"""

import argparse
import json
import re
import string
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from labelwise import classnames
from labelwise.classnames import Names, normal
from labelwise.errors import LabelwiseError, cli
from labelwise.reading.wording import denied, letters, refuses, says, unwrapped
from labelwise.records import dump_line, read_yaml

_NUMBERED = re.compile(
    r"^(?:[-*•]\s+)?[\"'“(\[*#]*(?:(?:image|img|picture|photo)[\s_#]*)?[\"'“]?(\d{1,6})"
    r"(?:[\"'”*]*[)\]:=]|[\"'”*]*\.(?!\d)|\s+[-–—](?=\s))[:*]*\s*(.*)$",
    re.IGNORECASE,
)
_KEY = re.compile(r"^\s*(?:(?:image|img|picture|photo)[\s_#]*)?(\d{1,6})[.:)]?\s*$", re.IGNORECASE)
_OBJECT = re.compile(r"\{\s*[\"}]")
_AFTER = re.compile(r"\s*([,}])")
_MEMBER = re.compile(r'[{,]\s*("(?:[^"\\]|\\.)*")\s*:\s*', re.DOTALL)
_MARKER = re.compile(
    r"^\s*(?:[-*•‣▪◦–—+]\s+|[*_]*[(\[]?(?P<number>\d{1,4})(?:[.)\]:]+(?!\d)|\s+[-–—]\s)[*_]*\s*)"
)
_FENCE = re.compile(r"^```\w*\s*\n(.*?)\n?\s*```$", re.DOTALL)
_ID = re.compile(
    r"^(?:(?:class|label|category)\s*)?(?:id|index|number|no\.?)?\s*[:=#]?\s*(\d+)(.*)$",
    re.I | re.S,
)
_VALUE_KEYS = ("label", "class", "class_name", "name", "id", "class_id", "answer", "letter")


@dataclass(frozen=True)
class Answer:
    """One image's share of a model's text.

    ``position`` is the image's number in the prompt, from 1; ``answer`` the text it got ('' where
    none could be told); ``classes`` the ids that it denotes, only where ``outcome`` is ``ok``.
    """

    image: str
    position: int
    outcome: str
    answer: str = ""
    classes: tuple[int, ...] = ()


def parse(text: str, finish: str, header: dict, request: dict, names: Names) -> list[Answer]:
    """One answer per image of the request, in the prompt's order.

    Args:
        text: what the model wrote after the primer.
        finish: ``stop``, ``length`` or ``content_filter``.
        header: of the requests file.
        request: the request that was asked.
        names: names of the class set that was asked about.
    """
    images = request["images"]
    if finish == "content_filter":
        return [Answer(image, n, "content_filter") for n, image in enumerate(images, 1)]
    cut = finish == "length"
    unasked = _pairs(text, cut)[0] if header["format"] == "plain" else {}
    if header["format"] == "plain" and header["images_per_prompt"] == 1 and not unasked:
        return [_read(images[0], 1, text, cut, header, request, names)]
    if not text.strip():
        outcome = "truncated" if cut else "empty"
        return [Answer(image, n, outcome) for n, image in enumerate(images, 1)]
    numbered = _lines if header["format"] == "plain" else _pairs
    if not cut and "{" not in text and refuses(text) and not numbered(text, cut)[0]:
        return [Answer(image, n, "abstain", _shown(text)) for n, image in enumerate(images, 1)]
    whole = request.get("primer", header["primer"]) + text
    if header["format"] == "plain" and _labelled(text, header, request, names):
        whole = text
    values, failed = _pairs(text, cut) if unasked else numbered(whole, cut)
    if 0 in values:
        values, failed = {}, "count_mismatch"
    answers = []
    for n, image in enumerate(images, 1):
        found = values.get(n, ())
        if not found:
            shown = _shown(whole) if failed == "parse_error" else ""
            answers.append(Answer(image, n, failed, shown))
        elif len({dump_line(value) for value, _ in found}) > 1:
            answers.append(Answer(image, n, "parse_error", "; ".join(_shown(v) for v, _ in found)))
        else:
            value, complete = found[-1]
            answers.append(_read(image, n, value, not complete, header, request, names))
    return answers


def _labelled(text: str, header: dict, request: dict, names: Names) -> bool:
    """Whether a text starts with a number label, so that no primer belongs before it."""
    first = text.strip().split("\n")[0].strip()
    if not _NUMBERED.match(first):
        return False
    return header["answer"] != "id" or not _find(first, 1, header, request, names)


def _shown(value: Any) -> str:
    text = value.strip() if isinstance(value, str) else dump_line(value)
    return text.encode("utf-8", "replace").decode()  # half a surrogate pair cannot be stored


Values = dict[int, list[tuple[Any, bool]]]
"""Image number -> what was said about it, each with whether it was complete."""


def _lines(text: str, cut: bool) -> tuple[Values, str]:
    """Numbered lines, and the outcome of images that have none."""
    values: Values = {}
    lines = text.split("\n")
    for i, line in enumerate(lines):
        if match := _NUMBERED.match(line.strip()):
            complete = not (cut and i == len(lines) - 1)
            values.setdefault(int(match[1]), []).append((match[2], complete))
    if cut:
        return values, "truncated"
    return values, "count_mismatch" if values else "parse_error"


def _pairs(text: str, cut: bool) -> tuple[Values, str]:
    """Numbered members of the JSON objects in a text, and the outcome of images that have none."""
    values: Values = {}
    broken = False
    start = text.find("{")
    while start >= 0:
        if not _OBJECT.match(text, start):  # a brace in prose
            start = text.find("{", start + 1)
            continue
        try:
            members, end = _DECODER.raw_decode(text, start)
            _collect(values, members)
        except (ValueError, RecursionError):
            if cut:
                _collect(values, _complete_members(text[start:]))
            else:
                broken = True
            break
        start = text.find("{", end)
    if broken:
        return {}, "parse_error"
    if cut:
        return values, "truncated"
    return values, "count_mismatch" if values else "parse_error"


class _Members(list):
    """Members of a JSON object, doubles kept: (key, value) pairs."""


def _constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_Members, parse_constant=_constant, strict=False)


def _collect(values: Values, members: _Members) -> None:
    numbered = [(int(match[1]), v) for k, v in members if (match := _KEY.match(k))]
    if not numbered and len(members) == 1 and isinstance(members[0][1], _Members):
        numbered = [(int(match[1]), v) for k, v in members[0][1] if (match := _KEY.match(k))]
    for n, value in numbered:
        values.setdefault(n, []).append((value, True))


def _complete_members(text: str) -> _Members:
    """Members of an object whose end is missing; the last one counts if a comma follows it."""
    members = _Members()
    at = 0
    while match := _MEMBER.match(text, at):
        try:
            key = json.loads(match[1], strict=False)
            value, end = _DECODER.raw_decode(text, match.end())
        except (ValueError, RecursionError):
            break
        after = _AFTER.match(text, end)
        if not after:
            break
        members.append((key, value))
        at = after.start(1)
    return members


def _read(
    image: str, n: int, value: Any, cut: bool, header: dict, request: dict, names: Names
) -> Answer:
    """The answer in one image's text or JSON value."""
    several = header["kind"] == "all"
    if isinstance(value, _Members):
        known = [v for k, v in value if k in _VALUE_KEYS]
        if len(known) != 1:
            return Answer(image, n, "parse_error", _shown(dict(value)))
        value = known[0]
    if isinstance(value, list) and all(_is_text(part) for part in value):
        if not value and several and not cut:
            return Answer(image, n, "ok")
        parts = [_shown(part) for part in value]
    elif _is_text(value):
        parts = [_shown(value)]
    elif value is None:
        parts = [""]
    else:
        return Answer(image, n, "parse_error", _shown(value))
    shown = "; ".join(parts)
    if not "".join(unwrapped(shown)[-1].split()).strip("\"'`“”‘’«»*_."):
        return Answer(image, n, "truncated" if cut else "empty", shown)
    if header["answer"] == "letter":
        return _letter(image, n, shown, cut, request)
    if cut:
        return Answer(image, n, "truncated", shown)
    if several and isinstance(value, str) and (array := _array(value)) is not None:
        if not array:
            return Answer(image, n, "ok", shown)
        if not all(_is_text(part) for part in array):
            return Answer(image, n, "parse_error", shown)
        parts = [_shown(part) for part in array]
    elif len(parts) == 1:
        parts = _parts(parts[0], n, header, request, names)
    found = [_find(part, n, header, request, names) for part in parts]
    if all(found) or (several and any(found)):
        classes = tuple(dict.fromkeys(c for group in found for c in group))
        if header["kind"] == "choice" and len(classes) > 1:
            return Answer(image, n, "parse_error", shown)
        return Answer(image, n, "ok", shown, classes)
    if several and normal(unwrapped(shown)[-1]) in ("none", "[]", "{}"):
        return Answer(image, n, "ok", shown)
    return Answer(image, n, "abstain" if refuses(shown) else "out_of_list", shown)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool))


def _array(text: str) -> list | None:
    """The JSON array that a whole text is, also in a code fence; None where it is none."""
    text = text.strip()
    if fenced := _FENCE.match(text):
        text = fenced[1].strip()
    for form in unwrapped(text):
        if form.startswith("[") and form.endswith("]"):
            try:
                value = json.loads(form, parse_constant=_constant, strict=False)
            except (ValueError, RecursionError):
                return None
            return value
    return None


def _parts(text: str, n: int, header: dict, request: dict, names: Names) -> list[str]:
    """One text as the answers in it; a text that is an answer as a whole is one."""
    if _find(text, n, header, request, names):
        return [text]
    if header["kind"] != "all":
        return [part for part in text.split(";") if part.strip()] or [text]
    by_id = header["answer"] == "id"
    if by_id and "\n" not in text.strip():
        text = unwrapped(text)[-1].strip("[]{}")
    lines = [line for line in text.split("\n") if line.strip()]
    numbers = [int(m["number"]) for m in map(_MARKER.match, lines) if m and m["number"]]
    counted = len(numbers) == len(lines) and numbers == list(range(1, len(lines) + 1))
    parts = []
    for line in lines:
        marker = _MARKER.match(line) if by_id else None
        if marker and line[marker.end() :].strip():
            # the whole line may be an id with its name; no image's number is taken off here
            if not marker["number"] or (counted and not _find(line, -1, header, request, names)):
                line = line[marker.end() :]
            elif not counted and not _find(line, -1, header, request, names):
                continue
        for part in line.split(";"):
            if not part.strip():
                continue
            if _find(part, n, header, request, names):
                parts.append(part)
            elif by_id:
                bare = unwrapped(part)[-1].strip("[]{}")
                parts += [piece for piece in re.split(r"[,\s]+", bare) if piece]
            else:
                bare = part[marker.end() :] if (marker := _MARKER.match(part)) else part
                parts += _listed(bare, n, header, request, names)
    return parts or [text]


def _listed(text: str, n: int, header: dict, request: dict, names: Names) -> list[str]:
    """The names of a comma list, if all of it are names in one way alone; else the whole text."""
    pieces = text.split(",")
    if len(pieces) == 1 or _find(text, n, header, request, names):
        return [text]
    longest = max(name.count(",") for name in names.names) + 1
    ways = [[(0, "")]]  # readings of the first 0, 1, 2, ... pieces: where the last one starts, it
    for end in range(1, len(pieces) + 1):
        readings: list[tuple[int, str]] = []
        for start in range(max(0, end - longest), end):
            part = ",".join(pieces[start:end])
            if ways[start] and _find(part, n, header, request, names):
                readings.append((start, part))
        ways.append(readings)
        if not any(ways[-longest:]):
            return [text]
    found: list[str] = []
    end = len(pieces)
    counts = [1]
    for readings in ways[1:]:
        counts.append(min(2, sum(counts[start] for start, _ in readings)))
    if counts[-1] != 1:
        return [text]
    while end:
        end, part = next(r for r in ways[end] if counts[r[0]])
        found.append(part)
    return found[::-1]


def _find(text: str, n: int, header: dict, request: dict, names: Names) -> tuple[int, ...]:
    """Classes that one answer denotes by name or id; ``()`` for none."""
    forms = unwrapped(text)
    forms += [
        form
        for whole in forms[:]
        if (match := _NUMBERED.match(whole)) and int(match[1]) == n
        for form in unwrapped(match[2])
    ]
    for form in forms:
        if header["kind"] == "choice":
            found = tuple(
                o["class"] for o in request["options"] if normal(o["name"]) == normal(form)
            )
        elif header["answer"] == "id":
            found = _by_id(form, names)
        else:
            found = names.find(form)
        if header["kind"] == "narrowed":
            offered = request.get("candidates") or header["candidates"]
            found = tuple(c for c in found if c in offered)
        if found:
            return found
    return ()


def _by_id(text: str, names: Names) -> tuple[int, ...]:
    match = _ID.match(text)
    if not match or len(match[1]) > 9 or int(match[1]) >= len(names):
        return ()
    rest = match[2].strip().lstrip(":.)-–— ")
    shown = unwrapped(rest) + ([rest[1:-1]] if re.fullmatch(r"\(.*\)", rest) else [])
    same_name = int(match[1]) in {c for form in shown for c in names.find(form)}
    return (int(match[1]),) if not match[2].strip() or same_name else ()


def _letter(image: str, n: int, text: str, cut: bool, request: dict) -> Answer:
    """The option that a text names by letter."""
    options = {option["letter"]: option for option in request["options"]}
    found = letters(text, options)
    if len(found) == 1:
        letter = found.pop()
        if denied(text, letter, options):
            return Answer(image, n, "parse_error", text)
        chosen = options[letter]
        others = {normal(o["name"]) for o in options.values()} - {normal(chosen["name"])}
        said = normal(text)
        if not says(said, normal(chosen["name"])) and any(says(said, name) for name in others):
            return Answer(image, n, "parse_error", text)
        return Answer(image, n, "ok", text, (chosen["class"],))
    if found:
        return Answer(image, n, "parse_error", text)
    if cut:
        return Answer(image, n, "truncated", text)
    return Answer(image, n, "abstain" if refuses(text) else "out_of_list", text)


@cli
def main(argv: Sequence[str] | None = None) -> None:
    """Read raw answers (one JSON string a line) and print each one's outcomes as a JSON line."""
    from labelwise import requests

    parser = argparse.ArgumentParser(prog="python -m labelwise.parsing", description=main.__doc__)
    parser.add_argument("--protocol", required=True, help="a protocol of the config")
    parser.add_argument("--images", type=int, default=1, help="images in the prompt")
    parser.add_argument("--options", type=int, nargs="+", metavar="CLASS", help="choice: class ids")
    parser.add_argument("--finish", choices=("stop", "length", "content_filter"), default="stop")
    parser.add_argument("--relaxed", action="store_true", help="the laxer match")
    parser.add_argument("--config", default="config/config.yaml")
    args = parser.parse_args(argv)
    config = read_yaml(args.config)
    if not isinstance(config.get("protocols"), dict):
        raise LabelwiseError(f"{args.config}: protocols: is missing")
    protocols = config["protocols"]
    if args.protocol not in protocols:
        raise LabelwiseError(
            f"{args.config}: protocols: {args.protocol!r} is none of {', '.join(protocols)}"
        )
    if args.images < 1:
        raise LabelwiseError("--images must be at least 1")
    spec = requests.complete(protocols[args.protocol])
    if spec["kind"] == "choice" and args.images != 1:
        raise LabelwiseError(
            f"--images {args.images}: {args.protocol} is a choice question, which holds one image"
        )
    if spec["kind"] != "choice" and args.options:
        raise LabelwiseError(f"--options: {args.protocol} is no choice question")
    if spec["classes"] not in (config.get("class_names") or {}):
        raise LabelwiseError(f"{args.config}: class_names: {spec['classes']!r} is missing")
    names = classnames.load(config["class_names"][spec["classes"]])
    header, _ = requests.make_header(args.protocol, spec, names, args.images, "")
    request: dict[str, Any] = {"images": [str(n) for n in range(1, args.images + 1)]}
    if spec["kind"] == "choice":
        classes = args.options or range(spec["options"])
        for c in classes:
            if not 0 <= c < len(names):
                raise LabelwiseError(f"--options: class {c} is none of 0..{len(names) - 1}")
        if len(classes) > len(string.ascii_uppercase):
            raise LabelwiseError(f"--options: {len(classes)} are more than there are letters")
        request["options"] = [
            {"letter": letter, "class": c, "name": names[c]}
            for letter, c in zip(string.ascii_uppercase, classes, strict=False)
        ]
    for line in _strings(getattr(sys.stdin, "buffer", sys.stdin)):
        answers = parse(line, args.finish, header, request, Names(names, args.relaxed))
        print(dump_line([_record(answer, names) for answer in answers]), flush=True)


def _strings(lines: Iterable[str | bytes]) -> Iterable[str]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            text = json.loads(line.decode() if isinstance(line, bytes) else line)
        except UnicodeDecodeError as error:
            raise LabelwiseError(f"standard input:{number}: not UTF-8 text: {error}") from None
        except (ValueError, RecursionError) as error:
            said = str(error).split(";")[0]
            raise LabelwiseError(f"standard input:{number}: not JSON: {said}") from None
        if not isinstance(text, str):
            raise LabelwiseError(f"standard input:{number}: not a JSON string; quote the answer")
        yield text


def _record(answer: Answer, names: Sequence[str]) -> dict[str, Any]:
    return {
        "position": answer.position,
        "outcome": answer.outcome,
        "answer": answer.answer,
        "classes": list(answer.classes),
        "names": [names[c] for c in answer.classes],
    }


if __name__ == "__main__":
    main()
