"""Narrowed lists and varied prompts: what is offered, how, and what counts as an answer."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelwise import narrow, parsing, requests
from labelwise.asking import prompts, variations
from labelwise.classnames import Names
from labelwise.data import class_ids
from labelwise.engines.base import Question, Run
from labelwise.engines.oracle import Model as Oracle
from labelwise.errors import LabelwiseError
from labelwise.evaluation.selection import load
from labelwise.tables import mapped_answers, out_of_list
from make_experiment import DATA

PROMPTS = Path(__file__).resolve().parents[1] / "config/prompts"
NAMES = ["tench", "crane", "great white shark", "hen", "crane", "ostrich"]
SPEC = {
    "kind": "narrowed",
    "prompt": str(PROMPTS / "closed-plain.yaml"),
    "classes": "six",
    "candidates": {"model": "m", "n": 2},
}
OFFERED = {"a": [0, 3], "b": [1, 5]}


def made(offered=OFFERED, batch=1, order="", **more):
    return list(
        requests.make("p", SPEC | more, list(OFFERED), NAMES, batch, order, candidates=offered)
    )


@given(st.integers(1, 6), st.integers(1, 8), st.integers(0, 99))
def test_the_best_are_the_n_highest_in_the_order_of_the_list(classes, n, seed):
    scores = np.random.default_rng(seed).integers(0, 4, (3, classes)).astype(float)
    for row, chosen in zip(scores, narrow.best(scores, n), strict=True):
        ranked = sorted(range(classes), key=lambda c: (-row[c], c))[:n]
        assert chosen.tolist() == sorted(ranked)


def test_every_image_is_offered_its_own_names_and_the_request_keeps_them():
    header, *asked = made()
    assert header["shared"] is False
    texts = [prompts.render(header, request).system for request in asked]
    assert "The list: tench, hen." in texts[0] and "The list: crane, ostrich." in texts[1]
    assert [request["candidates"] for request in asked] == [[0, 3], [1, 5]]
    header, *asked = made(layout="image-first")
    prompt = prompts.render(header, asked[1])
    assert "ostrich" not in prompt.system and "crane, ostrich" in prompt.user[-1][1]


def test_a_prompt_of_several_images_offers_what_is_offered_for_any():
    _, asked = made(batch=2, order="sorted")
    assert asked["candidates"] == [0, 1, 3, 5]


def test_one_list_for_all_images_is_shared_and_said_once(tmp_path):
    path = tmp_path / "ids.txt"
    path.write_text("# fowl\n5\n3\n")
    ids = sorted(class_ids.read(path, len(NAMES)))
    header, *asked = made(offered=ids)
    assert header["candidates"] == [3, 5] and "shared" not in header
    assert all("system" not in request for request in asked)
    assert "The list: hen, ostrich." in header["system"]
    path.write_text("6\n")
    with pytest.raises(LabelwiseError, match=r"line 1: 6 is no class id of 0\.\.5"):
        class_ids.read(path, len(NAMES))


def test_a_class_that_was_not_offered_is_out_of_the_list():
    header, *asked = made()
    names = Names(NAMES)
    said = [parsing.parse(text, "stop", header, asked[0], names)[0] for text in ("hen", "ostrich")]
    assert [(answer.outcome, answer.classes) for answer in said] == [
        ("ok", (3,)),
        ("out_of_list", ()),
    ]
    (crane,) = parsing.parse("crane", "stop", header, asked[1], names)
    assert crane.classes == (1,)


def test_the_oracle_is_right_exactly_where_a_true_class_was_offered():
    header, *asked = made()
    oracle = Oracle({"labels": "l"}, Run(header, NAMES, {"a": (3,), "b": (2,)}))
    questions = [Question(r["request"], prompts.render(header, r), r, ("",)) for r in asked]
    said = [answer.text for answer in oracle.answer(questions)]
    assert said[0] == "hen" and said[1] in ("crane", "ostrich")


def test_a_varied_protocol_asks_every_combination_once():
    vary = {
        "layout": ["list-first", "image-first"],
        "list_order": ["fixed", "alphabetical"],
        "prompt": [str(PROMPTS / f"closed-plain{x}.yaml") for x in ("", "-question", "-order")],
    }
    header, *asked = made(vary=vary)
    assert len(header["variations"]) == 12 and len(asked) == 24
    assert [v["prompt"] for v in header["variations"][:3]] == vary["prompt"]
    for request in asked:
        cell = header["variations"][request["repeat"]]
        alone = dict(cell)
        own_header, *own = made(**alone)
        same = next(r for r in own if r["images"] == request["images"])
        assert prompts.render(header, request) == prompts.render(own_header, same)
    assert len({prompts.render(header, r).system for r in asked}) > 3


def test_cells_are_the_product_and_without_vary_the_protocol_itself():
    spec = {"kind": "closed", "prompt": "p", "layout": "list-first"}
    assert variations.cells(spec) == [spec] and variations.settings(spec) == []
    varied = spec | {"vary": {"list_order": ["fixed", "shuffled"], "prompt": ["p", "q"]}}
    found = [(c["list_order"], c["prompt"]) for c in variations.cells(varied)]
    assert found == list(itertools.product(["fixed", "shuffled"], ["p", "q"]))
    assert variations.prompts(varied) == ["p", "q"]


def test_a_study_without_a_whole_list_has_the_tables_of_its_narrowed_one():
    runs = [
        replace(run, kind="narrowed", protocol="narrowed") if run.kind == "closed" else run
        for run in load(DATA / "experiment_main.csv")
        if run.batching == "b1"
    ]
    tables = [out_of_list.build(runs), mapped_answers.build(runs)]
    for table in tables:
        assert table.panels and not table.note and "Narrowed lists (CN)" in table.caption
    assert {row.run.task for row in tables[0].panels[0].rows if row.cells} == {"CN"}
    assert {row.run.task for row in tables[1].panels[0].rows if row.cells} == {"CN+"}
    whole = out_of_list.build(load(DATA / "experiment_main.csv"))
    assert "Narrowed" not in whole.caption
