"""Requests: every prompt of a run, written before any model is there.

The file's first line is a header with all that the prompts share (``system`` first: the same bytes
for all); then one line a request: its number, repeat, image ids, and what differs from the header
(``closing``, ``primer``, ``schema`` and ``max_tokens`` of a prompt with fewer images, a question's
``options``, the ``candidates`` of a narrowed list). Asking again (``repeats``) repeats the same
prompts, except in multiple choice, where options are redrawn, and with ``vary``, where every
repeat is another variation (header: ``variations``). Where ``system`` differs between requests the
header says ``shared: false``.
"""

import argparse
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from labelwise import arrays, classnames, draw, records
from labelwise.asking import candidates as offers
from labelwise.asking import distractors, prompt_view, prompts, variations
from labelwise.data import class_ids, rules
from labelwise.errors import LabelwiseError, cli

DEFAULTS = {
    "answer": "name",
    "format": "plain",
    "layout": "list-first",
    "list_format": "comma",
    "list_order": "fixed",
    "max_tokens": 32,
    "stop": [],
    "seed": 0,
    "repeats": 1,
    "options": 4,
    "true": ["original"],
    "distractors": {"from": "random"},
    "exclude_corrected": True,
    "equivalents": "paper",
    "search": "best-first",
    "score": "sum",
    "end": "free",
    "top": 5,
}
"""Protocol keys that may be left out. ``max_tokens`` is per image."""

ANSWERS = {
    "closed": ("name", "id"),
    "open": ("name",),
    "choice": ("letter", "name"),
    "all": ("id", "name"),
    "constrained": ("name",),
    "likelihood": ("name",),
    "narrowed": ("name", "id"),
}
ONE_OF = (*records.LISTED, "narrowed")
"""Kinds of protocols that ask for one name of a list in the prompt."""
FORMATS = ("plain", "json", "structured")
LAYOUTS = ("list-first", "image-first")
PARTS = ("system", "image", "closing", "primer", "schema")
"""What of a header's text a request may have of its own."""
Offered = Mapping[str, Sequence[int]] | Sequence[int] | None
"""Class ids of a narrowed list: an image's own, the same for all images, or none (not narrowed)."""
JSON_TOKENS = 8
"""Tokens allowed for a key, quotes and comma of one image's entry, and once for the braces."""


def complete(spec: dict) -> dict:
    """A protocol entry with its defaults; an unfit value is an error that names the key."""
    spec = DEFAULTS | spec
    for key in ("kind", "prompt", "classes"):
        if key not in spec:
            raise LabelwiseError(f"protocols: {key} is missing")
    if spec["kind"] not in ANSWERS:
        raise LabelwiseError(f"protocols: kind {spec['kind']!r} is none of {', '.join(ANSWERS)}")
    for key, known in (
        ("answer", ANSWERS[spec["kind"]]),
        ("format", FORMATS),
        ("layout", LAYOUTS),
    ):
        if spec[key] not in known:
            raise LabelwiseError(
                f"protocols: {key} {spec[key]!r} of kind {spec['kind']} is none of"
                f" {', '.join(known)}"
            )
    if spec["kind"] in records.CERTAIN and spec["format"] != "plain":
        raise LabelwiseError(
            f"protocols: format {spec['format']!r}: kind {spec['kind']} answers with a bare name;"
            " take format plain"
        )
    return spec


def make_header(
    protocol: str,
    spec: dict,
    names: Sequence[str],
    batch: int,
    order: str,
    only: Sequence[int] | None = None,
) -> tuple[dict, dict[str, Any]]:
    """The header of a requests file, and the compiled templates that its requests still need.

    Args:
        protocol: its name.
        spec: its config entry.
        names: class names by id.
        batch: images per prompt.
        order: their order.
        only: class ids of a shorter list; None lists all.

    Raises:
        LabelwiseError: an unfit value, or a prompt file that leaves the class list out.
    """
    spec = complete(spec)
    templates = prompts.load(spec["prompt"])
    variables: dict[str, Any] = {
        "answer": spec["answer"],
        "layout": spec["layout"],
        "images_per_prompt": batch,
    }
    if spec["kind"] in (*ONE_OF, "all"):
        variables |= class_list(spec, names, only)
    header = {
        "protocol": protocol,
        "kind": spec["kind"],
        "answer": spec["answer"],
        "format": spec["format"],
        "classes": spec["classes"],
        **beginning(spec, templates, variables),
    }
    if spec["kind"] == "choice":
        header |= {"closing": "", "primer": "", "schema": None}
    else:
        header |= ending(spec, templates, variables, batch, ())
    header |= {
        "max_tokens": token_limit(spec, batch),
        "stop": _stop(spec, batch),
        "images_per_prompt": batch,
        "order": order,
    }
    if spec["kind"] in records.CERTAIN:
        header["decoding"] = decoding(spec)
    if spec["kind"] in ONE_OF and variables["class_list"]:
        place = "closing" if spec["layout"] == "image-first" else "system"
        if variables["class_list"] not in header[place]:
            raise LabelwiseError(
                f"{spec['prompt']}: {place}: must hold {{{{ class_list }}}}"
                f" where layout is {spec['layout']}"
            )
    return header, {"templates": templates, "variables": variables}


def decoding(spec: dict) -> dict[str, Any]:
    """How a listed name is found, for the engine (``engines.search``)."""
    if spec["kind"] == "constrained":
        return {"by": "constrained"}
    return {"by": spec["search"], **{key: spec[key] for key in ("score", "end", "top")}}


def class_list(spec: dict, names: Sequence[str], only: Sequence[int] | None) -> dict[str, Any]:
    """The variables of a prompt with a class list; ``only`` are the ids of a shorter one."""
    return {
        "n_classes": len(names) if only is None else len(only),
        "class_list": prompts.class_list(
            names, spec["answer"], spec["list_format"], spec["list_order"], spec["seed"], only
        ),
    }


def beginning(spec: dict, templates: dict, variables: dict) -> dict:
    """What comes before the images, and before each of them."""
    return {
        key: prompts.fill(spec["prompt"], templates, key, **variables)
        for key in ("system", "image")
    }


def _stop(spec: dict, batch: int) -> list[str]:
    """What ends an answer. A line end closes one line of several; one line too many closes all."""
    if batch == 1:
        return spec["stop"]
    beyond = [f"\n{batch + 1}:"] if spec["format"] == "plain" else []
    return [text for text in spec["stop"] if "\n" not in text] + beyond


def token_limit(spec: dict, n_images: int) -> int:
    """Tokens that an answer to ``n_images`` images may have."""
    overhead = 0 if spec["format"] == "plain" else JSON_TOKENS * (n_images + 1)
    return spec["max_tokens"] * n_images + overhead


def ending(
    spec: dict, templates: dict, variables: dict, n_images: int, options: Sequence[dict]
) -> dict:
    """What follows the images of a prompt: closing, primer and schema.

    Args:
        spec: the protocol's config entry.
        templates: of the prompt file.
        variables: of the templates.
        n_images: images of this prompt.
        options: of a multiple-choice question.
    """
    spec = complete(spec)
    more = variables | {"n_images": n_images}
    if spec["kind"] == "choice":
        more["options"] = options
    structured = spec["format"] == "structured"
    return {
        "closing": prompts.fill(spec["prompt"], templates, "closing", **more),
        "primer": prompts.fill(spec["prompt"], templates, "primer", **more),
        "schema": prompts.schema(spec["kind"], spec["answer"], n_images) if structured else None,
    }


def batches(
    images: Sequence[str], size: int, order: str, original: dict[str, int] | None = None
) -> list[list[str]]:
    """Image ids in prompts of ``size``; the last, shorter one is kept.

    Args:
        images: image ids.
        size: images per prompt.
        order: ``sorted`` (by id), ``shuffled-sN``, or ``same-class-sN``: only images of one
            original class share a prompt, and these prompts are shuffled; '' (batches of one): as
            given.
        original: original labels, for ``same-class-sN``.

    Every sort key is drawn for one image, so adding or leaving out images reorders no others.

    Raises:
        LabelwiseError: an unknown order, or an image without original label where it needs one.
    """
    if match := re.fullmatch(r"shuffled-s(\d+)", order):
        seed = int(match[1])
        ordered = sorted(images, key=lambda image: draw.key(seed, "image order", image))
    elif match := re.fullmatch(r"same-class-s(\d+)", order):
        seed = int(match[1])
        groups: dict[int, list[str]] = {}
        for image in sorted(images, key=lambda image: draw.key(seed, "image order", image)):
            groups.setdefault(label_of(original, image), []).append(image)
        prompts_of_one_class = [b for group in groups.values() for b in _cut(group, size)]
        return sorted(prompts_of_one_class, key=lambda b: draw.key(seed, "prompt order", b[0]))
    elif order == "sorted":
        ordered = sorted(images)
    elif order == "" and size == 1:
        ordered = list(images)
    else:
        raise LabelwiseError(
            f"orders: {order!r} is none of shuffled-sN, same-class-sN, sorted (N a whole number)"
        )
    return _cut(ordered, size)


def _cut(images: Sequence[str], size: int) -> list[list[str]]:
    return [list(images[i : i + size]) for i in range(0, len(images), size)]


def label_of(original: dict[str, int] | None, image: str) -> int:
    """The original label of an image; an error where there is none."""
    if original is None:
        raise LabelwiseError("this protocol or order needs original labels: give --original")
    if image not in original:
        raise LabelwiseError(f"image {image}: has no original label; its label set must have one")
    return original[image]


def make(
    protocol: str,
    spec: dict,
    images: Sequence[str],
    names: Sequence[str],
    batch: int = 1,
    order: str = "",
    original: dict[str, int] | None = None,
    corrected: dict[str, tuple[int, ...]] | None = None,
    ranking: distractors.Ranking = distractors.no_ranking,
    equivalents: dict[int, set[int]] | None = None,
    candidates: Offered = None,
) -> Iterator[dict]:
    """Yield the lines of a requests file: the header, then the requests.

    Args:
        protocol: its name.
        spec: its config entry.
        images: ids of the images to ask about (unreadable ones left out), in the set's order.
        names: class names by id.
        batch: images per prompt.
        order: see ``batches``.
        original: original label an image (choice, same-class order).
        corrected: corrected labels an image (choice); void images have none.
        ranking: hard distractors.
        equivalents: class id -> its equivalents (choice).
        candidates: class ids offered (narrowed): an image's own, or the same for all.

    Raises:
        LabelwiseError: values that do not go together, or labels that are missing.
    """
    spec = complete(spec)
    choice = spec["kind"] == "choice"
    if spec["kind"] in ("choice", *records.CERTAIN) and batch != 1:
        raise LabelwiseError(
            f"protocols: {protocol}: a {spec['kind']} question holds one image, not {batch}"
        )
    if choice and "corrected" in spec["true"] and corrected is None:
        raise LabelwiseError(f"protocols: {protocol}: needs corrected labels: give --corrected")
    own = candidates if isinstance(candidates, Mapping) and candidates else None
    only: Any = (next(iter(own.values())) if own else candidates) or None
    cells = variations.cells(spec)
    made = [make_header(protocol, cell, names, batch, order, only) for cell in cells]
    header = made[0][0]
    if own or len(made) > 1:
        header |= {"shared": False}
    if candidates is not None and not own:
        header |= {"candidates": list(candidates)}
    if found := variations.settings(spec):
        header |= {"variations": found}
    yield header
    asked = batches(images, batch, order, original)
    scheme = choice and distractors.Scheme(
        names=names,
        true=tuple(spec["true"]),
        n=spec["options"],
        seed=spec["seed"],
        ranking=ranking,
        equivalents=equivalents or {},
        exclude_corrected=spec["exclude_corrected"],
    )
    number = 0
    for repeat in range(spec["repeats"] * len(made)):
        cell, (text, context) = cells[repeat % len(made)], made[repeat % len(made)]
        templates, variables = context["templates"], context["variables"]
        for ids in asked:
            request: dict[str, Any] = {"request": number, "repeat": repeat, "images": ids}
            options: Sequence[dict] = ()
            parts = {key: text[key] for key in PARTS} if len(made) > 1 else {}
            if choice:
                label = label_of(original, ids[0])
                options = scheme.options(ids[0], label, (corrected or {}).get(ids[0], ()), repeat)
                request["options"] = options
            if own:
                request["candidates"] = offers.offered(ids, own)
                variables = variables | class_list(cell, names, request["candidates"])
                parts = beginning(cell, templates, variables)
            if choice or own or len(ids) != batch:
                parts |= ending(cell, templates, variables, len(ids), options)
                parts["max_tokens"] = token_limit(spec, len(ids))
            request |= {key: value for key, value in parts.items() if value != header[key]}
            yield request
            number += 1


def read_labels(path: str | Path) -> dict[str, tuple[int, ...]]:
    """Label ids an image of a ``results/labels/*.csv`` file; void images have none."""
    return {
        row["image"]: () if row["void"] == "1" else records.ids(row["labels"])
        for _, row in records.stream_csv(path, records.LABELS)
    }


def readable(path: str | Path) -> list[str]:
    """Ids of the images of a set that can be asked about, in the set's order."""
    rows = records.stream_csv(path, ("image", "status"))
    return [row["image"] for _, row in rows if row["status"] == "ok"]


@cli
def main(argv: Sequence[str] | None = None) -> None:
    """Write the requests of one protocol, or show one prompt of a requests file."""
    parser = argparse.ArgumentParser(prog="python -m labelwise.requests", description=main.__doc__)
    parser.add_argument("--show", nargs=2, metavar=("IMAGE", "PROTOCOL"))
    parser.add_argument("--protocol", help="its name")
    parser.add_argument("--spec", type=json.loads, help="the protocol's config entry, JSON")
    parser.add_argument("--images", help="results/images/*.csv")
    parser.add_argument("--classes", help="results/classes/*.csv")
    parser.add_argument("--batch", type=int, default=1, help="images per prompt")
    parser.add_argument("--order", default="", help="shuffled-sN, same-class-sN or sorted")
    parser.add_argument("--original", help="results/labels/*.csv of the original labels")
    parser.add_argument("--corrected", help="results/labels/*.csv of the corrected labels")
    parser.add_argument("--confusions", help="results/confusions/*/*/*.csv, or a published file")
    parser.add_argument("--embeddings", help="results/embeddings/*/*.npz of the class names")
    parser.add_argument("--candidates", help="results/candidates/*/*.csv of a narrowed list")
    parser.add_argument("--out")
    parser.add_argument("--config", default="config/config.yaml", help="for --show")
    args = parser.parse_args(argv)
    if args.show:
        image, protocol = args.show
        print(prompt_view.show(image, protocol, records.read_yaml(args.config)))
        return
    missing = [k for k in ("protocol", "spec", "images", "classes", "out") if not getattr(args, k)]
    if missing:
        raise LabelwiseError(f"give {', '.join('--' + key for key in missing)}, or --show")
    spec = complete(args.spec)
    original = args.original and {
        image: labels[0] for image, labels in read_labels(args.original).items() if labels
    }
    names = classnames.read(args.classes)
    lines = make(
        args.protocol,
        spec,
        readable(args.images),
        names,
        args.batch,
        args.order,
        original or None,
        read_labels(args.corrected) if args.corrected else None,
        _ranking(spec, args.confusions, args.embeddings),
        _equivalents(spec),
        _candidates(spec, args.candidates, names),
    )
    records.write_jsonl(args.out, lines)


def _ranking(spec: dict, confusions: str | None, embeddings: str | None) -> distractors.Ranking:
    """The ranking that ``distractors: {from: ...}`` asks for."""
    source = spec["distractors"]["from"]
    if spec["kind"] != "choice" or source == "random":
        return distractors.no_ranking
    if source == "confusions" and confusions:
        by = spec["distractors"].get("by", "count")
        return distractors.confusions(distractors.read_confusions(confusions), by)
    if source == "nearest" and embeddings:
        return distractors.nearest(arrays.read(embeddings, "embedding")["embedding"])
    if source in ("confusions", "nearest"):
        option = {"confusions": "--confusions", "nearest": "--embeddings"}[source]
        raise LabelwiseError(f"protocols: distractors from {source}: give {option}")
    raise LabelwiseError(
        f"protocols: distractors: from {source!r} is none of random, confusions, nearest"
    )


def _candidates(spec: dict, table: str | None, names: Sequence[str]) -> Offered:
    """What ``candidates`` of a narrowed list offers: an image's own names, or the same for all."""
    if spec["kind"] != "narrowed":
        return None
    source = spec.get("candidates", {})
    if "file" in source:
        return sorted(class_ids.read(source["file"], len(names)))
    if table is None:
        raise LabelwiseError("protocols: candidates from a model: give --candidates")
    return offers.read(table)


def _equivalents(spec: dict) -> dict[int, set[int]]:
    """Class id -> its equivalents, by the protocol's pair list."""
    found: dict[int, set[int]] = {}
    if spec["kind"] == "choice":
        for a, b in rules.read_pairs(spec["equivalents"]):
            found.setdefault(a, set()).add(b)
            found.setdefault(b, set()).add(a)
    return found


if __name__ == "__main__":
    main()
