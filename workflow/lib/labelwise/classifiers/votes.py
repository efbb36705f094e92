"""How the nearest references of an image become a class.

Every label of a reference has one vote (``uniform``), or a vote of weight exp(cosine / 0.07)
(``weighted``, as in the k-NN evaluation of DINO). Of classes with equal votes the first seen wins,
that of the nearest reference; of several labels of one reference the lowest class id.
"""

import math
from collections.abc import Sequence

TEMPERATURE = 0.07

Ranked = list[tuple[str, float]]
"""Class ids as a cell and a score, best first."""


def vote(labels: Sequence[Sequence[int]], cosines: Sequence[float], votes: str) -> Ranked:
    """Classes by their share of the votes.

    Args:
        labels: class ids of each reference, nearest first.
        cosines: how near each is.
        votes: uniform | weighted.
    """
    weights = [1.0] * len(labels)
    if votes == "weighted":
        weights = [math.exp((cosine - max(cosines)) / TEMPERATURE) for cosine in cosines]
    found: dict[int, float] = {}
    for own, weight in zip(labels, weights, strict=True):
        for label in own:
            found[label] = found.get(label, 0.0) + weight
    whole = sum(weights)
    return [(str(c), w / whole) for c, w in sorted(found.items(), key=lambda item: -item[1])]
