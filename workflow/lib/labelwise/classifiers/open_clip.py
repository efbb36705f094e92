"""Image towers of dual encoders: any open_clip model, with the transform of its own evaluation.

The entry is that of the text tower in ``encoders``: ``model`` and ``pretrained`` (a tag, or a file
with weights), ``hf`` and ``revision``, or a ``folder`` in open_clip's layout. Class names and
templates are not known here: ``predict`` multiplies the stored features with their embeddings.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from labelwise.reading.encoders import open_clip_parts


class Model:
    """An open_clip image tower in float32, on the GPU where there is one.

    Attributes:
        transform: open_clip's evaluation transform.
        arrays: ``scale`` and ``bias`` of the logits: scale x cosine + bias. A model without bias
            (CLIP) has NaN: its probabilities are a softmax, those with one (SigLIP) sigmoids.
    """

    def __init__(self, spec: Mapping[str, Any]):
        import torch

        model, self.transform, _ = open_clip_parts(spec)
        torch.backends.cudnn.allow_tf32 = False
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model = model.to(self.device)
        bias = getattr(model, "logit_bias", None)
        self.arrays = {
            "scale": np.float32(model.logit_scale.exp().item()),
            "bias": np.float32("nan" if bias is None else bias.item()),
        }

    def score(self, batch: Any) -> tuple[np.ndarray, np.ndarray]:
        """No logits [n, 0], and image embeddings [n, d] float32 of length 1."""
        import torch

        with torch.inference_mode():
            features = self.model.encode_image(batch.to(self.device)).float()
            features = torch.nn.functional.normalize(features, dim=-1).cpu().numpy()
        return np.zeros((len(features), 0), np.float32), features

    def describe(self) -> dict[str, Any]:
        """Facts for the record of the run."""
        scale, bias = (float(self.arrays[key]) for key in ("scale", "bias"))
        return {
            "architecture": type(self.model).__name__,
            "transform": " ".join(str(self.transform).split()),
            "device": self.device,
            "logit_scale": scale,
            "logit_bias": None if np.isnan(bias) else bias,
        }
