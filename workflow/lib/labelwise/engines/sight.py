"""What a model is shown of its questions: images read and resized, texts as tokens.

That is done ahead of the model by the library's own processor: in worker processes where the job
has several threads (one is left to the model), else between two answers. Both run the same code one
batch after another, so pixels depend on neither, and batches come in the order of the questions.

Workers start from a fork server, a process of its own that has neither the model nor the journal's
lock nor a GPU, and end with the process that started them, however that ends. What they made comes
through pipes as plain arrays: containers often have next to no shared memory.
"""

import multiprocessing
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import forkserver
from typing import Any

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

    ``inputs`` go by the processor's names, ids [prompts, tokens] padded on the left.
    ``refused`` are the questions that are not among them.
    """

    questions: tuple[Question, ...]
    inputs: dict[str, torch.Tensor]
    refused: tuple[Refused, ...] = ()

    @property
    def bytes(self) -> int:
        """Memory that it takes."""
        return sum(tensor.nbytes for tensor in self.inputs.values())

    def __getstate__(self) -> dict[str, Any]:
        """As it is sent from a worker: tensors as bytes, not as files of shared memory."""
        plain = {k: (t.dtype, t.view(torch.uint8).numpy()) for k, t in self.inputs.items()}
        return self.__dict__ | {"inputs": plain}

    def __setstate__(self, state: dict[str, Any]) -> None:
        tensors = {k: torch.from_numpy(a).view(dtype) for k, (dtype, a) in state["inputs"].items()}
        self.__dict__.update(state | {"inputs": tensors})


class Sight:
    """Reads and resizes the images of questions, and makes tokens of their texts.

    Args:
        processor: the model's.
        options: of its image processor.
        dtype: of the pixels.
    """

    def __init__(self, processor: Any, options: dict[str, Any], dtype: torch.dtype) -> None:
        self.processor, self.options, self.dtype = processor, options, dtype
        self.chat = Chat(processor)
        if processor.tokenizer.pad_token is None:
            processor.tokenizer.pad_token = processor.tokenizer.eos_token

    def begins(self, text: str) -> bool:
        """Whether the tokenizer is to begin a prompt; a template often has done so."""
        bos = self.processor.tokenizer.bos_token
        return not (bos and text.startswith(bos))

    def process(
        self, texts: Sequence[str], pictures: Sequence[Sequence[Any]], whole: bool
    ) -> dict[str, torch.Tensor]:
        """What the processor makes of texts, each with its pictures: ids [texts, tokens] and so on.

        Floating-point tensors have the sight's dtype.
        """
        found = self.processor(
            text=list(texts),
            images=list(map(list, pictures)),
            return_tensors="pt",
            padding=True,
            padding_side="left",
            add_special_tokens=whole and self.begins(texts[0]),
            **({"images_kwargs": self.options} if self.options else {}),
        )
        tensors = {k: t.contiguous() for k, t in found.items() if isinstance(t, torch.Tensor)}
        return {k: t.to(self.dtype) if t.is_floating_point() else t for k, t in tensors.items()}

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
            return Shown(tuple(questions), self.process(texts, pictures, whole))
        except REFUSALS as error:
            if "memory" in str(error):
                raise LabelwiseError(
                    "memory ran out while images were resized; answers so far are kept: give the"
                    " job more memory (models: memory) and run again"
                ) from None
            if len(questions) > 1:
                return self._apart(questions, whole, error)
            why = self._why(pictures[0])
            if not why:
                why = dict.fromkeys(range(1, len(pictures[0]) + 1), brief(error, 200))
            return Shown((), {}, (Refused(questions[0].id, why),))

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


def spare() -> int:
    """Threads of this job beyond the model's own, each for a worker process.

    None in a script or a notebook: each worker would run its main module again.
    """
    return images.workers() - 1 if sys.modules["__main__"].__spec__ else 0


def prepare(processor: Any) -> None:
    """Start the fork server, where workers are to be used; it imports what they need meanwhile."""
    if spare():
        parts = (processor, processor.image_processor, processor.tokenizer)
        modules = sorted({type(part).__module__ for part in parts})
        multiprocessing.get_context("forkserver").set_forkserver_preload([__name__, *modules])
        forkserver.ensure_running()


def workers(size: int) -> int:
    """Worker processes of this job, for batches of ``size`` bytes."""
    return min(spare(), WAITING // (AHEAD * max(1, size)))


def ahead(
    sight: Sight, batches: Iterable[Sequence[Question]], whole: bool, count: int
) -> Iterator[Shown]:
    """Batches as the model takes them, in order.

    Args:
        sight: reads and resizes.
        batches: of questions.
        whole: take prompts as a whole, else from their first image on.
        count: worker processes that make them; 0 is none.

    Raises:
        LabelwiseError: a file cannot be read, or a worker process was killed.
    """
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
