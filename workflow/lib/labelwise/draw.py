"""Random draws that depend on nothing but what they are for.

A generator is keyed by (seed, purpose, ids), so sharding, resuming or reordering changes no draw.
"""

import hashlib

import numpy as np


def rng(seed: int, purpose: str, *ids: object) -> np.random.Generator:
    """A Philox generator keyed by the SHA-256 of ``(seed, purpose, *ids)``."""
    text = "\x1f".join(map(str, (seed, purpose, *ids)))
    return np.random.Generator(
        np.random.Philox(key=int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big"))
    )


def key(seed: int, purpose: str, *ids: object) -> bytes:
    """A sort key that shuffles: order by it and adding items moves no other pair."""
    text = "\x1f".join(map(str, (seed, purpose, *ids)))
    return hashlib.sha256(text.encode()).digest()
