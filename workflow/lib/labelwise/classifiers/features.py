"""Image encoders without classes: any of transformers that has an image processor (DINOv2, DINOv3).

Entry of ``models``: ``engine: features`` and ``hf`` with ``revision``, or ``folder``; ``pool``:
``cls`` (default: the encoder's pooled output, for DINO the normalised class token) or ``mean`` of
the patch tokens, without class and register tokens.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from labelwise import weights
from labelwise.errors import LabelwiseError, brief


class Transform:
    """A checkpoint's own image processor, for one image at a time."""

    def __init__(self, processor: Any):
        self.processor = processor

    def __call__(self, image: Any) -> Any:
        """Transform one RGB image to a tensor float32 [3, h, w]."""
        return self.processor(images=image, return_tensors="pt")["pixel_values"][0]

    def __repr__(self) -> str:
        return " ".join(self.processor.to_json_string().split())


class Model:
    """An image encoder of transformers in float32, on the GPU where there is one."""

    arrays: Mapping[str, np.ndarray] = {}

    def __init__(self, spec: Mapping[str, Any]):
        import torch
        from transformers import AutoImageProcessor, AutoModel

        folder = weights.folder(spec)
        try:
            model = AutoModel.from_pretrained(
                folder, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
            )
            processor = AutoImageProcessor.from_pretrained(folder, trust_remote_code=False)
        except (RuntimeError, OSError, ValueError, KeyError) as error:
            raise LabelwiseError(
                f"{folder}: transformers cannot load this folder: {brief(error)}"
            ) from None
        self.transform = Transform(processor)
        torch.backends.cudnn.allow_tf32 = False
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model = getattr(model, "vision_model", model).eval().to(self.device)
        self.pool = spec.get("pool", "cls")

    def score(self, batch: Any) -> tuple[np.ndarray, np.ndarray]:
        """No logits [n, 0], and features [n, d] float32."""
        import torch

        with torch.inference_mode():
            said = self.model(pixel_values=batch.to(self.device))
            if self.pool == "mean":
                first = 1 + getattr(self.model.config, "num_register_tokens", 0)
                features = said.last_hidden_state[:, first:].mean(1)
            elif getattr(said, "pooler_output", None) is not None:
                features = said.pooler_output
            else:
                features = said.last_hidden_state[:, 0]
        features = features.float().flatten(1).cpu().numpy()
        return np.zeros((len(features), 0), np.float32), features

    def describe(self) -> dict[str, Any]:
        """Facts for the record of the run."""
        return {
            "architecture": type(self.model).__name__,
            "transform": repr(self.transform),
            "device": self.device,
            "pool": self.pool,
        }
