"""A run in shards gives the same bytes, and knows what it was told when it was in others."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelwise import records
from labelwise.asking import prompts
from labelwise.asking.journal import Journal, files
from labelwise.errors import LabelwiseError
from labelwise.infer import main as infer
from labelwise.infer import shard_of
from labelwise.merge_shards import main as merge

NAMES = ["tench", "goldfish", "great white shark"]
HEADER = {
    **{"protocol": "closed", "kind": "closed", "answer": "name", "format": "json"},
    **{"classes": "three", "system": "Choose.", "image": "", "closing": "?", "primer": ""},
    **{"schema": None, "max_tokens": 3, "stop": [], "images_per_prompt": 3, "order": "sorted"},
}


@pytest.fixture
def place(tmp_path):
    images = [f"i{n:02d}" for n in range(31)]
    row = {"bytes": 1, "width": 1, "height": 1, "status": "ok"}
    rows = [{"image": i, "file": f"{i}.png", "sha256": f"{n:064x}"} for n, i in enumerate(images)]
    records.write_csv(tmp_path / "images.csv", records.IMAGES, [r | row for r in rows])
    classes = [{"class": c, "name": name} for c, name in enumerate(NAMES)]
    records.write_csv(tmp_path / "classes.csv", records.CLASSES, classes)
    asked = [
        {"request": n, "repeat": n % 2, "images": images[3 * (n // 2) : 3 * (n // 2) + 3]}
        for n in range(22)
    ]
    records.write_jsonl(tmp_path / "requests.jsonl", [HEADER, *asked])
    return tmp_path


def ask(place, journal, out, shard="1-of-1", engine="chance"):
    infer(
        [
            *(str(place / "requests.jsonl"), "--images", str(place / "images.csv")),
            *("--classes", str(place / "classes.csv"), "--shard", shard),
            *("--model", json.dumps({"engine": engine}), "--journal", str(place / journal)),
            *("--out", str(place / f"{out}.jsonl"), "--meta", str(place / f"{out}.meta.json")),
        ]
    )
    return records.read_json(place / f"{out}.meta.json")


@pytest.fixture
def counted(monkeypatch):
    """An engine that is asked in earnest: its answers are journalled and each question counted."""
    import labelwise.engines.chance as module

    told = []

    class Counted(module.Model):
        journalled = True

        def answer(self, questions):
            for answer in super().answer(questions):
                told.append(answer.id)
                yield answer

    monkeypatch.setattr(module, "Model", Counted)
    return told


@given(st.integers(0, 40), st.integers(1, 9))
def test_shards_hold_every_prompt_once_and_in_order(n, shards):
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        path = f"{folder}/requests.jsonl"
        records.write_jsonl(
            path, [HEADER, *({"request": i, "repeat": 0, "images": ["a"]} for i in range(n))]
        )
        parts = [list(prompts.stream(path, (k, shards))) for k in range(1, shards + 1)]
    assert [request["request"] for part in parts for request in part] == list(range(n))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("shards", [2, 4, 25])
def test_merged_shards_are_the_same_bytes(place, shards):
    ask(place, "run.jsonl", "whole")
    parts = [f"{k}-of-{shards}" for k in range(1, shards + 1)]
    for part in parts:
        ask(place, f"run.{part}.jsonl", part, part)
    merge(
        [
            *(str(place / f"{part}.jsonl") for part in parts),
            *("--requests", str(place / "requests.jsonl"), "--axes", '{"model": "chance"}'),
            *("--out", str(place / "merged.jsonl"), "--meta", str(place / "merged.meta.json")),
        ]
    )
    assert (place / "merged.jsonl").read_bytes() == (place / "whole.jsonl").read_bytes()
    meta = records.read_json(place / "merged.meta.json")
    assert meta["asked"] == 22 and len(meta["shards"]) == shards
    assert meta["axes"] == {"model": "chance"}
    whole = records.read_json(place / "whole.meta.json")
    assert set(meta) == set(whole) | {"shards"}
    assert meta["tokens"] == whole["tokens"] and meta["started"] <= meta["ended"]


def test_divided_anew_nothing_is_asked_again(place, counted):
    assert ask(place, "run.jsonl", "whole")["asked"] == 22
    for shards in (4, 2, 1):
        for k in range(1, shards + 1):
            part = f"{k}-of-{shards}"
            meta = ask(place, f"run.{part}.jsonl" if shards > 1 else "run.jsonl", part, part)
            assert meta["asked"] == 0
    assert len(counted) == 22
    (place / "run.jsonl").unlink()
    for k in range(1, 4):
        ask(place, f"run.{k}-of-3.jsonl", f"{k}-of-3", f"{k}-of-3")
    assert len(counted) == 44
    assert ask(place, "run.jsonl", "again")["asked"] == 0
    assert (place / "again.jsonl").read_bytes() == (place / "whole.jsonl").read_bytes()


def test_equal_questions_are_asked_once(place, counted):
    rows = records.read_csv(place / "images.csv")
    for row in rows:
        row["sha256"] = "0" * 64
    records.write_csv(place / "images.csv", records.IMAGES, rows)
    facts = ask(place, "run.jsonl", "whole")
    assert facts["asked"] == len(counted) == 4  # 3 or 1 images, two repeats
    assert len((place / "whole.jsonl").read_text().splitlines()) == 22


def test_a_missing_or_foreign_shard_is_named(place):
    ask(place, "run.1-of-2.jsonl", "1-of-2", "1-of-2")
    command = ["--requests", str(place / "requests.jsonl"), "--out", str(place / "m.jsonl")]
    command += ["--meta", str(place / "m.meta.json"), str(place / "1-of-2.jsonl")]
    with pytest.raises(SystemExit):
        merge(command)
    assert not (place / "m.jsonl").exists()


@pytest.mark.parametrize("text", ["0-of-4", "5-of-4", "4", "a-of-b", ""])
def test_a_shard_that_cannot_be_is_one_line(text):
    with pytest.raises(LabelwiseError, match="--shard"):
        shard_of(text)


def test_the_files_of_a_run_are_those_of_that_run(tmp_path):
    for name in ("b1", "b1.1-of-2", "b1.2-of-3", "b10", "b10-sorted.1-of-2", "b1.batches"):
        (tmp_path / f"{name}.jsonl").touch()
    (tmp_path / "b1.jsonl.lock").touch()
    (tmp_path / "b1.batches.json").touch()
    found = [file.name for file in files(tmp_path / "b1.1-of-2.jsonl")]
    assert found == ["b1.2-of-3.jsonl", "b1.jsonl", "b1.1-of-2.jsonl"]
    with Journal(tmp_path / "b1.jsonl") as journal:
        journal.add("k", {"text": "x"})
    with Journal(tmp_path / "b1.5-of-7.jsonl") as journal:
        assert journal["k"] == {"text": "x"} and len(journal) == 1
