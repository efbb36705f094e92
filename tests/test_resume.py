"""Killed at any moment, the next run continues, asks nothing twice and writes the same bytes."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
from labelwise import records
from labelwise.bench import tiny
from labelwise.images import describe
from labelwise.planning.sources import LIB
from PIL import Image

NAMES = [
    "tench",
    "goldfish",
    "great white shark",
    "tiger shark",
    "hammerhead shark",
    "electric ray",
]
N, KILLS = 120, 20
HEADER = {
    "protocol": "closed",
    "kind": "closed",
    "answer": "name",
    "format": "plain",
    "classes": "six",
    "system": "Choose one of: " + ", ".join(NAMES),
    "image": "",
    "closing": "\nWhich one is it?",
    "primer": "",
    "schema": None,
    "max_tokens": 3,
    "stop": [],
    "images_per_prompt": 1,
    "order": "",
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A tiny model, pictures, their table, names and requests."""
    place = tmp_path_factory.mktemp("study")
    tiny.make("qwen3-vl", place / "model", NAMES, hidden=32, layers=2)
    rows = []
    for number in range(N):
        file = place / f"{number:03d}.png"
        Image.new("RGB", (64, 64), (number * 2, 255 - number, number * 97 % 256)).save(file)
        rows.append(describe((file.stem, str(file))))
    records.write_csv(place / "images.csv", records.IMAGES, rows)
    classes = [{"class": c, "name": name} for c, name in enumerate(NAMES)]
    records.write_csv(place / "classes.csv", records.CLASSES, classes)
    asked = [{"request": n, "repeat": 0, "images": [r["image"]]} for n, r in enumerate(rows)]
    records.write_jsonl(place / "requests.jsonl", [HEADER, *asked])
    return place


def command(study, out):
    spec = {"engine": "transformers", "folder": str(study / "model"), "dtype": "float32"}
    spec |= {"tensor_batch": 2}
    return [
        *(sys.executable, "-m", "labelwise.infer", str(study / "requests.jsonl")),
        *("--images", str(study / "images.csv"), "--classes", str(study / "classes.csv")),
        *("--model", json.dumps(spec), "--journal", str(out / "journal.jsonl")),
        *("--out", str(out / "responses.jsonl"), "--meta", str(out / "meta.json")),
    ]


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(LIB), "OMP_NUM_THREADS": "1"}


def run(study, out):
    done = subprocess.run(command(study, out), env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads((out / "meta.json").read_text())


def keys(path):
    """Keys of the whole lines of a journal."""
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    return [json.loads(line)["key"] for line in lines]


@pytest.mark.slow
def test_killed_at_twenty_moments_it_ends_as_if_never_killed(study, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    assert run(study, whole)["asked"] == N
    moment = random.Random(0)
    journal = killed / "journal.jsonl"
    survived = []
    for kill in range(KILLS):
        process = subprocess.Popen(
            command(study, killed),
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        before = len(keys(journal))
        # some kills while loading, most a few answers later, at any point of the writing
        wanted = before + moment.randrange(0, 2 * (N - before) // (KILLS - kill) + 1)
        while process.poll() is None and len(keys(journal)) < wanted:
            time.sleep(0.002)
        time.sleep(moment.random() * 0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        survived.append(len(keys(journal)))
        if kill % 5 == 4 and journal.exists():  # as if killed half-way through a line
            with open(journal, "ab") as file:
                file.write(b'{"key": "half a li')
    assert survived == sorted(survived) and survived[-1] > survived[0]
    facts = run(study, killed)
    assert facts["asked"] == N - survived[-1] and facts["replayed"] == survived[-1]
    name = "responses.jsonl"
    assert (killed / name).read_bytes() == (whole / name).read_bytes()
    assert len(keys(journal)) == len(set(keys(journal))) == N, "a question was asked twice"
    assert set(keys(journal)) == set(keys(whole / "journal.jsonl"))


def test_what_is_known_needs_no_model(study, tmp_path):
    assert run(study, tmp_path)["asked"] == N
    first = (tmp_path / "responses.jsonl").read_bytes()
    journal = (tmp_path / "journal.jsonl").read_bytes()
    assert len(journal) / N <= 1024
    gone = shutil.move(study / "model", study / "elsewhere")
    try:
        facts = run(study, tmp_path)
    finally:
        shutil.move(gone, study / "model")
    assert (facts["asked"], facts["replayed"]) == (0, N)
    assert (tmp_path / "responses.jsonl").read_bytes() == first
    assert (tmp_path / "journal.jsonl").read_bytes() == journal


def test_ctrl_c_keeps_what_is_done(study, tmp_path):
    process = subprocess.Popen(
        command(study, tmp_path), env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None and len(keys(tmp_path / "journal.jsonl")) < 5:
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    done = len(keys(tmp_path / "journal.jsonl"))
    if process.returncode == 0:
        pytest.skip("this machine was done before the signal came")
    assert process.returncode == 130 and "stopped; what was finished is kept" in said
    assert run(study, tmp_path)["replayed"] == done
