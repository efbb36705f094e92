import json
from pathlib import Path

import numpy as np
import pytest
from labelwise import embed_classes, records, requests
from labelwise.asking import prompt_view, prompts
from labelwise.errors import LabelwiseError

PROMPTS = Path(__file__).parents[1] / "config" / "prompts"
NAMES = [f"thing {i}" for i in range(30)]
IMAGES = [f"image-{i:02}" for i in range(23)]
ORIGINAL = {image: i % 4 for i, image in enumerate(IMAGES)}


def spec(name="open-json", **more):
    return {
        "kind": "open",
        "prompt": str(PROMPTS / f"{name}.yaml"),
        "classes": "things",
        "format": "json",
    } | more


def choice(**more):
    return spec("choice-letter", kind="choice", answer="letter", format="plain", **more)


def make(entry, batch=1, order="", images=IMAGES, **more):
    header, *asked = requests.make("p", entry, images, NAMES, batch, order, **more)
    return header, asked


@pytest.mark.parametrize("batch", [1, 5, 10, 50])
@pytest.mark.parametrize("order", ["shuffled-s0", "sorted", "same-class-s1"])
def test_every_image_is_asked_once_and_the_short_prompt_is_kept(batch, order):
    _, asked = make(spec(), batch, order, original=ORIGINAL)
    ids = [image for request in asked for image in request["images"]]
    assert sorted(ids) == IMAGES
    assert all(len(request["images"]) <= batch for request in asked)
    if order != "same-class-s1":
        assert [len(r["images"]) for r in asked[:-1]] == [batch] * (len(asked) - 1)
    assert [request["request"] for request in asked] == list(range(len(asked)))


def test_same_class_prompts_hold_one_class():
    _, asked = make(spec(), 5, "same-class-s0", original=ORIGINAL)
    for request in asked:
        assert len({ORIGINAL[image] for image in request["images"]}) == 1
    assert len(asked) == 2 + 2 + 2 + 1
    classes = [ORIGINAL[request["images"][0]] for request in asked]
    assert classes != sorted(classes)


def test_orders_depend_on_the_seed_and_the_image_only():
    def order(images, name):
        _, asked = make(spec(), 5, name, images=images)
        return [image for request in asked for image in request["images"]]

    whole = order(IMAGES, "shuffled-s0")
    assert whole == order(IMAGES[::-1], "shuffled-s0") != order(IMAGES, "shuffled-s1")
    some = IMAGES[3:17]
    assert order(some, "shuffled-s0") == [image for image in whole if image in some]
    assert order(IMAGES[::-1], "sorted") == IMAGES


def test_asking_again_asks_the_same_prompts():
    _, asked = make(spec(repeats=3), 5, "shuffled-s0")
    third = len(asked) // 3
    assert [r["repeat"] for r in asked] == [0] * third + [1] * third + [2] * third
    assert [r["images"] for r in asked[:third]] == [r["images"] for r in asked[third : 2 * third]]


def test_questions_are_redrawn_in_each_repeat_and_keyed_by_image():
    _, asked = make(choice(repeats=2, true=["original"]), original=ORIGINAL)
    first, second = asked[: len(IMAGES)], asked[len(IMAGES) :]
    assert any(a["options"] != b["options"] for a, b in zip(first, second, strict=True))
    _, shard = make(choice(repeats=2), images=IMAGES[::-2], original=ORIGINAL)
    by_key = {(r["repeat"], r["images"][0]): r for r in asked}
    for request in shard:
        same = by_key[request["repeat"], request["images"][0]]
        assert request["options"] == same["options"] and request["closing"] == same["closing"]


def test_a_question_shows_what_is_stored_with_it():
    header, asked = make(choice(), original=ORIGINAL)
    for request in asked:
        text = prompts.render(header, request).user[-1][1]
        for option in request["options"]:
            assert f"\n{option['letter']}. {option['name']}\n" in text
        assert [o["letter"] for o in request["options"]] == list("ABCD")


def test_tokens_and_stops_grow_with_images_and_json():
    one, _ = make(spec(max_tokens=20, stop=["\n", "###"]))
    five, _ = make(spec(max_tokens=20, stop=["\n", "###"]), 5, "sorted")
    plain, _ = make(spec("open-plain", format="plain", max_tokens=20), 5, "sorted")
    assert (one["max_tokens"], five["max_tokens"], plain["max_tokens"]) == (36, 148, 100)
    assert (one["stop"], five["stop"], plain["stop"]) == (["\n", "###"], ["###"], ["\n6:"])


def test_structured_prompts_carry_a_schema_for_their_number_of_images():
    header, asked = make(spec("open-structured", format="structured"), 5, "sorted")
    full, last = (prompts.render(header, r).schema for r in (asked[0], asked[-1]))
    assert full["required"] == list("12345") and last["required"] == list("123")
    entry = spec("all-ids", kind="all", answer="id", format="structured")
    value = make(entry)[0]["schema"]["properties"]["1"]
    assert value == {"type": "array", "items": {"type": "integer"}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "shut"}, "kind 'shut' is none of"),
        ({"answer": "letter"}, "answer 'letter' of kind open is none of name"),
        ({"format": "xml"}, "format 'xml'"),
        ({"layout": "middle"}, "layout 'middle'"),
        ({"prompt": "nowhere.yaml"}, r"nowhere\.yaml: no such file"),
    ],
)
def test_bad_entries(change, message):
    with pytest.raises(LabelwiseError, match=message):
        make(spec(**change))


def test_missing_labels_and_bad_orders():
    with pytest.raises(LabelwiseError, match="needs original labels: give --original"):
        make(choice())
    with pytest.raises(LabelwiseError, match="image image-05: has no original label"):
        make(choice(), original={i: 0 for i in IMAGES if i != "image-05"})
    with pytest.raises(LabelwiseError, match="needs corrected labels: give --corrected"):
        make(choice(true=["original", "corrected"]), original=ORIGINAL)
    with pytest.raises(LabelwiseError, match="'random' is none of"):
        make(spec(), 5, "random")
    with pytest.raises(LabelwiseError, match="a choice question holds one image, not 5"):
        make(choice(), 5, "sorted", original=ORIGINAL)


@pytest.fixture
def files(tmp_path):
    rows = [{"image": i, "status": "unreadable" if i == "image-07" else "ok"} for i in IMAGES]
    records.write_csv(tmp_path / "images.csv", records.IMAGES, rows)
    rows = [{"class": i, "name": name} for i, name in enumerate(NAMES)]
    records.write_csv(tmp_path / "classes.csv", records.CLASSES, rows)
    rows = [{"image": i, "labels": c, "uncertain": 0, "void": 0} for i, c in ORIGINAL.items()]
    records.write_csv(tmp_path / "original.csv", records.LABELS, rows)
    rows = [{"image": i, "labels": "5 6", "void": int(i == "image-00")} for i in IMAGES]
    records.write_csv(tmp_path / "corrected.csv", records.LABELS, rows)
    rows = [{"labelled": c, "predicted": 9, "count": 1, "weight": 0.5} for c in range(30)]
    records.write_csv(tmp_path / "confusions.csv", records.CONFUSIONS, rows)
    return tmp_path


def stage(files, entry, *more):
    out = files / "results" / "demo" / "p" / "b1.jsonl"
    common = ["--protocol", "p", "--images", str(files / "images.csv")]
    common += ["--classes", str(files / "classes.csv"), "--out", str(out)]
    requests.main([*common, "--spec", json.dumps(entry), *more])
    return out


def test_stage_leaves_unreadable_images_out_and_writes_equal_bytes_twice(files):
    entry = spec()
    first = stage(files, entry, "--batch", "5", "--order", "shuffled-s0").read_bytes()
    out = stage(files, entry, "--batch", "5", "--order", "shuffled-s0")
    assert out.read_bytes() == first
    header, asked = prompts.read(out)
    assert header["images_per_prompt"] == 5 and header["order"] == "shuffled-s0"
    ids = [image for request in asked for image in request["images"]]
    assert sorted(ids) == [image for image in IMAGES if image != "image-07"]


def test_stage_reads_labels_and_confusions_for_questions(files):
    entry = choice(true=["corrected"], corrected="multi", distractors={"from": "confusions"})
    labels = [
        "--original",
        str(files / "original.csv"),
        "--corrected",
        str(files / "corrected.csv"),
    ]
    _, asked = prompts.read(
        stage(files, entry, *labels, "--confusions", str(files / "confusions.csv"))
    )
    for request in asked:
        roles = {o["role"]: o["class"] for o in request["options"]}
        assert 9 in [o["class"] for o in request["options"]]
        if request["images"] == ["image-00"]:
            assert roles.get("original") == 0
        else:
            assert roles["corrected"] in (5, 6)


def test_stage_reads_embeddings_for_questions(files):
    path = files / "names.npz"
    vectors = np.eye(30, dtype=np.float32) + np.roll(np.eye(30, dtype=np.float32), 1, axis=1)
    embed_classes.write(path, NAMES, vectors / 2**0.5)
    entry = choice(distractors={"from": "nearest", "mapper": "minilm"})
    out = stage(files, entry, "--original", str(files / "original.csv"), "--embeddings", str(path))
    for request in prompts.read(out)[1]:
        label = ORIGINAL[request["images"][0]]
        shown = {option["class"] for option in request["options"]}
        assert {label, (label - 1) % 30, (label + 1) % 30} < shown


def test_stage_says_what_is_missing(files, capsys):
    entry = choice(distractors={"from": "confusions"})
    with pytest.raises(SystemExit):
        stage(files, entry, "--original", str(files / "original.csv"))
    assert "distractors from confusions: give --confusions" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        requests.main(["--protocol", "p"])
    assert "give --spec, --images, --classes, --out, or --show" in capsys.readouterr().err


def test_show_prints_one_prompt_with_placeholders(files):
    stage(files, spec(), "--batch", "5", "--order", "sorted")
    config = {"protocols": {"p": {}, "q": {}}, "images": {"demo": {}, "more": {}}}

    def show(image, protocol):
        return prompt_view.show(image, protocol, config, files / "results")

    text = show("image-03", "p")
    assert "[image image-03]" in text and 'Image "4":' in text and "fine-grained" in text
    with pytest.raises(LabelwiseError, match="image nothing: in none of"):
        show("nothing", "p")
    with pytest.raises(LabelwiseError, match=r"snakemake --cores 1 .*/demo/q/b1\.jsonl"):
        show("image-03", "q")
    with pytest.raises(LabelwiseError, match="protocols: 'r' is none of p, q"):
        show("image-03", "r")


def test_a_prompt_with_fewer_images_may_say_less():
    spec = {"kind": "closed", "prompt": "config/prompts/closed-plain.yaml", "classes": "c"}
    lines = list(requests.make("p", spec | {"max_tokens": 12}, list("abc"), ["x"], 2, "sorted"))
    assert lines[0]["max_tokens"] == 24
    assert [line.get("max_tokens", 24) for line in lines[1:]] == [24, 12]
