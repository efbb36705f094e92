"""Exact likelihood and constrained decoding from the requests to the predictions."""

import json

import pytest
from labelwise import infer, likelihood, requests
from labelwise.asking import prompts
from labelwise.asking.journal import Journal
from labelwise.bench import likelihood as bench
from labelwise.bench import tiny
from labelwise.classnames import Names
from labelwise.engines.base import Run
from labelwise.errors import LabelwiseError
from labelwise.mapping import predict
from labelwise.planning.checks import cannot
from labelwise.planning.sources import LIB

PHOTOS = LIB.parents[1] / "data/demo/photos"
PROTOCOL = {"prompt": "config/prompts/closed-plain.yaml", "classes": "c", "stop": ["\n"]}
NAMES = ["bow", "missile", "bow tie", "red panda", "missile", "panda"]
FILES = sorted(PHOTOS.glob("*.jpg"))[:3]
ROWS = [
    {"image": file.stem, "file": str(file), "sha256": file.stem, "status": "ok"} for file in FILES
]
IMAGES = {row["image"]: (row["file"], row["sha256"]) for row in ROWS}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.make("qwen3-vl", tmp_path_factory.mktemp("tiny"), [*NAMES, "a list of names"])


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(LIB.parents[1])


def written(names=NAMES, **protocol):
    lines = requests.make("p", PROTOCOL | protocol, [file.stem for file in FILES], names)
    header, *asked = lines
    return header, asked


def spec(folder):
    return {"engine": "transformers", "folder": str(folder), "dtype": "float32"}


def answered(folder, journal, names=NAMES, **protocol):
    header, asked = written(names, **protocol)
    out = journal.with_suffix(".responses")
    with Journal(journal) as known:
        run = Run(header, names)
        facts = infer.infer(spec(folder), run, lambda: iter(asked), IMAGES, known, out)
    return header, asked, list(map(json.loads, out.read_text().splitlines())), facts


def test_the_benchmark_agrees_with_plain_passes_at_far_fewer_tokens(tmp_path):
    size = {"hidden": 32, "layers": 2, "words": 4000}
    m = bench.measure("qwen3-vl", 1, 1, 2, tmp_path, size)
    assert m["class_names"] == 998 and m["same_first"] == m["compared"] == 1
    assert m["largest_difference"] < 1e-2
    assert all(way["fewer_tokens"] >= 50 for way in m["ways"].values())
    assert 1000 < m["ways"]["full"]["expansions"] < m["trie_nodes"] < 2600


@pytest.mark.parametrize("score", ["sum", "mean"])
def test_likelihood_from_requests_to_predictions(folder, tmp_path, score):
    found = {}
    for search in ("best-first", "full"):
        more = {"kind": "likelihood", "search": search, "score": score, "top": 5}
        header, asked, told, facts = answered(folder, tmp_path / search, **more)
        assert facts["asked"] == 3
        rows = predict(told, header, asked, ROWS, Names(NAMES))
        assert {row["outcome"] for row in rows} == {"ok"}
        listed = list(likelihood.rows(header, asked, told, Names(NAMES)))
        assert len(listed) == 3 * 5
        missile = next(row for row in listed if row["name"] == "missile")
        assert missile["class"] == "1 4"
        for row in rows:
            own = [r for r in listed if r["image"] == row["image"]]
            assert row["class"] == own[0]["class"] and row["score"] == own[0]["probability"]
            lead = float(own[0]["probability"]) - float(own[1]["probability"])
            assert float(row["margin"]) == pytest.approx(lead, abs=1e-5)
        found[search] = listed
    for a, b in zip(found["best-first"], found["full"], strict=True):
        assert (a["image"], a["name"], a["tokens"]) == (b["image"], b["name"], b["tokens"])
        assert a["logprob"] == pytest.approx(b["logprob"], abs=1e-3)
        assert float(a["probability"]) == pytest.approx(float(b["probability"]), abs=1e-3)


def test_constrained_answers_are_listed_names(folder, tmp_path):
    header, asked, told, _ = answered(folder, tmp_path / "j", kind="constrained")
    rows = predict(told, header, asked, ROWS, Names(NAMES))
    assert {row["outcome"] for row in rows} == {"ok"}
    _, _, free, _ = answered(folder, tmp_path / "free", kind="closed", max_tokens=6)
    assert not {said["text"].strip() for said in free} & set(NAMES), "the mask made no difference"


def test_a_run_resumes_and_other_names_are_asked_anew(folder, tmp_path):
    journal = tmp_path / "journal"
    *_, told, _ = answered(folder, journal, kind="likelihood")
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:2]) + lines[2][:9])
    *_, again, facts = answered(folder, journal, kind="likelihood")
    assert (facts["asked"], facts["replayed"]) == (1, 2)
    assert [said["text"] for said in again] == [said["text"] for said in told]
    for one, other in zip(again, told, strict=True):
        for (_, a, _), (_, b, _) in zip(
            one["scored"]["names"], other["scored"]["names"], strict=True
        ):
            assert a == pytest.approx(b, abs=1e-3)
    *_, facts = answered(folder, journal, kind="constrained")
    assert facts["asked"] == 3, "another way of answering is another question"
    header, _ = written(kind="likelihood")
    digests = {row["image"]: row["sha256"] for row in ROWS}
    asked = [{"request": 0, "repeat": 0, "images": [FILES[0].stem]}]
    same, other = (
        infer.keys({}, header, asked, digests, names) for names in (NAMES, [*NAMES, "cat"])
    )
    assert same != other


def test_one_bare_name_an_image():
    for kind in ("constrained", "likelihood"):
        with pytest.raises(LabelwiseError, match="format"):
            written(kind=kind, format="json")
        with pytest.raises(LabelwiseError, match="holds one image"):
            list(requests.make("p", PROTOCOL | {"kind": kind}, ["a", "b"], NAMES, 2, "sorted"))
        with pytest.raises(LabelwiseError, match=r"answer 'id'"):
            written(kind=kind, answer="id")
    header, _ = written(kind="likelihood", search="full", score="mean", top=3)
    assert header["decoding"] == {"by": "full", "score": "mean", "end": "free", "top": 3}
    assert "decoding" not in written(kind="closed")[0]


def test_models_that_cannot_are_refused(tmp_path, folder):
    served = {"engine": "openai"}
    assert "format structured" in cannot(served, "constrained", 1)
    assert "take a model run here" in cannot(served, "likelihood", 1)
    assert "one image" in cannot({"engine": "composed"}, "likelihood", 5)
    assert cannot({"engine": "composed"}, "likelihood", 1) == ""
    freely = {"engine": "composed", "numerics": {"decoding": "generate"}}
    assert "searches no names" in cannot(freely, "constrained", 1)
    header, asked = written(kind="likelihood")
    plain = spec(folder) | {"prefix": "plain"}
    with Journal(tmp_path / "j") as known, pytest.raises(LabelwiseError, match="needs a prefix"):
        run, out = Run(header, NAMES), tmp_path / "out"
        infer.infer(plain, run, lambda: iter(asked), IMAGES, known, out)


def test_prompts_are_those_of_the_closed_world():
    closed, likely = written(kind="closed"), written(kind="likelihood")
    assert prompts.render(closed[0], closed[1][0]) == prompts.render(likely[0], likely[1][0])


def test_probabilities():
    scored = {"names": [["a", -1.0, 2], ["b", -2.0, 4]], "rest": None}
    first, second = likelihood.probabilities(scored, "sum")
    assert first + second == pytest.approx(1) and first / second == pytest.approx(2.718281828)
    assert likelihood.probabilities(scored, "mean") == [0.5, 0.5]
    less = likelihood.probabilities(scored | {"rest": -1.0}, "sum")
    assert less[0] == pytest.approx(1 / (2 + 2.718281828**-1))
    assert likelihood.cells({"names": [["a", -1.0, 2]], "rest": None}, "sum") == {
        "score": "1",
        "margin": "1",
    }
