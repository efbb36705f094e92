"""A new k, vote, template or name set shows no image to any model: in the workflow itself."""

import sys
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from study import copy
from test_encoders import siglip2

ADDED = """
models:
  siglip2: {kind: dual-encoder, engine: open_clip, mapper: siglip2, classes: curated}
  near: {kind: knn, engine: knn, classifier: siglip2, reference: photos, k: 3}
  left-out: {kind: knn, engine: knn, classifier: siglip2, k: 1}
images:
  photos: {source: csv, file: images.csv, original: single}
encoders:
  tower: {engine: open_clip, folder: models/siglip2}
mappers:
  siglip2: {kind: nearest, encoder: tower}
experiments:
  main:
    images: [small]
    labels: [single]
    runs:
      - {models: [siglip2, near, left-out]}
"""
TARGETS = ["results/experiments/main.csv", "results/confusions/small/siglip2/multi.csv"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    study = copy(tmp_path_factory.mktemp("baselines"))
    (study.root / "models/siglip2").mkdir(parents=True)
    siglip2(study.root / "models/siglip2")
    config = yaml.safe_load((study.root / "config/config.yaml").read_text())
    for section, entries in yaml.safe_load(ADDED).items():
        config[section] |= entries
    del config["experiments"]["choice"], config["tables"]["multiple_choice"]
    (study.root / "config/config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    study.build(*TARGETS)
    return study


def after(study, *changes):
    """What is planned after edits of the config, which are then undone."""
    path = study.root / "config/config.yaml"
    before = path.read_text()
    config = yaml.safe_load(before)
    for *keys, last, value in changes:
        place = config
        for key in keys:
            place = place[key]
        place[last] = value
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    try:
        return study.planned(*TARGETS)
    finally:
        path.write_text(before)


def test_no_change_after_the_look_shows_an_image_to_a_model(study):
    votes = after(
        study,
        ("models", "near", "k", 11),
        ("models", "left-out", "votes", "weighted"),
        ("models", "more", {"kind": "knn", "engine": "knn", "classifier": "siglip2", "k": 51}),
        ("experiments", "main", "runs", 0, "models", ["siglip2", "near", "left-out", "more"]),
    )
    assert votes == {"predict": 3, "score": 3, "gather": 1}
    names = after(
        study,
        ("mappers", "siglip2", "templates", "clip-7"),
        ("class_names", "openai", {"source": "open_clip"}),
        ("models", "siglip2", "classes", "openai"),
    )
    below = {"predict": 1, "confuse": 1, "score": 1, "gather": 1}
    assert names == {"list_classes": 1, "embed_classes": 1} | below
    precision = after(study, ("models", "siglip2", "dtype", "bfloat16"))
    assert precision["classify"] == precision["embed_references"] == 1


def test_references_that_are_the_asked_images_predict_as_leave_one_out(study):
    def predicted(model):
        return (
            study.root / f"results/predictions/small/{model}/classify/b1/argmax.csv"
        ).read_text()

    folder = study.root / "results/references/photos/tower"
    assert [file.name for file in folder.glob("*.npy")] == ["00000.npy"]
    stored, alone = (
        [line.split(",")[:2] for line in (study.root / path).read_text().splitlines()]
        for path in (f"results/neighbours/small/{r}/tower.csv" for r in ("photos", "small"))
    )
    same = [a == b for a, b in zip(stored, alone, strict=True)]
    assert sum(same) >= 28 and len(same) == 31  # float16 moves near-ties of random features
    assert [line.split(",")[5] for line in predicted("left-out").splitlines()][1:] == [
        row[1] for row in alone[1:]
    ]
    table = (study.root / "results/confusions/small/siglip2/multi.csv").read_text()
    assert table.splitlines()[1].endswith("small,siglip2,multi")
