"""Class names in a text-embedding space, and the templates that go around a text.

A text in templates is the mean of its embeddings over the templates, L2-normalised before and after
(as CLIP's zero-shot weights). Mapper keys: ``templates``: ``none``, ``clip-80`` (OpenAI's for
ImageNet), ``clip-7`` (their short set; both from open_clip), or a text file with one template a
line, ``{}`` in each; ``templated``: what goes into them, ``names``, ``answers`` or ``both``.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from labelwise import classnames, gpu, records
from labelwise.errors import LabelwiseError, cli

if TYPE_CHECKING:
    import numpy as np

TEMPLATED = ("both", "names", "answers")
BLOCK = 512
"""Texts put into templates at a time: bounds memory."""


def templates(name: str) -> list[str]:
    """The templates of a set, each with one ``{}``; ``none`` is the bare text.

    Raises:
        LabelwiseError: no such set or file, or a line without place for the text.
    """
    if name == "none":
        return ["{}"]
    if name in ("clip-80", "clip-7"):
        module = classnames.open_clip_metadata()
        functions = {
            "clip-80": module.OPENAI_IMAGENET_TEMPLATES,
            "clip-7": module.SIMPLE_IMAGENET_TEMPLATES,
        }[name]
        return [function("{}") for function in functions]
    if not Path(name).is_file():
        raise LabelwiseError(
            f"mappers: templates {name!r} is none of none, clip-80, clip-7, nor a text file"
        )
    lines = records.read_text(name).splitlines()
    found = [line.strip() for line in lines if line.strip()]
    for line in found:
        if line.count("{}") != 1:
            raise LabelwiseError(f"{name}: {line!r} must hold {{}} once, where the text goes")
    if not found:
        raise LabelwiseError(f"{name}: no templates in it")
    return found


def embed(
    texts: Sequence[str], encode: "Callable[[list[str]], np.ndarray]", around: Sequence[str]
) -> "np.ndarray":
    """Embeddings [texts, d] float32, L2-normalised: each text's mean over templates."""
    import numpy as np

    if len(around) == 1:
        return np.asarray(encode([around[0].replace("{}", text) for text in texts]), np.float32)
    parts = []
    for start in range(0, len(texts), BLOCK):
        part = texts[start : start + BLOCK]
        filled = [template.replace("{}", text) for text in part for template in around]
        vectors = np.asarray(encode(filled), dtype=np.float32)
        parts.append(vectors.reshape(len(part), len(around), -1).mean(axis=1))
    mean = np.concatenate(parts)
    return mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)


def embedder(
    mapper: dict, encoder: dict, what: str, cache: str | Path | None = None
) -> "Callable[[Sequence[str]], np.ndarray]":
    """The function that embeds texts as a mapper asks for: float32 [texts, d], L2-normalised.

    Args:
        mapper: its entry.
        encoder: the entry of its encoder.
        what: the texts are ``names`` or ``answers``.
        cache: the encoder's file of embeddings of answers; None keeps none.

    Raises:
        LabelwiseError: an unfit value of ``templated`` or ``templates``.
    """
    templated = mapper.get("templated", "both")
    if templated not in TEMPLATED:
        raise LabelwiseError(f"mappers: templated {templated!r} is none of {', '.join(TEMPLATED)}")
    around = templates(mapper.get("templates", "none") if templated in ("both", what) else "none")
    from labelwise.reading import encoders

    loaded = encoders.Encoder(encoder, cache)
    encode = loaded.encode_together if what == "names" else loaded.encode
    return lambda texts: embed(texts, encode, around)


def write(path: str | Path, names: Sequence[str], embeddings: "np.ndarray") -> None:
    """Write embeddings [classes, d] with the names, as npz with deterministic bytes."""
    import numpy as np

    from labelwise import arrays

    arrays.write(path, name=np.asarray(names), embedding=embeddings.astype(np.float32))


def load(path: str | Path) -> "tuple[list[str], np.ndarray]":
    """Names and embeddings [classes, d] of a file of ``write``."""
    from labelwise import arrays

    found = arrays.read(path, "name", "embedding")
    return found["name"].tolist(), found["embedding"]


def read(path: str | Path, classes: int) -> "np.ndarray":
    """Embeddings [classes, d] of a file of ``write``; another number of them is an error."""
    _, embeddings = load(path)
    if len(embeddings) != classes:
        raise LabelwiseError(f"{path}: {len(embeddings)} names, but the list has {classes}")
    return embeddings


@cli
def main(argv: Sequence[str] | None = None) -> None:
    """Embed one class-name set as one mapper does."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.embed_classes", description=main.__doc__
    )
    parser.add_argument("--classes", required=True, help="results/classes/*.csv")
    parser.add_argument("--mapper", type=json.loads, required=True, help="the mappers entry, JSON")
    parser.add_argument("--encoder", type=json.loads, required=True, help="encoders entry, JSON")
    parser.add_argument("--gpus", type=int, help=gpu.HELP)
    parser.add_argument("--out", required=True)
    args = parser.parse_args(argv)
    gpu.lease(args.gpus)
    names = classnames.read(args.classes)
    write(args.out, names, embedder(args.mapper, args.encoder, "names")(names))


if __name__ == "__main__":
    main()
