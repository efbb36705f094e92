"""Someone else's images through the whole workflow, and the file that lists a study's results."""

import csv
import json
import shlex
import subprocess
import sys

import pytest
import yaml
from PIL import Image
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


def controls_alone(path):
    """Leave a study's configuration with its controls, one figure and two tables."""
    config = yaml.safe_load(path.read_text())
    config["experiments"]["main"]["runs"] = [
        {"models": ["oracle", "chance"], "protocols": ["closed"], "mappers": ["exact"]}
    ]
    config["experiments"]["choice"]["runs"][0]["models"] = ["oracle", "chance"]
    del config["experiments"]["decoding"]
    config["figures"] = {"label_gain": {"experiment": "main"}}
    config["tables"] = {"main": {"experiment": "main"}, "multiple_choice": {"experiment": "choice"}}
    path.write_text(yaml.safe_dump(config))


def results(study):
    with open(study.root / "results/leaderboard.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "accuracy"]
    return {(row["model"], row["protocol"], row["mapper"]): float(row["value"]) for row in rows}


def test_controls_on_digits_score_as_they_must(tmp_path):
    study = digits(tmp_path, 5)
    path = study.root / "digits/config.yaml"
    controls_alone(path)
    said, text = study.snakemake(
        "--cores", "2", "--configfile", str(path), "--replace-workflow-config"
    )
    assert said == 0, text
    found = results(study)
    assert found["oracle", "closed", "exact"] == found["oracle", "choice", "options"] == 100
    assert 0 <= found["chance", "closed", "exact"] <= 26
    assert 14 <= found["chance", "choice", "options"] <= 36
    assert "Oracle" in (study.root / "results/tables/main.html").read_text()


def test_odd_names_and_files_of_one_name_go_through_the_whole_workflow(tmp_path):
    study = copy(tmp_path)
    names = ['été, "the" summer', "grüner Baum", "木", "St. Bernard; a dog"]
    for name in names:
        for number in (1, 2):
            path = study.root / f"my pictures/{name}/bild {number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.effect_noise((32 + number, 24), 90).save(path)
    (study.root / "names.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    given = ["--images", "my pictures", "--classes", "names.txt", "--out", "my study's folder"]
    said = labelwise(study, "init", "odd", *given)
    assert "8 images, 4 classes, 8 labelled" in said and "known by their paths" in said
    controls_alone(study.root / "my study's folder/config.yaml")
    command = said.splitlines()[-1].removeprefix("run: ")
    done, text = study.snakemake(*shlex.split(command)[1:])
    assert done == 0, text
    found = results(study)
    assert found["oracle", "closed", "exact"] == found["oracle", "choice", "options"] == 100
    rows = (study.root / "results/predictions/odd/oracle/closed/b1/exact.csv").read_text("utf-8")
    assert "grüner Baum/bild 2" in rows


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
    for protocol in ("constrained", "likelihood", "likelihood-mean"):
        path = study.root / f"results/predictions/digits/composed-lite2/{protocol}/b1/exact.csv"
        with open(path, newline="") as file:
            assert {row["outcome"] for row in csv.DictReader(file)} == {"ok"}
    shown = yaml.safe_load((study.root / "digits/config.yaml").read_text())
    for name in shown["tables"]:
        assert "Not run" not in (study.root / f"results/tables/{name}.html").read_text(), name
    assert all((study.root / f"results/figures/{name}.png").is_file() for name in shown["figures"])


@pytest.mark.slow
def test_twenty_thousand_names_are_refused_in_one_prompt_and_asked_narrowed(tmp_path):
    study = copy(tmp_path)
    labelwise(study, "example", "synsets", "--out", "d")
    said = labelwise(
        *(study, "init", "synsets", "--images", "d/images"),
        *("--classes", "d/classes.csv", "--labels", "d/labels.csv"),
    )
    assert "24 images, 20,000 classes, 24 labelled" in said
    assert "the list of 20,000 names is too long for a prompt: protocol narrowed offers 50" in said
    whole = study.root / "whole.yaml"
    config = yaml.safe_load((study.root / "synsets/config.yaml").read_text())
    closed = {key: config["protocols"]["narrowed"][key] for key in ("prompt", "classes", "stop")}
    config["protocols"]["closed"] = closed | {"kind": "closed"}
    config["experiments"]["main"]["runs"][0]["protocols"] = ["closed"]
    whole.write_text(yaml.safe_dump(config))
    use = ["--cores", "1", "--replace-workflow-config", "--configfile"]
    run = "synsets/composed-lite2/closed/b1"
    stopped, text = study.snakemake(*use, whole.name, "--", f"results/responses/{run}.jsonl")
    log = (study.root / f"results/logs/infer/{run}.log").read_text()
    assert stopped and not list((study.root / "results/responses").rglob("*.jsonl"))
    assert "but the model takes 8192; the class list is too long" in log
    assert "kind narrowed (docs/own-data.md)" in log and "kind narrowed" in text

    done, text = study.snakemake(*use, "synsets/config.yaml")
    assert done == 0, text
    found = results(study)
    ceiling = found["oracle", "narrowed", "exact"]
    assert 40 <= ceiling < 100, "of the true classes some are offered, some are not"
    assert 0 < found["composed-lite2", "narrowed", "exact"] <= ceiling
    assert found["conse", "classify", "argmax"] <= ceiling
    assert found["chance", "narrowed", "exact"] <= 20
    for name in yaml.safe_load((study.root / "synsets/config.yaml").read_text())["tables"]:
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
