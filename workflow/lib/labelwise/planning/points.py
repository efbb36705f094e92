"""What is run, as names: the axes of a run and of a score, and the paths that they make."""

from typing import NamedTuple

CLASSIFY, ARGMAX, OPTIONS = "classify", "argmax", "options"
"""Protocol and mapper of classifiers, and the mapper of multiple choice: they are no choice."""

ORDER = r"(?:shuffled-s\d+|same-class-s\d+|sorted)"
BATCHING = rf"b1|b(?:[2-9]|[1-9]\d+)-{ORDER}"


class Run(NamedTuple):
    """One model asked one protocol about one image set, in one batching."""

    images: str
    model: str
    protocol: str
    batching: str

    @property
    def path(self) -> str:
        """The run as path segments."""
        return "/".join(self)

    @property
    def requests(self) -> str:
        """File of the run's prompts, which are the same for all models."""
        return f"results/requests/{self.images}/{self.protocol}/{self.batching}.jsonl"

    @property
    def responses(self) -> str:
        """File of the run's answers."""
        return f"results/responses/{self.path}.jsonl"


class Point(NamedTuple):
    """One cell of the grid: a run, how its answers become classes, what they are scored against."""

    run: Run
    mapper: str
    labels: str

    @property
    def predictions(self) -> str:
        """File of the point's predictions."""
        return f"results/predictions/{self.run.path}/{self.mapper}.csv"

    @property
    def oop(self) -> str:
        """File that tells the point's answers outside the class list apart."""
        return f"results/oop/{self.run.path}/{self.mapper}/{self.labels}.csv"

    @property
    def scores(self) -> str:
        """File of the point's scores."""
        return f"results/scores/{self.run.path}/{self.mapper}/{self.labels}.json"


def batching(size: int, order: str) -> str:
    """``b1``, ``b10-shuffled-s0``: images per prompt and their order; a batch of one has none."""
    return "b1" if size == 1 else f"b{size}-{order}"


def batch(name: str) -> tuple[int, str]:
    """Images per prompt and order of a batching: ``b10-shuffled-s0`` -> ``(10, "shuffled-s0")``."""
    size, _, order = name.removeprefix("b").partition("-")
    return int(size), order
