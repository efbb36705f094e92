"""Which images become cases, what they show, and what the page may not know."""

import json
from collections import Counter

import numpy as np
import pytest
from annotation_cases import ROOT
from labelwise import records
from labelwise.annotation import cases as case_files
from labelwise.annotation.select import PLANTED_RANKS, Material, build, chosen, deal
from labelwise.errors import LabelwiseError
from labelwise.labels import Label
from labelwise.scoring import Answer

N = 60


def material(n=N):
    """Images 0..n-1 of 12 classes; by i % 6: S+, S-, M+, M-, N, and void by "not sure"."""
    images = [f"img{i:03d}" for i in range(n)]
    original = {image: Label((i % 12,)) for i, image in enumerate(images)}
    corrected = {}
    for i, image in enumerate(images):
        c = i % 12
        corrected[image] = [
            Label((c,)), Label((c + 20,)), Label((c, c + 20)), Label((c + 20, c + 30)),
            Label(()), Label((), True),
        ][i % 6]  # fmt: skip
    rows = {
        image: {"image": image, "file": f"{image}.jpg", "width": "5", "height": "4"}
        for image in images
    }
    logits = {
        image: np.eye(50)[i % 12] * 5 - np.arange(50) * 0.01 for i, image in enumerate(images)
    }
    logits["img000"] = np.eye(50)[40] * 9  # the label 0 of img000 is the least credible
    return Material(
        rows,
        [f"class {i}" for i in range(50)],
        original,
        corrected,
        {
            "net": {image: Answer((i % 12,)) for i, image in enumerate(images)},
            "other": {image: Answer((45,) if i % 2 else ()) for i, image in enumerate(images)},
        },
        {"net": logits},
    )


def spec(*select, **more):
    found = {"name": "look", "original": "single", "corrected": "multi", "show": ["net", "other"]}
    return {**found, "select": list(select), **more}


def test_every_image_of_the_categories_and_of_none_other():
    taken = chosen(spec({"by": "category", "categories": ["S-", "M-"]}), material())
    assert {int(image[3:]) % 6 for image in taken} == {1, 3} and len(taken) == N // 3


@pytest.mark.parametrize(("strata", "most"), [("category", 5 * 4), ("class", 4 * 12), ("none", 4)])
def test_n_counts_in_strata(strata, most):
    taken = chosen(spec({"by": "random", "n": 4, "strata": strata}), material())
    assert len(taken) == most
    if strata == "category":
        assert set(Counter(min(int(i[3:]) % 6, 4) for i in taken).values()) == {4}


def test_draws_are_seeded_and_stable():
    block = {"by": "random", "n": 10}
    first = chosen(spec(block), material())
    assert list(first) == list(chosen(spec(block), material()))
    assert list(first) != list(chosen(spec(block, seed=1), material()))
    more = chosen(spec(block), material(N + 6))
    assert len(set(first) & set(more)) >= 7, "six more images displace few"


def test_blocks_take_from_what_is_left():
    taken = chosen(
        spec({"by": "label-errors", "model": "net", "n": 1}, {"by": "random", "n": 59}), material()
    )
    assert taken["img000"]["by"] == "label-errors" and len(taken) == N


def test_disagreement_ranks_by_the_share_of_models():
    block = {"by": "disagreement", "n": 100}
    taken = list(chosen(spec(block), material()))
    both = [i for i in range(N) if i % 2 and i % 6 in (1, 3, 5)]
    assert {int(image[3:]) for image in taken[: len(both)]} == set(both)
    assert not any(int(image[3:]) % 6 in (0, 2) and int(image[3:]) % 2 == 0 for image in taken)


def test_classes_of_either_label_set():
    taken = chosen(spec({"by": "class-ids", "class_ids": [3, 27]}), material())
    assert taken and all(int(i[3:]) % 12 in (3, 7) for i in taken)
    with pytest.raises(LabelwiseError, match="takes no image"):
        chosen(spec({"by": "class-ids", "class_ids": [49]}), material())


def test_options_are_merged_and_their_sources_sealed(tmp_path):
    cases, sealed = build(spec({"by": "random"}), material(), "look")
    cases.write(tmp_path / "cases.jsonl")
    case_files.write_key(tmp_path / "key.csv", sealed)
    assert case_files.read(tmp_path / "cases.jsonl") == cases
    assert case_files.read_key(tmp_path / "key.csv") == {one.case: one for one in sealed}
    by_image = cases.by_image
    assert by_image["img000"].options == ((0,),), "equal options are one"
    assert by_image["img001"].options == ((1,), (21,), (45,))
    assert by_image["img004"].options == ((), (4,)), "no class is an option"
    assert by_image["img011"].options == ((11,), (45,)), "not sure alone suggests nothing"
    lines = (tmp_path / "cases.jsonl").read_text().splitlines()
    for line in lines[1:]:
        assert not {"category", "source", "selected_by", "original"} & json.loads(line).keys()
    for word in ("single", "multi", "S-", "net"):
        assert f'"{word}"' not in "".join(lines)
    assert "img" not in "".join(case.case for case in cases.cases), "ids tell nothing"


def test_order_and_options_are_shuffled_for_each_annotator():
    cases, _ = build(spec({"by": "random"}), material(), "")
    assert cases.asked("ann") != cases.asked("bob")
    assert sorted(cases.asked("ann")) == sorted(cases.asked("bob"))
    three = [case for case in cases.cases if len(case.options) == 3]
    firsts = Counter(
        case.options.index(cases.options(case.case, who, case.options)[0])
        for who in ("ann", "bob", "cy")
        for case in three
    )
    assert len(firsts) == 3 and min(firsts.values()) >= len(three) / 2
    assert all(
        cases.options(c.case, "ann", c.options) == cases.options(c.case, "ann", c.options[::-1])
        for c in three
    )


def test_a_planted_label_is_wrong_likely_and_drawn():
    block = {"by": "random", "categories": ["S+"], "planted": "net"}
    cases, sealed = build(spec(block), material(), "")
    planted = [one.source("planted") for one in sealed]
    assert all(planted) and len({p.labels for p in planted}) > 3
    for one in sealed:
        held = {i for s in one.sources if s.kind != "planted" for i in s.labels}
        (wrong,) = one.source("planted").labels
        assert wrong not in held
        assert (wrong,) in cases.by_image[one.image].options
        ranked = np.argsort(-material().logits["net"][one.image], kind="stable").tolist()
        assert PLANTED_RANKS[0] - 1 <= ranked.index(wrong) < PLANTED_RANKS[1]
    assert all(len(case.options) <= 4 for case in cases.cases)


def test_an_example_is_no_case_and_shows_its_class_alone():
    cases, _ = build(spec({"by": "random", "n": 2, "strata": "category"}), material(), "")
    files = {case.file for case in cases.cases}
    shown = [(i, f) for i, c in enumerate(cases.classes) for f in c.examples]
    assert shown and not files & {file for _, file in shown}
    for i, file in shown:
        number = int(file[3:6])
        assert number % 6 == 0 and number % 12 == i


@pytest.mark.parametrize("overlap", [0.0, 0.25, 1.0])
def test_a_share_of_the_cases_goes_to_all(overlap):
    images = [f"i{k}" for k in range(40)]
    people = {"ann": "person", "bob": "person", "cy": "system"}
    asked = deal(images, {"annotators": people, "overlap": overlap})
    sizes = Counter(len(who) for who in asked.values())
    assert sizes.get(3, 0) == 40 * overlap and sum(sizes.values()) == 40
    load = Counter(who for own in asked.values() for who in own)
    assert max(load.values()) - min(load.values()) <= 1
    assert deal(images, {}) == dict.fromkeys(images, ())


def test_the_demo_s_decisions_say_who_made_them():
    rows = records.read_csv(ROOT / "data/demo/annotation/decisions.csv")
    assert {row["annotator"] for row in rows} == {"ai-pass-1"} and len(rows) == 57
