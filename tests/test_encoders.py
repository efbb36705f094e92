"""Text encoders on their real weights; open_clip's text path against open_clip itself."""

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from labelwise.errors import LabelwiseError
from labelwise.reading import encoders
from labelwise.reading.vectors import Cache
from support import ready

NAMES = ["tench", "bald eagle", "folding chair", "bull mastiff", "espresso", "snow leopard"]
ENGINES = {"minilm": "sentence-transformers", "use": "use", "glove": "glove"}
SIZES = {"minilm": 384, "use": 512, "glove": 50}


@pytest.fixture(scope="module", params=ENGINES)
def encoder(request):
    ready(request.param)
    return request.param, encoders.Encoder(
        {"engine": ENGINES[request.param], "weights": request.param}
    )


def test_vectors_have_length_one_and_near_texts_are_near(encoder):
    name, load = encoder
    rows = load.encode(NAMES)
    assert rows.shape == (len(NAMES), SIZES[name]) and rows.dtype == np.float32
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-5)
    asked = load.encode(["an eagle", "a large mastiff dog", "a chair that folds"])
    assert (asked @ rows.T).argmax(1).tolist() == [1, 3, 2]


def test_order_and_repeats_change_nothing(encoder):
    _, load = encoder
    rows = load.encode(NAMES)
    again = load.encode([*NAMES[::-1], NAMES[0], NAMES[0]])
    assert (again[: len(NAMES)][::-1] == rows).all()
    assert (again[-1] == again[-2]).all()
    assert np.abs(load.encode_together(NAMES) - rows).max() < 1e-5


def test_what_is_asked_beside_changes_no_bit(encoder, tmp_path):
    name, _ = encoder
    spec = {"engine": ENGINES[name], "weights": name}
    texts = [*NAMES, "a long text of many more words than the others have, so that all are padded"]
    rows = encoders.Encoder(spec, tmp_path / "one.sqlite").encode(texts)
    parts = encoders.Encoder(spec, tmp_path / "other.sqlite")
    for text, row in zip(texts[::-1], rows[::-1], strict=True):
        assert (parts.encode([text])[0] == row).all()


def test_a_text_that_says_nothing_is_zeros(encoder):
    name, load = encoder
    rows = load.encode(["", " \n", "tench", "\ud800 lone surrogate"])
    assert not rows[:2].any() and rows[2].any() and np.isfinite(rows).all()
    if name == "glove":
        assert not load.encode(["zzxqvv of the"]).any()


def test_minilm_is_what_transformers_gives():
    from transformers import AutoModel, AutoTokenizer

    folder = ready("minilm")
    tokens = AutoTokenizer.from_pretrained(folder)(NAMES, padding=True, return_tensors="pt")
    with torch.inference_mode():
        states = AutoModel.from_pretrained(folder).eval()(**tokens).last_hidden_state
    mask = tokens["attention_mask"][..., None].float()
    mean = ((states * mask).sum(1) / mask.sum(1)).numpy()
    mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    spec = {"engine": "sentence-transformers", "weights": "minilm"}
    assert np.abs(encoders.Encoder(spec).encode(NAMES) - mean).max() < 1e-5
    prompted = encoders.Encoder(spec | {"prompt": "Animal: "}).encode(["tench"])
    assert np.abs(prompted - encoders.Encoder(spec).encode(["Animal: tench"])).max() < 1e-5


def test_the_cache_answers_without_the_model(tmp_path, monkeypatch):
    ready("use")
    spec = {"engine": "use", "weights": "use"}
    path = tmp_path / "journal" / "use.sqlite"
    rows = encoders.Encoder(spec, path).encode(NAMES)

    def never(spec):
        raise AssertionError("the model was loaded")

    monkeypatch.setitem(encoders.ENGINES, "use", never)
    assert (encoders.Encoder(spec, path).encode(NAMES) == rows).all()
    with pytest.raises(AssertionError, match="loaded"):
        encoders.Encoder(spec | {"prompt": "x"}, path).encode(NAMES[:1])
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*), max(length(row)) FROM vectors").fetchone() == (6, 2048)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_the_cache_takes_several_writers(tmp_path):
    path = tmp_path / "many.sqlite"

    def write(number):
        cache = Cache(path)
        for i in range(20):
            key = bytes([i]) * 32
            cache.put({key: np.full(4, i, np.float32), bytes([number, i]): np.zeros(4, np.float32)})
            assert (cache.get([key])[key] == i).all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(100, 104)))
    assert len(Cache(path).get([bytes([n, i]) for n in range(100, 104) for i in range(20)])) == 80


def test_unknown_engines_and_models_are_one_line():
    with pytest.raises(LabelwiseError, match="no engine 'word2vec'; known are"):
        encoders.Encoder({"engine": "word2vec", "weights": "glove"})
    with pytest.raises(LabelwiseError, match="open_clip: cannot load ViT-Z-1"):
        encoders.Encoder({"engine": "open_clip", "model": "ViT-Z-1", "pretrained": "none"}).encode(
            ["x"]
        )


TEXTS = [
    "A Photo of a  Bull-Mastiff!",
    "tench, Tinca tinca",
    "a photo of a " + "very " * 90 + "dog",
]


def siglip2(folder):
    """A SigLIP 2 of one narrow layer with random weights, in open_clip's folder layout.

    Its architecture, canonicalisation and padding are those of open_clip's ViT-B-16-SigLIP2; the
    Gemma tokenizer, which cannot be had offline, is stood in for by one of bytes.
    """
    import open_clip
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    config = json.loads(json.dumps(open_clip.get_model_config("ViT-B-16-SigLIP2")))
    config["embed_dim"] = 32
    config["vision_cfg"] = {"image_size": 32, "layers": 1, "width": 32}
    config["vision_cfg"] |= {"patch_size": 16, "head_width": 16}
    text = config["text_cfg"]
    text |= {"width": 32, "heads": 2, "layers": 1, "vocab_size": 300}
    vocab = {"<pad>": 0, "<eos>": 1, "<bos>": 2, "<unk>": 3}
    vocab |= {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()), 4)}
    tokenizer = Tokenizer(models.BPE(vocab, [], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>"
    ).save_pretrained(folder)
    whole = {"model_cfg": config, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}
    (folder / "open_clip_config.json").write_text(json.dumps(whole))
    torch.manual_seed(0)
    model = open_clip.CustomTextCLIP(**{k: v for k, v in config.items() if k != "custom_text"})
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return folder


def test_siglip2_texts_are_brought_to_canonical_form_and_padded(tmp_path):
    import open_clip

    folder = siglip2(tmp_path)
    spec = {"engine": "open_clip", "folder": str(folder)}
    _, _, tokenizer = encoders.open_clip_parts(spec)
    tokens = tokenizer(TEXTS)
    assert tokens.shape == (3, 64) and (tokens[0] == 0).any()
    assert (tokenizer(["a photo of a bullmastiff"]) == tokens[0]).all()

    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    with torch.inference_mode():
        reference = model.eval().encode_text(tokens, normalize=True).numpy()
    encoder = encoders.Encoder(spec)
    assert np.abs(encoder.encode(TEXTS) - reference).max() < 1e-6
    assert np.abs(encoder.encode(TEXTS[:1]) - reference[:1]).max() < 1e-6
    assert (encoder.encode(["A photo of a BULLMASTIFF"]) == encoder.encode(TEXTS[:1])).all()


def test_clip_texts_are_cut_and_padded_by_open_clip(monkeypatch):
    import open_clip

    torch.manual_seed(0)
    model = open_clip.create_model("RN50", pretrained=None).eval()
    monkeypatch.setattr(
        open_clip, "create_model_and_transforms", lambda *a, **k: (model, None, None)
    )
    encoder = encoders.Encoder({"engine": "open_clip", "model": "RN50", "pretrained": "openai"})
    tokens = open_clip.get_tokenizer("RN50")(TEXTS)
    assert tokens.shape == (3, 77)
    with torch.inference_mode():
        reference = model.encode_text(tokens, normalize=True).numpy()
    assert np.abs(encoder.encode(TEXTS) - reference).max() < 1e-6
