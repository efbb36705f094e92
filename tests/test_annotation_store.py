"""Decisions are durable, appended, and go through every file format unchanged."""

import json
import os
import signal
import sqlite3
import subprocess
import sys

import pytest
from annotation_cases import ROOT, demo_cases
from hypothesis import given, settings
from hypothesis import strategies as st
from labelwise import labels, records
from labelwise.annotation import interchange
from labelwise.annotation.cases import write_key
from labelwise.annotation.decisions import FLAGS, Box, Decision
from labelwise.annotation.relabel import main as relabel
from labelwise.annotation.store import opened
from labelwise.errors import LabelwiseError

CASES = demo_cases(6)
ONE = CASES.cases[0]


def decision(*marks, case=ONE, who="ann", **more):
    value = {"case": case.case, "image": case.image, "annotator": who, "marks": list(marks), **more}
    return Decision.of(value, "here", 1000)


def test_what_stands_is_the_last_and_nothing_is_overwritten(tmp_path):
    with opened(tmp_path / "a.sqlite", CASES) as store:
        store.decide(decision(1), "send-1").result()
        store.decide(decision(2, -1), "send-2").result()
        store.decide(decision(2, -1), "send-2").result()
        assert store.all() == [decision(2, -1)] and store.decided("ann", "annotator") == {ONE.case}
        assert store.last("ann", "annotator") == decision(2, -1)
        store.withdraw(decision(2, -1), "send-3").result()
        assert store.all() == [] and store.last("ann", "annotator") is None
    with sqlite3.connect(tmp_path / "a.sqlite") as db:
        kept = [
            json.loads(row[0])["marks"] if row[0] else None
            for row in db.execute("SELECT decision FROM events ORDER BY event")
        ]
    assert kept == [[1], [2, -1], None]


def test_one_who_no_longer_waits_holds_up_nobody(tmp_path):
    with opened(tmp_path / "a.sqlite", CASES) as store:
        for number in range(20):
            store.decide(decision(1), f"gone-{number}").cancel()
        store.decide(decision(2), "send-1").result(timeout=10)
        assert store.all() == [decision(2)]


def test_a_file_of_other_cases_is_refused(tmp_path):
    with opened(tmp_path / "a.sqlite", CASES):
        pass
    other = type(CASES)("other", 0, {}, CASES.classes, "", CASES.cases)
    with pytest.raises(LabelwiseError, match="holds decisions of 'test', not of 'other'"):
        opened(tmp_path / "a.sqlite", other).__enter__()
    (tmp_path / "b.sqlite").write_text("no database at all, " * 100)
    with pytest.raises(LabelwiseError, match="not a database of annotations"):
        opened(tmp_path / "b.sqlite", CASES).__enter__()


KILLED = """
import os, signal, sys
from labelwise.annotation import cases
from labelwise.annotation.decisions import Decision
from labelwise.annotation.store import Store
found = cases.read(sys.argv[1])
store = Store(sys.argv[2], found)
for i, case in enumerate(found.cases * 20):
    store.decide(Decision(case.case, case.image, "ann", (i,)), f"send-{i}").result()
    print(i, flush=True)
    if i == 77:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_loses_nothing_that_it_acknowledged(tmp_path):
    CASES.write(tmp_path / "cases.jsonl")
    command = [sys.executable, "-c", KILLED, "cases.jsonl", "a.sqlite"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow/lib")}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert done.stdout.split()[-1] == "77"
    with sqlite3.connect(tmp_path / "a.sqlite") as db:
        assert db.execute("SELECT count(*) FROM events").fetchone()[0] == 78
    with opened(tmp_path / "a.sqlite", CASES) as store:
        assert {d.labels for d in store.all()} == {(i,) for i in range(72, 78)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"annotator": ""}, "a name starts with"),
        ({"annotator": "<script>"}, "a name starts with"),
        ({"marks": [1000]}, "not class ids of 0..999"),
        ({"marks": [True]}, "not class ids"),
        ({"marks": "12"}, "not a list"),
        ({"marks": None}, "not a list"),
        ({"boxes": [{"coordinates": [1, 2, 3]}]}, "four numbers"),
        ({"boxes": [{"coordinates": [5, 2, 3, 9]}]}, "x_min, y_min"),
        ({"boxes": [{"coordinates": [0, 0, float("nan"), 9]}]}, "x_min, y_min"),
        ({"boxes": [{"coordinates": [0, 0, 3, 9], "labels": ["a"]}]}, "are not class ids"),
        ({"seconds": -1}, "is no time"),
        ({"comment": "x" * 5000}, "at most 4000"),
        ({"role": "boss"}, "is none of annotator, adjudicator"),
    ],
)
def test_bad_decisions_are_refused_in_one_line(change, message):
    value = {"case": "c", "image": "i", "annotator": "a", "marks": [1], **change}
    with pytest.raises(LabelwiseError, match=message):
        Decision.of(value, "here", 1000)


ids = st.integers(0, 999)
pixels = st.floats(0, 400).map(lambda x: round(x, 2))
boxes = st.builds(
    lambda x, y, ids, group, flags: Box(
        (*map(min, x, y), *map(max, x, y)), tuple(ids), group, tuple(f for f in FLAGS if f in flags)
    ),
    st.tuples(pixels, pixels),
    st.tuples(pixels, pixels),
    st.lists(st.one_of(ids, st.just(-1)), max_size=3),
    st.none() | st.integers(0, 9),
    st.sets(st.sampled_from(FLAGS)),
)
decisions = st.builds(
    lambda case, who, labels, unsure, boxes, comment, seconds, at, role: Decision.of(
        {
            "case": case.case,
            "image": case.image,
            "annotator": who,
            "marks": [*labels, *([-1] if unsure else [])],
            "boxes": [box.as_dict() for box in boxes],
            "comment": comment,
            "seconds": seconds,
            "at": at,
            "role": role,
        },
        "made",
        1000,
    ),
    st.sampled_from(CASES.cases),
    st.sampled_from(["ann", "Björn Å.", "x@y.org"]),
    st.sets(ids, max_size=6),
    st.booleans(),
    st.lists(boxes, max_size=3),
    st.text(max_size=40),
    st.floats(0, 9999),
    st.sampled_from(["", "2026-01-31T09:30:00Z"]),
    st.sampled_from(["annotator", "adjudicator"]),
)
each_once = st.lists(decisions, unique_by=lambda d: (d.case, d.annotator, d.role), max_size=8)
each_image_once = st.lists(decisions, unique_by=lambda d: d.image, max_size=6)


def same(first, second):
    def order(d):
        return d.case, d.annotator, d.role

    assert sorted(first, key=order) == sorted(second, key=order)


@settings(max_examples=60, deadline=None)
@given(found=each_once)
def test_csv_and_label_studio_lose_nothing(tmp_path_factory, found):
    folder = tmp_path_factory.mktemp("x")
    interchange.write_csv(folder / "d.csv", found, CASES)
    same(interchange.read(folder / "d.csv", None, 1000), found)
    interchange.write_label_studio(folder / "d.json", found, CASES, "https://host/")
    same(interchange.read(folder / "d.json", CASES, 1000), found)


@settings(max_examples=60, deadline=None)
@given(found=each_image_once)
def test_reimagenet_loses_nothing_and_is_read_as_a_label_set(tmp_path_factory, found):
    file = tmp_path_factory.mktemp("x") / "reannotation.jsonl"
    interchange.write_reimagenet(file, found, CASES, {ONE.image: (7,)})
    same(interchange.read(file, None, 1000), found)
    if found:
        read = labels.load({"format": "reimagenet", "file": str(file)})
        assert {(i, one.ids, one.uncertain) for i, one in read.items()} == {
            (d.image, d.labels, d.unsure) for d in found
        }


def test_label_studio_s_shape(tmp_path):
    found = [
        decision(
            1,
            -1,
            boxes=[
                {"coordinates": [0, 100, 250, 200], "labels": [1], "group": 2, "crowd_flag": True}
            ],
            comment="hm",
            seconds=3.25,
        )
    ]
    interchange.write_label_studio(tmp_path / "d.json", found, CASES, "/data/local-files/?d=")
    (task,) = records.read_json(tmp_path / "d.json")
    assert task["data"]["image"] == f"/data/local-files/?d={ONE.file}"
    results = {(r["from_name"], r["type"]): r for r in task["annotations"][0]["result"]}
    assert results["classes", "choices"]["value"]["choices"] == ["1 goldfish", "not sure"]
    box = results["boxes", "rectanglelabels"]
    value = {"x": 0, "y": 25, "width": 50, "height": 25, "rotation": 0}
    assert box["value"] == {**value, "rectanglelabels": ["1 goldfish"]}
    assert (box["original_width"], box["original_height"]) == (500, 400)
    assert results["flags", "choices"]["id"] == results["group", "number"]["id"] == box["id"]
    interface = interchange.interface(CASES)
    from xml.etree import ElementTree

    tags = {node.get("name"): node.tag for node in ElementTree.fromstring(interface)}
    named = {
        "choices": "Choices",
        "rectanglelabels": "RectangleLabels",
        "number": "Number",
        "textarea": "TextArea",
    }
    for name, kind in results:
        assert tags[name] == named[kind]
    values = {node.get("value") for node in ElementTree.fromstring(interface).iter("Choice")}
    assert {"1 goldfish", "not sure", "no class of the list", "crowd_flag"} <= values


def test_two_decisions_on_an_image_are_no_reannotation(tmp_path):
    found = [decision(1), decision(2, who="bob")]
    with pytest.raises(LabelwiseError, match="--annotator NAME or --settled"):
        interchange.write_reimagenet(tmp_path / "r.jsonl", found, CASES, {})


def test_the_command_exports_and_imports(tmp_path, capsys):
    CASES.write(tmp_path / "cases.jsonl")
    write_key(tmp_path / "key.csv", [])
    found = [decision(1, comment='a\nb, "c"'), decision(2, case=CASES.cases[1])]
    interchange.write_csv(tmp_path / "in.csv", found, CASES)
    both = [str(tmp_path / "cases.jsonl"), "--db", str(tmp_path / "a.sqlite")]
    interchange.main([*both, "--import", str(tmp_path / "in.csv")])
    for name in ("out.csv", "out.json", "out.jsonl"):
        more = ["--settled", "--key", str(tmp_path / "key.csv")] if name == "out.jsonl" else []
        interchange.main([*both, "--export", str(tmp_path / name), *more])
        same(interchange.read(tmp_path / name, CASES, 1000), found)
    interchange.main([*both, "--export", str(tmp_path / "out.xml")])
    with pytest.raises(SystemExit):
        interchange.main([*both, "--export", str(tmp_path / "out.txt")])
    assert "suffix is none of" in capsys.readouterr().err
    foreign = {"image_name": "nowhere.jpg", "reannotated_labels": [3], "bboxes": None}
    records.write_jsonl(tmp_path / "f.jsonl", [foreign])
    with pytest.raises(SystemExit):
        interchange.main([*both, "--import", str(tmp_path / "f.jsonl"), "--annotator", "x"])
    assert "no case here, first nowhere" in capsys.readouterr().err


def test_relabel_replaces_what_was_decided_and_says_by_whom(tmp_path):
    base = [
        {"image": c.image, "labels": "4", "uncertain": 0, "void": 0, "source": "csv"}
        for c in CASES.cases
    ]
    records.write_csv(tmp_path / "base.csv", records.LABELS, base)
    images = [c.image for c in CASES.cases]
    found = [
        decision(1, -1, comment="both"),
        decision(case=CASES.cases[1]),
        decision(5, case=CASES.cases[2]),
        decision(6, case=CASES.cases[2], who="bob"),
        decision(4, case=CASES.cases[3]),
    ]
    interchange.write_csv(tmp_path / "d.csv", found, CASES)
    annotation = {
        "name": "look",
        "corrected": "old",
        "annotators": {"ann": "person", "bob": "system"},
    }
    out = {k: str(tmp_path / k) for k in ("new.csv", "who.csv", "meta.json")}

    def run():
        relabel([
            str(tmp_path / "d.csv"), "--name", "new", "--base", str(tmp_path / "base.csv"),
            "--annotation", json.dumps(annotation), "--out", out["new.csv"],
            "--decided", out["who.csv"], "--meta", out["meta.json"],
        ])  # fmt: skip
        return [open(path).read() for path in out.values()]

    first = run()
    assert first == run(), "the same bytes again"
    new = labels.read(out["new.csv"])
    assert new[images[0]] == labels.Label((1,), True) and new[images[1]] == labels.Label(())
    assert new[images[2]].ids == new[images[5]].ids == (4,)
    source = {r["image"]: r["source"] for r in records.read_csv(out["new.csv"])}
    assert source[images[0]] == "look: ann (person)" and source[images[2]] == "old"
    who = {r["image"]: r for r in records.read_csv(out["who.csv"])}
    assert who[images[0]]["before"] == "4" and who[images[0]]["after"] == "1 -1"
    assert who[images[2]]["how"] == "disputed" and who[images[2]]["decided_by"] == "ann & bob"
    assert [who[i]["changed"] for i in images[:4]] == ["1", "1", "0", "0"]
    meta = records.read_json(out["meta.json"])
    assert (meta["decided"], meta["changed"], meta["disputed"]) == (3, 2, 1)
