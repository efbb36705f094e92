"""What asking a paid server costs: estimated from the prompts, counted from the answers.

Estimates, used before anything is sent: a text has one token per 3.5 characters (class lists in
English have 3.1 to 3.9 with the vocabulary of GPT-4o, by format); an image's tokens follow the
provider's rule; an answer has all the tokens it may have; a prefix of 1,024 tokens or more that an
earlier prompt had is billed as cached, in steps of 128; a schema is not counted. Costs after the
fact are exact: the tokens that the server reports, times the price table of the entry.
"""

import asyncio
import io
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from labelwise import images
from labelwise.asking.prompts import Prompt
from labelwise.errors import LabelwiseError

CHARACTERS = 3.5
"""Characters of one token."""

IMAGE_TOKENS = {"gpt-4o-mini": (2833, 5667), "gpt-5": (70, 140), "o": (75, 150), "": (85, 170)}
"""Tokens of an image and of each of its tiles, by how a model's name begins (first match)."""

BATCH = 0.5
"""What the provider's Batch API charges of the price; cached tokens have no further discount."""

CAUTION = 1.5
"""How much longer than estimated a prompt is taken to be until the first answer says."""

OVERHEAD = 16
"""Tokens of a prompt's roles."""


def text_tokens(text: str) -> int:
    """Estimated tokens of a text."""
    return math.ceil(len(text) / CHARACTERS)


def image_tokens(model: str, width: int, height: int, detail: str) -> int:
    """Tokens of one image of ``width`` x ``height`` pixels for a ``model``, by the provider's rule.

    ``low`` costs the base alone. ``high``: shrunk to fit 2048 x 2048, then to a shorter side of at
    most 768, and cut into tiles of 512 x 512.
    """
    base, tile = next(t for name, t in IMAGE_TOKENS.items() if model.startswith(name))
    if detail == "low":
        return base
    scale = min(1.0, 2048 / max(width, height))
    scale = min(scale, 768 / min(width, height))
    return base + tile * math.ceil(width * scale / 512) * math.ceil(height * scale / 512)


def size(file: str | Path) -> tuple[int, int]:
    """Width and height of an image in pixels, from its header; an error where it has none."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(images.data(file)), formats=images.FORMATS) as image:
            return image.size
    except OSError:
        raise LabelwiseError(f"{file}: unreadable image: no format that is read") from None


def prompt_tokens(spec: Mapping[str, Any], prompt: Prompt, sizes: Iterable[tuple[int, int]]) -> int:
    """Estimated tokens of a prompt; ``sizes`` are width and height of its images."""
    text = prompt.system + "".join(text for kind, text in prompt.user if kind == "text")
    detail = spec.get("detail", "high")
    seen = sum(image_tokens(spec["model"], *size, detail) for size in sizes)
    return OVERHEAD + text_tokens(text) + seen


def cached_tokens(prefix: int) -> int:
    """How many tokens of a prefix the provider caches."""
    return prefix // 128 * 128 if prefix >= 1024 else 0


def usd(spec: Mapping[str, Any], prompt: int, cached: int, completion: int) -> float:
    """Price in USD of so many tokens.

    Args:
        spec: the model's entry, with its ``price`` in USD per million tokens.
        prompt: tokens of the prompt, ``cached`` of them among these.
        cached: tokens of the prompt that the provider's cache had.
        completion: tokens of the answer.
    """
    price = spec["price"]
    if spec.get("batch"):
        price = {name: value * BATCH for name, value in price.items() if name != "date"}
        cached = 0
    fresh = (prompt - cached) * price["input"] + cached * price.get("cached", price["input"])
    return (fresh + completion * price["output"]) / 1e6


def expected(spec: Mapping[str, Any], header: Mapping[str, Any], prompts: Sequence[int]) -> float:
    """Estimated cost in USD of prompts of so many tokens, sent one after another.

    Every prompt but the first finds the system text in the provider's cache.
    """
    cached = cached_tokens(text_tokens(header["system"]))
    return sum(
        usd(spec, tokens, min(cached, tokens) if n else 0, header["max_tokens"])
        for n, tokens in enumerate(prompts)
    )


def announce(spec: Mapping[str, Any], requests: int, cost: float, left: float) -> None:
    """Tell stderr what is about to be spent; refuse what the limit cannot hold.

    Args:
        spec: the model's entry.
        requests: how many will be sent.
        cost: what they will cost, in USD, as estimated.
        left: what the limit leaves, in USD.

    Raises:
        LabelwiseError: the estimate is above what is left of ``max_cost_usd``.
    """
    what = f"{requests} requests to {spec['model']}: about {cost:.4f} USD"
    if cost > left:
        raise LabelwiseError(
            f"{what}, but max_cost_usd leaves {left:.4f}; nothing was sent: raise it, or ask less"
        )
    print(f"{what}, at most {left:.4f} (max_cost_usd)", file=sys.stderr, flush=True)


class Meter:
    """Keeps what is spent, and what may be by questions under way, within a limit.

    Args:
        spec: the model's entry.
        spent: USD that the known answers of the run have cost.
    """

    def __init__(self, spec: Mapping[str, Any], spent: float) -> None:
        self.spec, self.spent = spec, spent
        self.limit = spec["max_cost_usd"]
        self.reserved: dict[Any, float] = {}
        self.ratio, self.told = CAUTION, False
        self.settled = asyncio.Condition()

    def fits(self, most: float) -> bool:
        """Whether so much more can be spent, come what may of what is under way."""
        return self.spent + sum(self.reserved.values()) + most <= self.limit

    def bound(self, prompt: int, completion: int) -> float:
        """The most that a prompt of so many estimated tokens costs."""
        return usd(self.spec, math.ceil(prompt * self.ratio), 0, completion)

    async def reserve(self, question: Any, prompt: int, completion: int) -> None:
        """Set aside what a question may cost; wait for others to be settled where it is too much.

        Raises:
            LabelwiseError: the limit is reached; nothing is sent.
        """
        async with self.settled:
            self.reserved.pop(question, None)
            while not self.fits(most := self.bound(prompt, completion)):
                if not self.reserved:
                    raise LabelwiseError(
                        f"max_cost_usd: {self.limit:g} USD would be passed:"
                        f" {self.spent:.4f} are spent and the next request may cost {most:.4f};"
                        " answers so far are kept; raise it and run again"
                    )
                await self.settled.wait()
            self.reserved[question] = most

    async def settle(self, question: Any, prompt: int, usage: Mapping[str, int]) -> float:
        """Replace what was set aside by what an answer cost, which is returned.

        A server that does not tell the tokens is taken to have used all that was set aside.
        """
        async with self.settled:
            cost = self.reserved.pop(question)
            if usage["prompt"]:
                cost = usd(self.spec, usage["prompt"], usage["cached"], usage["completion"])
                seen = usage["prompt"] / max(prompt, 1) * 1.05
                self.ratio = max(self.ratio, seen) if self.told else seen
                self.told = True
            self.spent += cost
            self.settled.notify_all()
        return cost

    def lost(self, question: Any) -> None:
        """An attempt got no answer but may be billed: what was set aside counts as spent."""
        self.spent += self.reserved[question]

    async def release(self, question: Any) -> None:
        """Nothing was billed for a question."""
        async with self.settled:
            self.reserved.pop(question, None)
            self.settled.notify_all()
