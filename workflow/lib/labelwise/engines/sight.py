"""What a model is shown of its questions: images read and resized, texts as tokens.

That is done ahead of the model by the library's own processor: in worker processes where the job
has several threads (one is left to the model), else between two answers. Both run the same code one
batch after another, so pixels depend on neither, and batches come in the order of the questions.

Workers start from a fork server, a process of its own that has neither the model nor the journal's
lock nor a GPU, and end with the process that started them, however that ends. What they made comes
through pipes as plain arrays: containers often have next to no shared memory.
"""

import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import forkserver
from typing import Any

import numpy as np
import torch

from labelwise import images
from labelwise.engines.base import Question, Refused
from labelwise.engines.template import Chat
from labelwise.errors import LabelwiseError, brief

AHEAD = 2
"""Batches that each worker is ahead of the model."""

WAITING = 2 << 30
"""Bytes of resized images that wait for the model at most."""

REFUSALS = (ValueError, TypeError, LookupError, ArithmeticError, RuntimeError)
"""What processors raise at an image that they cannot take."""


def resolution(spec: dict[str, Any], processor: Any, config: Any) -> dict[str, Any]:
    """Options of the image processor for the spec's limits; an unfit limit is an error."""
    ours, kind = processor.image_processor, config.model_type
    options: dict[str, Any] = {}
    if "min_pixels" in spec or "max_pixels" in spec:
        if not hasattr(ours, "merge_size"):
            raise LabelwiseError(f"models: min_pixels, max_pixels: {kind} has no such limits")
        size = dict(ours.size)
        size |= {"shortest_edge": spec.get("min_pixels", size["shortest_edge"])}
        size |= {"longest_edge": spec.get("max_pixels", size["longest_edge"])}
        options["size"] = {key: size[key] for key in ("shortest_edge", "longest_edge")}
    if "max_tiles" in spec:
        tiles = spec["max_tiles"]
        if hasattr(ours, "max_patches"):
            options |= {"crop_to_patches": tiles > 1, "max_patches": tiles}
        elif hasattr(processor, "vision_aspect_ratio"):
            processor.vision_aspect_ratio = config.vision_aspect_ratio = f"anyres_max_{tiles}"
        else:
            raise LabelwiseError(f"models: max_tiles: {kind} has no tiles; remove the key")
    return options


@dataclass(frozen=True)
class Shown:
    """A batch of questions as their model takes them.

    ``inputs`` are arrays by the processor's names, prompts of several lengths padded on the left.
    ``refused`` are the questions that are not among them.
    """

    questions: tuple[Question, ...]
    inputs: dict[str, np.ndarray]
    refused: tuple[Refused, ...] = ()

    @property
    def bytes(self) -> int:
        """Memory that it takes."""
        return sum(array.nbytes for array in self.inputs.values())

    def tensors(self) -> dict[str, torch.Tensor]:
        """The inputs as tensors, which share the arrays' memory."""
        return {name: torch.from_numpy(array) for name, array in self.inputs.items()}


class Sight:
    """Reads and resizes the images of questions, and makes tokens of their texts.

    Args:
        processor: the model's.
        options: of its image processor.
    """

    def __init__(self, processor: Any, options: dict[str, Any]) -> None:
        self.processor, self.options, self.chat = processor, options, Chat(processor)
        if processor.tokenizer.pad_token is None:
            processor.tokenizer.pad_token = processor.tokenizer.eos_token

    def begins(self, text: str) -> bool:
        """Whether the tokenizer is to begin a prompt; a template often has done so."""
        bos = self.processor.tokenizer.bos_token
        return not (bos and text.startswith(bos))

    def process(
        self, texts: Sequence[str], pictures: Sequence[Sequence[Any]], whole: bool
    ) -> dict[str, Any]:
        """What the processor makes of texts, each with its pictures, as tensors."""
        return dict(
            self.processor(
                text=list(texts),
                images=list(map(list, pictures)),
                return_tensors="pt",
                padding=True,
                padding_side="left",
                add_special_tokens=whole and self.begins(texts[0]),
                **({"images_kwargs": self.options} if self.options else {}),
            )
        )

    def show(self, questions: Sequence[Question], whole: bool) -> Shown:
        """A batch as the model takes it; questions with an image that it cannot take are told.

        Args:
            questions: at least one.
            whole: take prompts as a whole, else from their first image on.

        Raises:
            LabelwiseError: a file is gone, or is no image any more.
        """
        pictures = [[images.read(file) for file in question.files] for question in questions]
        pieces = [self.chat.pieces(question.prompt) for question in questions]
        texts = ["".join(parts) if whole else parts[1] for parts in pieces]
        try:
            found = self.process(texts, pictures, whole)
        except REFUSALS as error:
            if "memory" in str(error):
                raise
            if len(questions) > 1:
                return self._apart(questions, whole, error)
            why = self._why(pictures[0])
            if not why:
                why = dict.fromkeys(range(1, len(pictures[0]) + 1), brief(error, 200))
            return Shown((), {}, (Refused(questions[0].id, why),))
        arrays = {k: v.numpy() for k, v in found.items() if isinstance(v, torch.Tensor)}
        return Shown(tuple(questions), arrays)

    def _apart(self, questions: Sequence[Question], whole: bool, error: Exception) -> Shown:
        """A batch in which something is refused: what can be shown, and what cannot."""
        refused = [r for question in questions for r in self.show([question], whole).refused]
        if not refused:
            raise LabelwiseError(
                f"the model's processor takes no batch of such prompts: {brief(error, 200)};"
                " set `tensor_batch: 1`"
            )
        gone = {r.id for r in refused}
        left = [question for question in questions if question.id not in gone]
        shown = self.show(left, whole) if left else Shown((), {})
        return Shown(shown.questions, shown.inputs, tuple(refused))

    def _why(self, pictures: Sequence[Any]) -> dict[int, str]:
        """Why pictures are refused, by their number; empty where each alone is taken."""
        why = {}
        for number, picture in enumerate(pictures, 1):
            try:
                self.process([self.chat.place], [[picture]], whole=False)
            except REFUSALS as error:
                why[number] = brief(error, 200)
        return why


def prepare(processor: Any) -> None:
    """Start the fork server, where workers are to be used; it imports what they need meanwhile."""
    if images.workers() > 1:
        parts = (processor, processor.image_processor, processor.tokenizer)
        modules = sorted({type(part).__module__ for part in parts})
        multiprocessing.get_context("forkserver").set_forkserver_preload([__name__, *modules])
        forkserver.ensure_running()


def workers(size: int) -> int:
    """Worker processes of this job, for batches of ``size`` bytes."""
    return min(images.workers() - 1, WAITING // (AHEAD * max(1, size)))


def ahead(
    sight: Sight, batches: Iterable[Sequence[Question]], whole: bool, count: int
) -> Iterator[Shown]:
    """Batches as the model takes them, in order, made by ``count`` worker processes; 0 is none."""
    if count < 1:
        for batch in batches:
            yield sight.show(batch, whole)
        return
    context = multiprocessing.get_context("forkserver")
    pending: deque[Future[Shown]] = deque()
    pool = ProcessPoolExecutor(count, context, _begin, (sight,))
    try:
        for batch in batches:
            pending.append(pool.submit(_show, batch, whole))
            if len(pending) > AHEAD * count:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool:
        raise LabelwiseError(
            "a process that reads images was killed, as happens when memory runs out; answers so"
            " far are kept: give the job more memory (models: memory) and run again"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


_sight: Sight
"""Of a worker process."""


def _begin(sight: Sight) -> None:
    global _sight
    images.begin_worker()
    torch.set_num_threads(1)
    _sight = sight


def _show(batch: Sequence[Question], whole: bool) -> Shown:
    return _sight.show(batch, whole)
