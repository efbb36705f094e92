"""Dual encoders and image encoders on random weights, against published evaluation code."""

import json
import random

import numpy as np
import open_clip
import pytest
import torch
from labelwise import classify, embed_classes, images, predict, records
from labelwise.errors import LabelwiseError
from labelwise.reading import encoders
from PIL import Image
from test_encoders import siglip2

NAMES = ["tench", "Bald-Eagle!", "folding chair, deck chair", "crane", "espresso", "crane"]


def clip(folder):
    """A CLIP of two layers with random weights, in open_clip's folder layout."""
    from safetensors.torch import save_file

    config = {
        "embed_dim": 32,
        "vision_cfg": {"image_size": 48, "layers": 2, "width": 64, "patch_size": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2},
    }
    config["text_cfg"]["layers"] = 2
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": config, "preprocess_cfg": {"size": 48}})
    )
    torch.manual_seed(0)
    save_file(open_clip.CLIP(**config).state_dict(), folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for i in range(24):
        shape = (*rng.integers(30, 200, 2), 3)
        low = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        picture = Image.fromarray(low).resize(shape[:2][::-1], Image.BICUBIC)
        picture.save(folder / f"i{i:02d}.{'png' if i % 2 else 'jpg'}")
    return {file.stem: file for file in sorted(folder.iterdir())}


def set_of(folder, photos):
    rows = [images.describe((image, str(file))) for image, file in photos.items()]
    records.write_csv(folder / "set.csv", records.IMAGES, rows)
    return str(folder / "set.csv")


def ours(folder, spec, photos, templates):
    """Predictions by the stages classify, embed_classes and predict."""
    table, out = set_of(folder, photos), folder / "logits.npz"
    given = ["--images", table, "--out", str(out), "--meta", str(folder / "meta.json")]
    classify.main(["--model", json.dumps(spec), *given])
    rows = [{"class": i, "name": name} for i, name in enumerate(NAMES)]
    records.write_csv(folder / "classes.csv", records.CLASSES, rows)
    mapper = {"kind": "nearest", "encoder": "x", "templates": templates}
    names = ["--classes", str(folder / "classes.csv")]
    embeddings = ["--out", str(folder / "names.npz"), "--mapper", json.dumps(mapper)]
    embed_classes.main([*names, *embeddings, "--encoder", json.dumps(spec)])
    place = [*names, "--embeddings", str(folder / "names.npz"), "--logits", str(out)]
    place += ["--images", table, "--out", str(folder / "out.csv")]
    predict.main([*place, "--model", json.dumps({"engine": "open_clip"})])
    return records.read_csv(folder / "out.csv", records.PREDICTIONS), classify.read(out)


@pytest.mark.parametrize("make", [siglip2, clip])
@pytest.mark.parametrize("templates", ["none", "clip-80", "clip-7", "file"])
def test_predictions_are_those_of_published_open_clip_code(tmp_path, photos, make, templates):
    folder = tmp_path / "model"
    folder.mkdir()
    make(folder)
    around = {
        "none": ["{}"],
        "clip-80": open_clip.OPENAI_IMAGENET_TEMPLATES,
        "clip-7": open_clip.SIMPLE_IMAGENET_TEMPLATES,
        "file": ["a good photo of the {}.", "{}, the animal"],
    }[templates]
    if templates == "file":
        templates = str(tmp_path / "templates.txt")
        (tmp_path / "templates.txt").write_text("\n".join(around) + "\n")
    spec = {"engine": "open_clip", "folder": str(folder)}
    rows, data = ours(tmp_path, spec, photos, templates)

    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    model.eval()
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    weights = open_clip.build_zero_shot_classifier(model, tokenizer, NAMES, around)
    with torch.no_grad():
        for row, file, features in zip(rows, photos.values(), data["features"], strict=True):
            pixels = transform(Image.open(file).convert("RGB"))
            embedding = model.encode_image(pixels[None], normalize=True)
            assert np.abs(features - embedding[0].numpy()).max() < 1e-6
            logits = model.logit_scale.exp() * embedding @ weights
            siglip = model.__class__ is open_clip.CustomTextCLIP
            logits = logits + model.logit_bias if siglip else logits
            best = int(logits.argmax())
            same = [str(c) for c, name in enumerate(NAMES) if name == NAMES[best]]
            assert row["class"].split() == same and row["outcome"] == "ok"
            distinct = logits[0, :5]
            shares = torch.sigmoid(distinct) if siglip else distinct.softmax(0)
            assert float(row["score"]) == pytest.approx(float(shares.max()), rel=1e-4)


def test_pixels_are_those_of_open_clip(tmp_path, photos, monkeypatch):
    folder = siglip2(tmp_path)
    spec = {"engine": "open_clip", "folder": str(folder)}
    model = classify.load(spec)
    _, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    for file in photos.values():
        reference = transform(Image.open(file).convert("RGB"))
        assert torch.equal(model.transform(images.read(file)), reference)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    alone = classify.classify(model, [str(f) for f in photos.values()])
    monkeypatch.setattr(images, "WORKERS_FROM", 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    shared = classify.classify(model, [str(f) for f in photos.values()])
    assert all((a == b).all() for a, b in zip(alone, shared, strict=True))


def test_weights_may_be_a_file_of_a_named_architecture(tmp_path, photos):
    from safetensors.torch import save_file

    torch.manual_seed(1)
    model = open_clip.create_model("ViT-S-32-alt", pretrained=None).eval()
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    spec = {"engine": "open_clip", "model": "ViT-S-32-alt"}
    spec |= {"pretrained": str(tmp_path / "weights.safetensors")}
    file = next(iter(photos.values()))
    mine = classify.load(spec)
    _, features = mine.score(mine.transform(images.read(file))[None])
    with torch.no_grad():
        reference = model.encode_image(mine.transform(images.read(file))[None], normalize=True)
    assert np.abs(features - reference.numpy()).max() < 1e-6
    before = encoders.Encoder(spec).identity
    save_file(
        {k: v + 1 if v.is_floating_point() else v for k, v in model.state_dict().items()},
        tmp_path / "weights.safetensors",
    )
    assert encoders.Encoder(spec).identity != before


@pytest.mark.parametrize("name", ["dinov3-vitl16-dinotxt", "facebook/dinov2-dino.txt"])
def test_dino_txt_is_refused_in_one_line(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(LabelwiseError, match=r"dino\.txt") as error:
        classify.load({"engine": "open_clip", "folder": str(folder)})
    assert "engine file" in str(error.value) and "\n" not in str(error.value)


def vit(folder, family):
    import transformers as hf

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    if family == "dinov2":
        model = hf.Dinov2Model(hf.Dinov2Config(**sizes, image_size=56, patch_size=14))
        size = {"size": {"shortest_edge": 64}, "crop_size": {"height": 56, "width": 56}}
        processor = hf.BitImageProcessor(**size)
    else:
        config = hf.DINOv3ViTConfig(
            **sizes, intermediate_size=64, image_size=64, patch_size=16, num_register_tokens=4
        )
        model = hf.DINOv3ViTModel(config)
        processor = hf.DINOv3ViTImageProcessor(size={"height": 64, "width": 64})
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("pool", ["cls", "mean"])
@pytest.mark.parametrize("family", ["dinov2", "dinov3"])
def test_features_are_those_of_transformers(tmp_path, photos, family, pool):
    from transformers import AutoImageProcessor, AutoModel

    folder = vit(tmp_path / family, family)
    model = classify.load({"engine": "features", "folder": str(folder), "pool": pool})
    files = random.Random(0).sample(sorted(photos.values()), 6)
    logits, features = classify.classify(model, [str(f) for f in files])
    assert logits.shape == (6, 0) and features.dtype == np.float32
    reference = AutoModel.from_pretrained(folder).eval()
    processor = AutoImageProcessor.from_pretrained(folder)
    pictures = [Image.open(file).convert("RGB") for file in files]
    with torch.no_grad():
        for row, picture in zip(features, pictures, strict=True):
            inputs = processor(images=picture, return_tensors="pt")
            assert torch.equal(model.transform(picture), inputs["pixel_values"][0])
            said = reference(**inputs)
            patches = said.last_hidden_state[0, 5 if family == "dinov3" else 1 :]
            expected = said.pooler_output[0] if pool == "cls" else patches.mean(0)
            assert np.abs(row - expected.numpy()).max() < 1e-5


def test_folders_that_are_no_image_encoder_are_one_line(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(LabelwiseError, match="transformers cannot load this folder"):
        classify.load({"engine": "features", "folder": str(tmp_path)})
