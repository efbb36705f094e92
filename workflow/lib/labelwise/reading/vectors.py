"""Vectors that are computed once and kept on disk between runs: of texts, and of images."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from labelwise.errors import LabelwiseError


class Cache:
    """Vectors by key in one sqlite file, which several processes may use at once."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._reading() as db:
            db.execute("PRAGMA journal_mode = DELETE")  # others do not work across machines
            db.execute(
                "CREATE TABLE IF NOT EXISTS vectors"
                " (key BLOB PRIMARY KEY, row BLOB NOT NULL) STRICT, WITHOUT ROWID"
            )

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=120, isolation_level=None)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with closing(self._open()) as db:
            try:
                yield db
            except sqlite3.DatabaseError as error:
                raise LabelwiseError(
                    f"{self.path}: {error}; if it is damaged, delete it: it is computed again"
                ) from None

    def get(self, keys: Sequence[bytes]) -> dict[bytes, np.ndarray]:
        """The vectors (float32 [d]) of those keys that are held."""
        found: dict[bytes, np.ndarray] = {}
        with self._reading() as db:
            for start in range(0, len(keys), 500):
                part = keys[start : start + 500]
                marks = ",".join("?" * len(part))
                query = f"SELECT key, row FROM vectors WHERE key IN ({marks})"
                found |= {k: np.frombuffer(row, "<f4") for k, row in db.execute(query, part)}
        return found

    def put(self, rows: Mapping[bytes, np.ndarray]) -> None:
        """Keep vectors (float [d]); one that is held already stays. A full disk is an error."""
        pairs = [(k, row.astype("<f4").tobytes()) for k, row in rows.items()]
        with closing(self._open()) as db:
            try:
                db.execute("BEGIN IMMEDIATE")
                db.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?)", pairs)
                db.execute("COMMIT")
            except sqlite3.OperationalError as error:  # a full disk
                raise LabelwiseError(f"{self.path}: cannot write: {error}") from None
