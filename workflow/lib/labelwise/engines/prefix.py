"""One prefix, computed once and attended to by a whole batch without being copied.

Every prompt of a closed-world run begins with the same few thousand tokens. Their keys and values
are kept once, for all rows of a tensor batch: attention over the prefix is one matrix product for
all rows, and is merged with the attention over each row's own tokens by their softmax sums
(the identity behind cascade and flash attention). The result equals plain attention over the
concatenation up to rounding. Works for every transformers decoder that calls its attention through
the attention interface; the cache holds only the rows' own tokens.
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


def _own(
    scores: torch.Tensor, values: torch.Tensor, mask: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention and the logarithm of its softmax sum, in float32, from scores."""
    scores = scores if mask is None else scores + mask
    scores = scores.float()
    top = scores.amax(-1, keepdim=True)
    weights = (scores - top).exp_()
    total = weights.sum(-1, keepdim=True)
    mixed = weights.flatten(2, 3).to(values.dtype) @ values
    return mixed.reshape(*scores.shape[:-1], -1).float() / total, top + total.log()


def _over_prefix(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention [kv heads, queries, size] over the prefix, and its logarithmic softmax sum."""
    kernels, size = torch.ops.aten, query.shape[-1]
    if query.device.type == "cpu":
        kernel = kernels._scaled_dot_product_flash_attention_for_cpu
    elif query.dtype in (torch.float16, torch.bfloat16) and size % 8 == 0 and size <= 256:
        kernel = kernels._scaled_dot_product_flash_attention
    else:
        scores = (query * scale) @ keys.transpose(-1, -2)
        out, total = _own(scores[None, :, None], values[None], None)
        return out[0, :, 0], total[0, :, 0]
    out, total, *_ = kernel(query[None], keys[None], values[None], scale=scale)
    return out[0].float(), total[0].reshape(*query.shape[:2], 1).float()


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
    grouped = query.reshape(rows, kv_heads, heads // kv_heads, new, size)
    scores = (grouped.flatten(2, 3) * scale) @ key.transpose(-1, -2)
    mask = None if attention_mask is None else attention_mask[:, :, None, :, : key.shape[2]]
    out, total = _own(scores.reshape(*grouped.shape[:4], -1), value, mask)
    if prefix is not None and prefix.tokens:
        keys, values = prefix.layers[module.layer_idx]
        flat = grouped.transpose(0, 1).reshape(kv_heads, -1, size)
        shape = (kv_heads, rows, *grouped.shape[2:4], -1)
        out_p, total_p = (
            part.reshape(shape).transpose(0, 1) for part in _over_prefix(flat, keys, values, scale)
        )
        highest = torch.maximum(total, total_p)
        ours, theirs = (total - highest).exp(), (total_p - highest).exp()
        out = (out * ours + out_p * theirs) / (ours + theirs)
    out = out.to(query.dtype)
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
