"""The pages of the report: what was run, and provenance."""

import json
import re

import pytest
from labelwise import provenance
from labelwise.errors import LabelwiseError
from labelwise.evaluation.selection import load
from labelwise.pages import page
from labelwise.pages import provenance as provenance_page
from labelwise.pages import runs as runs_page
from make_experiment import DATA

MAIN = DATA / "experiment_main.csv"


def meta(path, model, **facts):
    axes = {"images": "demo", "model": model, "protocol": "closed", "batching": "b1"}
    spec = {"engine": "openai", "model": f"{model}-2024"}
    path.write_text(json.dumps(provenance.meta(0.0, axes=axes, model=spec, **facts)))
    return path


def test_outcomes_stand_beside_every_accuracy():
    runs = load(MAIN)
    rows = {}
    for section in runs_page.sections(runs):
        names = [name for name, _ in section["columns"]]
        labels = section["title"].rsplit(" ", 1)[1]
        for row in section["rows"]:
            found = dict(zip(names, row, strict=True))
            rows[found["model"], found["protocol"], found["mapper"], found["images a prompt"],
                 labels] = found  # fmt: skip
    assert len(rows) == len(runs)
    for run in runs:
        size = f"{run.images_per_prompt}, {run.order}" if run.order else str(run.images_per_prompt)
        found = rows[run.name, run.protocol, run.mapper, size, run.labels]
        assert found["accuracy, %"] == f"{run.get('A', 'accuracy'):.2f}"
        counts = [float(found[name]) for name in ("ok", "out of list", "parse error", "truncated")
                  if name in found]  # fmt: skip
        counts += [float(found[name]) for name in ("abstain",) if name in found]
        assert sum(counts) == pytest.approx(run.n("A"), abs=0.02)


def test_cost_is_summed_and_what_answered_is_named(tmp_path):
    paths = [
        meta(tmp_path / "a.json", "gpt", cost_usd=0.5, answered_by={"gpt-2024 fp_1": 3}),
        meta(tmp_path / "b.json", "gpt", cost_usd=0.25, answered_by={"gpt-2024 fp_2": 1}),
        meta(tmp_path / "c.json", "local"),
    ]
    weights = tmp_path / "w.json"
    weights.write_text(json.dumps({"files": [{"bytes": 2_000_000}]}))
    out = tmp_path / "provenance.html"
    config = json.dumps({"models": {"<b>": {"engine": "openai"}}})
    provenance_page.main(
        [*map(str, paths), "--weights", str(weights), "--config", config, "--out", str(out)]
    )
    text = out.read_text()
    assert "paid servers charged 0.7500 USD for 2 of them" in text
    assert "gpt-2024 fp_1: 3; gpt-2024 fp_2: 1" in text
    assert "&lt;b&gt;" in text and "<b>" not in text
    assert re.search(r">w</td><td class=.long.>[0-9a-f]{64}</td><td class=.number.>1<", text)


def test_no_paid_server_is_said(tmp_path):
    found = provenance_page.sections(
        [provenance_page.read(meta(tmp_path / "a.json", "local"))], [], {}
    )
    runs = next(section for section in found if section["title"].startswith("Runs"))
    assert "no paid server was asked" in runs["lines"][0]


def test_what_is_no_record_is_one_line(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(LabelwiseError, match=r"a\.json: not the record of a run"):
        provenance_page.read(tmp_path / "a.json")


def test_texts_of_a_page_are_escaped():
    section = {"title": "<i>", "columns": [("<u>", True)], "rows": [["</td><script>"]], "text": "&"}
    made = page("<title>", ["<p>x"], [section])
    assert not re.search(r"<(i|u|script)>", made)
    assert made.count("&lt;") >= 6 and "<pre>&amp;</pre>" in made
