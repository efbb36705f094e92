"""Supervised classifiers: any timm model from a folder in timm's layout, as timm evaluates it.

Entry of ``models``: ``engine: timm`` and where the weights are from (``hf: timm/TAG`` with its
``revision``, a ``folder``, or embedded ``weights``); ``size: test`` (default: the resolution timm's
own validation uses) or ``train``. Outputs that are not the 1000 ImageNet-1k classes are brought to
them: those of ImageNet-12k, -21k and -22k by their synsets; those of any other head by ``outputs``,
a text file whose line i says what output i stands for: a wnid, a class id, or ``-`` for no class.
"""

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from labelwise import records, weights
from labelwise.classifiers.pixels import EfficientNetLite
from labelwise.errors import LabelwiseError, brief


class Model:
    """A timm model in float32, on the GPU where there is one.

    Attributes:
        transform: PIL image to the tensor [3, h, w] that the model takes.
        columns: for each of the 1000 ImageNet-1k classes the output that stands for it, -1 where
            the label space has no such class; None where the outputs are these classes, or the
            model has none (features only).
    """

    arrays: Mapping[str, np.ndarray] = {}

    def __init__(self, spec: Mapping[str, Any]):
        import timm
        import torch
        from timm.data import create_transform, resolve_model_data_config

        folder = weights.folder(spec)
        try:
            model = timm.create_model(f"local-dir:{folder}", pretrained=True)
        except (RuntimeError, OSError, ValueError, KeyError) as error:
            why = brief(error)
            raise LabelwiseError(f"{folder}: timm cannot load this folder: {why}") from None
        torch.backends.cudnn.allow_tf32 = False
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model = model.eval().to(self.device)
        self.data = resolve_model_data_config(model, use_test_size=spec.get("size") != "train")
        if records.read_json(folder / "config.json").get("transform") == "efficientnet-lite":
            self.transform: Callable = EfficientNetLite(self.data["input_size"][-1])
        else:
            self.transform = create_transform(**self.data, is_training=False)
        self.columns = _columns(model, spec.get("outputs"))
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


def _columns(model: Any, outputs: str | None) -> np.ndarray | None:
    """Outputs that are the ImageNet-1k classes, by class id; -1 for a class that has none."""
    from timm.data import ImageNetInfo, infer_imagenet_subset

    if model.num_classes == 0:
        return None
    wanted = ImageNetInfo("imagenet-1k").label_names()
    if outputs is not None:
        place = _places(outputs, wanted, model.num_classes)
    elif model.num_classes == 1000:
        return None
    elif subset := infer_imagenet_subset(model):
        place = {name: i for i, name in enumerate(ImageNetInfo(subset).label_names())}
    else:
        raise LabelwiseError(
            f"timm: a model of {model.num_classes} outputs has no known way to the 1000 ImageNet-1k"
            " classes; say what its outputs are in a file (models: outputs)"
        )
    return np.array([place.get(name, -1) for name in wanted])


def _places(path: str, wanted: Sequence[str], n: int) -> dict[str, int]:
    """Output of each wnid, by a file with one line an output."""
    lines = [line.strip() for line in records.read_text(path).splitlines()]
    if len(lines) != n:
        raise LabelwiseError(f"{path}: {len(lines)} lines, but the model has {n} outputs")
    place: dict[str, int] = {}
    for i, line in enumerate(lines):
        number = int(line) if line.isascii() and line.isdigit() else -1
        name = wanted[number] if 0 <= number < len(wanted) else line
        if not re.fullmatch(r"n\d{8}|-", name):
            raise LabelwiseError(f"{path}: line {i + 1}: {line!r} is no wnid, class id or -")
        if name in place:
            raise LabelwiseError(f"{path}: line {i + 1}: {line!r} is output {place[name]} already")
        if name != "-":
            place[name] = i
    return place
