"""The oracle names a true class: under its own label set it must score 100 %."""

from labelwise.engines.base import Question
from labelwise.engines.controls import Control, random_choice


class Model(Control):
    """Knows the label set ``labels`` of its spec; where that names no class it draws one."""

    def choose(self, image: str, question: Question, among: list[int]) -> list[int]:
        """The true classes among those that may be named, else one at random."""
        true = [c for c in self.run.labels.get(image, ()) if c in among]
        return true or [random_choice(0, image, question, among)]
