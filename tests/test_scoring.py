"""Scoring: hand-made cases for each rule, published numbers on real data, and a second opinion."""

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelwise import score
from labelwise.data.rules import OPTIONS, Rules
from labelwise.errors import LabelwiseError
from labelwise.labels import Label
from labelwise.records import LABELS, PREDICTIONS, write_csv
from labelwise.scoring import Answer, Key, distinct
from reference_scoring import score as plain_score


def judged(label, answer, original=(0,), rules=None, pairs=(), outcome="ok", mapped=False):
    """Summary of one image."""
    key = Key({"i": label}, {"i": Label(original)}, rules or Rules(), frozenset(pairs))
    return key.judge([{"i": Answer(answer, outcome, mapped)}]).summary()


def categories(found):
    return {name for name, row in found["categories"].items() if row["n"]}


@pytest.mark.parametrize(
    ("answer", "right"), [((3,), 1), ((5,), 1), ((4,), 0), ((), 0), ((4, 5), 1), ((999,), 0)]
)
def test_any_label_is_enough(answer, right):
    assert judged(Label((3, 5)), answer)["categories"]["A"]["correct"] == right


def test_equivalents_are_right_under_both_label_sets_but_not_through_a_third():
    pairs = {(1, 2), (2, 3)}
    row = judged(Label((1,)), (2,), original=(1,), pairs=pairs)["categories"]["A"]
    assert (row["correct"], row["original"], row["both"]) == (1, 100, 100)
    assert judged(Label((1,)), (3,), pairs=pairs)["categories"]["A"]["correct"] == 0
    assert judged(Label((1,)), (2,))["categories"]["A"]["correct"] == 0


@pytest.mark.parametrize("outcome", ["ok", "out_of_list", "abstain", "parse_error"])
def test_void_correct_counts_for_every_answer(outcome):
    found = judged(Label(()), (), outcome=outcome)
    assert categories(found) == {"A", "N"}
    row = found["categories"]["N"]
    assert (row["correct"], row["gain"], row["gain_void"]) == (1, 100, 100)


def test_void_wrong_and_exclude():
    wrong = judged(Label(()), (0,), rules=Rules(void="wrong"))["categories"]["A"]
    assert (wrong["n"], wrong["correct"], wrong["gain"], wrong["gain_void"]) == (1, 0, -100, -100)
    gone = judged(Label(()), (0,), rules=Rules(void="exclude"))
    assert gone["left_out"] == {"void": 1}
    empty = gone["categories"]["A"]
    assert empty["n"] == 0
    assert empty["accuracy"] is None and empty["low"] is None and empty["gain_low"] is None


def test_mark_not_sure():
    only, beside = Label((), True), Label((4,), True)
    assert categories(judged(only, (9,))) == {"A", "N"}
    assert categories(judged(beside, (4,), original=(4,))) == {"A", "S", "S+"}
    assert judged(beside, (9,))["categories"]["A"]["correct"] == 0
    strict = judged(beside, (9,), rules=Rules(uncertain="void"))
    assert categories(strict) == {"A", "N"}
    assert strict["categories"]["A"]["correct"] == 1
    assert strict["recall"] == {}


@pytest.mark.parametrize(
    ("sign", "ids", "original", "expected"),
    [
        ("plain", (836, 837), (836,), {"A", "M", "M+"}),
        ("equivalents", (836, 837), (836,), {"A", "S", "S+"}),
        ("plain", (837,), (836,), {"A", "S", "S-"}),
        ("equivalents", (837,), (836,), {"A", "S", "S+"}),
        ("equivalents", (1, 837), (836,), {"A", "M", "M+"}),
        ("equivalents", (1, 837), (2,), {"A", "M", "M-"}),
    ],
)
def test_sign_with_and_without_equivalents(sign, ids, original, expected):
    rules = Rules(sign=sign)
    found = judged(Label(ids), (5,), original=original, rules=rules, pairs={(836, 837)})
    assert categories(found) == expected


def test_sign_never_changes_what_is_right():
    for sign in OPTIONS["sign"]:
        found = judged(Label((837,)), (836,), (836,), Rules(sign=sign), {(836, 837)})
        assert found["categories"]["A"]["correct"] == 1


def test_distinct_counts_equivalents_once():
    assert distinct((1, 2, 3), frozenset({(1, 2), (2, 3)})) == 2
    assert distinct((1, 2, 3), frozenset({(1, 3), (1, 2)})) == 1


def test_outcomes_out_of_list_and_mapped():
    label_rows = {f"i{n}": Label((n,)) for n in range(4)}
    original = label_rows
    run = {
        "i0": Answer((0,)),
        "i1": Answer((1,), "out_of_list", True),
        "i2": Answer((9,), "abstain", True),
        "i3": Answer((), "image_error"),
    }
    row = Key(label_rows, original, Rules(), frozenset()).judge([run]).summary()["categories"]["A"]
    assert row["outcomes"] == {"ok": 1, "out_of_list": 1, "abstain": 1, "image_error": 1}
    assert row["oop"] == 50  # an image that could not be read is no answer outside the list
    assert row["mapped_right"] == 1


def test_everything_left_out_is_counted_once():
    label_rows = {"a": Label((1,)), "b": Label((1,)), "c": Label((1,)), "v": Label(())}
    original = {"a": Label((1,)), "b": Label((1,)), "v": Label((1,))}
    runs = [{"a": Answer((1,)), "x": Answer((1,))}, {"a": Answer((2,)), "b": Answer((1,))}]
    key = Key(label_rows, original, Rules(void="exclude"), frozenset(), ["a", "b", "c", "d", "v"])
    found = key.judge(runs).summary()
    assert found["left_out"] == {
        "no_label": 1,
        "no_original": 1,
        "no_prediction": 1,
        "unknown_image": 1,
        "void": 1,
    }
    assert found["categories"]["A"]["n"] == 1
    assert found["categories"]["A"]["accuracy"] == 50
    assert found["interval"] == "student-t"
    assert found["recall"] == {"1": [1, 0.5]}


def test_repeats_give_student_intervals_of_gains():
    label_rows = {"a": Label((1,)), "b": Label((2,))}
    original = {"a": Label((1,)), "b": Label((3,))}
    runs = [
        {"a": Answer((1,)), "b": Answer((2,))},
        {"a": Answer((1,)), "b": Answer((3,))},
        {"a": Answer((1,)), "b": Answer((9,))},
    ]
    row = Key(label_rows, original, Rules(), frozenset()).judge(runs).summary()["categories"]["A"]
    assert row["correct"] == pytest.approx(4 / 3)
    assert row["gain"] == pytest.approx(0)
    # gains 50, -50, 0 points: s = 50, t(2) = 4.3027
    assert row["gain_high"] == pytest.approx(4.30265 * 50 / 3**0.5, rel=1e-5)
    assert row["gain_low"] == pytest.approx(-row["gain_high"])


# Against the second implementation, on random studies

ids = st.integers(0, 6)
label_sets = st.dictionaries(
    st.integers(0, 11).map(lambda n: f"i{n}"),
    st.tuples(st.sets(ids, max_size=4).map(lambda s: tuple(sorted(s))), st.booleans()),
    max_size=10,
)
originals = st.dictionaries(
    st.integers(0, 11).map(lambda n: f"i{n}"), st.tuples(ids), min_size=4, max_size=12
)
run = st.dictionaries(
    st.integers(0, 12).map(lambda n: f"i{n}"), st.lists(ids, max_size=2).map(tuple), max_size=12
)
any_rules = st.fixed_dictionaries({k: st.sampled_from(v) for k, v in OPTIONS.items()})
any_pairs = st.sets(st.sampled_from(list(itertools.combinations(range(7), 2))), max_size=4)


@settings(max_examples=300, deadline=None)
@given(label_sets, originals, st.lists(run, min_size=1, max_size=3), any_rules, any_pairs)
def test_agrees_with_the_plain_implementation(label_rows, original, runs, rules, pairs):
    images = [f"i{n}" for n in range(12)]
    key = Key(
        {image: Label(*label) for image, label in label_rows.items()},
        {image: Label(label) for image, label in original.items()},
        Rules(**rules),
        frozenset(pairs),
        images,
    )
    answers = [{image: Answer(classes) for image, classes in r.items()} for r in runs]
    found = key.judge(answers).summary()
    expected = plain_score(images, label_rows, original, runs, rules, pairs)
    assert found["left_out"] == expected["left_out"]
    assert set(found["recall"]) == {str(c) for c in expected["recall"]}
    for c, (n, hits) in expected["recall"].items():
        assert found["recall"][str(c)] == [n, pytest.approx(hits)]
    for name, row in expected["categories"].items():
        mine = found["categories"][name]
        n = row["n"]
        assert (mine["n"], mine["correct"]) == (n, pytest.approx(row["correct"]))
        for key_name in ("original", "both", "gain_void"):
            assert mine[key_name] == (pytest.approx(100 * row[key_name] / n) if n else None)
    check_identities(found)


def check_identities(found):
    """The paper's own identities: parts add up to the whole, intervals hold the value."""
    rows = found["categories"]
    for whole, parts in {"A": "SMN", "S": ("S+", "S-"), "M": ("M+", "M-")}.items():
        assert rows[whole]["n"] == sum(rows[part]["n"] for part in parts)
        for name in ("correct", "mapped_right"):
            assert rows[whole][name] == pytest.approx(sum(rows[part][name] for part in parts))
        for name in ("accuracy", "original", "both", "gain", "gain_void", "oop"):
            total = sum(rows[part]["n"] * (rows[part][name] or 0) for part in parts)
            assert rows[whole]["n"] * (rows[whole][name] or 0) == pytest.approx(total, abs=1e-6)
    for row in rows.values():
        if row["n"]:
            assert row["gain"] == pytest.approx(row["accuracy"] - row["original"])
            assert row["low"] - 1e-9 <= row["accuracy"] <= row["high"] + 1e-9
            assert row["original_low"] - 1e-9 <= row["original"] <= row["original_high"] + 1e-9
            assert row["gain_low"] - 1e-9 <= row["gain"] <= row["gain_high"] + 1e-9
            assert row["both"] <= min(row["accuracy"], row["original"]) + 1e-9


# The stage

SPEC = {"format": "csv", "images": "demo", "model": "m", "labels": "multi", "original": "single"}


def write_study(folder, predictions):
    write_csv(folder / "images.csv", ("image", "status"), [{"image": i} for i in "abc"])
    for name, cells in (("single", "111"), ("multi", "12 ")):
        rows = [
            {"image": i, "labels": c.strip(), "uncertain": 0, "void": int(c == " ")}
            for i, c in zip("abc", cells, strict=True)
        ]
        write_csv(folder / f"{name}.csv", LABELS, rows)
    write_csv(folder / "p.csv", PREDICTIONS, predictions)
    return [
        *(str(folder / "p.csv"), "--labels", str(folder / "multi.csv")),
        *("--original", str(folder / "single.csv"), "--images", str(folder / "images.csv")),
        *("--spec", json.dumps(SPEC), "--out", str(folder / "out.json")),
    ]


def test_stage(tmp_path):
    rows = [
        {"repeat": 1, "image": "a", "outcome": "ok", "class": "1", "mapped": 0},
        {"repeat": 1, "image": "b", "outcome": "ok", "class": "1 2", "mapped": 1},
        {"repeat": 1, "image": "c", "outcome": "abstain", "class": "", "mapped": 0},
    ]
    score.main(write_study(tmp_path, rows))
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["categories"]["A"]["correct"] == 3
    assert found["categories"]["A"]["gain_void"] == pytest.approx(100 / 3)
    assert found["rules"]["n_equivalents"] == 12
    assert found["model"] == "m" and "format" not in found
    first = (tmp_path / "out.json").read_bytes()
    score.main(write_study(tmp_path, rows))
    assert (tmp_path / "out.json").read_bytes() == first


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outcome": "odd"}, "line 3: unknown outcome 'odd'"),
        ({"class": "cat"}, "line 3: class: 'cat' is not class ids"),
        ({"image": "a"}, "line 3: a is twice in repeat 1"),
    ],
)
def test_stage_names_the_broken_line(tmp_path, change, message):
    rows = [{"repeat": 1, "image": i, "outcome": "ok", "class": "1"} for i in "ab"]
    rows[1] |= change
    write_csv(tmp_path / "p.csv", PREDICTIONS, rows)
    with pytest.raises(LabelwiseError, match=message):
        score.read_predictions(tmp_path / "p.csv")
