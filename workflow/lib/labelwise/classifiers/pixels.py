"""Pixel transforms that no library provides."""

from typing import Any

import numpy as np


class EfficientNetLite:
    """The transform that EfficientNet-Lite was trained with, to a tensor float32 [3, size, size].

    A centre square of size / (size + 32) of the short side is cut out, then resized (bicubic), then
    (x - 127) / 128. timm resizes before it cuts, which moves logits by up to 0.6.
    """

    def __init__(self, size: int):
        self.size = size

    def __call__(self, image: Any) -> Any:
        """Transform one RGB image."""
        import torch
        from PIL import Image

        width, height = image.size
        side = max(1, int(self.size / (self.size + 32) * min(width, height)))
        left, top = (width - side) // 2, (height - side) // 2
        square = image.crop((left, top, left + side, top + side))
        pixels = np.asarray(square.resize((self.size, self.size), Image.BICUBIC), np.float32)
        return torch.from_numpy((pixels - 127) / 128).permute(2, 0, 1)

    def __repr__(self) -> str:
        return f"EfficientNetLite({self.size})"
