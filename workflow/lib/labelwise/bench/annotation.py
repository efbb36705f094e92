"""How fast the annotation page keeps a decision when many annotate at once, and that none is lost.

``python -m labelwise.bench annotation`` makes cases of synthetic images, serves them as
``labelwise.annotate`` does, and lets every annotator fetch the picture and save a decision again
and again, after ``--pause`` seconds of looking at it. The server is then killed (SIGKILL), and the
decisions in its file are compared with those that were acknowledged.
"""

import argparse
import http.client
import io
import json
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np

from labelwise import bench
from labelwise.annotation.cases import Case, Cases, ClassInfo
from labelwise.annotation.store import opened
from labelwise.draw import rng
from labelwise.errors import LabelwiseError, cli

LIMIT_MS = 200.0
"""What a decision may take for 95 of 100."""


def synthetic(folder: Path, n: int, people: int) -> Cases:
    """Cases of noise (20 pictures, shared) with 1000 classes; every annotator is asked all."""
    from PIL import Image

    files = []
    for k in range(20):
        pixels = rng(0, "bench annotation", k).integers(0, 255, (48, 64, 3), dtype=np.uint8)
        data = io.BytesIO()
        Image.fromarray(pixels).resize((500, 375)).save(data, "JPEG")
        files.append(folder / f"{k}.jpg")
        files[-1].write_bytes(data.getvalue())
    names = {f"annotator {k}": "system" for k in range(people)}
    classes = [ClassInfo(f"class {i}", f"word {i}", f"the definition of {i}") for i in range(1000)]
    cases = [
        Case(f"case{i:06d}", f"image-{i}", str(files[i % 20]), 500, 375, ((i % 1000,), ()))
        for i in range(n)
    ]
    return Cases("bench", 0, names, classes, "", cases)


def serve(cases: Path, db: Path) -> tuple[subprocess.Popen, int]:
    """Start the server on a free port; returns the process and the port; an error if it ends."""
    command = [sys.executable, "-m", "labelwise.annotate", str(cases), "--db", str(db)]
    server = subprocess.Popen([*command, "--port", "0"], stderr=subprocess.PIPE, text=True)
    for line in server.stderr or ():
        if found := re.search(r"http://[\d.]+:(\d+)/", line):
            return server, int(found[1])
    raise LabelwiseError(f"the server ended with status {server.wait()}")


class Person(threading.Thread):
    """One annotator: fetches pictures and saves decisions over one connection."""

    def __init__(self, name: str, port: int, decisions: int, pause: float) -> None:
        super().__init__(daemon=True)
        self.annotator, self.port, self.decisions, self.pause = name, port, decisions, pause
        self.decide_ms: list[float] = []
        self.picture_ms: list[float] = []
        self.saved: dict[str, list[int]] = {}
        self.error = ""

    def run(self) -> None:
        """Annotate."""
        try:
            self._annotate(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60))
        except (OSError, http.client.HTTPException, LabelwiseError) as error:
            self.error = f"{self.annotator}: {error!r}"

    def _annotate(self, connection: http.client.HTTPConnection) -> None:
        path = f"/api/work?annotator={self.annotator.replace(' ', '%20')}"
        state = json.loads(self._timed(connection, [], "GET", path))
        for i in range(self.decisions):
            case = state["case"]
            self._timed(connection, self.picture_ms, "GET", f"/image/{case['id']}")
            time.sleep(self.pause)
            marks = [(7 * i) % 1000]
            body = {"annotator": self.annotator, "case": case["id"], "marks": marks, "seconds": 1}
            body |= {"send": uuid.uuid4().hex}
            state = json.loads(
                self._timed(connection, self.decide_ms, "POST", "/api/decide", json.dumps(body))
            )
            self.saved[case["id"]] = marks

    @staticmethod
    def _timed(
        connection: http.client.HTTPConnection,
        times: list[float],
        method: str,
        path: str,
        body: str | None = None,
    ) -> bytes:
        start = time.perf_counter()
        connection.request(method, path, body, {"content-type": "application/json"})
        reply = connection.getresponse()
        data = reply.read()
        times.append(1000 * (time.perf_counter() - start))
        if reply.status != 200:
            raise LabelwiseError(f"{path}: {reply.status} {data[:200]!r}")
        return data


def measure(folder: Path, n: int, people: int, decisions: int, pause: float) -> dict[str, Any]:
    """Serve cases and let people decide; what it took.

    Args:
        folder: where files are made.
        n: cases.
        people: annotators at once.
        decisions: that each saves.
        pause: seconds of looking at a picture.

    Returns:
        Counts (``acknowledged``, ``lost``), decisions a second, and quantiles in milliseconds.

    Raises:
        LabelwiseError: an annotator met an error.
    """
    cases = synthetic(folder, n, people)
    file, db = folder / "cases.jsonl", folder / "annotations.sqlite"
    cases.write(file)
    server, port = serve(file, db)
    start = time.perf_counter()
    team = [Person(name, port, decisions, pause) for name in cases.annotators]
    for person in team:
        person.start()
    for person in team:
        person.join()
    seconds = time.perf_counter() - start
    server.send_signal(signal.SIGKILL)
    server.wait()
    if errors := [person.error for person in team if person.error]:
        raise LabelwiseError(f"{len(errors)} annotators failed; {errors[0]}")
    with opened(db, cases) as store:
        kept = {(d.annotator, d.case): list(d.marks) for d in store.all()}
    saved = {(p.annotator, case): marks for p in team for case, marks in p.saved.items()}
    decide = np.concatenate([person.decide_ms for person in team])
    picture = np.concatenate([person.picture_ms for person in team])
    return {
        "annotators": people,
        "cases": n,
        "pause_s": pause,
        "acknowledged": len(saved),
        "lost": sum(kept.get(key) != marks for key, marks in saved.items()),
        "decisions_per_s": round(len(decide) / seconds, 1),
        "decide_ms_p50": round(float(np.quantile(decide, 0.5)), 1),
        "decide_ms_p95": round(float(np.quantile(decide, 0.95)), 1),
        "decide_ms_max": round(float(decide.max()), 1),
        "picture_ms_p95": round(float(np.quantile(picture, 0.95)), 1),
    }


@cli
def main(argv: list[str] | None = None) -> None:
    """Print the measurements as JSON; status 1 where a limit is missed."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.bench annotation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--annotators", type=int, default=50)
    parser.add_argument("--cases", type=int, default=3000)
    parser.add_argument("--decisions", type=int, default=40, help="of each annotator")
    parser.add_argument("--pause", type=float, default=2.0, help="seconds of looking at a picture")
    parser.add_argument("--json", type=Path, metavar="OUT")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), args.cases, args.annotators, args.decisions, args.pause)
    print(json.dumps(found, indent=2))
    bench.finish(found, args.json)
    if found["lost"]:
        raise LabelwiseError(f"{found['lost']} acknowledged decisions are lost")
    if found["decide_ms_p95"] > LIMIT_MS:
        raise LabelwiseError(f"p95 of a decision is above {LIMIT_MS:.0f} ms")


if __name__ == "__main__":
    main()
