"""Classifiers on their real weights, and timm's path on a real architecture with random ones."""

import json

import numpy as np
import pytest
import torch
from labelwise import classify, images, predict, records
from labelwise.classifiers.pixels import EfficientNetLite
from labelwise.classifiers.timm import Model
from labelwise.errors import LabelwiseError
from labelwise.planning.sources import code
from PIL import Image
from support import ready

LITE = {0: 224, 1: 240, 2: 260}

GOLDEN = {
    0: [10.1361, 9.1311],
    1: [7.3446, 5.0779],
    2: [7.1063, 4.687],
}
"""Logits of class 243 and of the second class of imagenet_00_243.jpg, by the code of the package
efficientnet-lite-pytorch 0.1.0 on the same weights (float32, CPU)."""


def photographs():
    folder = ready("foolbox") / "foolbox" / "data"
    return {p.stem: p for p in sorted(folder.glob("imagenet_*.jpg"))}


def set_of(tmp_path, files, name="set.csv"):
    rows = [images.describe((image, str(file))) for image, file in files.items()]
    records.write_csv(tmp_path / name, records.IMAGES, rows)
    return tmp_path / name


def run(tmp_path, spec, table):
    out = tmp_path / "logits.npz"
    arguments = ["--model", json.dumps(spec), "--images", str(table), "--out", str(out)]
    classify.main([*arguments, "--meta", str(tmp_path / "meta.json")])
    return classify.read(out)


@pytest.mark.parametrize("number", LITE)
def test_embedded_classifiers_are_as_right_as_is_known(tmp_path, number):
    ready(f"efficientnet-lite{number}")
    files = photographs()
    spec = {"engine": "timm", "weights": f"efficientnet-lite{number}"}
    data = run(tmp_path, spec, set_of(tmp_path, files))
    assert data["logits"].shape == (20, 1000) and data["logits"].dtype == np.float32
    assert data["features"].shape == (20, 1280) and data["features"].dtype == np.float32
    assert data["image"].tolist() == list(files)
    truth = np.array([int(name.rsplit("_", 1)[1]) for name in files])
    assert (data["logits"].argmax(1) == truth).sum() == 18
    first = np.sort(data["logits"][0])
    assert [data["logits"][0, 243], first[-2]] == pytest.approx(GOLDEN[number], abs=1e-3)
    meta = json.loads((tmp_path / "meta.json").read_text())
    assert meta["transform"] == f"EfficientNetLite({LITE[number]})" and meta["images"] == 20


def test_lite_pixels_are_those_of_the_published_transform():
    image = Image.fromarray(
        np.random.default_rng(0).integers(0, 256, (341, 500, 3), dtype=np.uint8)
    )
    side = int(224 / 256 * 341)
    left, top = (500 - side) // 2, (341 - side) // 2
    square = image.crop((left, top, left + side, top + side)).resize((224, 224), Image.BICUBIC)
    reference = (np.asarray(square, np.float32) - 127) / 128
    assert (EfficientNetLite(224)(image).numpy() == reference.transpose(2, 0, 1)).all()
    assert EfficientNetLite(224)(Image.new("RGB", (1, 1))).shape == (3, 224, 224)


def folder_of(tmp_path, architecture, **more):
    """A folder in timm's layout: a real architecture with random weights."""
    import timm
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = timm.create_model(architecture, **more)
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    config = {"architecture": architecture, "num_classes": model.num_classes}
    config["pretrained_cfg"] = {
        k: v for k, v in model.pretrained_cfg.items() if k not in ("url", "hf_hub_id")
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    return model.eval()


@pytest.mark.parametrize("architecture", ["vit_tiny_patch16_224", "resnet18"])
def test_timm_models_see_and_say_what_timm_does(tmp_path, architecture):
    from timm.data import create_transform, resolve_model_data_config

    model = folder_of(tmp_path, architecture)
    transform = create_transform(
        **resolve_model_data_config(model, use_test_size=True), is_training=False
    )
    rng = np.random.default_rng(0)
    files = {}
    for i in range(9):
        shape = (*rng.integers(100, 400, 2), 3)
        files[f"i{i}"] = tmp_path / f"i{i}.png"
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(files[f"i{i}"])
    ours = Model({"folder": str(tmp_path)})
    batch = torch.stack([transform(Image.open(f).convert("RGB")) for f in files.values()])
    for pixels, file in zip(batch, files.values(), strict=True):
        assert torch.equal(ours.transform(images.read(file)), pixels)
    data = run(tmp_path, {"engine": "timm", "folder": str(tmp_path)}, set_of(tmp_path, files))
    with torch.inference_mode():
        assert np.abs(data["logits"] - model(batch).numpy()).max() < 1e-4
        features = model.forward_head(model.forward_features(batch), pre_logits=True)
    assert np.abs(data["features"] - features.numpy()).max() < 1e-4
    rows, place = tmp_path / "out.csv", ["--images", str(tmp_path / "set.csv")]
    place += ["--logits", str(tmp_path / "logits.npz"), "--top5", str(tmp_path / "top5.csv")]
    predict.main(["--model", '{"engine": "timm"}', *place, "--out", str(rows)])
    with torch.inference_mode():
        shares, classes = model(batch).softmax(-1).topk(5)  # as timm's inference script does
    top5 = records.read_csv(tmp_path / "top5.csv")
    assert [[int(row[f"top_{i}_pred"]) for i in range(1, 6)] for row in top5] == classes.tolist()
    for row, own in zip(top5, shares.tolist(), strict=True):
        assert [float(row[f"top_{i}_prob"]) for i in range(1, 6)] == pytest.approx(own, rel=1e-3)
    assert [int(row["class"]) for row in records.read_csv(rows)] == classes[:, 0].tolist()


def test_workers_change_no_bit(tmp_path, monkeypatch):
    folder_of(tmp_path, "resnet18")
    files = {}
    for i in range(5):
        files[f"{i}"] = tmp_path / f"{i}.png"
        Image.effect_noise((50 + i, 40), 90).save(files[f"{i}"])
    table, spec = set_of(tmp_path, files), {"engine": "timm", "folder": str(tmp_path)}
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    alone = run(tmp_path, spec, table)
    monkeypatch.setattr(images, "WORKERS_FROM", 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert all((v == alone[k]).all() for k, v in run(tmp_path, spec, table).items())


def test_a_model_without_classes_gives_features(tmp_path):
    folder_of(tmp_path, "vit_tiny_patch16_224", num_classes=0)
    Image.effect_noise((50, 40), 90).save(tmp_path / "x.png")
    table = set_of(tmp_path, {"x": tmp_path / "x.png"})
    data = run(tmp_path, {"engine": "timm", "folder": str(tmp_path)}, table)
    assert data["logits"].shape == (1, 0) and data["features"].shape == (1, 192)


def test_a_larger_label_space_is_brought_to_the_1000_classes(tmp_path):
    from timm.data import ImageNetInfo

    folder_of(tmp_path, "resnet18", num_classes=11821)
    model = Model({"folder": str(tmp_path)})
    there, wanted = (ImageNetInfo(n).label_names() for n in ("imagenet-12k", "imagenet-1k"))
    logits, _ = model.score(torch.zeros(2, 3, 224, 224))
    assert logits.shape == (2, 1000)
    for i, (column, name) in enumerate(zip(model.columns, wanted, strict=True)):
        assert column == -1 or there[column] == name
        assert np.isneginf(logits[:, i]).all() == (name not in there)
    assert len(model.describe()["missing_classes"]) == 7


def test_an_edited_transform_reruns_the_models_of_its_engine():
    lib = "workflow/lib/labelwise/classifiers"
    files = code("classify", "classifiers.timm")
    assert f"{lib}/timm.py" in files and f"{lib}/pixels.py" in files
    assert not {f"{lib}/open_clip.py", f"{lib}/features.py"} & set(files)


def test_outputs_of_any_head_are_brought_to_the_1000_classes(tmp_path):
    from timm.data import ImageNetInfo

    folder_of(tmp_path, "resnet18", num_classes=4)
    outputs = tmp_path / "outputs.txt"
    outputs.write_text(f"{ImageNetInfo('imagenet-1k').label_names()[7]}\n-\n3\nn99999999\n")
    model = Model({"folder": str(tmp_path), "outputs": str(outputs)})
    pixels = torch.zeros(1, 3, 224, 224)
    logits, _ = model.score(pixels)
    with torch.inference_mode():
        raw = model.model(pixels)[0].numpy()
    assert logits[0, [7, 3]].tolist() == raw[[0, 2]].tolist()
    assert np.isneginf(np.delete(logits[0], [3, 7])).all()
    for text, said in (
        ("3\n", "1 lines, but the model has 4 outputs"),
        ("3\n-\ndog\n-\n", "line 3: 'dog' is no wnid"),
        ("3\n-\n3\n-\n", "line 3: '3' is output 0 already"),
    ):
        outputs.write_text(text)
        with pytest.raises(LabelwiseError, match=said):
            Model({"folder": str(tmp_path), "outputs": str(outputs)})


class Rounds:
    """A model of two classes whose half precision changes what it says of dark images."""

    device, arrays = "cpu", {}

    def __init__(self, noise):
        self.noise = noise

    def transform(self, image):
        return torch.from_numpy(np.asarray(image, np.float32)).mean((0, 1))

    def score(self, batch):
        half = torch.is_autocast_enabled("cpu")
        lead = batch[:, 0] - 128 + (self.noise if half else 0)
        return torch.stack([lead, -lead], 1).numpy(), batch.numpy()


@pytest.mark.parametrize(("noise", "changed"), [(0, 0), (40, 1)])
def test_half_precision_is_used_only_where_it_changes_no_top_1(tmp_path, noise, changed):
    for i, grey in enumerate((10, 100, 150, 250)):
        Image.new("RGB", (8, 8), (grey,) * 3).save(tmp_path / f"{i}.png")
    files = [str(tmp_path / f"{i}.png") for i in range(4)]
    used = classify.precision(Rounds(noise), files, "bfloat16")
    assert used == {
        "asked": "bfloat16",
        "used": "float32" if changed else "bfloat16",
        "checked": 4,
        "changed": changed,
    }
    assert classify.precision(Rounds(noise), files, "float32") == {
        "asked": "float32",
        "used": "float32",
    }


def test_half_precision_of_a_real_model_is_recorded(tmp_path):
    folder_of(tmp_path, "vit_tiny_patch16_224", num_classes=0)
    for i in range(4):
        Image.effect_noise((50 + 9 * i, 60), 30 * i + 20).save(tmp_path / f"{i}.png")
    table = set_of(tmp_path, {f"{i}": tmp_path / f"{i}.png" for i in range(4)})
    spec = {"engine": "timm", "folder": str(tmp_path), "dtype": "bfloat16"}
    data = run(tmp_path, spec, table)
    said = json.loads((tmp_path / "meta.json").read_text())["precision"]
    assert said["checked"] == 4 and said["used"] == ("float32" if said["changed"] else "bfloat16")
    assert data["features"].dtype == np.float32


def test_bad_folders_are_one_line(tmp_path):
    with pytest.raises(LabelwiseError, match="no folder with a safetensors file"):
        Model({"folder": str(tmp_path / "none")})
    folder_of(tmp_path, "resnet18", num_classes=7)
    with pytest.raises(LabelwiseError, match="7 outputs"):
        Model({"folder": str(tmp_path)})


def test_unreadable_images_have_no_row(tmp_path):
    ready("efficientnet-lite0")
    Image.effect_noise((50, 40), 90).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"")
    table = set_of(tmp_path, {"bad": tmp_path / "bad.png", "good": tmp_path / "good.png"})
    data = run(tmp_path, {"engine": "timm", "weights": "efficientnet-lite0"}, table)
    assert data["image"].tolist() == ["good"] and data["logits"].shape == (1, 1000)
