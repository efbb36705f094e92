"""The evaluation code that others publish, on the same images and weights: every prediction alike.

open_clip's own zero-shot evaluation is in test_dual_encoders.py; here are the loop of timm's
``validate.py`` and SigLIP 2 as transformers runs it.
"""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch
from labelwise import predict, records
from PIL import Image
from safetensors.torch import save_file
from test_classify import folder_of, run, set_of
from test_dual_encoders import ours, photos
from test_encoders import siglip2
from timm.data import create_dataset, create_loader, resolve_data_config
from timm.models.vision_transformer import VisionTransformer
from timm.utils import AverageMeter, accuracy

PHOTOS = Path(__file__).resolve().parents[1] / "data/demo/photos"
TINY = "vit_tiny_patch16_siglip_64"
photos = photos  # the fixture of that file


@timm.models.register_model
def vit_tiny_patch16_siglip_64(pretrained=False, **given):
    """The image tower of open_clip's SigLIP models, narrow: timm's, pooled by attention."""
    size = {"img_size": 64, "patch_size": 16, "embed_dim": 32, "depth": 2, "num_heads": 2}
    pooled = {key: given[key] for key in ("num_classes", "global_pool")}
    return VisionTransformer(**size, class_token=False, act_layer="gelu_tanh", **pooled)


def validate(model, folder):
    """What timm's ``validate.py`` computes: its data set, loader and meters, and each top-5."""
    config = resolve_data_config({}, model=model, use_test_size=True)
    loader = create_loader(
        create_dataset(name="", root=str(folder), split="validation"),
        input_size=config["input_size"],
        batch_size=4,
        use_prefetcher=False,
        interpolation=config["interpolation"],
        mean=config["mean"],
        std=config["std"],
        num_workers=0,
        crop_pct=config["crop_pct"],
        crop_mode=config["crop_mode"],
        device=torch.device("cpu"),
    )
    top1, top5, found = AverageMeter(), AverageMeter(), []
    with torch.inference_mode():
        for pixels, target in loader:
            output = model(pixels)
            first, fifth = accuracy(output, target, topk=(1, 5))
            top1.update(first.item(), len(pixels))
            top5.update(fifth.item(), len(pixels))
            found += output.topk(5).indices.tolist()
    files = [Path(name).stem for name in loader.dataset.filenames(basename=True)]
    return dict(zip(files, found, strict=True)), top1.avg, top5.avg


@pytest.mark.parametrize("architecture", ["resnet18", "vit_tiny_patch16_224", "test_efficientnet"])
def test_predictions_are_those_of_timms_validation(tmp_path, architecture):
    (tmp_path / "model").mkdir()
    model = folder_of(tmp_path / "model", architecture, num_classes=1000)
    chosen = sorted(PHOTOS.glob("*.jpg"))[:12]
    first = model(torch.zeros(1, 3, *model.pretrained_cfg["input_size"][1:])).argmax().item()
    folders = [f"{n:04}" for n in range(4)]
    for n, file in enumerate(chosen):
        (tmp_path / "val" / folders[n % 4]).mkdir(parents=True, exist_ok=True)
        (tmp_path / "val" / folders[n % 4] / file.name).symlink_to(file)
    theirs, top1, top5 = validate(model, tmp_path / "val")
    files = {file.stem: file for file in chosen}
    assert theirs.keys() == files.keys() and first is not None

    table = set_of(tmp_path, files)
    run(tmp_path, {"engine": "timm", "folder": str(tmp_path / "model")}, table)
    place = ["--images", str(table), "--logits", str(tmp_path / "logits.npz")]
    place += ["--top5", str(tmp_path / "top5.csv"), "--out", str(tmp_path / "out.csv")]
    predict.main(["--model", '{"engine": "timm"}', *place])
    own = {
        row["img_id"]: [int(row[f"top_{i}_pred"]) for i in range(1, 6)]
        for row in records.read_csv(tmp_path / "top5.csv")
    }
    assert own == theirs
    labels = {file.stem: n % 4 for n, file in enumerate(chosen)}
    hits = np.array([[label in own[image][:k] for k in (1, 5)] for image, label in labels.items()])
    assert 100 * hits.mean(0) == pytest.approx([top1, top5])


def real_siglip2(folder):
    """``siglip2`` with the image tower and transform that its published models have."""
    import open_clip

    siglip2(folder)
    path = folder / "open_clip_config.json"
    config = json.loads(path.read_text())
    config["model_cfg"]["vision_cfg"] = {
        "image_size": 64,
        "timm_model_name": TINY,
        "timm_model_pretrained": False,
        "timm_pool": "map",
        "timm_proj": "none",
    }
    config["preprocess_cfg"] |= {"interpolation": "bicubic", "resize_mode": "squash"}
    path.write_text(json.dumps(config))
    torch.manual_seed(1)
    parts = {k: v for k, v in config["model_cfg"].items() if k != "custom_text"}
    model = open_clip.CustomTextCLIP(**parts, init_logit_scale=3.0)
    for name, weight in model.named_parameters():
        if weight.ndim > 1 or "bias" in name:
            torch.nn.init.normal_(weight, std=0.2)
    model.logit_bias.data.fill_(-1.5)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return model.eval()


def attention(state, own, other):
    """Three projections of transformers from the one of torch."""
    for kind in ("weight", "bias"):
        parts = state[f"{own}{'_' if own.endswith('in_proj') else '.'}{kind}"].chunk(3)
        for name, part in zip("qkv", parts, strict=True):
            yield f"{other}.{name}_proj.{kind}", part


def renamed(state, names):
    """Weights and biases under other names."""
    for own, other in names.items():
        for kind in ("weight", "bias"):
            yield f"{other}.{kind}", state[f"{own}.{kind}"]


def as_transformers(model):
    """The same weights as transformers' SiglipModel, which runs SigLIP 2 of a fixed size."""
    from transformers import SiglipConfig, SiglipModel

    size = {"hidden_size": 32, "intermediate_size": 128, "num_attention_heads": 2}
    config = SiglipConfig(
        text_config={
            **size,
            "num_hidden_layers": 1,
            "vocab_size": 300,
            "max_position_embeddings": 64,
            "projection_size": 32,
        },
        vision_config={**size, "num_hidden_layers": 2, "image_size": 64, "patch_size": 16},
    )
    theirs, state = SiglipModel(config).eval(), model.state_dict()
    made = dict(
        renamed(
            state,
            {
                "text.ln_final": "text_model.final_layer_norm",
                "text.text_projection": "text_model.head",
                "visual.trunk.patch_embed.proj": "vision_model.embeddings.patch_embedding",
                "visual.trunk.norm": "vision_model.post_layernorm",
                "visual.trunk.attn_pool.norm": "vision_model.head.layernorm",
                "visual.trunk.attn_pool.proj": "vision_model.head.attention.out_proj",
                "visual.trunk.attn_pool.mlp.fc1": "vision_model.head.mlp.fc1",
                "visual.trunk.attn_pool.mlp.fc2": "vision_model.head.mlp.fc2",
            },
        )
    )
    for tower, layers, block, parts in (
        (
            "text_model",
            1,
            "text.transformer.resblocks",
            "ln_1 ln_2 mlp.c_fc mlp.c_proj attn.out_proj",
        ),
        ("vision_model", 2, "visual.trunk.blocks", "norm1 norm2 mlp.fc1 mlp.fc2 attn.proj"),
    ):
        for n in range(layers):
            own, other = f"{block}.{n}", f"{tower}.encoder.layers.{n}"
            inside = ("layer_norm1", "layer_norm2", "mlp.fc1", "mlp.fc2", "self_attn.out_proj")
            names = zip(parts.split(), inside, strict=True)
            made |= renamed(state, {f"{own}.{a}": f"{other}.{b}" for a, b in names})
            joined = f"{own}.attn.{'in_proj' if tower == 'text_model' else 'qkv'}"
            made |= attention(state, joined, f"{other}.self_attn")
    pool = "visual.trunk.attn_pool"
    for kind in ("weight", "bias"):
        made[f"vision_model.head.attention.in_proj_{kind}"] = torch.cat(
            [state[f"{pool}.q.{kind}"], state[f"{pool}.kv.{kind}"]]
        )
    made |= {
        "text_model.embeddings.token_embedding.weight": state["text.token_embedding.weight"],
        "text_model.embeddings.position_embedding.weight": state["text.positional_embedding"],
        "vision_model.embeddings.position_embedding.weight": state["visual.trunk.pos_embed"][0],
        "vision_model.head.probe": state[f"{pool}.latent"],
        "logit_scale": state["logit_scale"].reshape(1),
        "logit_bias": state["logit_bias"].reshape(1),
    }
    theirs.load_state_dict(made)
    return theirs


def test_predictions_are_those_of_transformers_siglip2(tmp_path, photos):
    from test_dual_encoders import NAMES
    from transformers import AutoTokenizer, SiglipImageProcessorPil, SiglipTokenizer

    folder = tmp_path / "model"
    folder.mkdir()
    theirs = as_transformers(real_siglip2(folder))
    rows, data = ours(tmp_path, {"engine": "open_clip", "folder": str(folder)}, photos, "none")

    # transformers' cleaning of SigLIP's texts, whose tokenizer needs a file that is not at hand.
    cleaner = SimpleNamespace(do_lower_case=True, remove_punctuation=None)
    cleaner.remove_punctuation = SiglipTokenizer.remove_punctuation.__get__(cleaner)
    texts = [SiglipTokenizer.canonicalize_text(cleaner, name) for name in NAMES]
    assert texts[1] == "baldeagle"
    tokens = AutoTokenizer.from_pretrained(folder)(
        texts, padding="max_length", max_length=64, truncation=True, return_tensors="pt"
    )["input_ids"]
    processor = SiglipImageProcessorPil(size={"height": 64, "width": 64})
    pictures = [Image.open(file).convert("RGB") for file in photos.values()]
    with torch.inference_mode():
        said = theirs(
            input_ids=tokens,
            pixel_values=processor(images=pictures, return_tensors="pt")["pixel_values"],
        )
    assert np.abs(data["features"] - said.image_embeds.numpy()).max() < 1e-5
    shares = torch.sigmoid(said.logits_per_image)
    best = shares.argmax(1)
    assert len(set(best.tolist())) > 1
    for row, index, own in zip(rows, best.tolist(), shares, strict=True):
        same = [str(c) for c, name in enumerate(NAMES) if name == NAMES[index]]
        assert row["class"].split() == same
        assert float(row["score"]) == pytest.approx(own[index].item(), rel=1e-3)
