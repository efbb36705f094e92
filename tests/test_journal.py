"""Answers once given are never asked for again, whatever kills the process."""

import json
import multiprocessing
import os
import signal
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelwise.asking import journal
from labelwise.asking.journal import Journal, key

ANSWERS = {f"k{i}": {"text": f"réponse {i}\n", "finish": "stop"} for i in range(5)}


def written(path):
    with Journal(path) as one:
        for name, entry in ANSWERS.items():
            one.add(name, dict(entry))
    return path


def known(path):
    with Journal(path) as one:
        return dict(one)


def test_answers_come_back(tmp_path):
    assert known(written(tmp_path / "j.jsonl")) == ANSWERS


def test_a_file_cut_at_any_byte_keeps_the_whole_lines(tmp_path):
    path = written(tmp_path / "j.jsonl")
    data = path.read_bytes()
    for cut in range(len(data) - 60, len(data)):
        path.write_bytes(data[:cut])
        assert known(path) == {k: ANSWERS[k] for k in list(ANSWERS)[: data[:cut].count(b"\n")]}
        with Journal(path) as journal:
            journal.add("more", {"text": "x", "finish": "stop"})
        assert known(path)["more"]["text"] == "x"


def test_a_broken_line_is_told_and_skipped(tmp_path, capsys):
    path = written(tmp_path / "j.jsonl")
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], "{broken", *lines[2:]]) + "\n")
    assert set(known(path)) == set(ANSWERS) - {"k1"}
    assert "1 broken lines" in capsys.readouterr().err


def _write_for_ever(path):
    with Journal(path) as journal:
        for number in range(10**9):
            journal.add(f"k{number}", {"text": "x" * (number % 50), "finish": "stop"})


def test_killed_at_any_moment_every_answer_that_was_given_is_there(tmp_path):
    path = tmp_path / "j.jsonl"
    before = 0
    for pause in (0.02, 0.05, 0.11):
        process = multiprocessing.get_context("fork").Process(target=_write_for_ever, args=(path,))
        process.start()
        time.sleep(pause)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        answers = known(path)
        assert list(answers) == [f"k{n}" for n in range(len(answers))]
        assert len(answers) >= before
        before = len(answers)


def test_a_record_is_small(tmp_path):
    path = written(tmp_path / "j.jsonl")
    assert path.stat().st_size / len(ANSWERS) < 1024


MODEL = {"engine": "transformers", "hf": "a/b", "revision": "0" * 40}
PROMPT = {"system": "s", "user": [["image", "1" * 64], ["text", "?"]], "max_tokens": 4, "stop": []}


@pytest.mark.parametrize("part", ["tensor_batch", "name", "kind", "gpus"])
def test_machines_and_names_are_not_part_of_the_key(part):
    assert key(MODEL | {part: 3}, PROMPT) == key(MODEL, PROMPT)


@pytest.mark.parametrize(
    "change",
    [
        {"system": "t"},
        {"user": [["image", "2" * 64], ["text", "?"]]},
        {"max_tokens": 5},
        {"stop": ["."]},
    ],
)
def test_all_that_a_model_sees_is_part_of_the_key(change):
    assert key(MODEL, PROMPT | change) != key(MODEL, PROMPT)
    assert key(MODEL | {"revision": "1" * 40}, PROMPT) != key(MODEL, PROMPT)


@pytest.mark.parametrize("name", ["dtype", "prefix", "max_pixels", "max_tiles", "weights_sha256"])
def test_how_a_model_runs_is_part_of_the_key(name):
    assert key(MODEL | {name: "other"}, PROMPT) != key(MODEL, PROMPT)


def test_the_epoch_is_part_of_the_key(monkeypatch):
    before = key(MODEL, PROMPT)
    monkeypatch.setattr(journal, "EPOCH", journal.EPOCH + 1)
    assert key(MODEL, PROMPT) != before


@given(st.lists(st.text(), min_size=2, max_size=4, unique=True))
def test_the_order_of_images_is_part_of_the_key(images):
    one = key(MODEL, PROMPT | {"user": [["image", image] for image in images]})
    assert one != key(MODEL, PROMPT | {"user": [["image", image] for image in reversed(images)]})


def test_keys_do_not_depend_on_the_order_of_a_dict():
    assert key(dict(reversed(MODEL.items())), PROMPT) == key(MODEL, json.loads(json.dumps(PROMPT)))
