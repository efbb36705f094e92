"""The leaderboard file: every number once, who made it, nothing that its schema does not know."""

import csv
import json
from pathlib import Path

import pytest
from labelwise import records
from labelwise.errors import LabelwiseError
from labelwise.evaluation import selection
from labelwise.publishing import leaderboard
from make_experiment import DATA

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = json.loads((ROOT / "workflow/schemas/leaderboard.schema.json").read_text())
MAIN = DATA / "experiment_main.csv"
MODELS = {
    "composed-lite0": {"engine": "composed", "vision": "lite0", "language": "smollm2"},
    "composed-lite2": {"engine": "composed", "vision": "lite2", "language": "smollm2"},
    "conse": {"engine": "timm", "weights": "lite2"},
    "knn": {"engine": "timm", "weights": "lite2"},
    "efficientnet-lite0": {"engine": "timm", "weights": "lite0"},
    "efficientnet-lite1": {"engine": "timm", "hf": "timm/lite1", "revision": "a" * 40},
    "efficientnet-lite2": {"engine": "timm", "weights": "lite2"},
    "oracle": {"engine": "oracle", "labels": "single"},
    "chance": {"engine": "chance"},
}
LOOKS = {model: "look" if entry["engine"] == "timm" else "" for model, entry in MODELS.items()}
META = {"ended": "2026-11-25T19:27:53Z", "commit": "0" * 40}


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Records of weights and runs, as a study has them."""
    monkeypatch.chdir(tmp_path)
    for name in ("lite0", "lite2", "smollm2"):
        record = {"package": name, "version": "0.1"}
        records.write_json(f"results/weights/{name}.json", record)
    for run in selection.load(MAIN):
        records.write_json(f"results/responses/{run.run}.meta.json", META)
    records.write_json("results/logits/demo/look.meta.json", META | {"commit": ""})


def test_every_score_is_listed_once_with_its_interval(study):
    runs = selection.load(MAIN)
    found = list(leaderboard.rows([*runs, *runs], MODELS, LOOKS))
    leaderboard.document(found, SCHEMA)
    accuracies = [row for row in found if row["metric"] == "accuracy"]
    assert len(accuracies) == len(runs)
    for run in runs:
        (row,) = [
            r
            for r in accuracies
            if (r["model"], r["protocol"], r["images_per_prompt"], r["mapper"], r["labels"])
            == (run.model, run.protocol, run.images_per_prompt, run.mapper, run.labels)
            and (r["order"] or "") == run.order
        ]
        assert (row["value"], row["low"]) == (run.get("A", "accuracy"), run.get("A", "low"))
        assert row["interval"] == ("wilson" if run.repeats == 1 else "student-t over repeats")
        assert row["n"] == 135 and row["rules"] == run.rules


def test_it_says_what_a_model_is_elsewhere_and_which_commit_ran_it(study):
    found = {row["model"]: row for row in leaderboard.rows(selection.load(MAIN), MODELS, LOOKS)}
    assert found["composed-lite0"]["model_id"] == "lite0 + smollm2"
    assert found["composed-lite0"]["revision"] == "lite0==0.1 + smollm2==0.1"
    assert found["efficientnet-lite1"]["model_id"] == "timm/lite1"
    assert found["efficientnet-lite1"]["revision"] == "a" * 40
    assert found["oracle"]["model_id"] is found["oracle"]["revision"] is None
    assert found["composed-lite2"]["commit"] == "0" * 40 and found["knn"]["commit"] is None


def test_both_files_say_the_same_and_twice_the_same_bytes(study):
    spec = json.dumps({"models": MODELS, "looks": LOOKS})
    schema = str(ROOT / "workflow/schemas/leaderboard.schema.json")
    for stem in ("a", "b"):
        leaderboard.main([str(MAIN), "--spec", spec, "--schema", schema, "--out", stem])
    for suffix in ("csv", "json"):
        assert Path(f"a.{suffix}").read_bytes() == Path(f"b.{suffix}").read_bytes()
    with open("a.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    listed = json.loads(Path("a.json").read_text())["results"]
    assert [
        {name: "" if value is None else str(value) for name, value in row.items()} for row in listed
    ] == [{name: row[name] for name in sorted(row)} for row in rows]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metric": "f1"}, "leaderboard: results: 0: metric: 'f1' is not one of"),
        ({"commit": "main"}, "results: 0: commit: 'main' does not match"),
        ({"more": 1}, "results: 0: Additional properties"),
        ({"value": 101}, "results: 0: value: 101 is greater than"),
    ],
)
def test_what_the_schema_does_not_know_is_refused(study, change, message):
    row = next(leaderboard.rows(selection.load(MAIN), MODELS, LOOKS))
    with pytest.raises(LabelwiseError, match=message):
        leaderboard.document([row | change], SCHEMA)
