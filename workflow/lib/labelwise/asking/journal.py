"""The journal: answers as they arrive, kept outside the workflow's declared outputs.

One JSON line an answer, appended at once, so that a killed run continues where it was and no
question is asked (or paid) twice. Entries are found by content: the key is a hash of everything the
model sees and of how it runs. Lines are synced to disk together, at most ``WINDOW`` seconds after
they were written: a killed process loses nothing, a power cut at most that window. An answer that
was paid for is synced alone, before anything else happens.

The journal of a run is ``RUN.jsonl``; a shard of a run writes ``RUN.2-of-4.jsonl``. Each file has
one writer, and all files of a run are read, so a run may be divided anew at any time.
"""

import glob
import hashlib
import json
import os
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

from labelwise.errors import LabelwiseError
from labelwise.records import dump_line

EPOCH = 1
"""Raise it when our own code changes what a model is shown without changing the key's parts."""

RESOURCES = {"name", "kind", "gpus", "memory", "shards", "tensor_batch"} | {
    *("base_url", "key_env", "concurrency", "attempt_timeout", "total_timeout"),
    *("max_images", "batch", "batch_requests", "price", "max_cost_usd"),
}
"""Keys of a model's entry that do not change what it is asked: machines, names and money."""

WINDOW = 0.2
"""Seconds that an answer may wait for its sync to disk."""

FILE = re.compile(r"(?P<run>.+?)(?:\.\d+-of-\d+)?(?:\.jsonl)?")
MOST_FILES = 2**16


def key(model: dict[str, Any], prompt: dict[str, Any]) -> str:
    """SHA-256 over the model's entry (without ``RESOURCES``), the rendered prompt and ``EPOCH``.

    ``prompt`` holds texts, the SHA-256 of each image's bytes in order, and all decoding limits.
    """
    spec = {name: value for name, value in model.items() if name not in RESOURCES}
    whole = {"epoch": EPOCH, "model": spec, "prompt": prompt}
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def files(path: str | Path) -> list[Path]:
    """The journals of a run that exist, those of its shards included, ``path`` itself last.

    Args:
        path: the journal of the run or of one of its shards.
    """
    path = Path(path)
    run = _run(path)
    near = [path, *path.parent.glob(f"{glob.escape(run)}.*jsonl")]
    found = {f for f in near if _run(f) == run and f.is_file()}
    return sorted(found, key=lambda file: (file == path, file))


def _run(path: Path) -> str:
    """The name of the run that a journal belongs to, as a whole or as one of its shards."""
    found = FILE.fullmatch(path.name)
    return found["run"] if found else path.name


class Journal(Mapping[str, dict[str, Any]]):
    """Known answers of one run, by key; memory holds their places in the files, not the answers.

    One process at a time may hold a file open to add to it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._places: dict[str, int] = {}
        self._broken: OSError | None = None
        self._syncer: threading.Thread | None = None
        self._written, self._closing = threading.Event(), threading.Event()

    def __enter__(self) -> "Journal":
        """Take the lock, find what is there and drop a line that was cut off by a kill."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(f"{self.path}.lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            print(f"{self.path}: another process has it open; waiting", file=sys.stderr, flush=True)
            self._lock.acquire()
        except NotImplementedError:
            raise LabelwiseError(
                f"{self.path.parent}: this file system has no locks (flock); keep results/journal"
                " on one that has"
            ) from None
        self._opened = ExitStack()
        self._file = self._opened.enter_context(open(self.path, "ab", buffering=0))
        self._readers = [self._reader(file) for file in files(self.path)]
        for number in range(len(self._readers)):
            self._size = self._scan(number)
        if self._size < self.path.stat().st_size:
            os.truncate(self.path, self._size)
            self._readers[-1] = self._reader(self.path)  # the other's buffer holds what is cut off
        return self

    def _reader(self, file: Path) -> BinaryIO:
        return self._opened.enter_context(open(file, "rb"))

    def _scan(self, number: int) -> int:
        """Find the answers of one file; returns the bytes of its whole lines."""
        at = broken = 0
        for line in self._readers[number]:
            if not line.endswith(b"\n"):
                break
            try:
                self._places[json.loads(line)["key"]] = at * MOST_FILES + number
            except (ValueError, KeyError, TypeError):
                broken += 1
            at += len(line)
        if broken:
            name = self._readers[number].name
            print(f"{name}: {broken} broken lines skipped; they are asked again", file=sys.stderr)
        return at

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Sync and close the file, and give the lock back."""
        self._closing.set()
        self._written.set()
        if self._syncer:
            self._syncer.join()
            self._sync_once()
        for give_back in (self._opened.close, self._lock.release):
            try:
                give_back()
            except OSError as broken:  # a share that is gone says so once more
                self._broken = self._broken or broken
        if self._broken and kind is None:
            raise self._failed(self._broken)

    def __getitem__(self, key: str) -> dict[str, Any]:
        """The answer to one question, read from its file."""
        at, number = divmod(self._places[key], MOST_FILES)
        self._readers[number].seek(at)
        entry = json.loads(self._readers[number].readline())
        del entry["key"]
        return entry

    def __contains__(self, key: object) -> bool:
        return key in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def add(self, key: str, entry: dict[str, Any], sync: bool = False) -> None:
        """Append one answer.

        When this returns a kill cannot lose it; nor can a power cut where ``sync``, else that takes
        ``WINDOW`` seconds more.

        Raises:
            LabelwiseError: it cannot be written; the file ends with the answer before.
        """
        line = (dump_line({"key": key, **entry}) + "\n").encode()
        try:
            if self._broken:
                raise self._broken
            left = memoryview(line)
            while left:
                left = left[self._file.write(left) :]
            if sync:
                os.fsync(self._file.fileno())
        except OSError as error:
            with suppress(OSError):
                os.truncate(self.path, self._size)
            raise self._failed(error) from None
        self._places[key] = self._size * MOST_FILES + len(self._readers) - 1
        self._size += len(line)
        if not sync:
            if self._syncer is None:
                self._syncer = threading.Thread(target=self._sync, daemon=True)
                self._syncer.start()
            self._written.set()

    def _sync(self) -> None:
        """Sync what was written, once a window, until the journal is closed."""
        while not self._closing.is_set():
            self._written.wait()
            self._closing.wait(WINDOW)
            self._written.clear()
            self._sync_once()

    def _sync_once(self) -> None:
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            self._broken = error

    def _failed(self, error: OSError) -> LabelwiseError:
        return LabelwiseError(
            f"{self.path}: cannot write: {error.strerror}; answers so far are kept,"
            " run again when this is mended"
        )
