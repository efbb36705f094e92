"""Numerics, sensitivity and ranks: against the libraries, by hand, and on answers made up."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelwise import labels
from labelwise.analyses import noise, numerics, ranks, sensitivity
from labelwise.data.rules import Rules
from labelwise.errors import LabelwiseError
from labelwise.labels import Label
from labelwise.scoring import Key
from statsmodels.stats.anova import AnovaRM

DESIGN = {
    "layout": [a for a, _, _ in itertools.product("xy", "pq", "123")],
    "list_order": [b for _, b, _ in itertools.product("xy", "pq", "123")],
    "prompt": [c for _, _, c in itertools.product("xy", "pq", "123")],
}


def answers(seed, images=8, effect=0.0):
    draw = np.random.default_rng(seed)
    chance = draw.random((images, 1)) + effect * (np.array(DESIGN["prompt"]) == "3")
    return (draw.random((images, 12)) < chance).astype(float)


@pytest.mark.parametrize("seed", range(3))
def test_factors_are_tested_as_statsmodels_tests_repeated_measures(seed):
    right = answers(seed)
    found = {row["factor"]: row for row in sensitivity.anova(right, DESIGN)}
    frame = pd.DataFrame(
        {
            "right": right.ravel(),
            "image": np.repeat(np.arange(len(right)), 12),
            **{name: np.tile(levels, len(right)) for name, levels in DESIGN.items()},
        }
    )
    table = AnovaRM(frame, "right", "image", within=list(DESIGN)).fit().anova_table
    for name in DESIGN:
        assert found[name]["f"] == pytest.approx(table.loc[name, "F Value"])
        assert found[name]["p"] == pytest.approx(table.loc[name, "Pr > F"])
        assert found[name]["df"] == table.loc[name, "Num DF"]
    assert sum(row["share"] for row in found.values()) == pytest.approx(100)
    assert sum(row["df"] for row in found.values()) == right.size - 1


def test_a_factor_that_decides_everything_has_all_of_the_variance():
    right = np.tile((np.array(DESIGN["layout"]) == "x").astype(float), (5, 1))
    found = {row["factor"]: row for row in sensitivity.anova(right, DESIGN)}
    assert found["layout"]["share"] == pytest.approx(100)
    assert found["image"]["share"] == pytest.approx(0)
    only = np.tile(np.array([[1.0], [0], [0]]), (1, 12))
    found = {row["factor"]: row for row in sensitivity.anova(only, DESIGN)}
    assert found["image"]["share"] == pytest.approx(100)


def test_answers_that_are_all_the_same_have_nothing_to_share_out():
    assert {row["share"] for row in sensitivity.anova(np.ones((4, 12)), DESIGN)} == {0.0}
    with pytest.raises(LabelwiseError, match="two images and a factor"):
        sensitivity.anova(np.ones((1, 12)), DESIGN)


def test_flips_are_pairs_that_differ_by_one_factor_alone():
    said = np.array([["a" if level == "x" else "b" for level in DESIGN["layout"]]] * 3)
    assert sensitivity.flips(said, DESIGN, "layout") == 100
    assert sensitivity.flips(said, DESIGN, "prompt") == 0
    one = said.copy()
    one[0, 0] = "c"
    assert sensitivity.flips(one, DESIGN, "prompt") == pytest.approx(100 * 2 / (3 * 12))


def test_a_variant_is_compared_with_the_same_model_without_numerics():
    base = {"engine": "composed", "vision": "v", "kind": "composed"}
    models = {
        "m": base,
        "other": base | {"vision": "w"},
        "alone": base | {"name": "Alone", "numerics": {"tensor_batch": 1}},
    }
    assert numerics.reference("alone", models) == "m"
    del models["m"]
    with pytest.raises(LabelwiseError, match="no numerics to compare with; it runs none"):
        numerics.reference("alone", models)


def test_the_noise_is_the_worst_limit_of_the_same_dtype_and_marks_what_is_not_larger():
    rows = [
        {"model": "m", "same_dtype": "1", "high": "4.0"},
        {"model": "m", "same_dtype": "1", "high": "13.8"},
        {"model": "m", "same_dtype": "0", "high": "30.0"},
    ]
    found = noise.noisiest(rows)
    assert found == {"m": 13.8}
    assert noise.within(-13.8, "m", found) and not noise.within(14, "m", found)
    assert not noise.within(0.1, "unknown", found)
    assert "13.8 points for m" in noise.caption(found, {"m"})
    assert "holds none" in noise.caption(found, {"x"})
    assert "No numerics panel" in noise.caption(None, {"m"})


@given(st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=3), min_size=1, max_size=6))
def test_shares_of_being_best_sum_to_one_and_ranks_count_who_is_better(values):
    drawn = np.array(values, float)
    assert ranks.best(drawn).sum() == pytest.approx(1)
    for row, own in zip(drawn, ranks.ranked(drawn), strict=True):
        for value, rank in zip(row, own, strict=True):
            assert rank == 1 + sum(v > value for v in row)


def test_void_images_are_taken_out_of_the_gain():
    n = 40
    void = np.arange(n) < 10
    right = np.stack([void | (np.arange(n) < 30), void], axis=1)
    original = np.stack([(np.arange(n) >= 20) & (np.arange(n) < 30), np.zeros(n, bool)], axis=1)
    first, second = ranks.compare(right, original, void)
    assert first["accuracy"]["value"] == 75 and first["gain"]["value"] == pytest.approx(50)
    assert first["gain_void"]["value"] == pytest.approx(25)
    assert first["gain_labelled"]["value"] == pytest.approx(100 * 10 / 30)
    assert second["gain_labelled"]["value"] == 0 and second["gain_void"]["value"] == 25
    assert (first["rank"]["value"], second["rank"]["value"]) == (1, 2)
    assert first["p_best"]["value"] + second["p_best"]["value"] == pytest.approx(100)
    assert first["gain"]["low"] <= 50 <= first["gain"]["high"]


def test_an_annotator_is_right_by_the_share_of_labels_that_another_has():
    said = {"a": Label((1, 2)), "b": Label(()), "c": Label(()), "d": Label((3,))}
    other = {"a": Label((1,)), "b": Label((4,)), "c": Label(()), "d": Label((5,))}
    key = Key(other, other, Rules(), frozenset({(3, 5)}))
    assert dict(zip(key.images, ranks.agreement(said, key), strict=True)) == {
        "a": 0.5,
        "b": 0.0,
        "c": 1.0,
        "d": 1.0,
    }


def test_the_demo_annotators_agree_as_their_files_say(tmp_path):
    first, second = (
        labels.load({"format": "csv", "file": f"data/demo/labels/pass_{i}.csv"}) for i in (1, 2)
    )
    right = ranks.agreement(first, Key(second, second, Rules(), frozenset()))
    same = [i for i in second if first[i].ids == second[i].ids]
    assert len(same) >= 130 and 0.9 < right.mean() < 1
