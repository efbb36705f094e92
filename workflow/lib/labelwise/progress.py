"""How far a long job is: a bar on a terminal, a line every half minute in a log file."""

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

FIRST, HEARTBEAT = 5.0, 30.0
"""Seconds until the first line in a log file, and between two of the others."""


def progress(
    items: Iterable[T],
    total: int,
    what: str,
    note: Callable[[], str] | None = None,
    size: Callable[[T], int] = lambda item: 1,
) -> Iterator[T]:
    """Yield ``items``, telling stderr how many of ``total`` are done, how many a second, how long.

    An item counts ``size(item)`` towards ``total``; ``note()`` ends each line. In a log file a line
    comes whether or not an item has: a job that hangs can be told from one that is slow. A job that
    ends within ``FIRST`` seconds writes none.
    """
    if sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(total=total, desc=what, unit="", leave=False) as bar:
            for item in items:
                yield item
                if note:
                    bar.set_postfix_str(note(), refresh=False)
                bar.update(size(item))
        return
    done, start, ended = 0, time.monotonic(), threading.Event()

    def beat() -> None:
        pause = FIRST
        while not ended.wait(pause):
            pause = HEARTBEAT
            rate = done / (time.monotonic() - start)
            line = f"{what}: {done}/{total}, {rate:.1f}/s"
            if done:
                minutes, seconds = divmod(round((total - done) / rate), 60)
                line += f", {minutes}:{seconds:02d} min left"
            told = note() if note else ""
            print(f"{line}, {told}" if told else line, file=sys.stderr, flush=True)

    threading.Thread(target=beat, daemon=True).start()
    try:
        for item in items:
            yield item
            done += size(item)
    finally:
        ended.set()
