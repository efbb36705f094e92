"""The journal: answers as they arrive, kept outside the workflow's declared outputs.

One JSON line an answer, appended and synced, so that a killed run continues where it was and no
question is asked (or paid) twice. Entries are found by content: the key is a hash of everything the
model sees and of how it runs. Writing 50,000 short answers costs about 12 s of syncing in all.
"""

import hashlib
import json
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from labelwise.errors import LabelwiseError
from labelwise.records import dump_line

EPOCH = 1
"""Raise it when our own code changes what a model is shown without changing the key's parts."""

RESOURCES = {"name", "kind", "gpus", "memory", "tensor_batch"} | {
    *("base_url", "key_env", "concurrency", "attempt_timeout", "total_timeout"),
    *("max_images", "batch", "batch_requests", "price", "max_cost_usd"),
}
"""Keys of a model's entry that do not change what it is asked: machines, names and money."""


def key(model: dict[str, Any], prompt: dict[str, Any]) -> str:
    """SHA-256 over the model's entry (without ``RESOURCES``), the rendered prompt and ``EPOCH``.

    ``prompt`` holds texts, the SHA-256 of each image's bytes in order, and all decoding limits.
    """
    spec = {name: value for name, value in model.items() if name not in RESOURCES}
    whole = {"epoch": EPOCH, "model": spec, "prompt": prompt}
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


class Journal:
    """Known answers of one run, by key; one process at a time may hold it open."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(f"{self.path}.lock")
        self.answers: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> "Journal":
        """Take the lock, read what is there and drop a line that was cut off by a kill."""
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            print(f"{self.path}: another process has it open; waiting", file=sys.stderr, flush=True)
            self._lock.acquire()
        self._file = open(self.path, "ab+")
        self._file.seek(0)
        good = broken = 0
        for line in self._file:
            if not line.endswith(b"\n"):
                break
            good += len(line)
            try:
                entry = json.loads(line)
                self.answers[entry.pop("key")] = entry
            except (ValueError, KeyError, AttributeError):
                broken += 1
        self._file.truncate(good)
        if broken:
            print(
                f"{self.path}: {broken} broken lines skipped; they are asked again", file=sys.stderr
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file and give the lock back."""
        self._file.close()
        self._lock.release()

    def add(self, key: str, entry: dict[str, Any]) -> None:
        """Append one answer; when this returns it is on disk."""
        try:
            self._file.write((dump_line({"key": key, **entry}) + "\n").encode())
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise LabelwiseError(
                f"{self.path}: cannot write: {error.strerror}; answers so far are kept,"
                " run again when this is mended"
            ) from None
        self.answers[key] = entry
