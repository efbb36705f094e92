"""Images of prompts as the tokens that a model makes of them."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from labelwise.engines.decode import Inputs, Row
from labelwise.errors import LabelwiseError

KEPT = 1 << 30
"""Bytes of encoded images that are kept, for prompts that show an image again."""


@dataclass(frozen=True)
class Seen:
    """A prompt from its first image on: token ids, resized images by the processor's names.

    ``ids`` [tokens]; ``positions`` [axes, tokens], None for 0, 1, 2, ...
    """

    files: tuple[str | Path, ...]
    ids: torch.Tensor
    positions: torch.Tensor | None
    pixels: dict[str, torch.Tensor]


@dataclass(frozen=True)
class Look:
    """Encoded images of one prompt: ``tokens`` [tokens, size], ``deep`` [layers, tokens, size]."""

    tokens: torch.Tensor
    deep: torch.Tensor | None

    @property
    def bytes(self) -> int:
        """Memory that it takes."""
        return sum(t.numel() * t.element_size() for t in (self.tokens, self.deep) if t is not None)


class Vision:
    """Encodes the images of prompts, several prompts together, and puts them in their places.

    Args:
        model: a model whose body has ``get_image_features``.
        table: its input embeddings.
        image_id: the token that stands for an image's own.
    """

    def __init__(self, model: Any, table: torch.nn.Module, image_id: int) -> None:
        self.model, self.table, self.image_id = model, table, image_id
        self.kept: OrderedDict[tuple, Look] = OrderedDict()
        self.kept_bytes = self.encoded = 0

    def encode(self, seen: Sequence[Seen]) -> None:
        """Encode the images of prompts together, and keep what they look like.

        Raises:
            LabelwiseError: they are other than so many tokens as the processor left room for.
        """
        merged = {}
        for name in seen[0].pixels:
            parts = [s.pixels[name] for s in seen]
            if parts[0].dim() == 5:  # tiles of each image, padded to the most
                most = max(part.shape[1] for part in parts)
                pad = torch.nn.functional.pad
                parts = [pad(p, (0, 0, 0, 0, 0, 0, 0, most - p.shape[1])) for p in parts]
            merged[name] = torch.cat(parts).to(self.model.device)
        out = self.model.model.get_image_features(**merged)
        tokens = _flat(getattr(out, "pooler_output", out))
        deep = getattr(out, "deepstack_features", None)
        deep = torch.stack([_flat(layer) for layer in deep]) if deep else None
        sizes = [int((s.ids == self.image_id).sum()) for s in seen]
        if sum(sizes) != len(tokens):
            raise LabelwiseError(
                f"the model made {len(tokens)} tokens of images where its processor left room for"
                f" {sum(sizes)}; set `prefix: plain` for it"
            )
        whole = tokens.split(sizes)
        deeps = deep.split(sizes, 1) if deep is not None else [None] * len(seen)
        for one, mine, below in zip(seen, whole, deeps, strict=True):
            look = Look(mine.clone(), None if below is None else below.clone())
            self.kept[one.files] = look
            self.kept_bytes += look.bytes
            self.encoded += len(one.files)

    @torch.inference_mode()
    def inputs(self, rows: Sequence[Row]) -> list[Inputs]:
        """What a decoder is shown of prompts, whose ``source`` is a ``Seen`` each."""
        missing = {r.source.files: r.source for r in rows if r.source.files not in self.kept}
        if missing:
            self.encode(list(missing.values()))
        found = []
        for row in rows:
            seen, look = row.source, self.kept[row.source.files]
            self.kept.move_to_end(seen.files)
            ids = seen.ids.to(self.table.weight.device)
            at = ids == self.image_id
            embeds = self.table(ids)
            embeds[at] = look.tokens.to(embeds)
            deep = None
            if look.deep is not None:
                deep = embeds.new_zeros(len(look.deep), *embeds.shape)
                deep[:, at] = look.deep.to(embeds)
            positions = None if seen.positions is None else seen.positions.to(ids.device)
            found.append(Inputs(embeds, positions, deep))
        while self.kept_bytes > KEPT:
            self.kept_bytes -= self.kept.popitem(last=False)[1].bytes
        return found


def _flat(features: Any) -> torch.Tensor:
    """Tokens [all, size] of features given as one tensor or one an image."""
    if isinstance(features, torch.Tensor):
        return features.flatten(0, -2)
    return torch.cat([part.flatten(0, -2) for part in features])
