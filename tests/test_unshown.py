"""Images that a model cannot be shown: an outcome of that image, and the run goes on."""

import json

import numpy as np
import pytest
from fake_openai import KEY, Fake, error
from labelwise import images, infer, merge_shards, records
from labelwise.asking import prompts
from labelwise.asking.journal import Journal
from labelwise.bench import tiny
from labelwise.classnames import Names
from labelwise.engines import sight
from labelwise.engines import transformers as engine
from labelwise.engines.base import Answer, Question, Refused, Run
from labelwise.errors import LabelwiseError
from labelwise.likelihood import rows as likely
from labelwise.mapping import predict
from labelwise.pages import provenance as provenance_page
from labelwise.reading.response import answers
from labelwise.requests import make
from labelwise.servers import chat
from PIL import Image
from served_runs import Study

NAMES = ["tench", "goldfish", "hammerhead shark", "electric ray"]
PROMPT = """
system: "Choose from: {{ class_list | default(0) }}"
image: "Picture {n}: "
closing: "\\nWhich?"
"""
SIZES = {"a": (64, 48), "b": (903, 3), "c": (50, 60), "d": (64, 64), "e": (40, 80)}
THIN = "b"
"""The image that Qwen3-VL's processor refuses: one side is 301 times the other."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Pictures, and a tiny model of each family."""
    place = tmp_path_factory.mktemp("unshown")
    draw = np.random.default_rng(0)
    for name, (width, height) in SIZES.items():
        noise = draw.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(noise).save(place / f"{name}.png")
    (place / "prompt.yaml").write_text(PROMPT)
    for family in ("qwen3-vl", "internvl", "paligemma"):
        tiny.make(family, place / family, NAMES)
    return place


@pytest.fixture(autouse=True)
def thin_images_are_read(monkeypatch):
    monkeypatch.setattr(images, "SIDES", 1000)


def ask(place, out, batch=1, family="qwen3-vl", only=None, spec=None, **protocol):
    """Header, requests, responses and facts of a run."""
    asked = {"kind": "closed", "prompt": str(place / "prompt.yaml"), "classes": "c", "stop": []}
    asked |= {"max_tokens": 4} | protocol
    ids = sorted(only or SIZES)
    header, *requests = make("p", asked, ids, NAMES, batch, "sorted" if batch > 1 else "")
    rows = {i: (str(place / f"{i}.png"), f"{n:064x}") for n, i in enumerate(ids)}
    entry = {"engine": "transformers", "folder": str(place / family), "dtype": "float32"}
    out.mkdir(exist_ok=True)
    with Journal(out / "journal.jsonl") as journal:
        run = Run(header, NAMES)
        entry |= {"tensor_batch": 2} | (spec or {})
        facts = infer.infer(entry, run, lambda: iter(requests), rows, journal, out / "said.jsonl")
    return header, requests, list(records.read_responses(out / "said.jsonl")), facts


def outcomes(header, requests, said):
    table = [{"image": i, "status": "ok"} for r in requests for i in r["images"]]
    rows = predict(said, header, requests, table, Names(NAMES))
    return {row["image"]: row["outcome"] for row in rows}


@pytest.mark.parametrize("spec", [{}, {"prefix": "plain"}], ids=["shared", "plain"])
def test_a_refused_image_is_an_outcome_and_no_answer(place, tmp_path, spec):
    header, requests, said, facts = ask(place, tmp_path, spec=spec)
    lost = said[1]
    assert lost == {"request": 1, "text": "", "finish": "image_error", "refused": [1]}
    assert facts["asked"] == 5 and list(facts["image_errors"]) == [THIN]
    assert "aspect ratio" in facts["image_errors"][THIN]
    found = outcomes(header, requests, said)
    assert found.pop(THIN) == "image_error" and "image_error" not in found.values()
    assert len(list(records.read_jsonl(tmp_path / "journal.jsonl"))) == 4
    others = [i for i in SIZES if i != THIN]
    without = ask(place, tmp_path / "without", only=others, spec=spec)[2]
    assert [line["text"] for line in said if line is not lost] == [w["text"] for w in without]


def test_another_run_tries_again_and_ends_in_the_same_bytes(place, tmp_path):
    first = ask(place, tmp_path)[2]
    bytes_ = (tmp_path / "said.jsonl").read_bytes()
    *_, said, facts = ask(place, tmp_path)
    assert said == first and (tmp_path / "said.jsonl").read_bytes() == bytes_
    assert (facts["asked"], facts["replayed"]) == (1, 4)


@pytest.mark.parametrize("only", ["abc", "bcd", "acdb"], ids=["middle", "first", "alone"])
def test_other_images_of_a_prompt_are_asked_about_with_a_text_in_its_place(place, tmp_path, only):
    header, requests, said, _ = ask(place, tmp_path, batch=3, only=only)
    (at,) = [n for n, r in enumerate(requests) if THIN in r["images"]]
    number = requests[at]["images"].index(THIN) + 1
    assert said[at]["refused"] == [number] and said[at]["finish"] in ("stop", "length")
    assert [n for n, line in enumerate(said) if "refused" in line] == [at]
    assert outcomes(header, requests, said)[THIN] == "image_error"
    shown = prompts.render(header, requests[at], [number])
    texts = "".join(text for kind, text in shown.user)
    assert f"Picture {number}: {prompts.UNSHOWN}" in texts
    assert [text for kind, text in shown.user if kind == "image"] == [
        i for i in requests[at]["images"] if i != THIN
    ]
    # what is journalled is the answer to the prompt as it was asked
    kept = list(records.read_jsonl(tmp_path / "journal.jsonl"))
    assert len(kept) == len(requests) and said[at]["text"] in [k["text"] for k in kept]
    model = engine.Model(
        {"folder": str(place / "qwen3-vl"), "dtype": "float32", "prefix": "plain"},
        Run(header, NAMES),
    )
    files = [str(place / f"{i}.png") for i in requests[at]["images"] if i != THIN]
    question = Question(0, shown, requests[at], tuple(files))
    (alone,) = model.answer([question])
    assert alone.text == said[at]["text"]
    again = ask(place, tmp_path, batch=3, only=only)
    assert again[2] == said and len(list(records.read_jsonl(tmp_path / "journal.jsonl"))) == len(
        kept
    )


def test_a_likelihood_run_has_no_names_for_it(place, tmp_path):
    header, requests, said, _ = ask(place, tmp_path, kind="likelihood", stop=["\n"])
    assert outcomes(header, requests, said)[THIN] == "image_error"
    listed = {row["image"] for row in likely(header, requests, said, Names(NAMES))}
    assert listed == set(SIZES) - {THIN}


@pytest.mark.parametrize("family", ["internvl", "paligemma"])
def test_whatever_a_processor_raises(place, tmp_path, family, monkeypatch):
    real = sight.Sight.process

    def picky(self, texts, pictures, whole):
        if any(picture.size == SIZES["d"] for prompt in pictures for picture in prompt):
            raise RuntimeError("Input and output sizes\nshould be greater than 0")
        return real(self, texts, pictures, whole)

    monkeypatch.setattr(sight.Sight, "process", picky)
    kind = {"kind": "open", "max_tokens": 3} if family == "paligemma" else {}
    *_, said, facts = ask(place, tmp_path, family=family, **kind)
    assert [line["finish"] == "image_error" for line in said] == [False, False, False, True, False]
    assert facts["image_errors"] == {"d": "Input and output sizes should be greater than 0"}

    def full(self, texts, pictures, whole):
        raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(sight.Sight, "process", full)
    with pytest.raises(LabelwiseError, match=r"memory ran out .*models: memory"):
        ask(place, tmp_path / "full", family=family, **kind)


def test_a_run_in_which_nothing_can_be_shown_stops(place, tmp_path):
    with pytest.raises(LabelwiseError, match=r"can be shown no image of the 1 requests.*aspect"):
        ask(place, tmp_path, only=[THIN])
    assert not (tmp_path / "said.jsonl").exists()


def test_an_answer_about_an_image_that_was_not_shown_does_not_count():
    header = {"kind": "closed", "answer": "name", "format": "json", "images_per_prompt": 3}
    request = {"images": ["a", "b", "c"], "primer": ""}
    text = json.dumps({"1": "tench", "2": "goldfish", "3": "tench"})
    line = {"request": 0, "text": text, "finish": "stop", "refused": [2]}
    found = answers(line, header | {"primer": ""}, request, Names(NAMES))
    assert [(a.outcome, a.classes) for a in found] == [
        ("ok", (0,)),
        ("image_error", ()),
        ("ok", (0,)),
    ]


@pytest.mark.parametrize("why", [{}, {0: "x"}, {3: "x"}, {"2": "x"}])
def test_an_engine_that_refuses_what_is_not_there_is_told(place, tmp_path, monkeypatch, why):
    class Odd:
        journalled = True

        def __init__(self, spec, run):
            pass

        def answer(self, questions):
            return (Refused(question.id, why) for question in questions)

    monkeypatch.setattr(infer.plugins, "load", lambda name: Odd)
    with pytest.raises(LabelwiseError, match=r"refuses images \[.*must be some of 1 to 2"):
        ask(place, tmp_path, batch=2, only="ac")


def test_what_is_asked_again_is_asked_together_and_its_cost_counts(place, tmp_path, monkeypatch):
    calls, spent = [], []

    class Picky:
        journalled = True

        def __init__(self, spec, run):
            spent.append(run.spent)

        def answer(self, questions):
            questions = list(questions)
            calls.append(len(questions))
            for one in questions:
                bad = {n: "no" for n, file in enumerate(one.files, 1) if file[-5] in "ad"}
                paid = {"cost_usd": 1.0, "by": ["m"]}
                yield Refused(one.id, bad) if bad else Answer(one.id, "tench", "stop", {}, paid)

        def describe(self):
            return {}

    monkeypatch.setattr(infer.plugins, "load", lambda name: Picky)
    for _ in range(2):
        *_, said, facts = ask(place, tmp_path, batch=2, only="acde")
        assert [line["refused"] for line in said] == [[1], [1]]
    assert calls == [2, 2, 2], "one round, and in the second run its answers are known"
    assert spent == [0, 2.0] and facts["cost_usd"] == 2.0


def test_an_engine_ends_where_its_journal_cannot_be_written(place, tmp_path, monkeypatch):
    ended = []

    class Threaded:
        journalled = True

        def __init__(self, spec, run):
            pass

        def answer(self, questions):
            try:
                for one in questions:
                    yield Answer(one.id, "tench", "stop", {})
            finally:
                ended.append(True)

    def full(*_):
        raise LabelwiseError("cannot write: No space left on device")

    monkeypatch.setattr(infer.plugins, "load", lambda name: Threaded)
    monkeypatch.setattr(Journal, "add", full)
    with pytest.raises(LabelwiseError, match="No space left") as failed:
        ask(place, tmp_path, only="ac")
    assert ended, "its threads would wait for the interpreter's end, and it for them"
    assert failed.tb is not None  # as long as the error is held, so are the frames


def test_servers_refuse_images_too(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    study = Study(tmp_path, n=5)
    bad = ("status", 400, error("image_parse_error", "The image could not be parsed."))
    odd = tmp_path / "i3.bin"
    odd.write_bytes(b"\x76\x2f\x31\x01" + odd.read_bytes())
    with Fake([bad]) as fake:
        said = study.run(fake, concurrency=1)
    assert [line["finish"] for line in said] == [
        *("image_error", "stop", "stop", "image_error", "stop")
    ]
    assert len(fake.requests) == 4 and len(study.journal) == 3
    errors = study.meta["image_errors"]
    assert "The image could not be parsed." in errors["i0"] and str(odd) in errors["i3"]
    Image.new("RGB", (9, 9)).save(tmp_path / "x.tiff")
    assert chat.unfit([tmp_path / "x.tiff"], provider=False) == {}
    assert "servers take no image/tiff" in chat.unfit([tmp_path / "x.tiff"], provider=True)[1]


def test_the_report_lists_them():
    meta = {"axes": {"images": "i", "model": "m", "protocol": "p", "batching": "b1"}}
    metas = [meta | {"image_errors": {"x": "why <b>"}}, meta]
    (section,) = provenance_page._errors(metas)
    assert section["rows"] == [["i/m/p/b1", "x", "why <b>"]]
    assert provenance_page._errors([meta]) == []
    shards = [
        {"asked": 1, "replayed": 0, "seconds": 1, "tokens": {}, "started": "", "ended": ""}
        | {"dirty": False, "image_errors": {name: "why"}}
        for name in "xy"
    ]
    assert merge_shards.total(shards)["image_errors"] == {"x": "why", "y": "why"}
