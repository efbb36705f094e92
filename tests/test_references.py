"""Reference features: stored once, resumed, linked, and known by all that they depend on."""

import json

import numpy as np
import pytest
from labelwise import classify, images, records
from labelwise.classifiers import references
from PIL import Image
from test_classify import folder_of


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setattr(references, "ROWS", 4)
    model = tmp_path / "model"
    model.mkdir()
    folder_of(model, "resnet18")
    files = {}
    for i in range(10):
        files[f"r{i}"] = tmp_path / f"r{i}.png"
        Image.effect_noise((40 + i, 50), 20 + 9 * i).save(files[f"r{i}"])
    rows = [images.describe((image, str(file))) for image, file in files.items()]
    rows[7]["status"] = "unreadable"
    records.write_csv(tmp_path / "set.csv", records.IMAGES, rows)
    return tmp_path


def run(study, **more):
    spec = {"engine": "timm", "folder": str(study / "model"), **more}
    place = ["--model", json.dumps(spec), "--images", str(study / "set.csv")]
    place += ["--journal", str(study / "journal"), "--out", str(study / "references/set/x")]
    references.main([*place, "--meta", str(study / "meta.json")])
    return json.loads((study / "meta.json").read_text())


def test_shards_hold_the_unit_features_of_all_readable_images(study):
    assert run(study)["computed"] == 3
    store = references.References(study / "references/set/x")
    assert store.images == [f"r{i}" for i in range(10) if i != 7]
    blocks = list(store.blocks())
    assert [len(block) for block in blocks] == [4, 4, 1]
    assert all(isinstance(b, np.memmap) and b.dtype == np.float16 for b in blocks)
    model = classify.load({"engine": "timm", "folder": str(study / "model")})
    files = [str(study / f"{image}.png") for image in store.images]
    expected = references.unit(classify.classify(model, files)[1])
    assert np.abs(np.concatenate(blocks) - expected).max() < 2**-10
    assert np.abs(np.linalg.norm(np.concatenate(blocks).astype(float), axis=1) - 1).max() < 1e-3


def test_a_killed_job_computes_no_shard_twice(study, monkeypatch):
    look, calls = classify.look, []

    def dies(model, files, *more):
        calls.append(len(files))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return look(model, files, *more)

    monkeypatch.setattr(classify, "look", dies)
    with pytest.raises(SystemExit):
        run(study)
    assert not (study / "references/set/x").exists()
    assert run(study)["computed"] == 1 and calls == [4, 4, 1, 1]
    assert run(study)["computed"] == 0
    inode = {file.stat().st_ino for file in (study / "journal").iterdir()}
    assert {f.stat().st_ino for f in (study / "references/set/x").glob("*.npy")} == inode


def test_another_image_weight_or_precision_is_computed_anew(study):
    run(study)
    Image.effect_noise((99, 50), 77).save(study / "r9.png")
    rows = records.read_csv(study / "set.csv")
    rows[9] = images.describe(("r9", str(study / "r9.png")))
    records.write_csv(study / "set.csv", records.IMAGES, rows)
    assert run(study)["computed"] == 1
    assert run(study, size="train")["computed"] == 3
    config = json.loads((study / "model/config.json").read_text())
    config["pretrained_cfg"]["crop_pct"] = 0.5
    (study / "model/config.json").write_text(json.dumps(config))
    assert run(study)["computed"] == 3
