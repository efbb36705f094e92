"""The answers of an experiment's runs held against its label sets, image by image.

A score keeps numbers of whole categories; what compares runs image by image, or looks at some
images only, reads predictions and labels again through here.
"""

from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from labelwise.evaluation.selection import Run, predictions
from labelwise.score import answer_key, read_predictions
from labelwise.scoring import Judged, Key


class Judge:
    """Judges runs; of what was judged in whole, the verdicts are kept, but not the answers.

    Args:
        plan: ``labels`` (id -> entry of the configuration) and ``original`` (image set -> id of
            its original labels).
    """

    def __init__(self, plan: Mapping[str, Mapping[str, Any]]) -> None:
        self._entries, self._originals = plan["labels"], plan["original"]
        self._answers = lru_cache(maxsize=8)(read_predictions)
        self.key = cache(self._key)
        self._judged: dict[tuple[str, ...], Judged] = {}

    def __call__(self, run: Run, images: frozenset[str] | None = None) -> Judged:
        """The answers of a run under its label set, about all images or some of them."""
        if images is None and run.key in self._judged:
            return self._judged[run.key]
        key = self.key(run.images, run.labels, images)
        judged = key.judge(self._answers(predictions(run)))
        if images is None:
            self._judged[run.key] = judged
        return judged

    def _key(self, images: str, label_set: str, some: frozenset[str] | None) -> Key:
        own, original = (
            Path(f"results/labels/{name}.csv") for name in (label_set, self._originals[images])
        )
        listed = Path(f"results/images/{images}.csv")
        return answer_key(own, original, listed, self._entries[label_set], some)
