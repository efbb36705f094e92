"""Chat completions: a question as the request that is sent, and the reply as an answer.

The system text, with the class list, comes first and is the same bytes in every request of a run,
so that servers which cache prefixes find it. Images go as they lie on disk, never re-encoded.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labelwise import images
from labelwise.data import media
from labelwise.engines.base import Question, cut
from labelwise.servers import entries as servers

PROVIDER_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
ENUM_VALUES, ENUM_CHARACTERS = 1000, 15_000
"""The provider's limits of one enum in a schema."""

STOPS = 4
"""How many stop strings the provider takes; answers are cut at all of them here."""


def unfit(files: Sequence[str | Path], provider: bool) -> dict[int, str]:
    """Why images cannot be sent, by their number from 1; their content decides, not their suffix.

    Args:
        files: as of ``images.data``.
        provider: OpenAI itself, which takes fewer types than other servers.

    Raises:
        LabelwiseError: a file that cannot be read.
    """
    why = {}
    for number, file in enumerate(files, 1):
        kind = media.kind(images.data(file))
        if not kind or (provider and kind not in PROVIDER_TYPES):
            taken = f"; the provider takes {', '.join(PROVIDER_TYPES)}" if provider else ""
            why[number] = f"{file}: servers take no {kind or 'file of this kind'}{taken}"
    return why


def data_url(file: str | Path) -> str:
    """The bytes of an image as a data URL; a file that cannot be read is an error."""
    data = images.data(file)
    return f"data:{media.kind(data)};base64,{base64.b64encode(data).decode('ascii')}"


def schema(
    spec: Mapping[str, Any], header: Mapping[str, Any], names: Sequence[str], question: Question
) -> dict[str, Any] | None:
    """The JSON schema to enforce, or None.

    ``structured: enum`` (the default) adds the class names, or the letters of the options, as one
    enum in ``$defs`` that every image's value refers to, unless it is beyond the provider's limits
    (1,000 values, 15,000 characters); ``schema`` keeps the types alone; ``none`` sends no schema,
    for servers that take none.
    """
    wanted, plain = spec.get("structured", "enum"), question.prompt.schema
    if plain is None or wanted == "none":
        return None
    values = _enum(header, names, question) if wanted == "enum" else []
    size = sum(len(str(value)) for value in values)
    if not values or len(values) > ENUM_VALUES or size > ENUM_CHARACTERS:
        return plain
    kind = "integer" if header["answer"] == "id" else "string"
    refer: dict[str, Any] = {"$ref": "#/$defs/label"}
    if header["kind"] == "all":
        refer = {"type": "array", "items": refer}
    return {
        **plain,
        "properties": dict.fromkeys(plain["properties"], refer),
        "$defs": {"label": {"type": kind, "enum": values}},
    }


def _enum(header: Mapping[str, Any], names: Sequence[str], question: Question) -> list[Any]:
    if header["kind"] == "choice":
        letters = header["answer"] == "letter"
        return [o["letter"] for o in question.request["options"]] if letters else []
    if header["kind"] == "open":
        return []
    return list(range(len(names))) if header["answer"] == "id" else list(dict.fromkeys(names))


def cache_key(spec: Mapping[str, Any], header: Mapping[str, Any]) -> str:
    """What routes requests with one prefix to one cache: a hash of model and system text."""
    return hashlib.sha256(f"{spec['model']}\n{header['system']}".encode()).hexdigest()[:32]


def body(
    spec: Mapping[str, Any], header: Mapping[str, Any], names: Sequence[str], question: Question
) -> dict[str, Any]:
    """The body of one request to ``/chat/completions``.

    Args:
        spec: the model's entry.
        header: of the requests file.
        names: class names by id.
        question: what is asked.
    """
    provider = servers.is_provider(spec)
    files = iter(question.files)
    content: list[dict[str, Any]] = []
    for kind, text in question.prompt.user:
        if kind == "image":
            image = {"url": data_url(next(files)), "detail": spec.get("detail", "high")}
            content.append({"type": "image_url", "image_url": image})
        else:
            content.append({"type": "text", "text": text})
    messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
    if question.prompt.system:
        messages.insert(0, {"role": "system", "content": question.prompt.system})
    limit = "max_completion_tokens" if provider else "max_tokens"
    sent = {
        "model": spec["model"],
        "messages": messages,
        "temperature": 0,
        "seed": spec.get("seed", 0),
        limit: header["max_tokens"],
        "prompt_cache_key": cache_key(spec, header),
    }
    if header["stop"]:
        sent["stop"] = header["stop"][:STOPS]
    if found := schema(spec, header, names, question):
        form = {"name": "labels", "strict": True, "schema": found}
        sent["response_format"] = {"type": "json_schema", "json_schema": form}
    return sent


class Unusable(Exception):
    """A reply that is no chat completion."""


def checked(reply: Any) -> dict[str, Any]:
    """A reply's JSON, if it holds a choice with a message of text.

    Raises:
        Unusable: it does not.
    """
    try:
        choice = reply["choices"][0]
        said = [choice["message"].get(key) for key in ("content", "refusal")]
        told = reply.get("usage") or {}
        told = [told, choice, told.get("prompt_tokens_details") or {}]
    except (KeyError, IndexError, TypeError, AttributeError):
        raise Unusable("a reply that is no chat completion") from None
    texts = all(isinstance(text, str | None) for text in said)
    if not texts or not all(isinstance(part, dict) for part in told):
        raise Unusable("a reply that is no chat completion")
    return reply


def answer(reply: Mapping[str, Any], stops: Sequence[str]) -> tuple[str, str]:
    """Text and ``finish`` of a reply. What a model says in place of an answer is its text."""
    choice = reply["choices"][0]
    message = choice["message"]
    text = message.get("content") or message.get("refusal") or ""
    finish = choice.get("finish_reason")
    return cut(text, stops), finish if finish in ("length", "content_filter") else "stop"


def usage(reply: Mapping[str, Any]) -> dict[str, int]:
    """Tokens of the prompt, those of them that were cached, and of the answer."""
    told = reply.get("usage") or {}
    cached = (told.get("prompt_tokens_details") or {}).get("cached_tokens")
    counts = (told.get("prompt_tokens"), cached, told.get("completion_tokens"))
    prompt, cached, completion = (n if type(n) is int and n > 0 else 0 for n in counts)
    return {"prompt": prompt, "cached": min(cached, prompt), "completion": completion}


def who(reply: Mapping[str, Any]) -> list[str]:
    """The returned model name and fingerprint, '' for what the server does not tell."""
    return [str(reply.get(key) or "") for key in ("model", "system_fingerprint")]
