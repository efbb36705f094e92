"""``python -m labelwise.bench api``: the client of API servers, without a model behind it.

A server on loopback, in a process of its own, reads every request whole and answers a constant.
The engine asks it about made-up images of 200 kB each, all different, so the bytes are read,
encoded and sent for every request. The peak of memory is this process's; the images are written
before the clock starts.
"""

import argparse
import json
import os
import resource
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from multiprocessing import Process
from pathlib import Path
from typing import Any

from labelwise import bench
from labelwise.asking.prompts import Prompt
from labelwise.engines.base import Question, Run

FILES = 64
"""Different image files; requests take them in turn."""


def echo(listener: socket.socket) -> None:
    """Answer every request on a listening socket, in one thread."""
    import asyncio

    reply = json.dumps(
        {
            "model": "echo",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "tench"}}],
            "usage": {"prompt_tokens": 4000, "completion_tokens": 2, "total_tokens": 4002},
        }
    ).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(reply)}"
    answer = head.encode() + b"\r\n\r\n" + reply

    class Echo(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport, self.head, self.left = transport, b"", -1

        def data_received(self, data: bytes) -> None:
            if self.left < 0:
                self.head += data
                head, end, rest = self.head.partition(b"\r\n\r\n")
                if not end:
                    return
                length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
                self.left, data = int(length), rest
            self.left -= len(data)
            if self.left <= 0:
                self.transport.write(answer)
                self.head, self.left = b"", -1

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Echo, sock=listener)
        await server.serve_forever()

    asyncio.run(serve())


def measure(requests: int, size: int, concurrency: int) -> dict[str, Any]:
    """Send requests to a server that answers at once.

    Args:
        requests: how many.
        size: bytes of an image.
        concurrency: requests under way at most.

    Returns:
        Seconds, requests a second, processor seconds of the client, its peak of memory and how much
        that grew (MB).
    """
    from labelwise.engines.openai import Model

    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as listen:
        files = [Path(folder) / f"{n}.jpg" for n in range(FILES)]
        for file in files:
            file.write_bytes(b"\xff\xd8\xff" + os.urandom(size - 3))
        server = Process(target=echo, args=(listen,), daemon=True)
        server.start()
        header: dict[str, Any] = {
            "protocol": "bench",
            "kind": "closed",
            "answer": "name",
            "system": "x" * 13_000,
        }
        header |= {"max_tokens": 12, "stop": []}
        spec = {"model": "echo", "concurrency": concurrency}
        spec["base_url"] = f"http://127.0.0.1:{listen.getsockname()[1]}/v1"
        prompt = Prompt(header["system"], [("image", "i"), ("text", "Which class?")], "", None)

        def questions() -> Iterator[Question]:
            for n in range(requests):
                yield Question(n, prompt, {"request": n}, (files[n % FILES],))

        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        model = Model(spec, Run(header, []))
        start, busy = time.perf_counter(), time.process_time()
        answered = sum(1 for _ in model.answer(questions()))
        seconds, busy = time.perf_counter() - start, time.process_time() - busy
        server.terminate()
        server.join()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "requests": answered,
        "image_bytes": size,
        "concurrency": concurrency,
        "seconds": seconds,
        "per_second": answered / seconds,
        "cpu_s": busy,
        "peak_mb": peak,
        "grown_mb": peak - before,
    }


def main(argv: Sequence[str]) -> None:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.bench api",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--bytes", type=int, default=200_000, help="of an image")
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--json", type=Path, metavar="OUT")
    args = parser.parse_args(argv)
    m = measure(args.requests, args.bytes, args.concurrency)
    print(
        f"{m['requests']} requests of {m['image_bytes'] / 1000:.0f} kB, at most"
        f" {m['concurrency']} under way\n"
        f"{m['per_second']:.0f} requests/s ({m['seconds']:.1f} s, {m['cpu_s']:.1f} s of processor"
        f" time), peak {m['peak_mb']:.0f} MB, {m['grown_mb']:.0f} MB more than before"
    )
    bench.finish(m, args.json)
