import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from labelwise import embed_classes, mapping, records, requests
from labelwise.classnames import Names
from labelwise.errors import LabelwiseError
from labelwise.reading import encoders

PROMPTS = Path(__file__).parents[1] / "config" / "prompts"
LISTED = ["tench", "hen", "Missile", "great white shark", "missile"]
WAYS = {"tench": (1, 0), "hen": (0, 1), "missile": (-1, 0), "great white shark": (0.6, 0.8)}
ANSWERS = {"a fish": (0.96, 0.28), "rocket": (-0.9, 0.1), "nothing known": (0, 0), "even": (1, 2)}


class Encoder:
    """Two-dimensional vectors by text; counts the texts that it is asked for."""

    def __init__(self):
        self.asked = []

    def encode(self, texts):
        self.asked += texts
        known = WAYS | ANSWERS
        rows = np.array([known.get(text.lower(), (0, -1)) for text in texts], np.float32)
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        return rows / np.where(length > 0, length, 1)

    encode_together = encode


def asked(images, batch=1, repeats=1, **more):
    entry = {
        "kind": "closed",
        "prompt": str(PROMPTS / "closed-plain.yaml"),
        "classes": "five",
        "repeats": repeats,
    } | more
    order = "" if batch == 1 else "sorted"
    header, *found = requests.make("p", entry, images, LISTED, batch, order, original={"i": 0})
    return header, found


def rows_of(texts, finish="stop", **more):
    images = [f"i{n}" for n in range(len(texts))]
    header, found = asked(images, **more)
    said = [{"request": n, "text": t, "finish": finish} for n, t in enumerate(texts)]
    table = [{"image": image, "status": "ok"} for image in images]
    return mapping.predict(said, header, found, table, Names(LISTED))


def mapped(texts, **more):
    rows, encoder = rows_of(texts, **more), Encoder()
    mapping.map_rows(rows, Names(LISTED), encoder.encode(LISTED), encoder.encode)
    return rows, encoder.asked[len(LISTED) :]


def test_exact_rows_hold_what_parsing_found():
    rows = rows_of(["Tench", "dragon", "missile", "", "I don't know"])
    assert [(r["outcome"], r["class"], r["position"], r["mapped"]) for r in rows] == [
        ("ok", "0", 1, 0),
        ("out_of_list", "", 1, 0),
        ("ok", "2 4", 1, 0),
        ("empty", "", 1, 0),
        ("abstain", "", 1, 0),
    ]


def test_only_what_is_outside_the_list_is_mapped():
    rows, embedded = mapped(["tench", "a fish", "A rocket.", "rocket", "", "I don't know"])
    assert [r["class"] for r in rows[:2]] == ["0", "0"]
    assert [r["class"] for r in rows[3:5]] == ["2 4", ""]
    assert [r["mapped"] for r in rows] == [0, 1, 1, 1, 0, 1]
    assert rows[4].get("score") is None and rows[0].get("score") is None
    assert embedded == ["a fish", "A rocket", "rocket", "I don't know"]


def test_similarity_and_margin_are_stored():
    (row,), _ = mapped(["a fish"])
    assert row["class"] == "0"
    assert float(row["score"]) == pytest.approx(0.96, abs=1e-5)
    second = 0.96 * 0.6 + 0.28 * 0.8
    assert float(row["margin"]) == pytest.approx(0.96 - second, abs=1e-5)


def test_each_different_text_is_embedded_once():
    rows, embedded = mapped(["a fish", "rocket", '"a fish."', "a fish"])
    assert embedded == ["a fish", "rocket"]
    assert len({r["class"] for r in rows if r["answer"] == "a fish"}) == 1


def test_ties_go_to_the_lowest_class_with_margin_0():
    (row,), _ = mapped(["nothing known"])
    assert (row["class"], row["score"], row["margin"]) == ("0", "0", "0")
    vectors = np.array([[0, 1], [1, 0], [1, 0]], np.float32)
    best, score, margin = mapping.nearest(np.array([[1, 0]], np.float32), vectors)
    assert (best[0], score[0], margin[0]) == (1, 1, 0)
    almost = np.array([[1, 0], [1 + 3e-7, 0]], np.float32)
    assert mapping.nearest(np.array([[1, 0]], np.float32), almost)[0][0] == 0


def test_the_nearest_name_denotes_all_classes_that_bear_it():
    (row,), _ = mapped(["rocket"])
    assert row["class"] == "2 4" and float(row["margin"]) > 0.5


def test_text_cut_at_the_limit_is_mapped_if_there_is_any():
    rows, _ = mapped(["a fish", ""], finish="length")
    assert [(r["outcome"], r["class"]) for r in rows] == [("truncated", "0"), ("truncated", "")]


def test_what_has_no_text_of_its_own_stays_without_class():
    texts = ["1: tench\n1: hen\n2: a fish", "no numbers", "I cannot see them"]
    images = [f"i{n}" for n in range(6)]
    header, found = asked(images, 2)
    said = [{"request": n, "text": t, "finish": "stop"} for n, t in enumerate(texts)]
    said[1] |= {"finish": "content_filter"}
    table = [{"image": image, "status": "ok"} for image in images]
    rows = mapping.predict(said, header, found, table, Names(LISTED))
    encoder = Encoder()
    mapping.map_rows(rows, Names(LISTED), encoder.encode(LISTED), encoder.encode)
    assert [(r["outcome"], r["class"]) for r in rows[:4]] == [
        ("parse_error", ""),
        ("out_of_list", "0"),
        ("content_filter", ""),
        ("content_filter", ""),
    ]
    assert [r["outcome"] for r in rows[4:]] == ["abstain", "abstain"]


def test_one_row_per_repeat_and_image_of_the_set_in_its_order():
    header, found = asked(["b", "a"], 2, repeats=2)
    said = [{"request": n, "text": "tench\n2: hen", "finish": "stop"} for n in (1, 0)]
    table = [{"image": i, "status": s} for i, s in (("b", "ok"), ("x", "unreadable"), ("a", "ok"))]
    rows = mapping.predict(said, header, found, table, Names(LISTED))
    assert [(r["repeat"], r["image"], r["outcome"]) for r in rows] == [
        (repeat, image, outcome)
        for repeat in (0, 1)
        for image, outcome in (("b", "ok"), ("x", "image_error"), ("a", "ok"))
    ]
    assert [r.get("position") for r in rows[:3]] == [2, None, 1]


def test_a_very_long_answer_is_kept_in_part():
    (row,) = rows_of(["x" * 10**6])
    assert len(row["answer"]) == mapping.LONGEST


def test_missing_responses_and_images_are_errors():
    header, found = asked(["a"])
    table = [{"image": "a", "status": "ok"}]
    with pytest.raises(LabelwiseError, match="request 0 has none; ask again"):
        mapping.predict([], header, found, table, Names(LISTED))
    said = [{"request": 0, "text": "hen", "finish": "stop"}]
    with pytest.raises(LabelwiseError, match="image b is not asked about in repeat 0"):
        more = [*table, {"image": "b", "status": "ok"}]
        mapping.predict(said, header, found, more, Names(LISTED))


@pytest.fixture
def files(tmp_path):
    records.write_csv(
        tmp_path / "images.csv", records.IMAGES, [{"image": i, "status": "ok"} for i in "ab"]
    )
    rows = [{"class": i, "name": name} for i, name in enumerate(LISTED)]
    records.write_csv(tmp_path / "classes.csv", records.CLASSES, rows)
    header, found = asked(["a", "b"])
    records.write_jsonl(tmp_path / "requests.jsonl", [header, *found])
    said = [{"request": n, "text": t, "finish": "stop"} for n, t in enumerate(["hen", "a fish"])]
    records.write_jsonl(tmp_path / "responses.jsonl", said)
    return tmp_path


def arguments(files, entry, *more):
    found = [str(files / "responses.jsonl"), "--mapper", json.dumps(entry)]
    for key, name in (("requests", "requests.jsonl"), ("images", "images.csv")):
        found += [f"--{key}", str(files / name)]
    found += ["--classes", str(files / "classes.csv"), "--out", str(files / "out.csv"), *more]
    return found


def test_stages_write_embeddings_and_predictions(files, monkeypatch):
    monkeypatch.setattr(encoders, "Encoder", lambda spec, cache=None: Encoder())
    entry = {"kind": "nearest", "encoder": "two", "templates": "none"}
    out = files / "five.npz"
    common = ["--mapper", json.dumps(entry), "--encoder", "{}"]
    embed_classes.main([*common, "--classes", str(files / "classes.csv"), "--out", str(out)])
    first = out.read_bytes()
    embed_classes.main([*common, "--classes", str(files / "classes.csv"), "--out", str(out)])
    assert out.read_bytes() == first
    assert embed_classes.read(out, 5).shape == (5, 2)
    mapping.main(arguments(files, entry, "--embeddings", str(out), "--encoder", '{"engine": "x"}'))
    rows = records.read_csv(files / "out.csv", records.PREDICTIONS)
    assert [(r["image"], r["outcome"], r["class"], r["mapped"]) for r in rows] == [
        ("a", "ok", "1", "0"),
        ("b", "out_of_list", "0", "1"),
    ]
    with pytest.raises(LabelwiseError, match="5 names, but the list has 4"):
        embed_classes.read(out, 4)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"kind": "options"}, "kind options cannot map a closed protocol"),
        ({"kind": "magic"}, "kind 'magic' is none of"),
        ({"kind": "nearest"}, "needs --embeddings and --encoder"),
    ],
)
def test_mappers_that_do_not_fit(files, capsys, entry, message):
    with pytest.raises(SystemExit):
        mapping.main(arguments(files, entry))
    assert message in capsys.readouterr().err


def test_exact_mapping_imports_nothing_heavy(files):
    code = (
        "import sys; from labelwise import mapping; mapping.main(sys.argv[1:]);"
        "sys.exit(any(name in sys.modules for name in ('torch', 'pandas', 'transformers')))"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(mapping.__file__).parents[1])}
    command = [sys.executable, "-c", code, *arguments(files, {"kind": "exact"})]
    assert subprocess.run(command, env=environment, check=False).returncode == 0
    assert [r["class"] for r in records.read_csv(files / "out.csv")] == ["1", ""]


def test_templates_are_averaged_and_normalised():
    assert len(embed_classes.templates("clip-80")) == 80
    assert embed_classes.templates("clip-7")[0] == "itap of a {}."
    assert embed_classes.templates("none") == ["{}"]

    def encode(texts):
        return np.array([[1, 0] if "photo" in text else [0, 1] for text in texts], np.float32)

    around = ["a photo of a {}", "art of {}"]
    found = embed_classes.embed(["hen", "photo"], encode, around)
    assert found == pytest.approx(np.array([[0.5**0.5, 0.5**0.5], [1, 0]]), abs=1e-6)


@pytest.mark.parametrize(
    ("templated", "names", "answers"), [("both", 7, 7), ("names", 7, 1), ("answers", 1, 7)]
)
def test_what_goes_into_templates(monkeypatch, templated, names, answers):
    mapper = {"kind": "nearest", "templates": "clip-7", "templated": templated}
    for what, number in (("names", names), ("answers", answers)):
        encoder = Encoder()
        monkeypatch.setattr(encoders, "Encoder", lambda spec, cache=None, e=encoder: e)
        embed_classes.embedder(mapper, {}, what)(["hen"])
        assert len(encoder.asked) == number


def test_template_files(tmp_path):
    path = tmp_path / "templates.txt"
    path.write_text("a photo of {}\n\n{}\n")
    assert embed_classes.templates(str(path)) == ["a photo of {}", "{}"]
    path.write_text("a photo\n")
    with pytest.raises(LabelwiseError, match=r"'a photo' must hold \{\} once"):
        embed_classes.templates(str(path))
    with pytest.raises(LabelwiseError, match="templates 'clip-9' is none of"):
        embed_classes.templates("clip-9")


def test_nearest_agrees_with_plain_search_across_blocks(monkeypatch):
    monkeypatch.setattr(mapping, "BLOCK", 7)
    rng = np.random.default_rng(0)
    answers, names = (rng.normal(size=(n, 8)).astype(np.float32) for n in (50, 20))
    best, score, margin = mapping.nearest(answers, names)
    for i, answer in enumerate(answers):
        order = sorted(range(20), key=lambda j: -float(answer @ names[j]))
        assert best[i] == order[0]
        assert score[i] == pytest.approx(float(answer @ names[order[0]]), rel=1e-5)
        gap = float(answer @ names[order[0]] - answer @ names[order[1]])
        assert margin[i] == pytest.approx(gap, abs=1e-5)


def test_50000_answers_by_1000_names_take_seconds():
    rng = np.random.default_rng(0)
    answers, names = (rng.normal(size=(n, 384)).astype(np.float32) for n in (50_000, 1000))
    started = time.perf_counter()
    mapping.nearest(answers, names)
    assert time.perf_counter() - started < 6  # 2 s on 2 free cores; tests share them
