"""One prefix, computed once and attended to by a whole batch without being copied.

Every prompt of a closed-world run begins with the same few thousand tokens. Their keys and values
are kept once, for all rows of a tensor batch: attention over the prefix is one matrix product for
all rows, and is merged with the attention over each row's own tokens by their softmax sums
(the identity behind cascade and flash attention). The result equals plain attention over the
concatenation up to rounding. Works for every transformers decoder that calls its attention through
the attention interface; ``PrefixCache`` holds only a row's own tokens.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from transformers import AttentionInterface, AttentionMaskInterface, DynamicCache
from transformers.masking_utils import eager_mask

NAME = "labelwise_shared_prefix"


@dataclass
class Prefix:
    """Keys and values of the shared tokens: per layer a pair [kv heads, tokens, head size]."""

    layers: list[tuple[torch.Tensor, torch.Tensor]]

    @property
    def tokens(self) -> int:
        """Length of the prefix in tokens."""
        return self.layers[0][0].shape[1] if self.layers else 0

    @classmethod
    def of(cls, cache: DynamicCache) -> "Prefix":
        """The prefix held by an ordinary cache that one prompt (batch of 1) has filled."""
        return cls([(layer.keys[0], layer.values[0]) for layer in cache.layers])


def _partial(scores: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Unnormalised attention in float32: maximum, sum of weights and weighted values."""
    scores = scores.float()
    top = scores.amax(-1, keepdim=True)
    weights = (scores - top).exp_()
    return top, weights.sum(-1, keepdim=True), (weights.to(values.dtype) @ values).float()


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    prefix: Prefix | None = None,
    **_: object,
) -> tuple[torch.Tensor, None]:
    """Attention of ``query`` [rows, heads, new, size] over the prefix and the rows' own tokens.

    ``key`` and ``value`` are [rows, kv heads, own, size]; ``attention_mask`` is additive
    [rows, 1, new, own]. Returns [rows, new, heads, size].
    """
    rows, heads, new, size = query.shape
    kv_heads = key.shape[1]
    scale = size**-0.5 if scaling is None else scaling
    grouped = (query * scale).reshape(rows, kv_heads, heads // kv_heads, new, size)
    own = grouped.flatten(2, 3) @ key.transpose(-1, -2)
    own = own.reshape(rows, kv_heads, heads // kv_heads, new, -1)
    if attention_mask is not None:
        own = own + attention_mask[:, :, None, :, : key.shape[2]]
    top, total, mixed = _partial(own.flatten(2, 3), value)
    if prefix is not None and prefix.tokens:
        keys, values = prefix.layers[module.layer_idx]
        flat = grouped.transpose(0, 1).reshape(kv_heads, -1, size)
        top_p, total_p, mixed_p = _partial(flat @ keys.transpose(-1, -2), values)
        shape = (kv_heads, rows, -1)
        top_p, total_p, mixed_p = (
            part.reshape(*shape, part.shape[-1]).transpose(0, 1)
            for part in (top_p, total_p, mixed_p)
        )
        highest = torch.maximum(top, top_p)
        ours, theirs = (top - highest).exp(), (top_p - highest).exp()
        total = total * ours + total_p * theirs
        mixed = mixed * ours + mixed_p * theirs
    out = (mixed / total).to(query.dtype).reshape(rows, kv_heads, heads // kv_heads, new, size)
    return out.reshape(rows, heads, new, size).transpose(1, 2).contiguous(), None


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, eager_mask)


@contextmanager
def shared(model: torch.nn.Module) -> Iterator[None]:
    """Switch a model's text decoder to attention that takes ``prefix=`` as a forward argument."""
    config = model.config
    before = config._attn_implementation
    config._attn_implementation = NAME
    try:
        yield
    finally:
        config._attn_implementation = before
