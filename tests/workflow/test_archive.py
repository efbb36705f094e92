"""The archive: unpacked over a fresh clone nothing is to be done; nothing restricted is in it."""

import subprocess
import zipfile

import mlcroissant
import pytest
import study as studies
import yaml
from labelwise.planning import restricted
from labelwise.planning.grid import Grid
from study import ROOT


@pytest.fixture(scope="module")
def packed(built, tmp_path_factory):
    """The built study with its archive."""
    import shutil

    root = tmp_path_factory.mktemp("packed") / "study"
    shutil.copytree(built.root, root)
    made = studies.Study(root)
    made.build("pack")
    return made


def fresh(tmp_path):
    """A clone that has built nothing: every file is younger than any result."""
    clone = studies.copy(tmp_path / "clone")
    for path in clone.root.rglob("*"):
        path.touch()
    return clone


@pytest.mark.parametrize("restores_times", [True, False])
def test_nothing_is_to_be_done_in_a_fresh_clone(packed, tmp_path, restores_times):
    clone = fresh(tmp_path)
    assert clone.planned()["infer"] > 0
    archive = packed.root / "results/archive.zip"
    if restores_times:
        subprocess.run(["unzip", "-qo", archive], cwd=clone.root, check=True)
    else:
        with zipfile.ZipFile(archive) as file:
            file.extractall(clone.root)
    assert clone.planned() == {}
    clone.edit("workflow/lib/labelwise/figures/label_gain.py", '"""', '"""Edited. ')
    assert clone.planned() == {"draw_figure": 1}


def test_what_is_packed(packed):
    with zipfile.ZipFile(packed.root / "results/archive.zip") as file:
        names = set(file.namelist())
        assert file.testzip() is None
    for name in (
        "CITATION.cff",
        "config/config.yaml",
        "results/croissant.json",
        "results/experiments/main.csv",
        "results/labels/multi.csv",
        "results/responses/small/oracle/closed/b1.jsonl",
        "results/tables/main.tex",
    ):
        assert name in names, name
    assert any(name.startswith("results/predictions/") for name in names)
    assert any(name.startswith(".snakemake/metadata/") for name in names)
    assert not [n for n in names if n.startswith(("results/journal", "results/logs", "data/"))]
    assert not [n for n in names if n.lower().endswith((".jpg", ".jpeg"))]


def test_croissant_metadata_is_valid_and_reads_the_rows(packed):
    data = mlcroissant.Dataset(jsonld=str(packed.root / "results/croissant.json"))
    assert not data.metadata.ctx.issues.errors and not data.metadata.ctx.issues.warnings
    first = next(iter(data.records("experiments/main")))
    assert first["experiments/main/experiment"] in (b"main", "main")
    assert isinstance(first["experiments/main/n"], int)


def grid(monkeypatch, **changes):
    monkeypatch.chdir(ROOT)
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    for kind, name, key, value in changes.values():
        config[kind][name][key] = value
    return Grid(config, yaml.safe_load((ROOT / "config/weights.lock.yaml").read_text()))


def test_nothing_of_the_default_study_is_restricted(monkeypatch):
    assert restricted.left_out(grid(monkeypatch)) == sorted(restricted.NEVER)


def test_restricted_labels_leave_with_all_that_holds_them(monkeypatch):
    found = restricted.left_out(grid(monkeypatch, a=("labels", "multi", "restricted", True)))
    for pattern in (
        *("labels/multi.*", "judged/main.csv", "judged/batches.csv", "browser.html"),
        "requests/demo/choice-random-name/*",
        "figures/gallery.*",
    ):
        assert pattern in found, pattern
    assert "labels/single.*" not in found
    assert not any("responses" in pattern for pattern in found)
    found = restricted.left_out(grid(monkeypatch, a=("labels", "single", "restricted", True)))
    assert {"predictions/*/oracle/*", "responses/*/oracle/*.jsonl"} <= set(found)


def test_labels_of_reimagenet_are_restricted_unless_said_otherwise(monkeypatch):
    made = grid(monkeypatch)
    entry = made.config["labels"]["multi"]
    entry["format"] = "reimagenet"
    assert restricted.labels(made) == {"multi", "multi-revised"}  # it holds labels of the other
    entry["restricted"] = False
    assert restricted.labels(made) == set()


def test_images_and_answers_can_be_restricted(monkeypatch):
    found = restricted.left_out(grid(monkeypatch, a=("images", "demo", "show", True)))
    assert {"browser.html", "figures/gallery.*"} <= set(found)
    found = restricted.left_out(grid(monkeypatch, a=("models", "chance", "restricted", True)))
    assert {"browser.html", "responses/*/chance/*.jsonl"} <= set(found)
