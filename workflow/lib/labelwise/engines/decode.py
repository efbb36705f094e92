"""Greedy decoding of many prompts that share one prefix; rows leave as they end, others join.

Own tokens are padded on the left, so a step of decoding is one forward pass of one column.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import torch
from transformers import DynamicCache

from labelwise.engines import prefix as shared_prefix
from labelwise.engines.prefix import Prefix

WINDOW = 8  # tensor batches that are looked ahead, to put prompts of like length together


@dataclass
class Row:
    """One prompt after the prefix: its number, input embeddings [tokens, size] and token limit."""

    id: int
    embeds: torch.Tensor
    max_tokens: int
    tokens: list[int] = field(default_factory=list)
    next_position: int = 0


@dataclass
class _Active:
    """Rows being decoded, their own keys and values [rows, heads, columns, size] and mask."""

    rows: list[Row]
    cache: DynamicCache
    mask: torch.Tensor
    last: torch.Tensor

    def keep(self, chosen: list[int]) -> None:
        """Drop all rows but ``chosen``, and the columns that only dropped rows used."""
        index = torch.tensor(chosen, dtype=torch.long)
        self.rows = [self.rows[i] for i in chosen]
        self.mask, self.last = self.mask[index], self.last[index]
        used = self.mask.any(0)
        first = int(used.to(torch.int8).argmax()) if len(chosen) else 0
        self.mask = self.mask[:, first:]
        for layer in self.cache.layers:
            layer.keys = layer.keys[index, :, first:]
            layer.values = layer.values[index, :, first:]

    def add(self, other: "_Active") -> None:
        """Take in the rows of ``other``; the shorter side is padded on the left."""
        columns = max(self.mask.shape[1], other.mask.shape[1])
        pad = torch.nn.functional.pad
        for side in (self, other):
            gap = columns - side.mask.shape[1]
            side.mask = pad(side.mask, (gap, 0))
            for layer in side.cache.layers:
                layer.keys = pad(layer.keys, (0, 0, gap, 0))
                layer.values = pad(layer.values, (0, 0, gap, 0))
        self.rows += other.rows
        self.mask = torch.cat([self.mask, other.mask])
        self.last = torch.cat([self.last, other.last])
        for mine, theirs in zip(self.cache.layers, other.cache.layers, strict=True):
            mine.keys = torch.cat([mine.keys, theirs.keys])
            mine.values = torch.cat([mine.values, theirs.values])


def prefill(model: torch.nn.Module, embeds: torch.Tensor) -> Prefix:
    """Keys and values of a prefix given as input embeddings [tokens, size]; empty is no prefix."""
    if not len(embeds):
        return Prefix([])
    cache = DynamicCache(config=model.config)
    with torch.inference_mode():
        model.model(inputs_embeds=embeds[None], past_key_values=cache, use_cache=True)
    return Prefix.of(cache)


def greedy(
    model: torch.nn.Module,
    prefix: Prefix,
    rows: Iterable[Row],
    tensor_batch: int,
    ended: Callable[[list[int]], bool],
) -> Iterator[tuple[Row, str]]:
    """Yield each row when its answer ends, with ``stop`` or ``length``.

    ``ended`` looks at a row's tokens so far and says whether the answer is complete. At most
    ``tensor_batch`` rows are in memory as keys and values; ``rows`` is consumed a window at a time.
    """
    source, waiting = iter(rows), deque[Row]()
    active: _Active | None = None
    with torch.inference_mode(), shared_prefix.shared(model):
        while True:
            if len(waiting) < tensor_batch:
                waiting.extend(_take(source, WINDOW * tensor_batch - len(waiting)))
            free = tensor_batch - (len(active.rows) if active else 0)
            if waiting and (active is None or free >= max(1, tensor_batch // 4)):
                chosen = [waiting.popleft() for _ in range(min(free, len(waiting)))]
                joining = _start(model, prefix, chosen)
                if active is None:
                    active = joining
                else:
                    active.add(joining)
            elif active is None:
                return
            else:
                _step(model, prefix, active)
            going = []
            for index, row in enumerate(active.rows):
                if ended(row.tokens):
                    yield row, "stop"
                elif len(row.tokens) >= row.max_tokens:
                    yield row, "length"
                else:
                    going.append(index)
            if len(going) < len(active.rows):
                active.keep(going)
            if not active.rows:
                active = None


def _take(source: Iterator[Row], count: int) -> list[Row]:
    """The next ``count`` rows, those of like length together."""
    return sorted(islice(source, max(0, count)), key=lambda row: len(row.embeds))


def _start(model: torch.nn.Module, prefix: Prefix, rows: list[Row]) -> _Active:
    """Run the rows' prompts and choose each one's first token."""
    columns = max(len(row.embeds) for row in rows)
    embeds = rows[0].embeds.new_zeros(len(rows), columns, rows[0].embeds.shape[1])
    mask = torch.zeros(len(rows), columns, dtype=torch.long, device=embeds.device)
    positions = torch.full_like(mask, prefix.tokens)
    for index, row in enumerate(rows):
        own = len(row.embeds)
        embeds[index, columns - own :] = row.embeds
        mask[index, columns - own :] = 1
        positions[index, columns - own :] += torch.arange(own, device=mask.device)
        row.next_position = prefix.tokens + own
    cache = DynamicCache(config=model.config)
    active = _Active(rows, cache, mask, mask[:, 0])
    _forward(model, prefix, active, positions, inputs_embeds=embeds)
    return active


def _step(model: torch.nn.Module, prefix: Prefix, active: _Active) -> None:
    """Decode one more token of every active row."""
    active.mask = torch.nn.functional.pad(active.mask, (0, 1), value=1)
    positions = torch.tensor(
        [[row.next_position] for row in active.rows], device=active.mask.device
    )
    for row in active.rows:
        row.next_position += 1
    _forward(model, prefix, active, positions, input_ids=active.last[:, None])


def _forward(model, prefix: Prefix, active: _Active, positions: torch.Tensor, **inputs) -> None:
    hidden = model.model(
        **inputs,
        position_ids=positions,
        attention_mask=active.mask,
        past_key_values=active.cache,
        use_cache=True,
        prefix=prefix,
    ).last_hidden_state
    active.last = model.lm_head(hidden[:, -1]).argmax(-1)
    for row, token in zip(active.rows, active.last.tolist(), strict=True):
        row.tokens.append(token)
