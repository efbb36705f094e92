"""Someone else's images through the whole workflow, and the file that lists a study's results."""

import csv
import json
import subprocess
import sys

import pytest
import yaml
from study import copy


def labelwise(study, *args):
    command = [sys.executable, "-m", "labelwise", *args]
    environment = {"PYTHONPATH": str(study.root / "workflow/lib"), "PATH": ""}
    done = subprocess.run(command, cwd=study.root, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def digits(tmp_path, per_class):
    study = copy(tmp_path)
    labelwise(study, "example", "digits", "--out", "d", "--per-class", str(per_class))
    said = labelwise(study, "init", "digits", "--images", "d/images", "--classes", "d/classes.txt")
    assert f"{10 * per_class} images, 10 classes" in said
    return study


def results(study):
    with open(study.root / "results/leaderboard.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "accuracy"]
    return {(row["model"], row["protocol"], row["mapper"]): float(row["value"]) for row in rows}


def test_controls_on_digits_score_as_they_must(tmp_path):
    study = digits(tmp_path, 5)
    path = study.root / "digits/config.yaml"
    config = yaml.safe_load(path.read_text())
    config["experiments"]["main"]["runs"] = [
        {"models": ["oracle", "chance"], "protocols": ["closed"], "mappers": ["exact"]}
    ]
    config["experiments"]["choice"]["runs"][0]["models"] = ["oracle", "chance"]
    config["figures"] = {"label_gain": {"experiment": "main"}}
    config["tables"] = {"main": {"experiment": "main"}, "multiple_choice": {"experiment": "choice"}}
    path.write_text(yaml.safe_dump(config))
    said, text = study.snakemake(
        "--cores", "2", "--configfile", str(path), "--replace-workflow-config"
    )
    assert said == 0, text
    found = results(study)
    assert found["oracle", "closed", "exact"] == found["oracle", "choice", "options"] == 100
    assert 0 <= found["chance", "closed", "exact"] <= 26
    assert 14 <= found["chance", "choice", "options"] <= 36
    assert "Oracle" in (study.root / "results/tables/main.html").read_text()


@pytest.mark.slow
def test_digits_from_the_command_to_every_table_and_figure(tmp_path):
    study = digits(tmp_path, 5)
    said, text = study.snakemake(
        "--cores", "2", "--configfile", "digits/config.yaml", "--replace-workflow-config"
    )
    assert said == 0, text
    found = results(study)
    assert found["oracle", "closed", "exact"] == 100
    assert found["knn", "classify", "argmax"] > 40
    assert {model for model, _, _ in found} == {
        "oracle",
        "chance",
        "knn",
        "conse",
        "composed-lite2",
    }
    for name in ("main", "protocols", "out_of_list", "encoders", "multiple_choice", "ranks"):
        assert "Not run" not in (study.root / f"results/tables/{name}.html").read_text(), name


def test_the_leaderboard_lists_every_score_of_the_study(built):
    document = json.loads((built.root / "results/leaderboard.json").read_text())
    with open(built.root / "results/leaderboard.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(document["results"])
    scores = list((built.root / "results/scores").rglob("*.json"))
    accuracies = [row for row in document["results"] if row["metric"] == "accuracy"]
    assert len(accuracies) == len(scores)
    for path in scores:
        score = json.loads(path.read_text())
        axes = ("images", "model", "protocol", "images_per_prompt", "mapper", "labels")
        (row,) = [r for r in accuracies if all(r[axis] == score[axis] for axis in axes)]
        assert row["value"] == score["categories"]["A"]["accuracy"]
        assert (row["low"], row["high"]) == (
            score["categories"]["A"]["low"],
            score["categories"]["A"]["high"],
        )
        assert row["date"].endswith("Z") and row["rules"].startswith("void=correct")
