"""Single answers held against the corrected labels, on a hand-made study of five images."""

import pytest
from labelwise import judge, records
from labelwise.evaluation import judged
from labelwise.evaluation.selection import TEXTS, Run

NAMES = ("tench", "goldfish", "shark", "owl")
ORIGINAL = {"a": "0", "b": "0", "c": "1", "d": "2", "e": "3"}
CORRECTED = {"a": "0", "b": "1", "c": "1 2", "d": "1 3", "e": ""}
SAID = {
    "a": ("tench", "ok", "0", "", "0"),
    "b": ("gold fish", "out_of_list", "1", "0.9", "1"),
    "c": ("shark", "ok", "2", "", "0"),
    "d": ("no idea", "abstain", "", "", "0"),
    "e": ("owl", "ok", "3", "", "0"),
}
PLAN = {
    "labels": {"multi": {"format": "csv", "equivalents": "none"}},
    "original": {"set": "single"},
    "classes": {"closed": "names", "classify": "names"},
}


def run(mapper, accuracy, **other):
    texts = dict.fromkeys(TEXTS, "") | {
        **{"experiment": "main", "images": "set", "model": "model", "model_name": "Model"},
        **{"model_kind": "mllm", "protocol": "closed", "kind": "closed", "batching": "b1"},
        **{"mapper": mapper, "labels": "multi", "voids": "correct"},
        **other,
    }
    counts = {"A": {"n": 5.0, "accuracy": accuracy}, "S+": {"n": 1.0}}
    return Run(**texts, images_per_prompt=1, repeats=1, categories=counts)


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, own in (("single", ORIGINAL), ("multi", CORRECTED)):
        rows = [{"image": image, "labels": labels} for image, labels in own.items()]
        records.write_csv(f"results/labels/{name}.csv", ("image", "labels"), rows)
    records.write_csv("results/images/set.csv", ("image",), [{"image": i} for i in ORIGINAL])
    names = [{"class": i, "name": name} for i, name in enumerate(NAMES)]
    records.write_csv("results/classes/names.csv", records.CLASSES, names)
    for mapper in ("exact", "near", "far"):
        rows = [
            {"repeat": repeat, "image": image, "position": n, "margin": ""}
            | dict(zip(("answer", "outcome", "class", "score", "mapped"), said, strict=True))
            for repeat in (0, 1)
            for n, (image, said) in enumerate(SAID.items(), 1)
        ]
        file = f"results/predictions/set/model/closed/b1/{mapper}.csv"
        records.write_csv(file, records.PREDICTIONS, rows)


def test_every_answer_has_its_verdict(study):
    rows = list(judge.table([run("exact", 40.0), run("near", 80.0), run("far", 60.0)], PLAN))
    assert [(r["mapper"], r["stands"]) for r in rows[::5]] == [("exact", 0), ("near", 1)]
    assert len(rows) == 10 and set(rows[0]) == set(judged.COLUMNS)
    near = {row["image"]: row for row in rows[5:]}
    assert {i: r["category"] for i, r in near.items()} == dict(
        zip("abcde", ("S+", "S-", "M+", "M-", "N"), strict=True)
    )
    assert [near[i]["right"] for i in "abcde"] == [1, 1, 1, 0, 1]
    assert [near[i]["original_right"] for i in "abcde"] == [1, 0, 1, 0, 1]
    assert [near[i]["answer"] for i in "abcde"] == ["", "gold fish", "", "no idea", ""]
    assert near["c"]["labelled"] == "goldfish; shark" and near["c"]["said"] == "shark"
    assert near["e"]["labelled"] == "" and near["e"]["original"] == "owl"
    assert near["d"]["said"] == "" and near["b"]["score"] == "0.9"


def test_void_images_follow_the_rule(study):
    plan = PLAN | {"labels": {"multi": PLAN["labels"]["multi"] | {"void": "wrong"}}}
    rows = {row["image"]: row for row in judge.table([run("exact", 40.0)], plan)}
    assert rows["e"]["right"] == rows["e"]["original_right"] == 0
    plan = PLAN | {"labels": {"multi": PLAN["labels"]["multi"] | {"void": "exclude"}}}
    assert "e" not in {row["image"] for row in judge.table([run("exact", 40.0)], plan)}


def test_what_is_written_is_read_back(study, tmp_path):
    rows = list(judge.table([run("exact", 40.0)], PLAN))
    records.write_csv("judged.csv", judged.COLUMNS, rows)
    found = judged.read("judged.csv")
    assert list(found.columns) == list(judged.COLUMNS) and len(found) == 5
    assert found.right.sum() == 4 and found.position.tolist() == [1, 2, 3, 4, 5]
    assert found.answer.tolist() == ["", "gold fish", "", "no idea", ""]


def test_multiple_choice_is_no_single_answer(study):
    assert list(judge.table([run("options", 40.0, kind="choice")], PLAN)) == []
