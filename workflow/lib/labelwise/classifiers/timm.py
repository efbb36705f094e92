"""Supervised classifiers: any timm model from a folder in timm's layout, as timm evaluates it.

Entry of ``models``: ``engine: timm`` and where the weights are from; ``size: test`` (default: the
resolution timm's own validation uses) or ``train``.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from labelwise import weights
from labelwise.classifiers.pixels import EfficientNetLite
from labelwise.errors import LabelwiseError
from labelwise.records import read_json


class Model:
    """A timm model in float32, on the GPU where there is one.

    Attributes:
        transform: PIL image to the tensor [3, h, w] that the model takes.
        columns: for each of the 1000 ImageNet-1k classes the output that stands for it, -1 where
            the label space has no such class; None where the outputs are these classes, or the
            model has none (features only).
    """

    def __init__(self, spec: Mapping[str, Any]):
        import timm
        import torch
        from timm.data import create_transform, resolve_model_data_config

        folder = weights.folder(spec)
        try:
            model = timm.create_model(f"local-dir:{folder}", pretrained=True)
        except (RuntimeError, OSError, ValueError, KeyError) as error:
            why = " ".join(str(error).split())[:300]
            raise LabelwiseError(f"{folder}: timm cannot load this folder: {why}") from None
        torch.backends.cudnn.allow_tf32 = False
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model = model.eval().to(self.device)
        self.data = resolve_model_data_config(model, use_test_size=spec.get("size") != "train")
        if read_json(folder / "config.json").get("transform") == "efficientnet-lite":
            self.transform: Callable = EfficientNetLite(self.data["input_size"][-1])
        else:
            self.transform = create_transform(**self.data, is_training=False)
        self.columns = _columns(model)
        self._seen = threading.local()
        model.get_classifier().register_forward_pre_hook(
            lambda _, inputs: setattr(self._seen, "features", inputs[0])
        )

    def score(self, batch: Any) -> tuple[np.ndarray, np.ndarray]:
        """Logits [n, 1000] and penultimate features [n, d], both float32, of a batch of tensors.

        Threads may call it at once.
        """
        import torch

        with torch.inference_mode():
            logits = self.model(batch.to(self.device)).float().cpu().numpy()
        features = self._seen.features.float().flatten(1).cpu().numpy()
        if self.model.num_classes == 0:
            logits = np.zeros((len(features), 0), np.float32)
        if self.columns is not None:
            logits = np.where(self.columns < 0, -np.inf, logits[:, self.columns])
        return logits.astype(np.float32), features

    def describe(self) -> dict[str, Any]:
        """Facts for the record of the run."""
        return {
            "architecture": self.model.pretrained_cfg.get("architecture", ""),
            "transform": " ".join(str(self.transform).split()),
            "device": self.device,
            "missing_classes": []
            if self.columns is None
            else np.flatnonzero(self.columns < 0).tolist(),
        }


def _columns(model: Any) -> np.ndarray | None:
    """Outputs of a larger ImageNet label space that are the ImageNet-1k classes, by synset."""
    from timm.data import ImageNetInfo, infer_imagenet_subset

    if model.num_classes in (0, 1000):
        return None
    subset = infer_imagenet_subset(model)
    if subset is None:
        raise LabelwiseError(
            f"timm: a model of {model.num_classes} outputs has no known way to the 1000 ImageNet-1k"
            " classes; choose one whose classes are ImageNet's"
        )
    place = {name: i for i, name in enumerate(ImageNetInfo(subset).label_names())}
    return np.array([place.get(name, -1) for name in ImageNetInfo("imagenet-1k").label_names()])
