"""What a new k, template, name set or vote shows to a model: nothing."""

import json

import pytest
import yaml
from labelwise.config import check
from labelwise.errors import LabelwiseError
from labelwise.planning.grid import Grid
from study import ROOT

SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
LOCKED = yaml.safe_load((ROOT / "config/weights.lock.yaml").read_text())

ADDED = """
models:
  siglip2: {kind: dual-encoder, engine: open_clip, mapper: siglip2, classes: curated, gpus: 2}
  siglip2-templated:
    {kind: dual-encoder, engine: open_clip, mapper: siglip2-80, classes: openai}
  dino: {kind: knn, engine: features, folder: models/dino, gpus: 1}
  dino-11: {kind: knn, engine: knn, classifier: dino, reference: demo-small, k: 11}
  dino-51: {kind: knn, engine: knn, classifier: dino, reference: demo-small, k: 51, votes: weighted}
  siglip2-knn: {kind: knn, engine: knn, classifier: siglip2-templated}
encoders:
  tower: {engine: open_clip, folder: models/siglip2}
mappers:
  siglip2: {kind: nearest, encoder: tower}
  siglip2-80: {kind: nearest, encoder: tower, templates: clip-80}
"""


@pytest.fixture
def config(monkeypatch):
    monkeypatch.chdir(ROOT)
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    for section, entries in yaml.safe_load(ADDED).items():
        config[section] |= entries
    run = {"models": ["siglip2", "siglip2-templated", "dino-11", "dino-51", "siglip2-knn"]}
    config["experiments"]["main"]["runs"].append(run)
    return config


def grid(config):
    check(config, SCHEMA, "mine.yaml")
    return Grid(config, LOCKED)


def test_names_templates_k_and_votes_share_one_look(config):
    looks = grid(config).looks
    assert looks.name("siglip2") == looks.name("siglip2-templated") == "tower"
    assert looks.name("siglip2-knn") == "tower" and looks.name("dino-51") == "dino"
    assert looks.name("conse") == looks.name("knn") == "efficientnet-lite2"
    assert json.loads(looks.spec("tower")) == {"engine": "open_clip", "folder": "models/siglip2"}
    assert looks.most("tower", "gpus", 0) == 2 and looks.most("dino", "memory", "4GB") == "4GB"
    assert looks.neighbours("demo", "dino-11") == looks.neighbours("demo", "dino-51")
    assert looks.neighbours("demo", "dino-11") == "results/neighbours/demo/demo-small/dino.npz"
    inputs = looks.predict_inputs("demo", "siglip2-templated")
    assert inputs["logits"] == "results/logits/demo/tower.npz"
    assert inputs["embeddings"] == "results/embeddings/siglip2-80/openai.npz"
    assert looks.neighbour_inputs("demo", "demo-small", "dino") == {
        "queries": "results/logits/demo/dino.npz",
        "images": "results/images/demo.csv",
        "labels": "results/labels/single.csv",
        "references": "results/references/demo-small/dino",
        "reference_images": "results/images/demo-small.csv",
    }
    assert "references" not in looks.neighbour_inputs("demo", "demo", "dino")


def test_a_changed_template_changes_no_look(config):
    before = grid(config).looks.spec("tower")
    config["mappers"]["siglip2"]["templates"] = "clip-7"
    config["models"]["siglip2"]["classes"] = "openai"
    config["models"]["dino-11"]["k"] = 3
    assert grid(config).looks.spec("tower") == before
    for entry in ("siglip2", "siglip2-templated"):
        config["models"][entry]["dtype"] = "bfloat16"
    assert grid(config).looks.spec("tower") != before


def test_confusions_name_their_labels_or_are_a_published_file(config):
    looks = grid(config).looks
    source = {"from": "confusions", "model": "dino-11"}
    assert looks.confusions("demo", source) == "results/confusions/demo/dino-11/single.csv"
    assert looks.confusions("demo", source | {"labels": "multi", "images": "demo-small"}) == (
        "results/confusions/demo-small/dino-11/multi.csv"
    )
    assert looks.confusions("demo", {"from": "confusions", "file": "theirs.csv"}) == "theirs.csv"
    assert "embeddings" in looks.confuse_inputs("demo", "siglip2")
    assert looks.confuse_inputs("demo", "dino-11") == {
        "predictions": "results/predictions/demo/dino-11/classify/b1/argmax.csv"
    }


def models(name, **entry):
    return lambda config: config["models"][name].update(entry)


MISTAKES = {
    "features alone predict nothing": (
        lambda c: c["experiments"]["main"]["runs"].append({"models": ["dino"]}),
        "dino has features and no classes; name it as `classifier` of a model of engine knn",
    ),
    "k beyond what is kept": (models("dino-11", k=52), "52 is greater than the maximum of 51"),
    "unknown references": (models("dino-11", reference="imagenet-train"), "'imagenet-train'"),
    "knn on a model of text": (
        models("dino-11", classifier="composed-lite2"),
        "composed-lite2 is of engine composed; knn needs one of timm, open_clip, features",
    ),
    "conse on features": (models("conse", classifier="dino"), "conse needs one of timm"),
    "a foreign text tower": (models("siglip2", mapper="minilm"), "its own text tower"),
    "weights in the wrong place": (
        models("siglip2", folder="models/x"),
        "folder: belongs to the encoder that the mapper names",
    ),
    "two precisions of one look": (
        models("siglip2", dtype="float16"),
        "siglip2 and siglip2-templated share the look 'tower' and differ",
    ),
    "no such predictions": (
        lambda c: (
            c["models"].update(theirs={"kind": "knn", "engine": "file", "file": "theirs.csv"}),
            c["experiments"]["main"]["runs"].append({"models": ["theirs"]}),
        ),
        "theirs: file: no such file: theirs.csv",
    ),
    "confusions from nowhere": (
        lambda c: c["protocols"]["choice-confusion-name"].update(
            distractors={"from": "confusions"}
        ),
        "key 'model' is missing",
    ),
    "confusions from two places": (
        lambda c: c["protocols"]["choice-confusion-name"].update(
            distractors={"from": "confusions", "model": "knn", "file": "config/config.yaml"}
        ),
        "give model or file, not both",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_does_not_go_together_is_one_line(config, mistake):
    change, said = MISTAKES[mistake]
    change(config)
    with pytest.raises(LabelwiseError) as error:
        grid(config)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_a_part_of_wnid_folders_needs_no_list_of_the_whole(config):
    config["labels"]["train"] = {"format": "folders", "images": "train-5"}
    config["images"]["train-5"] = {
        "source": "folder",
        "folder": "data/demo/photos",
        "original": "train",
        "per_class": 5,
    }
    plan = grid(config)
    assert plan.image_inputs("train-5") == {}
    assert plan.label_inputs("train") == {"images": "results/images/train-5.csv"}
