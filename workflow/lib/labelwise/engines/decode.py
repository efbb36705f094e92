"""Greedy decoding of many prompts that share one prefix; rows leave as they end, others join.

Own tokens are padded on the left, so a step of decoding is one forward pass of one column. A row's
prompt is turned into input embeddings only when it joins, so what waits is small.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch
from torch.nn.functional import pad
from transformers import DynamicCache, StoppingCriteria

from labelwise.engines import prefix as shared_prefix
from labelwise.engines.prefix import Prefix
from labelwise.errors import LabelwiseError

WINDOW = 8
"""Tensor batches that are looked ahead, to put prompts of like length together."""


@dataclass(frozen=True)
class Decoder:
    """The text part of a model: ``body`` from embeddings to hidden states, ``head`` to logits."""

    body: torch.nn.Module
    head: torch.nn.Module

    @property
    def table(self) -> torch.nn.Module:
        """Input embeddings: token ids to vectors."""
        return self.body.get_input_embeddings()


@dataclass
class Row:
    """One prompt after the prefix: its number, length and limit in tokens.

    ``source`` is what the caller's ``embed`` makes ``Inputs`` of, ``tokens`` the answer so far,
    ``generated`` the tokens computed for it. ``state`` is the loop's own. A loop that finds a
    listed name gives it as ``text``, and a search what it knows of all names as ``scored``.
    """

    id: int
    length: int
    max_tokens: int
    source: Any
    tokens: list[int] = field(default_factory=list)
    next_position: int = 0
    generated: int = 0
    state: Any = None
    scored: dict[str, Any] | None = None
    text: str = ""

    def restart(self) -> None:
        """Forget the answer so far."""
        self.tokens.clear()
        self.generated, self.state, self.scored = 0, None, None


@dataclass(frozen=True)
class Inputs:
    """What the decoder is shown of one row.

    ``embeds`` [tokens, size]. ``positions`` [axes, tokens], counted from the row's first token;
    None is 0, 1, 2, ... ``deep`` [layers, tokens, size] is added to the hidden states after each of
    the first layers (the deepstack of Qwen3-VL; zero where a token is text).
    """

    embeds: torch.Tensor
    positions: torch.Tensor | None = None
    deep: torch.Tensor | None = None


@dataclass
class Active:
    """Rows being decoded, with their own keys and values [rows, heads, columns, size].

    ``mask`` [rows, columns] is 1 for own tokens, 0 for what is padded on the left; ``axes`` is how
    many kinds of positions a token has; ``logits`` [rows, vocabulary] of the last column.
    """

    rows: list[Row]
    cache: DynamicCache
    mask: torch.Tensor
    axes: int
    logits: torch.Tensor

    def keep(self, chosen: list[int]) -> None:
        """Drop all rows but ``chosen``, and the columns that only dropped rows used."""
        index = torch.tensor(chosen, dtype=torch.long)
        self.rows = [self.rows[i] for i in chosen]
        self.mask = self.mask[index.to(self.mask.device)]
        used = self.mask.any(0)
        first = int(used.to(torch.int8).argmax()) if len(chosen) else 0
        self.mask = self.mask[:, first:]
        for layer in self.cache.layers:
            here = index.to(layer.keys.device)
            layer.keys = layer.keys[here, :, first:]
            layer.values = layer.values[here, :, first:]

    def add(self, other: "Active") -> None:
        """Take in the rows of ``other``; the shorter side is padded on the left."""
        columns = max(self.mask.shape[1], other.mask.shape[1])
        for side in (self, other):
            gap = columns - side.mask.shape[1]
            side.mask = pad(side.mask, (gap, 0))
            for layer in side.cache.layers:
                layer.keys = pad(layer.keys, (0, 0, gap, 0))
                layer.values = pad(layer.values, (0, 0, gap, 0))
        self.rows += other.rows
        self.mask = torch.cat([self.mask, other.mask])
        for mine, theirs in zip(self.cache.layers, other.cache.layers, strict=True):
            mine.keys = torch.cat([mine.keys, theirs.keys])
            mine.values = torch.cat([mine.values, theirs.values])


@torch.inference_mode()
def prefill(decoder: Decoder, embeds: torch.Tensor) -> Prefix:
    """Keys and values of a prefix given as input embeddings [tokens, size]; empty is no prefix."""
    if not len(embeds):
        return Prefix([])
    cache = DynamicCache(config=decoder.body.config)
    decoder.body(inputs_embeds=embeds[None], past_key_values=cache, use_cache=True)
    return Prefix.of(cache)


class Greedy:
    """The decoding loop over one prefix.

    Args:
        decoder: the text part of the model.
        prefix: what every row begins with.
        embed: the inputs of rows that join.
        ended: looks at a row's tokens so far and says whether the answer is complete.
        tensor_batch: rows in memory as keys and values at most; halved when memory runs out.
        window: rows that wait at most; None is ``WINDOW`` tensor batches.
    """

    def __init__(
        self,
        decoder: Decoder,
        prefix: Prefix,
        embed: Callable[[list[Row]], Sequence[Inputs]],
        ended: Callable[[list[int]], bool],
        tensor_batch: int,
        window: int | None = None,
    ) -> None:
        self.decoder, self.prefix, self.embed, self.ended = decoder, prefix, embed, ended
        self.tensor_batch = tensor_batch
        self.window = max(tensor_batch, WINDOW * tensor_batch if window is None else window)

    def run(self, rows: Iterable[Row]) -> Iterator[tuple[Row, str]]:
        """Yield each row when its answer ends, with ``stop`` or ``length``."""
        source, waiting = iter(rows), deque[Row]()
        active: Active | None = None
        while True:
            if len(waiting) < self.tensor_batch:
                taken = islice(source, max(0, self.window - len(waiting)))
                waiting.extend(sorted(taken, key=lambda row: row.length))
            free = self.tensor_batch - (len(active.rows) if active else 0)
            joining: list[Row] = []
            try:
                if waiting and (active is None or free >= max(1, self.tensor_batch // 4)):
                    joining = [waiting.popleft() for _ in range(min(free, len(waiting)))]
                    started = self._start(joining)
                    self._read(started.rows, started.logits)
                    if active is None:
                        active = started
                    else:
                        active.add(started)
                elif active is None:
                    return
                else:
                    self._step(active)
            except torch.OutOfMemoryError:
                again = [*(active.rows if active else []), *joining]
                again = list({id(row): row for row in again}.values())
                active = None
                self._shrink()
                for row in again:
                    row.restart()
                waiting.extendleft(reversed(again))
                continue
            going = []
            for index, row in enumerate(active.rows):
                if finish := self._finish(row):
                    yield row, finish
                else:
                    going.append(index)
            if not going:
                active = None
            elif len(going) < len(active.rows):
                active.keep(going)

    def _read(self, rows: Sequence[Row], logits: torch.Tensor) -> None:
        """Take each row's next token from logits [rows, vocabulary]."""
        for row, token in zip(rows, logits.argmax(-1).tolist(), strict=True):
            row.tokens.append(token)
            row.generated += 1

    def _finish(self, row: Row) -> str:
        """Why a row's answer ends here; '' where it does not."""
        if self.ended(row.tokens):
            return "stop"
        return "length" if len(row.tokens) >= row.max_tokens else ""

    def _shrink(self) -> None:
        if self.tensor_batch == 1:
            raise LabelwiseError(
                "out of memory with one prompt at a time; lower max_pixels or max_tiles, ask fewer"
                " images a prompt, or give the job more memory (models: gpus)"
            )
        self.tensor_batch //= 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    @torch.inference_mode()
    def first_logits(self, row: Row) -> torch.Tensor:
        """Logits [vocabulary] of one row's first token."""
        return self._start([row]).logits[0]

    @torch.inference_mode()
    def _start(self, rows: list[Row]) -> Active:
        """Run the rows' prompts."""
        seen = self.embed(rows)
        columns = max(len(inputs.embeds) for inputs in seen)
        axes = max(1 if inputs.positions is None else len(inputs.positions) for inputs in seen)
        first = seen[0].embeds
        embeds = first.new_zeros(len(rows), columns, first.shape[1])
        mask = torch.zeros(len(rows), columns, dtype=torch.long, device=first.device)
        positions = mask.new_zeros(axes, len(rows), columns)
        for index, (row, inputs) in enumerate(zip(rows, seen, strict=True)):
            own = len(inputs.embeds)
            at = torch.arange(own, device=mask.device)[None]
            at = (at if inputs.positions is None else inputs.positions) + self.prefix.tokens
            embeds[index, columns - own :] = inputs.embeds
            mask[index, columns - own :] = 1
            positions[:, index, columns - own :] = at
            row.next_position = int(at.max()) + 1
        extra = {}
        if any(inputs.deep is not None for inputs in seen):
            deep = torch.stack(
                [pad(inputs.deep, (0, 0, columns - len(inputs.embeds), 0)) for inputs in seen], 1
            )
            own = mask.bool()
            extra = {"visual_pos_masks": own, "deepstack_visual_embeds": list(deep[:, own])}
        cache = DynamicCache(config=self.decoder.body.config)
        active = Active(rows, cache, mask, axes, first)
        self._forward(active, positions, inputs_embeds=embeds, **extra)
        return active

    @torch.inference_mode()
    def _step(self, active: Active) -> None:
        """Decode one more token of every active row."""
        active.mask = pad(active.mask, (0, 1), value=1)
        last = torch.tensor([[row.tokens[-1]] for row in active.rows], device=active.mask.device)
        next_ = torch.tensor([[row.next_position] for row in active.rows], device=last.device)
        for row in active.rows:
            row.next_position += 1
        positions = next_.expand(active.axes, -1, -1)
        self._forward(active, positions, inputs_embeds=self.decoder.table(last))
        self._read(active.rows, active.logits)

    def _forward(self, active: Active, positions: torch.Tensor, **inputs: Any) -> None:
        with shared_prefix.shared(self.decoder.body):
            hidden = self.decoder.body(
                **inputs,
                position_ids=positions[0] if active.axes == 1 else positions,
                attention_mask=active.mask,
                past_key_values=active.cache,
                use_cache=True,
                prefix=self.prefix,
            ).last_hidden_state
        active.logits = self.decoder.head(hidden[:, -1])


def fits(header: dict[str, Any], tokens: int, context: int) -> None:
    """Refuse a prompt that with its answer is longer than the model's context (0: no limit known).

    Raises:
        LabelwiseError: it is; one line that says what to do.
    """
    if not context or tokens <= context:
        return
    hint = "ask fewer images a prompt"
    if header["kind"] in ("closed", "all"):
        hint = "the class list is too long: offer a few names an image with kind narrowed"
    elif header["kind"] == "narrowed":
        hint = "offer fewer names (candidates)"
    raise LabelwiseError(
        f"protocols: {header['protocol']}: a prompt and its answer need {tokens} tokens, but the"
        f" model takes {context}; {hint} (docs/own-data.md)"
    )


class Ended(StoppingCriteria):
    """Ends each row of a generated batch, from token ``start`` on, by an engine's own rule."""

    def __init__(self, ended: Callable[[list[int]], bool], start: int) -> None:
        self.ended, self.start = ended, start

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        """Which rows have ended: bool [rows]."""
        rows = input_ids[:, self.start :].tolist()
        return torch.tensor([self.ended(row) for row in rows], device=input_ids.device)
