import json

import pytest
from labelwise import mapping, records, requests, show
from study import ROOT

NAMES = ["tench", "hen", "ant", "mug", "crane"]
PROMPT = "system: 'Choose: {{ class_list }}'\nimage: ' [{n}] '\n"


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prompt.yaml").write_text(PROMPT)
    records.write_csv(
        "results/images/demo.csv", records.IMAGES, [{"image": i, "status": "ok"} for i in "ab"]
    )
    rows = [{"class": i, "name": name} for i, name in enumerate(NAMES)]
    records.write_csv("results/classes/five.csv", records.CLASSES, rows)
    for name, labels in (("single", {"a": "0", "b": "1"}), ("multi", {"a": "2", "b": ""})):
        rows = [{"image": i, "labels": c, "uncertain": 0, "void": 0} for i, c in labels.items()]
        records.write_csv(f"results/labels/{name}.csv", records.LABELS, rows)
    spec = {"kind": "closed", "prompt": "prompt.yaml", "classes": "five", "format": "json"}
    asked = "results/requests/demo/closed/b2-sorted.jsonl"
    records.write_jsonl(asked, requests.make("closed", spec, ["a", "b"], NAMES, 2, "sorted"))
    said = [{"request": 0, "text": '{"1": "Ant", "2": "\\u001b[2J"}', "finish": "stop"}]
    records.write_jsonl("results/responses/demo/m/closed/b2-sorted.jsonl", said)
    paths = (
        "results/responses/demo/m/closed/b2-sorted.jsonl --images results/images/demo.csv"
        f" --requests {asked} --classes results/classes/five.csv"
        " --out results/predictions/demo/m/closed/b2-sorted/exact.csv"
    )
    mapping.main([*paths.split(), "--mapper", '{"kind": "exact"}'])
    rule = {"format": "csv", "equivalents": "none"}
    config = records.read_yaml(ROOT / "tests/workflow/study.yaml")
    config["images"]["demo"] = {"source": "demo", "original": "single"}
    config["labels"] = {"single": rule, "multi": rule}
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    return ["--config", "config.yaml", "--mapper", "exact", "--run", "demo/m/closed/b2-sorted"]


def test_one_screen(study, capsys):
    show.main(["a", "--labels", "multi", *study])
    text = capsys.readouterr().out
    assert "Choose: tench, hen, ant, mug, crane" in text and "[image a]" in text
    assert 'parse     ok: "Ant"' in text
    assert "class     2 ant (exact)" in text
    assert "right under multi, wrong under the original label; category S-" in text
    assert "single: 0 tench" in text and "multi: 2 ant" in text


def test_a_void_image_and_text_that_cannot_reach_the_terminal(study, capsys):
    show.main(["b", "--labels", "multi", *study])
    text = capsys.readouterr().out
    assert "\u001b" not in text and "category N (void images count as correct)" in text
    assert "class     none (exact)" in text and "multi: none" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x", "--labels", "multi"], "image x: not among the requests"),
        (["a", "--labels", "many"], "labels: 'many' is none of single, multi"),
        (["a", "--labels", "multi", "--run", "demo/m"], "must be IMAGES/MODEL/PROTOCOL/BATCHING"),
        (["a", "--labels", "multi", "--run", "demo/n/closed/b2-sorted"], "no such file"),
    ],
)
def test_what_is_missing_is_named(study, capsys, arguments, message):
    with pytest.raises(SystemExit):
        show.main([arguments[0], *study, *arguments[1:]])
    assert message in capsys.readouterr().err
