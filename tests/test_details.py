"""What tables show beyond an experiment: places in the prompt, single classes, kinds of answers."""

import importlib
import json

import pytest
from labelwise import collate, gather, oop, positions, recall
from labelwise.errors import LabelwiseError
from labelwise.evaluation.selection import AXES, load
from labelwise.records import read_csv, write_csv, write_json
from labelwise.tables import files
from labelwise.tables import position as position_table
from labelwise.tables import recall as recall_table
from make_experiment import DATA
from small_study import PLAN, SmallStudy


@pytest.fixture
def small(tmp_path, monkeypatch):
    """24 images: class 1 has eight, of which three are class 2 by the corrected labels."""
    monkeypatch.chdir(tmp_path)
    truth = {}
    for i in range(24):
        original = 1 + i // 8
        truth[f"i{i:02d}"] = (original, (2,) if i < 3 else (original,) if i < 20 else (9, 8))
    return SmallStudy(tmp_path, truth)


def batched(small):
    """Three images a prompt: the third is always lost; one a prompt: all right."""
    places = {image: 1 + i % 3 for i, image in enumerate(small.truth)}
    right = {image: own for image, (own, _) in small.truth.items()}
    small.predict("m", right)
    lost = {image: "" if places[image] == 3 else own for image, own in right.items()}
    small.predict("m", lost, batching="b3-shuffled-s0", places=places)
    small.predict("m", right, batching="b3-same-class-s0", places=places)
    small.predict("alone", right)
    small.gather()
    out = small.root / "results/positions/small.csv"
    where = ["results/experiments/small.csv", "--plan", json.dumps(PLAN), "--out", str(out)]
    positions.main(where)
    return read_csv(out, positions.COLUMNS)


def test_places_compare_the_same_images(small):
    rows = batched(small)
    assert {row["model"] for row in rows} == {"m"}  # the other was asked in one way only
    assert {row["batching"] for row in rows} == {"b1", "b3-shuffled-s0"}
    cells = {
        (r["batching"], r["position"], r["labels"]): (float(r["original"]), float(r["oop"]), r["n"])
        for r in rows
    }
    for place, (original, oop_rate) in {"1": (100, 0), "2": (100, 0), "3": (0, 100)}.items():
        assert cells["b1", place, "multi"] == (100, 0, "8")
        assert cells["b3-shuffled-s0", place, "multi"] == (original, oop_rate, "8")


def test_the_table_shows_first_middle_and_last_place_with_differences(small):
    rows = batched(small)
    table = position_table.build(load("results/experiments/small.csv"), rows)
    cells = [r for r in files.tidy(table) if r.get("measure") == "original"]
    shown = [(r["position"], r["images_per_prompt"], r["value"], r["delta"]) for r in cells]
    assert shown == [
        (1, 1, 100, None),
        (1, 3, 100, 0),
        (2, 1, 100, None),
        (2, 3, 100, 0),
        (3, 1, 100, None),
        (3, 3, 0, -100),
    ]
    counts = {
        (r["position"], r["images_per_prompt"]): (r["value"], r["delta"])
        for r in files.tidy(table)
        if r.get("measure") == "oop_count"
    }
    assert counts[3, 3] == (8, 8) and counts[3, 1] == (0, None)
    notes = [r["note"] for r in files.tidy(table) if r.get("note")]
    assert notes == ["not run: closed world (CW) with several images a prompt"]
    assert position_table.build(load("results/experiments/small.csv"), []).note.startswith(
        "Not run"
    )


def recalled(small):
    names = ["zero", "one", "two", "three", *(str(i) for i in range(4, 10))]
    small.predict("m", {i: found[0] for i, (_, found) in small.truth.items()})
    small.gather()
    rows = [{"class": i, "name": name} for i, name in enumerate(names)]
    write_csv(small.root / "classes.csv", ("class", "name"), rows)
    out = small.root / "recall.csv"
    recall.main([*map(str, small.scores), "--classes", "classes.csv", "--out", str(out)])
    return read_csv(out, recall.COLUMNS)


def test_recall_of_every_class_and_score(small):
    cells = {(r["labels"], r["name"]): (r["n"], r["right"]) for r in recalled(small)}
    assert cells["single", "one"] == ("8", "5") and cells["multi", "one"] == ("5", "5")
    assert cells["multi", "two"] == ("11", "11") and cells["single", "two"] == ("8", "8")
    assert cells["single", "three"] == ("8", "4") and cells["multi", "three"] == ("4", "4")
    assert ("multi", "9") not in cells  # images with several labels count for none


def test_the_table_of_recall_has_both_label_sets_side_by_side(small):
    table = recall_table.build(load_runs(small), recalled(small))
    cells = {(r["category"], r["measure"]): r for r in files.tidy(table)}
    assert cells["1", "original"]["value"] == pytest.approx(100 * 5 / 8)
    assert cells["1", "accuracy"]["value"] == 100
    assert cells["1", "accuracy"]["delta"] == pytest.approx(100 * 3 / 8)
    assert cells["1", "original"]["n"] == 8 and cells["1", "accuracy"]["n"] == 5
    assert cells["1", "original"]["low"] < cells["1", "original"]["value"]
    columns = [(c.category, c.label) for c in table.panels[0].columns]
    assert columns[:2] == [("1", "one"), ("1", "corrected")]
    assert recall_table.build(load_runs(small), []).note.startswith("Not run: ")


def load_runs(small):
    if not small.scores:
        recalled(small)
    return load("results/experiments/small.csv")


def test_a_file_that_is_no_score_is_named(tmp_path):
    write_json(tmp_path / "x.json", {"a": 1})
    with pytest.raises(LabelwiseError, match=r"x\.json: not a score: no key recall"):
        list(recall.rows([tmp_path / "x.json"], []))


def test_days_of_the_runs(tmp_path):
    for name, ended in (("a", "2026-02-03T10:00:00Z"), ("b", "2026-01-31T23:59:59Z")):
        write_json(tmp_path / f"{name}.meta.json", {"ended": ended})
    found = gather.days(sorted(tmp_path.glob("*.meta.json")))
    assert found == {"first": "2026-01-31", "last": "2026-02-03"}
    assert gather.days([]) == {}


def test_files_are_put_under_one_another(tmp_path):
    write_csv(tmp_path / "1.csv", ("a", "b"), [{"a": 1, "b": 2}])
    write_csv(tmp_path / "2.csv", ("a", "b"), [{"a": 3, "b": 4}])
    out = tmp_path / "out.csv"
    collate.main([str(tmp_path / "1.csv"), str(tmp_path / "2.csv"), "--out", str(out)])
    assert out.read_text() == "a,b\n1,2\n3,4\n"
    collate.main(["--out", str(out)])
    assert read_csv(out) == []


def test_an_analysis_of_answers_says_which_run_it_is_of():
    assert oop.COLUMNS[: len(AXES)] == AXES


def test_what_was_not_run_is_said_of_details_too(tmp_path):
    runs = load(DATA / "experiment_main.csv")
    for name, found in (
        ("answer_kinds", [[]]),
        ("position", [[]]),
        ("recall", [[]]),
        ("stability", []),
    ):
        module = importlib.import_module(f"labelwise.tables.{name}")
        table = module.build(runs, *found)
        files.write(table, tmp_path / name)
        for suffix in ("csv", "tex", "html"):
            text = (tmp_path / f"{name}.{suffix}").read_text()
            assert "Not run: experiment main has no" in text, (name, suffix)
