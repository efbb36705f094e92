"""Chance names any class: it must score one over the number of classes or options."""

from labelwise.engines.base import Question
from labelwise.engines.controls import Control, random_choice


class Model(Control):
    """Draws by the spec's ``seed``, the repeat and the image."""

    def choose(self, image: str, question: Question, among: list[int]) -> list[int]:
        """One class of ``among``."""
        return [random_choice(self.spec.get("seed", 0), image, question, among)]
