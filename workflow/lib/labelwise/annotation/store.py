"""Decisions in one SQLite file: kept before they are acknowledged, and never overwritten.

Every decision and every withdrawal is a line of the table ``events``, appended; ``current`` points
at the line that stands for a case, an annotator and a role. Both change in one transaction, which
is on the disk (write-ahead log, ``synchronous=FULL``) when the future of ``decide`` is done: a
process killed after that loses nothing. Decisions that wait for the disk at the same time share one
transaction.
"""

import json
import queue
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labelwise.annotation.cases import Cases
from labelwise.annotation.decisions import Decision
from labelwise.errors import LabelwiseError

SCHEMA = """
CREATE TABLE IF NOT EXISTS about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    event INTEGER PRIMARY KEY AUTOINCREMENT,
    send TEXT NOT NULL UNIQUE,
    "case" TEXT NOT NULL,
    annotator TEXT NOT NULL,
    role TEXT NOT NULL,
    decision TEXT
);
CREATE INDEX IF NOT EXISTS by_role ON events (role, event);
CREATE TABLE IF NOT EXISTS current (
    annotator TEXT NOT NULL,
    role TEXT NOT NULL,
    "case" TEXT NOT NULL,
    event INTEGER NOT NULL REFERENCES events,
    PRIMARY KEY (annotator, role, "case")
) WITHOUT ROWID;
"""

MOST = 256
"""Most decisions of one transaction."""

PACE = 20
"""Decisions that an annotator's pace is taken from, the last ones."""


class Store:
    """The decisions of one annotation. Safe to use from many threads, and by two servers at once.

    Args:
        path: the SQLite file; made where it is missing.
        cases: the annotation; a file that belongs to another one is refused.
    """

    def __init__(self, path: str | Path, cases: Cases) -> None:
        self.path, self.n_classes = Path(path), len(cases.classes)
        self._lock = threading.Lock()
        try:
            self._reader, self._writer = (self._open() for _ in range(2))
            self._writer.executescript(SCHEMA)
            self._belongs(cases.name)
        except sqlite3.DatabaseError as error:
            raise LabelwiseError(f"{path}: not a database of annotations: {error}") from None
        self._waiting: queue.SimpleQueue[tuple[Any, Future] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="store", daemon=True)
        self._thread.start()

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=30, check_same_thread=False, isolation_level=None)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        return db

    def _belongs(self, name: str) -> None:
        self._writer.execute("INSERT OR IGNORE INTO about VALUES ('annotation', ?)", (name,))
        found = self._writer.execute("SELECT value FROM about WHERE key='annotation'").fetchone()[0]
        if found != name:
            raise LabelwiseError(
                f"{self.path}: holds decisions of {found!r}, not of {name!r}; give another --db"
            )

    def close(self) -> None:
        """Write what waits, and close the file."""
        self._waiting.put(None)
        self._thread.join()
        with self._lock:
            self._reader.close()
        self._writer.close()

    # writing

    def decide(self, decision: Decision, send: str) -> Future:
        """Keep a decision; it is on the disk when the result of the future is there.

        Args:
            decision: what was decided; it stands from then on for its case, annotator and role.
            send: an id of the sending, new for each: a decision sent again is kept once.
        """
        body = json.dumps(decision.as_dict(), ensure_ascii=False, sort_keys=True)
        return self._put(send, decision.case, decision.annotator, decision.role, body)

    def withdraw(self, decision: Decision, send: str) -> Future:
        """Take back a decision that stands; as durable as ``decide``."""
        return self._put(send, decision.case, decision.annotator, decision.role, None)

    def withdrawn(self, send: str) -> Decision | None:
        """The decision that this sending took back; None if it has not arrived before."""
        rows = self._read(
            "SELECT before.decision FROM events AS undone JOIN events AS before"
            ' ON before."case"=undone."case" AND before.annotator=undone.annotator'
            " AND before.role=undone.role AND before.event<undone.event"
            " WHERE undone.send=? AND undone.decision IS NULL AND before.decision IS NOT NULL"
            " ORDER BY before.event DESC LIMIT 1",
            (send,),
        )
        return self._decision(rows[0][0]) if rows else None

    def last(self, annotator: str, role: str) -> Decision | None:
        """An annotator's last decision that stands; None without any."""
        rows = self._read(
            "SELECT decision FROM current JOIN events USING (event)"
            " WHERE current.annotator=? AND current.role=? ORDER BY event DESC LIMIT 1",
            (annotator, role),
        )
        return self._decision(rows[0][0]) if rows else None

    def _put(self, *event: str | None) -> Future:
        done: Future = Future()
        self._waiting.put((event, done))
        return done

    def _write(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch, last = [first], False
            while len(batch) < MOST and not self._waiting.empty():
                one = self._waiting.get()
                if one is None:
                    last = True
                    break
                batch.append(one)
            # what is cancelled is written all the same; nobody waits for it
            waited = [done for _, done in batch if done.set_running_or_notify_cancel()]
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                for event, _ in batch:
                    self._append(*event)
                self._writer.execute("COMMIT")
            except BaseException as error:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                for done in waited:
                    done.set_exception(error)
            else:
                for done in waited:
                    done.set_result(None)
            if last:
                return

    def _append(self, send: str, case: str, annotator: str, role: str, body: str | None) -> None:
        added = self._writer.execute(
            'INSERT OR IGNORE INTO events (send, "case", annotator, role, decision)'
            " VALUES (?, ?, ?, ?, ?)",
            (send, case, annotator, role, body),
        )
        if not added.rowcount:
            return
        if body is None:
            self._writer.execute(
                'DELETE FROM current WHERE annotator=? AND role=? AND "case"=?',
                (annotator, role, case),
            )
        else:
            self._writer.execute(
                "INSERT OR REPLACE INTO current VALUES (?, ?, ?, ?)",
                (annotator, role, case, added.lastrowid),
            )

    # reading

    def _read(self, query: str, values: Iterable[Any] = ()) -> list[tuple]:
        with self._lock:
            return self._reader.execute(query, tuple(values)).fetchall()

    def _decision(self, body: str) -> Decision:
        return Decision.of(json.loads(body), str(self.path), self.n_classes)

    def decided(self, annotator: str, role: str) -> set[str]:
        """The cases that an annotator has decided."""
        rows = self._read(
            'SELECT "case" FROM current WHERE annotator=? AND role=?', (annotator, role)
        )
        return {case for (case,) in rows}

    def of(self, annotator: str, role: str, case: str) -> Decision | None:
        """An annotator's own decision on a case."""
        rows = self._read(
            "SELECT decision FROM current JOIN events USING (event)"
            ' WHERE current.annotator=? AND current.role=? AND current."case"=?',
            (annotator, role, case),
        )
        return self._decision(rows[0][0]) if rows else None

    def pace(self, annotator: str, role: str) -> float | None:
        """Median seconds of an annotator's last decisions; None before the first."""
        rows = self._read(
            "SELECT json_extract(decision, '$.seconds') FROM current JOIN events USING (event)"
            " WHERE current.annotator=? AND current.role=? ORDER BY event DESC LIMIT ?",
            (annotator, role, PACE),
        )
        found = sorted(seconds for (seconds,) in rows)
        return found[len(found) // 2] if found else None

    def version(self, role: str) -> int:
        """A number that grows with every event of a role."""
        return self._read("SELECT max(event) FROM events WHERE role=?", (role,))[0][0] or 0

    def all(self) -> list[Decision]:
        """Every decision that stands, by case, role and annotator."""
        rows = self._read(
            "SELECT decision FROM current JOIN events USING (event)"
            ' ORDER BY current."case", current.role DESC, current.annotator'
        )
        return [self._decision(body) for (body,) in rows]


@contextmanager
def opened(path: str | Path, cases: Cases) -> Iterator[Store]:
    """A store, closed at the end."""
    store = Store(path, cases)
    try:
        yield store
    finally:
        store.close()
