"""Prompts: templates to text, and a stored request to what an engine sends.

A template file (``config/prompts/*.yaml``) has the keys ``system`` (all that comes before the first
image), ``image`` (before each image; ``{n}`` is its number, from 1), ``closing`` (after the images)
and ``primer`` (the start of the answer, put in the model's mouth), each a jinja2 text. Variables:

- ``class_list``, ``n_classes``: the rendered class list of closed-world and all-labels prompts;
- ``layout``: ``list-first`` or ``image-first`` (where the template is to put the list);
- ``answer``: ``name``, ``id`` or ``letter``;
- ``images_per_prompt``: of the whole file, so ``system`` is the same bytes for all its requests;
- in ``closing`` and ``primer`` only: ``n_images`` of this prompt, and ``options`` (letter, name).

An unknown variable is an error. The requests file holds the rendered text: an engine needs no
template.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from labelwise import draw, records
from labelwise.classnames import Names
from labelwise.errors import LabelwiseError, brief

KEYS = ("system", "image", "closing", "primer")
HEADER = {"kind": str, "answer": str, "format": str, "images_per_prompt": int}
HEADER |= dict.fromkeys(KEYS, str)
"""What the header of a requests file holds at least."""

REQUEST = {**dict.fromkeys(KEYS, str), "options": list}
"""What a request may hold instead of its header."""

UNSHOWN = "(This image cannot be shown.)"
"""Stands in a prompt for an image that the model cannot take."""

LIST_FORMATS = ("comma", "newline", "numbered", "json")
LIST_ORDERS = ("fixed", "alphabetical", "shuffled")


@dataclass(frozen=True)
class Prompt:
    """One prompt as an engine sends it.

    ``system`` comes before the first image; ``user`` holds ``("text", text)`` and
    ``("image", image id)`` parts in order; ``primer`` is how the answer starts ('' for none);
    ``schema`` is the JSON schema to enforce, or None.
    """

    system: str
    user: list[tuple[str, str]]
    primer: str
    schema: dict | None


def read(path: str | Path) -> tuple[dict, list[dict]]:
    """Header and requests of a requests file."""
    return read_header(path), list(stream(path))


def read_header(path: str | Path) -> dict:
    """The first line of a requests file."""
    header: Any = next(records.read_jsonl(path), None)
    records.hold(header, f"{path}:1: not the header of a requests file", **HEADER)
    return header


def stream(path: str | Path, shard: tuple[int, int] = (1, 1)) -> Iterator[dict]:
    """The requests of a file one by one, or those of one shard: a block of whole prompts.

    Args:
        path: the requests file.
        shard: its number, from 1, and the number of shards; together they hold every request once.

    Raises:
        LabelwiseError: a line that is no request.
    """
    number, shards = shard
    first, last = 1, None
    if shards > 1:
        with open(path, "rb") as file:
            total = sum(1 for _ in file) - 1
        first, last = 1 + (number - 1) * total // shards, 1 + number * total // shards
    for at, line in enumerate(islice(records.read_jsonl(path), first, last), first + 1):
        where = f"{path}:{at}: not a request"
        records.hold(line, where, request=int, repeat=int, images=list)
        if not line["images"] or not all(isinstance(image, str) for image in line["images"]):
            raise LabelwiseError(f"{where}: images are no list of image ids")
        records.hold(line, where, **{k: kind for k, kind in REQUEST.items() if k in line})
        yield line


def render(header: dict, request: dict, without: Collection[int] = ()) -> Prompt:
    """The prompt of one request of a file with this header (no template engine needed).

    ``without`` are the numbers of images that the model cannot be shown: ``UNSHOWN`` stands in
    their places, and the numbers of the others stay what they are.
    """
    user = []
    for n, image in enumerate(request["images"], 1):
        label = request.get("image", header["image"]).replace("{n}", str(n))
        user += [("text", label)] if label else []
        user += [("text", UNSHOWN) if n in without else ("image", image)]
    closing = request.get("closing", header["closing"])
    user += [("text", closing)] if closing else []
    return Prompt(
        system=request.get("system", header["system"]),
        user=user,
        primer=request.get("primer", header["primer"]),
        schema=request.get("schema", header.get("schema")),
    )


def load(path: str | Path) -> dict[str, Any]:
    """Compiled templates of a prompt file, by key; a key that is left out is ''.

    Raises:
        LabelwiseError: no such file, an unknown key, or a template that cannot be read.
    """
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    texts = records.read_yaml(path)
    for key, text in texts.items():
        if key not in KEYS:
            raise LabelwiseError(f"{path}: unknown key {key!r}; known: {', '.join(KEYS)}")
        if not isinstance(text, str):
            raise LabelwiseError(f"{path}: {key}: must be text; quote it")
    environment = ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates = {}
    for key in KEYS:
        try:
            templates[key] = environment.from_string(texts.get(key, ""))
        except Exception as error:  # nested too deep, it is no TemplateError
            raise LabelwiseError(f"{path}: {key}: {brief(error)}") from None
    return templates


def fill(path: str | Path, templates: dict[str, Any], key: str, **variables: Any) -> str:
    """One template's text; an undefined variable is an error that names the file and key.

    ``system`` and ``closing`` lose the line ends at their end.
    """
    try:
        text = templates[key].render(**variables)
        return text.rstrip("\n") if key in ("system", "closing") else text
    except Exception as error:  # an expression in a template raises anything
        raise LabelwiseError(f"{path}: {key}: {brief(error)}") from None


def class_list(
    names: Sequence[str],
    answer: str,
    list_format: str,
    list_order: str,
    seed: int = 0,
    only: Sequence[int] | None = None,
) -> str:
    """The class list as text; an unknown format or order is an error.

    Args:
        names: class names by id.
        answer: ``name`` or ``id``: with ids every class is listed with its own.
        list_format: one of ``LIST_FORMATS``.
        list_order: one of ``LIST_ORDERS``.
        seed: of ``shuffled``.
        only: class ids of a shorter list; None lists all.

    Names are listed once each (a name borne by two classes denotes both); with ``answer: id`` every
    class is listed with its id. ``comma``: ``a, b`` (a name with a comma or a quote is quoted);
    ``newline``: one a line; ``numbered``: lines ``1. a``; ``json``: an array. With ids the entries
    are ``0: a`` in the first three, and ``json`` is an object ``{"0": "a"}``.
    """
    ids = range(len(names)) if only is None else only
    shown = [names[i] for i in ids]
    entries = (
        list(zip(ids, shown, strict=True))
        if answer == "id"
        else [(ids[places[0]], name) for name, places in Names(shown).distinct()]
    )
    if list_order == "alphabetical":
        entries.sort(key=lambda entry: (entry[1].lower(), entry[0]))
    elif list_order == "shuffled":
        entries.sort(key=lambda entry: draw.key(seed, "class list", entry[0]))
    elif list_order != "fixed":
        raise LabelwiseError(
            f"protocols: list_order {list_order!r} is none of {', '.join(LIST_ORDERS)}"
        )
    by_id = answer == "id"
    if list_format == "comma":
        texts = [f"{i}: {_quoted(name)}" if by_id else _quoted(name) for i, name in entries]
        return ", ".join(texts)
    if list_format == "newline" or (list_format == "numbered" and by_id):
        return "\n".join(f"{i}: {name}" if by_id else name for i, name in entries)
    if list_format == "numbered":
        return "\n".join(f"{n}. {name}" for n, (_, name) in enumerate(entries, 1))
    if list_format == "json":
        value = {str(i): name for i, name in entries} if by_id else [name for _, name in entries]
        return json.dumps(value, ensure_ascii=False)
    raise LabelwiseError(
        f"protocols: list_format {list_format!r} is none of {', '.join(LIST_FORMATS)}"
    )


def _quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=False) if "," in name or '"' in name else name


def schema(kind: str, answer: str, n_images: int) -> dict:
    """The JSON schema of an answer to ``n_images`` images, keyed "1".."n" (strict mode's rules)."""
    value: dict[str, Any] = {"type": "integer" if answer == "id" else "string"}
    if kind == "all":
        value = {"type": "array", "items": value}
    keys = [str(n) for n in range(1, n_images + 1)]
    return {
        "type": "object",
        "properties": dict.fromkeys(keys, value),
        "required": keys,
        "additionalProperties": False,
    }
