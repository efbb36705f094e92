"""Controls: models whose score is known beforehand, run through the same workflow as all others."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from labelwise.draw import rng
from labelwise.engines.base import Answer, Question, Run


class Control:
    """Answers in the form that the protocol asks for, naming the classes that ``choose`` picks."""

    journalled = False

    def __init__(self, spec: dict[str, Any], run: Run) -> None:
        self.spec, self.run = spec, run

    def choose(self, image: str, question: Question, among: list[int]) -> list[int]:
        """The classes that the control names for one image, of those it may name."""
        raise NotImplementedError

    def answer(self, questions: Iterable[Question]) -> Iterator[Answer]:
        """Yield the answers in order."""
        for question in questions:
            said = [self._say(image, question) for image in question.request["images"]]
            yield Answer(question.id, self._join(said, question), "stop")

    def describe(self) -> dict[str, Any]:
        """Nothing is computed, so nothing is to be told."""
        return {}

    def _say(self, image: str, question: Question) -> Any:
        header, options = self.run.header, question.request.get("options")
        if options:
            chosen = self.choose(image, question, [option["class"] for option in options])
            option = next(o for o in options if o["class"] == chosen[0])
            return option["letter"] if header["answer"] == "letter" else option["name"]
        offered = question.request.get("candidates") or header.get("candidates")
        chosen = self.choose(image, question, offered or list(range(len(self.run.names))))
        said = [c if header["answer"] == "id" else self.run.names[c] for c in chosen]
        return said if header["kind"] == "all" else said[0]

    def _join(self, said: list[Any], question: Question) -> str:
        if self.run.header["format"] != "plain":
            return json.dumps({str(n): text for n, text in enumerate(said, 1)}, ensure_ascii=False)
        texts = [", ".join(map(str, s)) if isinstance(s, list) else str(s) for s in said]
        if len(texts) == 1:
            return texts[0]
        lines = "\n".join(f"{n}: {text}" for n, text in enumerate(texts, 1))
        return lines.removeprefix(question.prompt.primer)


def random_choice(seed: int, image: str, question: Question, among: list[int]) -> int:
    """One class of ``among``, drawn by (seed, repeat, image) alone."""
    generator = rng(seed, "chance", question.request["repeat"], image)
    return among[int(generator.integers(len(among)))]
