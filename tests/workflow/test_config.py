"""Every fault of a config is one line that names file and key, before any job starts."""

import re

import pytest
import yaml
from labelwise.config import check
from labelwise.errors import LabelwiseError
from labelwise.planning.grid import Grid
from study import ROOT

SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
LOCKED = yaml.safe_load((ROOT / "config/weights.lock.yaml").read_text())


def plan(config, monkeypatch):
    monkeypatch.chdir(ROOT)
    check(config, SCHEMA, "mine.yaml")
    return Grid(config, LOCKED)


@pytest.fixture
def config():
    return yaml.safe_load((ROOT / "config/config.yaml").read_text())


@pytest.mark.parametrize("path", sorted(ROOT.glob("config/*.yaml")), ids=lambda path: path.name)
def test_every_shipped_config_is_valid(path, monkeypatch):
    for name in ("IMAGENET_VAL", "IMAGENET_TRAIN"):
        monkeypatch.setenv(name, str(ROOT / "data/demo/photos"))
    if "lock" not in path.name:
        grid = plan(yaml.safe_load(path.read_text()), monkeypatch)
        assert grid.points


def test_the_model_that_the_readme_adds_is_valid(config, monkeypatch):
    (block,) = re.findall(r"```yaml\n(models:.*?)```", (ROOT / "README.md").read_text(), re.S)
    added = yaml.safe_load(block)
    config["models"] |= added["models"]
    config["experiments"]["main"]["runs"] += added["experiments"]["main"]["runs"]
    points = plan(config, monkeypatch).points_of["main"]
    assert {point.mapper for point in points if point.run.model == "mine"} == {
        "exact",
        "minilm-templated",
    }


def set_to(*keys_and_value):
    *keys, last, value = keys_and_value

    def change(config):
        for key in keys:
            config = config[key]
        config[last] = value

    return change


RUN = ("experiments", "main", "runs", 0)
MISTAKES = {
    "unknown model": (
        set_to(*RUN, "models", ["composed-lite3"]),
        "'composed-lite3'",
        "composed-lite0",
    ),
    "unknown protocol": (set_to(*RUN, "protocols", ["close"]), "'close'", "did you mean 'closed'?"),
    "unknown mapper": (set_to(*RUN, "mappers", ["exakt"]), "'exakt'", "did you mean 'exact'?"),
    "unknown order": (set_to(*RUN, "orders", ["random"]), "orders", "shuffled-sN"),
    "unknown images": (set_to("experiments", "main", "images", ["demos"]), "'demos'", "'demo'"),
    "unknown labels": (
        set_to("experiments", "main", "labels", ["regt"]),
        "'regt'",
        "single, multi",
    ),
    "unknown experiment": (
        set_to("figures", "label_gain", {"experiment": "man"}),
        "'man'",
        "'main'",
    ),
    "unknown figure": (
        set_to("figures", "gain", {"experiment": "main"}),
        "gain",
        "figures/gain.py",
    ),
    "unknown encoder": (set_to("mappers", "use", "encoder", "uze"), "'uze'", "did you mean 'use'?"),
    "unknown class names": (set_to("protocols", "open", "classes", "mine"), "'mine'", "curated"),
    "unknown weights": (
        set_to("encoders", "use", "weights", "usem"),
        "'usem'",
        "weights.lock.yaml",
    ),
    "misspelt section": (set_to("tabels", {}), "'tabels'", "did you mean 'tables'?"),
    "misspelt key": (set_to("models", "knn", "classifer", "x"), "'classifer'", "'classifier'"),
    "missing key": (
        set_to("models", "knn", {"engine": "knn", "kind": "knn"}),
        "knn",
        "'classifier'",
    ),
    "a key of another name": (
        set_to(
            *("models", "tower"),
            {
                "engine": "open_clip",
                "kind": "dual-encoder",
                "mapper": "x",
                "class_names": "curated",
            },
        ),
        "models: tower",
        "'class_names'",
    ),
    "unquoted true": (set_to("protocols", "open", True, ["original"]), "protocols: open", "quotes"),
    "answer of another kind": (
        set_to("protocols", "open", "answer", "letter"),
        "open: answer: 'letter'",
        "'name'",
    ),
    "bad value": (set_to("labels", "multi", "void", "drop"), "multi: void: 'drop'", "'exclude'"),
    "a branch": (
        set_to(
            "models", "x", {"engine": "timm", "kind": "supervised", "hf": "a/b", "revision": "main"}
        ),
        "revision: 'main'",
        "40 hex digits",
    ),
    "bad name": (
        set_to("models", "My_Model", {"engine": "chance", "kind": "control"}),
        "'My_Model'",
        "lower-case",
    ),
    "missing folder": (
        set_to("images", "mine", {"source": "folder", "folder": "/no/such", "original": "single"}),
        "images: mine: folder",
        "/no/such",
    ),
    "folder without shards": (
        set_to("images", "mine", {"source": "shards", "folder": "config", "original": "single"}),
        "images: mine: folder",
        "no .tar or .parquet",
    ),
    "data set without commit": (
        set_to("images", "mine", {"source": "hub", "dataset": "a/b", "original": "single"}),
        "images: mine",
        "'revision' is missing",
    ),
    "missing label file": (
        set_to("labels", "multi", "file", "no.csv"),
        "labels: multi: file",
        "no.csv",
    ),
    "missing prompt": (
        set_to("protocols", "open", "prompt", "no.yaml"),
        "protocols: open: prompt",
        "no.yaml",
    ),
    "classifier with protocol": (
        set_to(*RUN, "models", ["efficientnet-lite0"]),
        "classifier",
        "models alone",
    ),
    "choice with mapper": (
        set_to(*RUN, "protocols", ["choice-random-name"]),
        "mappers",
        "options decide",
    ),
    "no mapper": (
        set_to("experiments", "main", "runs", [{"models": ["oracle"], "protocols": ["open"]}]),
        "mappers",
        "open",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_that_names_it(name, config, monkeypatch):
    change, *expected = MISTAKES[name]
    change(config)
    with pytest.raises(LabelwiseError) as caught:
        plan(config, monkeypatch)
    said = str(caught.value)
    assert "\n" not in said
    for part in expected:
        assert part in said, said


def test_few_shards_are_inputs_and_many_are_not(config, monkeypatch, tmp_path):
    (tmp_path / "x-00.tar").touch()
    entry = {"source": "shards", "folder": str(tmp_path), "original": "single"}
    config["images"]["mine"] = entry
    config["images"]["remote"] = {
        "source": "hub",
        "dataset": "a/b",
        "revision": "0" * 40,
        "original": "single",
    }
    grid = plan(config, monkeypatch)
    assert grid.image_inputs("mine") == {"shards": [f"{tmp_path}/x-00.tar"]}
    assert grid.image_inputs("remote") == {}
    for number in range(1, 100):
        (tmp_path / f"x-{number:02d}.tar").touch()
    assert grid.image_inputs("mine") == {}


def test_the_workflow_stops_at_a_misspelt_name_though_results_exist(study):
    study.edit("config/config.yaml", "mappers: [exact]}", "mappers: [exakt]}")
    said = study.refuses()
    assert "'exakt' is not defined; did you mean 'exact'?" in said
    assert "Traceback" not in said


def test_a_misspelt_key_stops_the_workflow(study):
    study.edit("config/config.yaml", "repeats: 3", "repeat: 3")
    said = study.refuses()
    assert (
        "config/config.yaml: protocols: choice: unknown key 'repeat'; did you mean 'repeats'?"
        in said
    )


def test_the_message_names_the_file_that_was_given(study):
    (study.root / "mine.yaml").write_text((study.root / "config/config.yaml").read_text())
    study.edit("mine.yaml", "seed: 0", "sed: 0")
    said = study.refuses("--configfile", "mine.yaml", "--replace-workflow-config")
    assert "mine.yaml: models: chance: unknown key 'sed'; did you mean 'seed'?" in said
    study.edit("mine.yaml", "sed: 0", "seed: 0")
    study.edit("mine.yaml", "[oracle, chance, guess]", "[oracel]")
    said = study.refuses("--configfile", "mine.yaml", "--replace-workflow-config")
    assert "mine.yaml: experiments: main: runs 1: models: 'oracel' is not defined" in said


def test_a_key_that_stands_twice_stops_the_workflow(study):
    study.edit("config/config.yaml", "  guess:", "  chance:")
    said = study.refuses()
    assert "config/config.yaml: line" in said
    assert "key 'chance' stands here and on line" in said


def test_a_target_with_a_misspelt_axis_is_no_target(study):
    said = study.refuses("results/scores/small/oracle/closed/b1/exakt/multi.json")
    assert "MissingRuleException" in said or "No rule" in said


def test_another_config_replaces_the_default(study):
    (study.root / "mine.yaml").write_text((study.root / "config/config.yaml").read_text())
    study.edit("mine.yaml", "[oracle, chance, guess]", "[oracle]")
    code, said = study.snakemake("-n", "--configfile", "mine.yaml", "--replace-workflow-config")
    assert code == 0, said


@pytest.mark.parametrize(
    ("file", "old", "new", "target", "expected"),
    [
        ("data/demo/labels/multi.csv", "agidaiko,", "agidaiko,1000 ", "results/labels/multi.csv",
         ["multi.csv", "1000", "agidaiko", "0..999"]),
        ("data/demo/labels/multi.csv", "alpakas,", "agidaiko,", "results/labels/multi.csv",
         ["multi.csv", "agidaiko", "twice"]),
        ("images.csv", "agidaiko,", "adjustable-wrench,", "results/images/small.csv",
         ["adjustable-wrench", "images: small"]),
        ("images.csv", "photos/agidaiko.jpg", "photos/nothing.jpg", "results/images/small.csv",
         ["photos/nothing.jpg", "images: small"]),
    ],
)  # fmt: skip
def test_broken_data_is_one_line(study, file, old, new, target, expected):
    study.edit(file, old, new)
    code, said = study.snakemake("--cores", "1", "--", target)
    assert code != 0
    line = next(line for line in said.splitlines() if line.startswith("error: "))
    for part in expected:
        assert part in line, line


def test_an_unreadable_image_is_one_line_or_counted(study):
    photo = study.root / "data/demo/photos/agidaiko.jpg"
    photo.write_bytes(photo.read_bytes()[:2000])
    table = "results/tables/main.html"
    code, said = study.snakemake("--cores", "2", "-f", "--", "results/images/small.csv")
    assert code != 0
    assert "error: data/demo/photos/agidaiko.jpg" in said
    assert "`unreadable: count`" in said
    study.edit("config/config.yaml", "original: single}", "original: single, unreadable: count}")
    study.build(table)
    scores = (study.root / "results/scores/small/oracle/open/b1/exact/single.json").read_text()
    assert '"image_error": 1' in scores


def test_the_papers_config_asks_for_the_folder_of_imagenet(monkeypatch):
    monkeypatch.delenv("IMAGENET_VAL", raising=False)
    monkeypatch.setenv("IMAGENET_TRAIN", str(ROOT / "data/demo/photos"))
    with pytest.raises(LabelwiseError, match=r"images: imagenet-625x50: folder: \$IMAGENET_VAL"):
        plan(yaml.safe_load((ROOT / "config/paper.yaml").read_text()), monkeypatch)
