"""Any image-text-to-text model that transformers supports natively, its prompt's prefix shared.

What comes before the first image is computed once a run (``engines.prefix``); images are read and
resized by threads ahead of the model, in a bounded window; prompts are decoded together and leave
as they end (``engines.decode``). Decoding is greedy, whatever the checkpoint's own settings.

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
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

import torch
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoProcessor,
    GenerationConfig,
)
from transformers.utils import logging

from labelwise import images, weights
from labelwise.engines import search
from labelwise.engines.base import Answer, Question, Run, cut
from labelwise.engines.decode import WINDOW, Decoder, Ended, Inputs, Row, fits, prefill
from labelwise.errors import LabelwiseError
from labelwise.prompts import Prompt
from labelwise.records import LISTED

T = TypeVar("T")
U = TypeVar("U")

MARK = "\ue000"
"""Stands for an image while the chat template is applied (private use: in no text)."""

WAITING = 2 << 30
"""Bytes of resized images that wait for the model at most."""

KEPT = 1 << 30
"""Bytes of encoded images that are kept, for prompts that show an image again."""

MOST_ROWS = {"cuda": 256, "cpu": 16}
TOLERANCE = {torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}
"""Largest difference of logits, as a share of the largest logit, that rounding explains."""


@dataclass(frozen=True)
class Look:
    """Encoded images of one prompt: ``tokens`` [tokens, size], ``deep`` [layers, tokens, size]."""

    tokens: torch.Tensor
    deep: torch.Tensor | None

    @property
    def bytes(self) -> int:
        """Memory that it takes."""
        return sum(t.numel() * t.element_size() for t in (self.tokens, self.deep) if t is not None)


@dataclass(frozen=True)
class Seen:
    """A prompt from its first image on: token ids, resized images by the processor's names."""

    files: tuple[str | Path, ...]
    ids: torch.Tensor
    positions: torch.Tensor | None
    pixels: dict[str, torch.Tensor]


class Chat:
    """Prompts as text, by the model's own template.

    Images stay where the prompt has them, also where a template would move them to the front of a
    turn (LLaVA); a template without a system turn has the text of that turn begin the user's.
    A processor without template (PaliGemma) gets the images and then the text.
    """

    def __init__(self, processor: Any) -> None:
        self.processor = processor
        self.owner: Any = next(
            (o for o in (processor, processor.tokenizer) if getattr(o, "chat_template", None)), None
        )
        self.system = True
        self.place = processor.image_token
        if self.owner is None:
            return
        try:
            self._apply("system", [{"type": "text", "text": MARK}])
        except Exception:  # templates raise jinja2 errors of their own choice
            self.system = False
        text = self._apply("", [{"type": "text", "text": MARK}])
        image = self._apply("", [{"type": "image"}])
        head = next(n for n, (a, b) in enumerate(zip(text, image, strict=False)) if a != b)
        self.place = image[head:].removesuffix(text.partition(MARK)[2])
        if not self.place:
            raise LabelwiseError("the model's chat template shows no image; it cannot be asked")

    def _apply(self, system: str, content: list[dict[str, str]]) -> str:
        chat = [{"role": "user", "content": content}]
        if system:
            chat.insert(0, {"role": "system", "content": [{"type": "text", "text": system}]})
        return self.owner.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)

    def pieces(self, prompt: Prompt) -> tuple[str, str]:
        """The text before the first image, and that from it on."""
        parts = [(MARK if kind == "image" else text) for kind, text in prompt.user]
        if self.owner is None:
            words = [prompt.system, *(p.strip() for p in parts if p != MARK), prompt.primer]
            text = self.place * parts.count(MARK) + "\n".join(w for w in words if w)
            return "", text
        user = "".join(parts)
        if prompt.system and not self.system:
            user = f"{prompt.system}\n\n{user}"
        content = [{"type": "text", "text": user}]
        text = self._apply(prompt.system if self.system else "", content) + prompt.primer
        before, _, after = text.partition(MARK)
        return before, self.place + after.replace(MARK, self.place)


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


def ahead(
    function: Callable[[T], U], items: Iterable[T], pool: ThreadPoolExecutor, window: int
) -> Iterator[U]:
    """``function`` of each item, in order, computed by the pool at most ``window`` items ahead."""
    pending: deque[Future[U]] = deque()
    for item in items:
        pending.append(pool.submit(function, item))
        if len(pending) >= window:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


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
            why = " ".join(str(error).split())[:300]
            raise LabelwiseError(f"{folder}: transformers cannot load it: {why}") from None
        self.config = self.model.config
        self.options = resolution(spec, self.processor, self.config)
        self.tokenizer = self.processor.tokenizer
        self.chat = Chat(self.processor)
        end = self.model.generation_config.eos_token_id or self.tokenizer.eos_token_id
        self.ends = set(end if isinstance(end, list) else [end])
        self.filler = self.tokenizer.pad_token_id
        self.filler = min(self.ends) if self.filler is None else self.filler
        self.image_id = getattr(self.config, "image_token_id", None)
        if self.image_id is None:
            self.image_id = self.processor.image_token_id
        self.kept: OrderedDict[tuple, Look] = OrderedDict()
        self.kept_bytes = 0
        self.tensor_batch = spec.get("tensor_batch", 0)
        self.prefix_tokens = 0
        self.images_encoded = self.images_answered = self.prefilled = self.reused = 0
        self.loop: Any = None  # a Greedy, once the prefix is shared
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

    def _process(self, text: str, pictures: Sequence[Any], specials: bool) -> dict[str, Any]:
        return dict(
            self.processor(
                text=[text],
                images=[list(pictures)],
                return_tensors="pt",
                add_special_tokens=specials,
                **({"images_kwargs": self.options} if self.options else {}),
            )
        )

    def _specials(self, text: str) -> bool:
        """Whether the tokenizer is to begin the prompt; a template often has done so."""
        return not (self.tokenizer.bos_token and text.startswith(self.tokenizer.bos_token))

    def _see(self, question: Question) -> Row:
        """Read and resize a question's images; runs in a thread."""
        pictures = [images.read(file) for file in question.files]
        text = self.chat.pieces(question.prompt)[1]
        try:
            got = self._process(text, pictures, specials=False)
        except ValueError as error:
            names = ", ".join(map(str, question.files))
            raise LabelwiseError(f"{names}: the model cannot be shown this: {error}") from None
        ids = got["input_ids"]
        known = inspect.signature(self.model.model.get_image_features).parameters
        pixels = {k: v for k, v in got.items() if k in known and isinstance(v, torch.Tensor)}
        positions = None
        if hasattr(self.model.model, "get_rope_index"):
            grids = {k: v for k, v in pixels.items() if k.endswith("grid_thw")}
            kinds = (ids == self.image_id).int()
            positions = self.model.model.get_rope_index(ids, mm_token_type_ids=kinds, **grids)[0]
            positions = positions[:, 0]
        pixels = {
            k: v.to(self.model.dtype) if v.is_floating_point() else v for k, v in pixels.items()
        }
        seen = Seen(question.files, ids[0], positions, pixels)
        return Row(question.id, len(ids[0]), self.header["max_tokens"], seen)

    # images

    def _encode(self, seen: list[Seen]) -> None:
        """Encode the images of prompts together, and keep what they look like."""
        merged = {}
        for name in seen[0].pixels:
            parts = [s.pixels[name] for s in seen]
            if parts[0].dim() == 5:  # tiles of each image, padded to the most
                most = max(part.shape[1] for part in parts)
                pad = torch.nn.functional.pad
                parts = [pad(p, (0, 0, 0, 0, 0, 0, 0, most - p.shape[1])) for p in parts]
            merged[name] = torch.cat(parts).to(self.model.device)
        out = self.model.model.get_image_features(**merged)
        tokens = _flat(getattr(out, "pooler_output", out))
        deep = getattr(out, "deepstack_features", None)
        deep = torch.stack([_flat(layer) for layer in deep]) if deep else None
        sizes = [int((s.ids == self.image_id).sum()) for s in seen]
        if sum(sizes) != len(tokens):
            raise LabelwiseError(
                f"the model made {len(tokens)} tokens of images where its processor left room for"
                f" {sum(sizes)}; set `prefix: plain` for it"
            )
        whole = tokens.split(sizes)
        deeps = deep.split(sizes, 1) if deep is not None else [None] * len(seen)
        for one, mine, below in zip(seen, whole, deeps, strict=True):
            look = Look(mine.clone(), None if below is None else below.clone())
            self.kept[one.files] = look
            self.kept_bytes += look.bytes
            self.images_encoded += len(one.files)

    def _forget(self) -> None:
        while self.kept_bytes > KEPT:
            self.kept_bytes -= self.kept.popitem(last=False)[1].bytes

    @torch.inference_mode()
    def _embed(self, rows: list[Row]) -> list[Inputs]:
        """Input embeddings of prompts, images in their places."""
        missing = {r.source.files: r.source for r in rows if r.source.files not in self.kept}
        if missing:
            self._encode(list(missing.values()))
        table = self.loop.decoder.table
        found = []
        for row in rows:
            seen, look = row.source, self.kept[row.source.files]
            self.kept.move_to_end(seen.files)
            ids = seen.ids.to(table.weight.device)
            at = ids == self.image_id
            embeds = table(ids)
            embeds[at] = look.tokens.to(embeds)
            deep = None
            if look.deep is not None:
                deep = embeds.new_zeros(len(look.deep), *embeds.shape)
                deep[:, at] = look.deep.to(embeds)
            positions = None if seen.positions is None else seen.positions.to(ids.device)
            found.append(Inputs(embeds, positions, deep))
        self._forget()
        return found

    # answers

    def _ended(self, tokens: list[int]) -> bool:
        if tokens[-1] in self.ends:
            return True
        text = self.tokenizer.decode(tokens)
        return any(stop in text for stop in self.header["stop"])

    def _text(self, tokens: list[int]) -> str:
        return cut(self.tokenizer.decode(tokens, skip_special_tokens=True), self.header["stop"])

    def answer(self, questions: Iterable[Question]) -> Iterator[Answer]:
        """Compute the prefix, then yield answers as they end."""
        questions = iter(questions)
        first = next(questions, None)
        if first is None:
            return iter(())
        if not self.plain_because:
            self._warm(first)
        if self.plain_because and self.spec.get("prefix") == "shared":
            raise LabelwiseError(f"models: prefix: shared cannot be: {self.plain_because}")
        if self.plain_because and "decoding" in self.header:
            raise LabelwiseError(
                f"protocols: {self.header['protocol']}: kind {self.header['kind']} needs a prefix"
                f" that prompts share, which this model cannot have: {self.plain_because}"
            )
        whole = chain([first], questions)
        return self._whole(whole) if self.plain_because else self._shared(whole)

    def _warm(self, first: Question) -> None:
        """Compute the prefix all prompts share, and see that sharing it changes nothing."""
        before, after = self.chat.pieces(first.prompt)
        specials = self._specials(before)
        ids = self.tokenizer(before, add_special_tokens=specials)["input_ids"] if before else []
        decoder = Decoder(self.model.model.language_model, self.model.lm_head)
        device = decoder.table.weight.device
        with torch.inference_mode():
            embeds = decoder.table(torch.tensor(ids, dtype=torch.long, device=device))
        fits(self.header, len(ids) + self.header["max_tokens"], self.context)
        prefix = prefill(decoder, embeds)
        row = self._see(first)
        size = sum(v.numel() * v.element_size() for v in row.source.pixels.values())
        batch = self.tensor_batch or self._fit(prefix.tokens, row.length)
        window = min(WINDOW * batch, max(2 * batch, WAITING // max(1, size)))
        self.loop = search.loop(
            self.header,
            self.names,
            self.tokenizer,
            sorted(self.ends),
            decoder,
            prefix,
            self._embed,
            self._ended,
            batch,
            window,
        )
        self.prefix_tokens = len(ids)

        pictures = [images.read(file) for file in first.files]
        full = self._process(before + after, pictures, specials)
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

    def _shared(self, questions: Iterator[Question]) -> Iterator[Answer]:
        shown: dict[int, int] = {}

        def see(question: Question) -> Row:
            shown[question.id] = len(question.files)
            return self._see(question)

        pool = ThreadPoolExecutor(images.workers())
        try:
            rows = ahead(see, questions, pool, 2 * images.workers() + 1)
            for row, finish in self.loop.run(rows):
                self.images_answered += shown.pop(row.id)
                yield self._answer(row, finish, self.prefix_tokens)
        finally:
            pool.shutdown(cancel_futures=True)

    def _answer(self, row: Row, finish: str, shared: int) -> Answer:
        self.prefilled += row.length
        self.reused += shared
        usage = {"prefilled": row.length, "shared": shared, "generated": row.generated}
        text = row.text or self._text(row.tokens)
        return Answer(row.id, text, finish, usage, scored=row.scored)

    def _whole(self, questions: Iterator[Question]) -> Iterator[Answer]:
        """Generate batches of whole prompts, without a shared prefix."""
        self.tensor_batch = self.tensor_batch or 8
        pool = ThreadPoolExecutor(images.workers())

        def read(question: Question) -> tuple[Question, list[Any]]:
            return question, [images.read(file) for file in question.files]

        try:
            source = ahead(read, questions, pool, 2 * images.workers() + 1)
            waiting: deque = deque()
            while True:
                waiting.extend(islice(source, max(0, self.tensor_batch - len(waiting))))
                if not waiting:
                    return
                batch = [waiting.popleft() for _ in range(min(len(waiting), self.tensor_batch))]
                try:
                    answers = self._generate(batch)
                except torch.OutOfMemoryError:
                    if self.tensor_batch == 1:
                        raise LabelwiseError(
                            "out of memory with one prompt at a time; lower max_pixels or"
                            " max_tiles, or give the job more memory (models: gpus)"
                        ) from None
                    self.tensor_batch //= 2
                    waiting.extendleft(reversed(batch))
                    if self.cuda:
                        torch.cuda.empty_cache()
                    continue
                for question, _ in batch:
                    self.images_answered += len(question.files)
                    self.images_encoded += len(question.files)
                yield from answers
        finally:
            pool.shutdown(cancel_futures=True)

    @torch.inference_mode()
    def _generate(self, batch: list[tuple[Question, list[Any]]]) -> list[Answer]:
        texts = ["".join(self.chat.pieces(question.prompt)) for question, _ in batch]
        inputs = self.processor(
            text=texts,
            images=[pictures for _, pictures in batch],
            return_tensors="pt",
            padding=True,
            padding_side="left",
            add_special_tokens=self._specials(texts[0]),
            **({"images_kwargs": self.options} if self.options else {}),
        ).to(self.model.device, self.model.dtype)
        start = inputs["input_ids"].shape[1]
        fits(self.header, start + self.header["max_tokens"], self.context)
        out = self.model.generate(
            **inputs,
            generation_config=GenerationConfig(
                do_sample=False,
                num_beams=1,
                repetition_penalty=1.0,
                max_new_tokens=self.header["max_tokens"],
                eos_token_id=sorted(self.ends),
                pad_token_id=self.filler,
            ),
            stopping_criteria=[Ended(self._ended, start)],
        )
        answers = []
        own = inputs["attention_mask"].sum(-1).tolist()
        for (question, _), row, length in zip(batch, out[:, start:].tolist(), own, strict=True):
            n = next((n for n in range(1, len(row) + 1) if self._ended(row[:n])), 0)
            finish = "stop" if n else "length"
            tokens = row[: n or len(row)]
            said = Row(question.id, length, 0, None, tokens, generated=len(tokens))
            answers.append(self._answer(said, finish, 0))
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
        ours = self.processor.image_processor.to_dict() | self.options
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
            "images_encoded": self.images_encoded,
        }
        if hasattr(self.processor, "vision_aspect_ratio"):
            facts["images"]["vision_aspect_ratio"] = self.processor.vision_aspect_ratio
        return facts


def _flat(features: Any) -> torch.Tensor:
    """Tokens [all, size] of features given as one tensor or one an image."""
    if isinstance(features, torch.Tensor):
        return features.flatten(0, -2)
    return torch.cat([part.flatten(0, -2) for part in features])


def _plain(value: Any) -> Any:
    """A value of the image processor as JSON takes it."""
    return (
        {k: v for k, v in dict(value).items() if v is not None} if hasattr(value, "keys") else value
    )
