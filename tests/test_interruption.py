"""A full disk, a disk that takes no writes, a dead snakemake: one line, nothing broken, go on."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from fake_openai import KEY, Fake
from labelwise import records
from labelwise.asking.journal import WINDOW, Journal
from labelwise.errors import LabelwiseError
from labelwise.images import describe
from labelwise.planning.sources import LIB
from PIL import Image

N = 40


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 kB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    done = subprocess.run(mount, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
def run(tmp_path):
    """A run of N questions to a paid server; its images and requests, and how to ask."""
    rows = []
    for n in range(N):
        Image.new("RGB", (8, 8), (n, n, n)).save(tmp_path / f"i{n:02d}.png")
        rows.append(describe((f"i{n:02d}", str(tmp_path / f"i{n:02d}.png"))))
    records.write_csv(tmp_path / "images.csv", records.IMAGES, rows)
    records.write_csv(tmp_path / "classes.csv", records.CLASSES, [{"class": 0, "name": "tench"}])
    header = {"protocol": "closed", "kind": "closed", "answer": "name", "format": "plain"}
    header |= {"classes": "one", "system": "Which class?", "image": "", "closing": "", "primer": ""}
    header |= {"schema": None, "max_tokens": 3, "stop": [], "images_per_prompt": 1, "order": ""}
    asked = [{"request": n, "repeat": 0, "images": [row["image"]]} for n, row in enumerate(rows)]
    records.write_jsonl(tmp_path / "requests.jsonl", [header, *asked])

    def start(fake, place):
        spec = {"engine": "openai", "model": "m-2026-01-01", "base_url": fake.url, "concurrency": 1}
        spec |= {"price": {"input": 1, "output": 1, "date": "2026-11-01"}, "max_cost_usd": 9}
        command = [sys.executable, "-m", "labelwise.infer", str(tmp_path / "requests.jsonl")]
        command += ["--images", str(tmp_path / "images.csv"), "--model", json.dumps(spec)]
        command += ["--classes", str(tmp_path / "classes.csv")]
        command += ["--journal", str(place / "run.jsonl"), "--out", str(place / "responses.jsonl")]
        command += ["--meta", str(place / "meta.json")]
        environment = os.environ | {"PYTHONPATH": str(LIB), "OPENAI_API_KEY": KEY}
        return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)

    return start


def one_line(process, *parts):
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 1, said
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in said
    for part in parts:
        assert part in line, line


def long_answer(body):
    return "x" * 15_000


def test_a_full_disk_ends_with_one_line_and_goes_on_without_paying_twice(run, small_disk):
    with Fake(answer=long_answer) as fake:
        one_line(run(fake, small_disk), "run.jsonl: cannot write: No space left", "run again")
        kept = list(records.read_jsonl(small_disk / "run.jsonl"))
        assert 5 < len(kept) < N and len(fake.requests) <= len(kept) + 2
        assert not list(small_disk.glob("responses*")), "no half of a file"
        subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
        paid = len(fake.requests)
        again = run(fake, small_disk)
        assert again.wait(60) == 0, again.stderr.read()
        assert len(fake.requests) == paid + N - len(kept)
        assert len(list(records.read_jsonl(small_disk / "responses.jsonl"))) == N


def test_a_disk_that_fills_up_at_the_end_loses_no_answer(run, small_disk):
    with Fake() as fake:
        (small_disk / "other").write_bytes(b"x" * 150_000)
        filled = run(fake, small_disk)
        while filled.poll() is None:
            with contextlib.suppress(OSError), open(small_disk / "other", "ab") as other:
                if len(fake.requests) > N - 5:
                    other.write(b"x" * 4096)
            time.sleep(0.005)
        one_line(filled, "cannot write: No space left on device")
        (small_disk / "other").unlink()
        before = len(fake.requests)
        assert run(fake, small_disk).wait(60) == 0
        assert len(fake.requests) <= before + 5 and before <= N + 2


def test_a_disk_that_is_read_only_is_one_line(run, small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with Fake() as fake:
        one_line(run(fake, small_disk), str(small_disk), "Read-only file system")
        assert not fake.requests


def test_a_disk_that_turns_read_only_keeps_what_was_answered(run, small_disk):
    with Fake(delay=0.05) as fake:
        process = run(fake, small_disk)
        while len(fake.requests) < 8:
            time.sleep(0.01)
        # a writer keeps a file system from turning read-only, a forced one does not ask
        done = subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], capture_output=True)
        if done.returncode:
            process.kill()
            process.communicate()
            pytest.skip("this kernel does not turn a file system read-only under a writer")
        one_line(process, "Read-only file system")


class Share:
    """A folder on a file server of its own (SFTP on loopback), mounted at another."""

    SERVER = "/usr/lib/openssh/sftp-server"

    def __init__(self, folder, place):
        self.folder, self.place = folder, place
        self.server = None

    def mount(self):
        listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, args=[listener], daemon=True).start()
        port = listener.getsockname()[1]
        command = ["sshfs", "-o", f"directport={port}", f"127.0.0.1:{self.folder}", self.place]
        subprocess.run(command, check=True, timeout=30)

    def _serve(self, listener):
        connection, _ = listener.accept()
        listener.close()
        with connection:
            self.server = subprocess.Popen([self.SERVER], stdin=connection, stdout=connection)

    def break_off(self):
        """The server dies, the mount with it, and what waits for an answer is told so."""
        self.server.kill()
        self.server.wait()
        for _ in range(50):
            if str(self.place) not in Path("/proc/mounts").read_text():
                return
            time.sleep(0.1)
        subprocess.run(["umount", "--force", self.place], capture_output=True)

    def unmount(self):
        """Also after ``break_off``, which ends the mount by itself, a moment later."""
        subprocess.run(["umount", "--lazy", self.place], capture_output=True)


@pytest.fixture
def share(tmp_path):
    if not (shutil.which("sshfs") and os.path.exists(Share.SERVER) and os.path.exists("/dev/fuse")):
        pytest.skip("no share can be mounted here: sshfs, openssh-sftp-server and /dev/fuse")
    for name in ("served", "mounted"):
        (tmp_path / name).mkdir()
    share = Share(tmp_path / "served", tmp_path / "mounted")
    share.mount()
    yield share
    share.unmount()


def test_a_share_that_breaks_off_ends_with_one_line_and_goes_on_without_paying_twice(run, share):
    with Fake(delay=0.05) as fake:
        process = run(fake, share.place)
        while len(fake.requests) < 12:
            time.sleep(0.01)
        share.break_off()
        one_line(process, str(share.place / "run.jsonl"), "run again")
        paid = len(fake.requests)
        kept = list(records.read_jsonl(share.folder / "run.jsonl"))
        assert paid - 2 <= len(kept) <= paid < N
        share.unmount()
        share.mount()
        assert run(fake, share.place).wait(60) == 0
        assert len(fake.requests) == paid + N - len(kept)
        assert len(list(records.read_jsonl(share.folder / "responses.jsonl"))) == N


def test_an_output_that_fits_no_more_names_its_file(small_disk):
    with pytest.raises(LabelwiseError, match=r"table\.csv: cannot write: No space left"):
        records.write_csv(small_disk / "table.csv", ["a"], ({"a": "x" * 999} for _ in range(999)))
    assert list(small_disk.iterdir()) == []


def test_a_journal_on_a_full_disk_ends_with_whole_lines(small_disk):
    with pytest.raises(LabelwiseError, match="cannot write"), Journal(small_disk / "j") as journal:
        for n in range(1000):
            journal.add(f"k{n}", {"text": "x" * 999})
    lines = (small_disk / "j").read_bytes().splitlines(keepends=True)
    assert all(line.endswith(b"\n") and json.loads(line) for line in lines)
    (small_disk / "j").write_bytes(b"".join(lines[:100]) + b'{"key": "half')
    with Journal(small_disk / "j") as journal:
        assert list(journal) == [f"k{n}" for n in range(100)]
        journal.add("more", {"text": "y"})
        assert journal["more"] == {"text": "y"} and journal["k99"] == {"text": "x" * 999}


def test_answers_are_synced_within_a_window_and_paid_ones_at_once(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(time.monotonic()))
    with Journal(tmp_path / "j.jsonl") as journal:
        start = time.monotonic()
        for n in range(200):
            journal.add(f"k{n}", {"text": ""})
        last = time.monotonic()
        time.sleep(2.5 * WINDOW)
        assert synced and synced[-1] - last <= 2 * WINDOW
        assert len(synced) <= 3 + (last - start) / WINDOW
        count = len(synced)
        journal.add("paid", {"text": ""}, sync=True)
        assert len(synced) == count + 1


def workers_of(folder):
    """Processes that run in a folder."""
    found = []
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if entry.isdigit() and os.readlink(f"/proc/{entry}/cwd") == str(folder):
                found.append(int(entry))
    return found


@pytest.mark.slow
def test_a_killed_snakemake_goes_on_and_pays_nothing_twice(tmp_path):
    import yaml
    from study import ROOT, copy

    study = copy(tmp_path / "study")
    config = yaml.safe_load((ROOT / "tests/workflow/study.yaml").read_text())
    config["models"] = {
        "tiny": {"kind": "mllm", "engine": "openai", "model": "m", "structured": "none"}
        | {"price": {"input": 1, "output": 1, "date": "2026-11-01"}, "max_cost_usd": 9}
        | {"concurrency": 1}
    }
    run = {"models": ["tiny"], "protocols": ["closed"], "mappers": ["exact"]}
    config["experiments"] = {"main": {"images": ["small"], "labels": ["multi"], "runs": [run]}}
    config |= {"figures": {}, "tables": {}}
    (study.root / "config/config.yaml").write_text(yaml.safe_dump(config))
    with Fake(delay=0.2) as fake:
        environment = os.environ | {"OPENAI_BASE_URL": fake.url, "OPENAI_API_KEY": KEY}
        command = [sys.executable, "-m", "snakemake", "--cores", "1", "--rerun-incomplete"]
        for wanted in (5, 15):
            process = subprocess.Popen(
                command, cwd=study.root, env=environment, stdout=-3, stderr=-3
            )
            while len(fake.requests) < wanted:
                assert process.poll() is None
                time.sleep(0.02)
            for pid in workers_of(study.root):  # as when the machine dies
                os.kill(pid, signal.SIGKILL)
            process.wait()
            shutil.rmtree(study.root / ".snakemake/locks")
        done = subprocess.run(command, cwd=study.root, env=environment, capture_output=True)
        assert done.returncode == 0, done.stderr
        assert len(fake.requests) <= 30 + 2, "more than what was under way was asked again"
    lines = list(records.read_jsonl(study.root / "results/journal/small/tiny/closed/b1.jsonl"))
    assert len({line["key"] for line in lines}) == len(lines) == 30
