"""Any image-text-to-text model that transformers supports natively, its prompt's prefix shared.

What comes before the first image is computed once a run (``engines.prefix``); images are read and
resized ahead of the model, in a bounded window (``engines.sight``); prompts are decoded together
and leave as they end (``engines.decode``). Decoding is greedy, whatever the checkpoint's own
settings.

Sharing is exact or it is off. It is off where a token attends to later ones (prefix-LM attention:
PaliGemma, Gemma 3), to a window or to capped scores; and for every model the first prompt of a run
is computed both ways, before the first answer: where the logits differ by more than rounding,
sharing is off. ``describe()`` says so. Without it whole prompts are generated in batches.

Spec: ``hf`` and ``revision``, or ``folder``; ``dtype``; ``min_pixels`` and ``max_pixels`` (models
of any resolution, such as Qwen3-VL), ``max_tiles`` (InternVL, LLaVA-OneVision); ``prefix``
(``shared``: an error where it cannot be; ``plain``: never); ``tensor_batch`` (else chosen from free
memory). No code of a repository is run. With several GPUs the model is spread over them.
"""

import inspect
import os
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoProcessor,
    GenerationConfig,
)
from transformers.utils import logging

from labelwise import weights
from labelwise.engines import search, sight
from labelwise.engines.base import Answer, Question, Refused, Run, Told, cut
from labelwise.engines.decode import WINDOW, Decoder, Ended, Row, fits, prefill
from labelwise.engines.sight import WAITING, Shown, Sight
from labelwise.engines.vision import Seen, Vision
from labelwise.errors import LabelwiseError, brief
from labelwise.records import LISTED

PLAIN_BATCH = 8
"""Whole prompts that are generated at a time, where no prefix is shared."""

MOST_ROWS = {"cuda": 256, "cpu": 16}
TOLERANCE = {torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}
"""Largest difference of logits, as a share of the largest logit, that rounding explains."""


def unshareable(model: torch.nn.Module) -> str:
    """Why a model's prefix cannot be shared; '' where it can."""
    base: Any = getattr(model, "model", None)
    body = getattr(base, "language_model", None)
    if body is None or not hasattr(model, "lm_head") or not hasattr(base, "get_image_features"):
        return "its parts are not those of a decoder with image tokens"
    if "token_type_ids" in inspect.signature(base.forward).parameters:
        return "its image tokens attend to what follows them (prefix-LM attention)"
    config = body.config
    window = getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True)
    if window or set(getattr(config, "layer_types", None) or ["full_attention"]) != {
        "full_attention"
    }:
        return "not all of its layers attend to the whole prompt"
    if getattr(config, "attn_logit_softcapping", None):
        return "its attention scores are capped"
    return ""


def rows_that_fit(free: float, config: Any, prefix: int, own: int, size: int) -> int:
    """Prompts of ``own`` tokens after a prefix that fit into ``free`` bytes, at least 1.

    Counted are keys and values (twice: rows that join are copied), the scores of one layer's
    attention and the widest activations; ``size`` is the bytes of one number.
    """
    heads = config.num_attention_heads
    depth = getattr(config, "head_dim", None) or config.hidden_size // heads
    kept = 2 * 2 * config.num_hidden_layers * config.num_key_value_heads * depth * size
    scores = heads * (prefix + own) * (4 + size)
    wide = (8 * config.hidden_size + 3 * config.intermediate_size) * size
    return max(1, int(free // (own * (kept + scores + wide))))


class Model:
    """See the module."""

    journalled = True

    def __init__(self, spec: dict[str, Any], run: Run) -> None:
        logging.disable_progress_bar()
        self.spec, self.header, self.names = spec, run.header, run.names
        folder = weights.folder(spec)
        self.cuda = torch.cuda.device_count()
        devices = {0: None, 1: {"": 0}}.get(self.cuda, "auto")
        try:
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
            self._check(config)
            self.processor = AutoProcessor.from_pretrained(folder, trust_remote_code=False)
            sight.prepare(self.processor)
            self.model = AutoModelForImageTextToText.from_pretrained(
                folder,
                dtype=getattr(torch, spec["dtype"]),
                device_map=devices,
                use_safetensors=True,
                trust_remote_code=False,
            ).eval()
        except LabelwiseError:
            raise
        except (ValueError, OSError, KeyError) as error:
            why = brief(error)
            raise LabelwiseError(f"{folder}: transformers cannot load it: {why}") from None
        self.config = self.model.config
        options = sight.resolution(spec, self.processor, self.config)
        self.sight = Sight(self.processor, options, self.model.dtype)
        self.tokenizer = self.processor.tokenizer
        end = self.model.generation_config.eos_token_id or self.tokenizer.eos_token_id
        self.ends = set(end if isinstance(end, list) else [end])
        image_id = getattr(self.config, "image_token_id", None)
        self.image_id: int = self.processor.image_token_id if image_id is None else image_id
        self.tensor_batch = spec.get("tensor_batch", 0)
        self.prefix_tokens = 0
        self.images_encoded = self.images_answered = self.prefilled = self.reused = 0
        self.workers = 0
        self.vision: Any = None  # a Vision, once the prefix is shared
        self.loop: Any = None  # a Greedy, likewise
        self.context = getattr(self.config.get_text_config(), "max_position_embeddings", 0)
        self.plain_because = "the entry says so" if spec.get("prefix") == "plain" else ""
        if not run.header.get("shared", True):
            self.plain_because = "the prompts of the run begin differently"
        self.plain_because = self.plain_because or unshareable(self.model)

    def _check(self, config: Any) -> None:
        """Refuse what the model cannot be asked."""
        if self.header.get("schema") is not None:
            raise LabelwiseError(
                f"protocols: {self.header['protocol']}: format structured: the engine transformers"
                " enforces no schema; use format json"
            )
        if config.model_type == "paligemma":
            if self.header["kind"] in LISTED:
                raise LabelwiseError(
                    f"protocols: {self.header['protocol']}: PaliGemma cannot be asked a closed"
                    " world: its context is too short for a list of classes"
                )
            if self.header["images_per_prompt"] > 1:
                raise LabelwiseError("PaliGemma takes one image a prompt; set batches: [1]")

    # prompts

    def row(self, shown: Shown) -> Row:
        """The one prompt that is shown, from its first image on, as the decoding loop takes it."""
        (question,), got = shown.questions, shown.inputs
        body, ids = self.model.model, got["input_ids"]
        known = inspect.signature(body.get_image_features).parameters
        pixels = {k: v for k, v in got.items() if k in known}
        positions = None
        if hasattr(body, "get_rope_index"):
            grids = {k: v for k, v in pixels.items() if k.endswith("grid_thw")}
            kinds = (ids == self.image_id).int()
            positions = body.get_rope_index(ids, mm_token_type_ids=kinds, **grids)[0][:, 0]
        seen = Seen(question.files, ids[0], positions, pixels)
        return Row(question.id, len(ids[0]), self.header["max_tokens"], seen)

    # answers

    def _ended(self, tokens: list[int]) -> bool:
        if tokens[-1] in self.ends:
            return True
        stops = self.header["stop"]
        text = self.tokenizer.decode(tokens) if stops else ""
        return any(stop in text for stop in stops)

    def _text(self, tokens: list[int]) -> str:
        return cut(self.tokenizer.decode(tokens, skip_special_tokens=True), self.header["stop"])

    def answer(self, questions: Iterable[Question]) -> Iterator[Told]:
        """Compute the prefix, then yield answers as they end.

        Raises:
            LabelwiseError: a prefix that must be shared cannot be, or a prompt is too long.
        """
        questions, refused = iter(questions), list[Refused]()
        for first in questions:
            shown = self.sight.show([first], whole=bool(self.plain_because))
            if not shown.refused:
                break
            refused += shown.refused
        else:
            return iter(refused)
        if not self.plain_because:
            self._warm(first, self.row(shown))
        if self.plain_because and self.spec.get("prefix") == "shared":
            raise LabelwiseError(f"models: prefix: shared cannot be: {self.plain_because}")
        if self.plain_because and "decoding" in self.header:
            raise LabelwiseError(
                f"protocols: {self.header['protocol']}: kind {self.header['kind']} needs a prefix"
                f" that prompts share, which this model cannot have: {self.plain_because}"
            )
        answers = self._whole if self.plain_because else self._shared
        return answers(chain([first], questions), shown.bytes, refused)

    def _warm(self, first: Question, row: Row) -> None:
        """Compute the prefix all prompts share, and see that sharing it changes nothing."""
        before = self.sight.chat.pieces(first.prompt)[0]
        specials = self.sight.begins(before)
        ids = self.tokenizer(before, add_special_tokens=specials)["input_ids"] if before else []
        decoder = Decoder(self.model.model.language_model, self.model.lm_head)
        device = decoder.table.weight.device
        with torch.inference_mode():
            embeds = decoder.table(torch.tensor(ids, dtype=torch.long, device=device))
        fits(self.header, len(ids) + self.header["max_tokens"], self.context)
        prefix = prefill(decoder, embeds)
        size = sum(v.numel() * v.element_size() for v in row.source.pixels.values())
        batch = self.tensor_batch or self._fit(prefix.tokens, row.length)
        window = min(WINDOW * batch, max(2 * batch, WAITING // max(1, size)))
        self.vision = self.vision or Vision(self.model, decoder.table, self.image_id)
        self.loop = search.loop(
            self.header,
            self.names,
            self.tokenizer,
            sorted(self.ends),
            decoder,
            prefix,
            self.vision.inputs,
            self._ended,
            batch,
            window,
        )
        self.prefix_tokens = len(ids)

        full = self.sight.show([first], whole=True).inputs
        if full["input_ids"][0].tolist() != [*ids, *row.source.ids.tolist()]:
            self.plain_because = "its tokens before the first image depend on those after it"
            return
        full = {k: v.to(self.model.device) for k, v in full.items()}
        with torch.inference_mode():
            plain = self.model(**full, logits_to_keep=1).logits[0, -1].float()
            ours = self.loop.first_logits(row).float().to(plain.device)
        limit = TOLERANCE[self.model.dtype] * plain.abs().max()
        if not (ours - plain).abs().max() <= limit:
            self.plain_because = "a shared prefix changed its logits"
            self.loop = None

    def _fit(self, prefix: int, own: int) -> int:
        """Tensor batch for the memory that is free now."""
        if self.cuda:
            free = min(torch.cuda.mem_get_info(i)[0] for i in range(self.cuda))
            kind = "cuda"
        else:
            free, kind = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), "cpu"
        own += self.header["max_tokens"]
        size = self.model.dtype.itemsize
        text = self.config.get_text_config()
        return min(MOST_ROWS[kind], rows_that_fit(0.7 * free, text, prefix, own, size))

    def _shared(
        self, questions: Iterator[Question], size: int, refused: list[Refused]
    ) -> Iterator[Told]:
        """Answers over the shared prefix.

        Args:
            questions: to be answered.
            size: bytes of one prompt that is shown.
            refused: what is known already.
        """
        waiting: dict[int, int] = {}
        self.workers = sight.workers(size)

        def rows() -> Iterator[Row]:
            batches = ((question,) for question in questions)
            for shown in sight.ahead(self.sight, batches, False, self.workers):
                refused.extend(shown.refused)
                for question in shown.questions:
                    waiting[question.id] = len(question.files)
                    yield self.row(shown)

        for row, finish in self.loop.run(rows()):
            self.images_answered += waiting.pop(row.id)
            yield self._answer(row, finish, self.prefix_tokens)
        yield from refused

    def _answer(self, row: Row, finish: str, shared: int) -> Answer:
        self.prefilled += row.length
        self.reused += shared
        usage = {"prefilled": row.length, "shared": shared, "generated": row.generated}
        text = row.text or self._text(row.tokens)
        return Answer(row.id, text, finish, usage, scored=row.scored)

    def _whole(
        self, questions: Iterator[Question], size: int, refused: list[Refused]
    ) -> Iterator[Told]:
        """Generate batches of whole prompts, without a shared prefix; see ``_shared``."""
        self.tensor_batch = self.tensor_batch or PLAIN_BATCH
        self.workers = sight.workers(self.tensor_batch * size)

        def batches() -> Iterator[tuple[Question, ...]]:
            while batch := tuple(islice(questions, self.tensor_batch)):
                yield batch

        for shown in sight.ahead(self.sight, batches(), True, self.workers):
            refused.extend(shown.refused)
            if shown.questions:
                yield from self._generated(shown)
        yield from refused

    def _generated(self, shown: Shown) -> Iterator[Answer]:
        """Answers to a batch of whole prompts; in smaller ones where memory runs out."""
        if len(shown.questions) <= self.tensor_batch:
            try:
                answers = self._generate(shown)
            except torch.OutOfMemoryError:
                self.tensor_batch = len(shown.questions) // 2
                if self.tensor_batch == 0:
                    raise LabelwiseError(
                        "out of memory with one prompt at a time; lower max_pixels or max_tiles,"
                        " or give the job more memory (models: gpus)"
                    ) from None
                if self.cuda:
                    torch.cuda.empty_cache()
            else:
                yield from answers
                return
        size = self.tensor_batch  # it may shrink again meanwhile
        for start in range(0, len(shown.questions), size):
            part = shown.questions[start : start + size]
            yield from self._generated(self.sight.show(part, whole=True))

    @torch.inference_mode()
    def _generate(self, shown: Shown) -> list[Answer]:
        inputs = shown.inputs
        own = inputs["attention_mask"].sum(-1).tolist()
        start = inputs["input_ids"].shape[1]
        fits(self.header, start + self.header["max_tokens"], self.context)
        out = self.model.generate(
            **{name: tensor.to(self.model.device) for name, tensor in inputs.items()},
            generation_config=GenerationConfig(
                do_sample=False,
                num_beams=1,
                repetition_penalty=1.0,
                max_new_tokens=self.header["max_tokens"],
                eos_token_id=sorted(self.ends),
                pad_token_id=self.tokenizer.pad_token_id,
            ),
            stopping_criteria=[Ended(self._ended, start)],
        )
        answers = []
        generated = out[:, start:].tolist()
        for question, row, length in zip(shown.questions, generated, own, strict=True):
            n = next((n for n in range(1, len(row) + 1) if self._ended(row[:n])), 0)
            finish = "stop" if n else "length"
            tokens = row[: n or len(row)]
            said = Row(question.id, length, 0, None, tokens, generated=len(tokens))
            answers.append(self._answer(said, finish, 0))
            self.images_answered += len(question.files)
            self.images_encoded += len(question.files)
        return answers

    # facts

    @property
    def hit_ratio(self) -> float:
        """Share of all prompt tokens that were not computed again."""
        return self.reused / max(1, self.reused + self.prefilled)

    def note(self) -> str:
        """The state of the run, for the line of progress."""
        batch = self.loop.tensor_batch if self.loop else self.tensor_batch
        return f"{self.hit_ratio:.1%} of prompts shared, tensor batch {batch}"

    def describe(self) -> dict[str, Any]:
        """Device, dtype, tensor batch, resolution and counters of the run."""
        where = sorted({str(parameter.device) for parameter in self.model.parameters()})
        ours = self.processor.image_processor.to_dict() | self.sight.options
        said = ("image_processor_type", "size", "patch_size", "merge_size", "crop_to_patches")
        facts: dict[str, Any] = {
            "architecture": self.config.architectures[0],
            "device": " ".join(where),
            "device_name": torch.cuda.get_device_name() if self.cuda else "cpu",
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "threads": torch.get_num_threads(),
            "tensor_batch": self.loop.tensor_batch if self.loop else self.tensor_batch,
            "images": {k: _plain(ours[k]) for k in (*said, "max_patches") if k in ours},
            "prefix": f"plain: {self.plain_because}" if self.plain_because else "shared",
            "prefix_tokens": self.prefix_tokens,
            "prefilled_tokens_per_image": round(self.prefilled / max(1, self.images_answered), 2),
            "prefix_hit_ratio": round(self.hit_ratio, 4),
            "images_encoded": self.vision.encoded if self.loop else self.images_encoded,
            "reading_processes": self.workers,
        }
        if hasattr(self.processor, "vision_aspect_ratio"):
            facts["images"]["vision_aspect_ratio"] = self.processor.vision_aspect_ratio
        return facts


def _plain(value: Any) -> Any:
    """A value of the image processor as JSON takes it."""
    return (
        {k: v for k, v in dict(value).items() if v is not None} if hasattr(value, "keys") else value
    )
