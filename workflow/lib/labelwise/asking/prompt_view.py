"""Stored prompts on a screen: what a model is shown, as it is shown."""

import json
import textwrap
from collections.abc import Collection
from pathlib import Path

from labelwise.asking import prompts
from labelwise.errors import LabelwiseError


def show(image: str, protocol: str, config: dict, folder: str | Path = "results/requests") -> str:
    """The first stored prompt about an image under a protocol, as the model gets it.

    Args:
        image: its id.
        protocol: its name.
        config: the configuration.
        folder: of the requests files.

    Raises:
        LabelwiseError: an unknown protocol, no requests yet, or none about the image.
    """
    if protocol not in config["protocols"]:
        raise LabelwiseError(f"protocols: {protocol!r} is none of {', '.join(config['protocols'])}")
    paths = [
        path
        for images in config["images"]
        for path in sorted(Path(folder).glob(f"{images}/{protocol}/*.jsonl"))
    ]
    for path in paths:
        header, requests = prompts.read(path)
        for request in requests:
            if image in request["images"]:
                return f"# {path}, request {request['request']}\n{describe(header, request)}"
    if paths:
        raise LabelwiseError(f"image {image}: in none of {', '.join(map(str, paths))}")
    targets = " ".join(f"{folder}/{images}/{protocol}/b1.jsonl" for images in config["images"])
    raise LabelwiseError(
        f"no requests of {protocol} yet; write them (no model is needed):"
        f" snakemake --cores 1 {targets}"
    )


def describe(header: dict, request: dict, width: int = 100, without: Collection[int] = ()) -> str:
    """One prompt on a screen, long lines folded, images as placeholders; see ``prompts.render``."""
    prompt = prompts.render(header, request, without)
    parts = [text if kind == "text" else f"[image {text}]" for kind, text in prompt.user]
    blocks = [("before the images", prompt.system), ("user", "".join(parts))]
    blocks += [("the answer starts with", prompt.primer)]
    if prompt.schema:
        blocks += [("enforced schema", json.dumps(prompt.schema))]
    blocks += [("limits", f"max_tokens {header['max_tokens']}, stop {json.dumps(header['stop'])}")]
    lines = []
    for title, text in blocks:
        if text:
            lines.append(f"--- {title}")
            for line in text.split("\n"):
                lines += textwrap.wrap(line, width, break_on_hyphens=False) or [""]
    return "\n".join(lines)
