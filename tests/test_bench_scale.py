"""The benchmark of the workflow's own cost: every stage over made-up images, its score checked."""

import json

import pytest
from labelwise import records
from labelwise.bench import scale


def test_every_stage_is_measured_and_the_curve_is_drawn(tmp_path, monkeypatch, capsys):
    out, curve = tmp_path / "scale.json", tmp_path / "scale.svg"
    command = ["--no-plan", "--images", "120", "240", "--folder", str(tmp_path)]
    scale.main([*command, "--json", str(out), "--figure", str(curve)])
    small, large = records.read_json(out)["results"]["overhead"]
    assert (small["images"], large["images"]) == (120, 240)
    assert set(small["stages"]) == set(scale.STAGES)
    assert small["files"] == large["files"] == 10, "a file for an image"
    assert all(stage["peak_mb"] > 0 for stage in large["stages"].values())
    assert curve.read_text().count("<path") > 10
    first = curve.read_bytes()
    scale.main(["--draw", str(out), "--figure", str(curve)])
    assert curve.read_bytes() == first
    assert "120 images: " in capsys.readouterr().out


def test_the_instant_engine_says_the_first_name(tmp_path):
    from types import SimpleNamespace

    engine = scale.Instant({}, SimpleNamespace(names=["tench", "goldfish"]))
    (answer,) = engine.answer([SimpleNamespace(id=7)])
    assert (answer.id, json.loads(answer.text), answer.finish) == (7, {"1": "tench"}, "stop")


@pytest.mark.slow
def test_the_papers_grid_is_planned(tmp_path):
    found = scale.plan(50_000, tmp_path)
    assert found["models"] >= 13 and found["jobs"] > 500 and found["files"] > 600
    assert found["cpu_s"] < 15
