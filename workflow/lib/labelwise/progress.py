"""How far a long job is: a bar on a terminal, a line every half minute in a log file."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

HEARTBEAT = 30.0
"""Seconds between two lines in a log file."""


def progress(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Yield ``items``, telling stderr how many of ``total`` are done, how many a second, how long.

    A job that ends within one heartbeat writes nothing to a log file.
    """
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, total=total, desc=what, unit="", leave=False)
        return
    start = said = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - said >= HEARTBEAT:
            said = now
            rate = done / (now - start)
            minutes, seconds = divmod(round((total - done) / rate), 60)
            print(
                f"{what}: {done}/{total}, {rate:.1f}/s, {minutes}:{seconds:02d} min left",
                file=sys.stderr,
                flush=True,
            )
