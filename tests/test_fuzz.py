"""Readers are given broken files: each ends in a value or in one line that says what is wrong.

Anything else is a crash. Files are good ones with bytes cut out, put in, doubled or changed; data
are good ones with values of other kinds. A target runs for ``--fuzz-seconds`` (60), with another
seed every time: ``pytest -m slow tests/test_fuzz.py --fuzz-seconds 300``. The quick run of a second
each is part of the other tests.
"""

import copy
import io
import json
import shutil
import tarfile
import time
import zipfile
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from labelwise import (
    arrays,
    classnames,
    config,
    images,
    labels,
    mapping,
    parsing,
    records,
    score,
    weights,
)
from labelwise.annotation import cases as case_files
from labelwise.annotation import counts, interchange
from labelwise.asking import candidates, distractors, journal, prompts
from labelwise.classnames import Names
from labelwise.data import class_ids, label_formats, rules, shards
from labelwise.errors import LabelwiseError
from labelwise.evaluation import selection
from labelwise.pages import thumbnails
from labelwise.planning.grid import Grid
from labelwise.reading import foreign
from labelwise.servers import chat
from labelwise.studies import own
from PIL import Image
from study import ROOT

NAMES = ["tench", "Granny Smith apple", "great white shark", "crane", "crane", "a, b", "hen"]
SCHEMA = records.read_yaml(ROOT / "workflow/schemas/config.schema.yaml")
STUDY = records.read_yaml(ROOT / "tests/workflow/study.yaml")

# what broken things are made of

PIECES = [b"", b"\x00", b"\xff\xfe", b'"', b"'", b",", b";", b"\n", b"\r\n", b"{", b"}", b"[", b"]",
          b"-1", b"99999999999999999999", b"nan", b"null", b"true", b"1e400", b": ", b"- ", b"\t",
          b"&a [*a]", b"\xed\xa0\x80", "é\u2028\U0001f41f".encode(), b"../", b"=",
          b"0x1"]  # fmt: skip
edit = st.tuples(
    st.floats(0, 1), st.floats(0, 1), st.sampled_from(PIECES) | st.binary(max_size=8), st.booleans()
)
edits = st.lists(edit, max_size=6)


def broken(data, changes):
    """Bytes with pieces cut out, put in or doubled."""
    for at, size, piece, double in changes:
        start = int(at * len(data))
        end = min(len(data), start + int(size**4 * 400))
        data = data[:start] + piece + (data[start:end] * 2 if double else b"") + data[end:]
    return data


leaf = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
leaf |= st.sampled_from([*NAMES, -1, 10**30, "$X", "a b", [], {}, "1", "0"])
value = st.recursive(
    leaf, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=6), v, max_size=3)
)


@st.composite
def changed(draw, whole, most=3):
    """A nested value with some parts replaced, taken out or doubled."""
    whole = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, most))):
        at, key = None, None
        node = whole
        while isinstance(node, dict | list) and node and (at is None or draw(st.integers(0, 4))):
            at = node
            key = draw(
                st.sampled_from(
                    sorted(node, key=str) if isinstance(node, dict) else range(len(node))
                )
            )
            node = at[key]
        if at is None:
            break
        what = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
        if what == "remove":
            del at[key]
        elif what == "add" and isinstance(at, dict):
            at[draw(st.text(max_size=6))] = draw(value)
        else:
            at[key] = draw(value)
    return whole


def lines(*values):
    return "\n".join(map(json.dumps, values)).encode()


# the targets: name -> strategy, and what is done with what it draws

HEADER = {
    "protocol": "p", "kind": "closed", "answer": "name", "format": "plain", "classes": "c",
    "system": "s", "image": "", "closing": "", "primer": "", "schema": None, "max_tokens": 8,
    "stop": [], "images_per_prompt": 2, "order": "",
}  # fmt: skip
REQUEST = {"request": 0, "repeat": 0, "images": ["a", "b"]}
OPTIONS = [{"letter": letter, "class": c, "name": NAMES[c]} for c, letter in enumerate("ABCD")]
WORDS = [
    *NAMES, "A", "(B)", "B.", "not", "The answer is", "1:", "2.", "Image 2 -", '{"1": "hen"', "}",
    '"', "```json", "```", "\n", ", ", ";", "I cannot", "none", "0", "3", "[1, 2]", "\\u", "\x00",
]  # fmt: skip
answer = st.lists(st.sampled_from(WORDS) | st.text(max_size=5), max_size=12).map(" ".join)


def parse(text, kind, form, by, finish, n):
    header = HEADER | {"kind": kind, "format": form, "answer": by, "images_per_prompt": n}
    request = REQUEST | {"images": ["a", "b", "c"][:n], "options": OPTIONS}
    found = parsing.parse(text, finish, header, request, Names(NAMES, relaxed=True))
    assert [one.image for one in found] == request["images"]
    for one in found:
        assert one.outcome in records.OUTCOMES
        assert all(0 <= c < len(NAMES) for c in one.classes)
        assert one.outcome == "ok" or not one.classes
        one.answer.encode()


def picture(kind):
    data = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (24, 16, 3), dtype=np.uint8)
    Image.fromarray(noise).save(data, kind)
    return data.getvalue()


def tar():
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, body in (("a.png", picture("PNG")), ("a.cls", b"3"), ("b.png", picture("PNG"))):
            member = tarfile.TarInfo(name)
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    return data.getvalue()


def parquet():
    data = io.BytesIO()
    column = [{"bytes": picture("PNG"), "path": "a.png"}, {"bytes": None, "path": None}]
    pq.write_table(pa.table({"image": column, "label": [1, 2]}), data)
    return data.getvalue()


def wheel():
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("tiny/data.txt", "hello")
    return data.getvalue()


def npz():
    data = io.BytesIO()
    np.savez(data, allow_pickle=False, embedding=np.ones((2, 3), np.float32), name=["a", "b"])
    return data.getvalue()


def npy():
    data = io.BytesIO()
    np.save(data, np.eye(3), allow_pickle=False)
    return data.getvalue()


def thumbs():
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("0.jpg", b"x")
        archive.writestr("index.json", json.dumps({"a": {"file": "0.jpg", "credit": ""}}))
    return data.getvalue()


def decided(path):
    interchange.read(path, None, 1000, "ann")


def read_shard(path):
    for _, pointer in list(shards.samples(str(path), {}, records.SUFFIXES)):
        images.read(pointer)
        list(shards.labels([pointer], "label"))


def unpack(path):
    out = path.parent / "unpacked"
    try:
        weights.unpack(path, out)
    finally:
        shutil.rmtree(out, ignore_errors=True)


def ask(path):
    header, asked = prompts.read(path)
    for request in asked:
        prompts.render(header, request)


def answers(path):
    asked = [REQUEST, REQUEST | {"request": 1, "images": ["c"]}]
    image_set = [{"image": i, "status": "ok"} for i in "abc"]
    mapping.predict(records.read_responses(path), HEADER, asked, image_set, Names(NAMES))


def keep(path):
    with journal.Journal(path) as known:
        assert all(isinstance(entry, dict) for entry in known.values())


def load_labels(form, **more):
    def read(path):
        labels.load({"format": form, "file": str(path), **more}, notes=Counter())

    return read


CASES = {"format": case_files.FORMAT, "name": "look", "seed": 0, "annotators": {"ann": "person"},
         "classes": [{"name": "hen", "examples": ["a.jpg"]}], "guidelines": "# Look"}  # fmt: skip
CASE = {"case": "c1", "image": "a", "file": "a.jpg", "width": 4, "height": 3, "options": [[1], []],
        "asked": ["ann"]}  # fmt: skip
TASK = json.dumps([{"data": {"image": "a.jpg", "case": "c1", "image_id": "a"}, "annotations": [
    {"lead_time": 2.0, "result": [
        {"id": "r", "from_name": "classes", "value": {"choices": ["1 goldfish"]}},
        {"id": "b", "from_name": "boxes", "original_width": 9, "original_height": 8,
         "value": {"x": 1, "y": 2, "width": 3, "height": 4, "rectanglelabels": ["1 goldfish"]}}]}
]}]).encode()  # fmt: skip
TALLY = (
    ",".join((*counts.TEXTS, *counts.NUMBERS)).encode()
    + b"\nlook,ann,person,A,cases,,cases,1,2,3,,\n"
)
BASE = (ROOT / "tests/workflow/study.yaml").read_text()
MINE = own.Images("mine", ROOT / "data/demo/photos")
VAL = "ILSVRC2012_val_00000001.JPEG"
PREDICTIONS = ",".join(records.PREDICTIONS).encode()
PREDICTIONS += b"\n0,a,1,ok,hen,6,,,0\n0,b,1,empty,,,,,0\n"
EXPERIMENT = (ROOT / "tests/data/experiment_classifiers.csv").read_bytes()[:6000]
FILES = {
    "records.csv": (b"image,labels\na,1 2\nb,\n", lambda p: records.read_csv(p, ("image",))),
    "records.json": (b'{"a": [1, {"b": null}]}', records.read_json),
    "records.jsonl": (lines({"a": 1}, [2]), lambda p: list(records.read_jsonl(p))),
    "records.yaml": (b"a: {b: [1, 2]}\nc: &x d\ne: *x\n", records.read_yaml),
    "requests": (lines(HEADER, REQUEST, REQUEST | {"closing": "x"}), ask),
    "responses": (lines({"request": 0, "text": "1: hen\n2: tench", "finish": "stop"},
                        {"request": 1, "text": "crane", "finish": "length"}), answers),
    "prompt": (b'system: "a {{ class_list }}"\nclosing: "{% if n_images %}b{% endif %}"\n',
               lambda p: prompts.fill(p, prompts.load(p), "system", class_list="x")),
    "journal": (lines({"key": "k", "text": "x"}, {"key": "l", "text": "y"}) + b"\n", keep),
    "predictions": (PREDICTIONS, score.read_predictions),
    "class names": (b'class,name\n0,hen\n1,"a, b"\n', classnames.read_names),
    "class names, results": (b'class,name\n0,hen\n1,"a, b"\n', classnames.read),
    "pairs.csv": (b"a,b\n1,2\n3,4\n", rules.read_pairs),
    "pairs.json": (b'{"eq_classes": {"x": [1, 2]}}', rules.read_pairs),
    "labels csv": (b"image,labels,uncertain\na,1 2,0\nb,-1,\n", load_labels("csv")),
    "labels real": (b"[[1], [2, 3], []]", load_labels("real")),
    "labels reimagenet": (lines({"image_name": VAL, "reannotated_labels": [1]}),
                          load_labels("reimagenet")),
    "labels corrections": (b"id,category,proposed_labels\na,S,1\nb,X,nan\n",
                           load_labels("corrections")),
    "labels multilabel": (b"file_name,correct_multi_labels,is_problematic\na.JPEG,\"[1, 2]\",0\n",
                          load_labels("multilabel")),
    "labels weasel": (b'{"a": {"old_label": 356, "new_label": 357, "label_type": "basic"}}',
                      load_labels("weasel", keep="all")),
    "labels guessed": (b'[[1], {"new_label": 2}]', label_formats.guess),
    "foreign csv": (b"img_id,top_1_pred,original_label\na,1,2\nb,hen;tench,3\n",
                    lambda p: foreign.read(p, foreign.Vocabulary(NAMES))),
    "foreign json": (b'{"predictions": {"a": "hen", "b": [1, "2, 3"], "c": {"label": 0}}}',
                     lambda p: foreign.read(p, foreign.Vocabulary(NAMES))),
    "array": (npz(), lambda p: arrays.read(p, "embedding", "name")),
    "experiment": (EXPERIMENT, selection.load),
    "shard.tar": (tar(), read_shard),
    "shard.parquet": (parquet(), read_shard),
    "wheel": (wheel(), unpack),
    "class ids": (b"# a few\n1\n22\n", lambda p: class_ids.read(p, 30)),
    "labels of one's own": (b"image,label\ncheetah,hen;tench\npolar-bear.jpg,1 2\n",
                            lambda p: own.read_labels(p, NAMES, MINE)),
    "candidates": (b"image,candidates\na,1 2\nb,\n", candidates.read),
    "confusions.csv": (b"labelled,predicted,count,weight\n1,2,3,0.5\n",
                       lambda p: distractors.confusions(distractors.read_confusions(str(p)))),
    "confusions.npy": (npy(), lambda p: distractors.read_confusions(str(p))),
    "thumbnails": (thumbs(), thumbnails.read),
    "configuration.yaml": (BASE.encode(), config.load),
    "cases": (lines(CASES, CASE), case_files.read),
    "key": (b"case,image,category,selected_by,source,kind,labels,valid\n"
            b"c1,a,S-,random,net,model,1 2,1\n", case_files.read_key),
    "decisions.csv": (b"case,image,annotator,role,labels,boxes,comment,seconds,at\n"
                      b"c1,a,ann,annotator,1 -1,[],no,2.5,2026-01-01T00:00:00Z\n", decided),
    "decisions.json": (TASK, decided),
    "decisions.jsonl": (lines({"image_name": "a.jpg", "reannotated_labels": [1], "bboxes": [],
                               "labelwise": {"annotator": "ann"}}), decided),
    "tally": (TALLY, counts.load),
    **{f"image {kind}": (picture(kind), images.read) for kind in images.FORMATS},
}  # fmt: skip


def plan(study):
    config.check(study, SCHEMA, "mine.yaml")
    Grid(study, {"glove"})


def reply(body):
    try:
        chat.checked(body)
    except chat.Unusable:
        return
    chat.answer(body, ["\n"])
    chat.usage(body)
    chat.who(body)


REPLY = {
    "model": "m", "system_fingerprint": None, "usage": {"prompt_tokens": 1, "completion_tokens": 1,
    "prompt_tokens_details": {"cached_tokens": 0}},
    "choices": [{"finish_reason": "stop", "message": {"content": "hen", "refusal": None}}],
}  # fmt: skip
DATA = {
    "answers": (
        st.tuples(answer, *map(st.sampled_from, (
            ("closed", "open", "choice", "all"), ("plain", "json", "structured"),
            ("name", "id", "letter"), ("stop", "length", "content_filter"), (1, 2, 3)))),
        lambda drawn: parse(*drawn)),
    "configuration": (changed(STUDY), plan),
    "replies of a server": (changed(REPLY), reply),
    "foreign values": (value, lambda v: foreign.Vocabulary(NAMES).read(v)),
}  # fmt: skip
TARGETS = [*FILES, *DATA]


def fuzz(name, place, seconds):
    """Draw for so many seconds; the number of examples."""
    strategy, act = (edits, None) if name in FILES else DATA[name]
    suffix = name.rpartition(".")[2] if "." in name else "bin"
    path = place / f"x.{suffix}"
    count, started = 0, time.monotonic()

    @settings(
        max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(strategy)
    def check(drawn):
        nonlocal count
        count += 1
        try:
            if act:
                act(drawn)
                return
            good, read = FILES[name]
            path.write_bytes(broken(good, drawn))
            read(path)
        except LabelwiseError as error:
            assert "\n" not in str(error), "more than one line"

    while time.monotonic() - started < seconds:
        check()
    return count


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "images.csv").write_text("image,file\n")
    for name in ("config", "data", "workflow"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TARGETS)
def test_a_broken_input_is_a_value_or_one_line(name, place):
    fuzz(name, place, 0.05)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TARGETS)
def test_for_a_long_time(name, place, request):
    seconds = request.config.getoption("--fuzz-seconds")
    assert fuzz(name, place, seconds) > seconds
