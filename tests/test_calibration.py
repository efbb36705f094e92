"""Calibration and selective accuracy, on cases made by hand and on probabilities that are true."""

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelwise import calibration
from labelwise.errors import LabelwiseError

HEAD = {"experiment": "e", "images": "i", "labels": "l", "model": "m", "model_name": "M"}
HEAD |= {"model_kind": "supervised", "kind": "classify", "protocol": "classify", "category": "S+"}


def table(confidence, right, **changes):
    rows = [
        HEAD | {"image": f"{n}", "class": "1", "score": c, "right": int(r)} | changes
        for n, (c, r) in enumerate(zip(confidence, right, strict=True))
    ]
    return pandas.DataFrame(rows)


def only(rows, measure):
    return [row for row in rows if row["measure"] == measure]


def test_by_hand():
    confidence = np.array([0.9] * 8 + [0.5] * 8)
    right = np.array([1] * 8 + [1] * 2 + [0] * 6, dtype=bool)
    rows = list(calibration.rows(table(confidence, right)))
    assert float(only(rows, "accuracy")[0]["value"]) == 0.625
    assert float(only(rows, "ece")[0]["value"]) == pytest.approx((0.1 + 0.25) / 2)
    expected = (8 * 0.01 + 2 * 0.25 + 6 * 0.25) / 16
    assert float(only(rows, "brier")[0]["value"]) == pytest.approx(expected)
    bins = only(rows, "bin")
    assert [(row["at"], row["value"], row["n"]) for row in bins] == [
        ("0.5", "0.25", 8),
        ("0.9", "1", 8),
    ]
    curve = only(rows, "selective")
    assert curve[7]["value"] == "1" and curve[-1]["value"] == "0.625" and curve[-1]["at"] == "1"
    assert all(float(r["low"]) <= float(r["value"]) <= float(r["high"]) for r in rows)


def test_true_probabilities_are_calibrated_and_scaling_mends_others():
    draw = np.random.default_rng(1)
    p = draw.uniform(0.05, 0.95, 4000)
    right = draw.random(4000) < p
    images = [str(n) for n in range(4000)]
    member = calibration.bins(p)
    assert calibration.ece(p, right, member) < 0.03
    slope, intercept = calibration.platt(p, right)
    assert slope == pytest.approx(1, abs=0.1) and intercept == pytest.approx(0, abs=0.1)
    timid = p**3
    assert calibration.ece(timid, right, calibration.bins(timid)) > 0.2
    mended = calibration.scaled(timid, right, images)
    assert calibration.ece(mended, right, calibration.bins(mended)) < 0.04
    assert calibration.brier(mended, right) < calibration.brier(timid, right)


def test_an_image_is_scaled_by_what_others_fit():
    p, images = np.linspace(0.1, 0.9, 40), [str(n) for n in range(40)]
    right = p > 0.5
    other = right.copy()
    other[7] = not other[7]
    one, two = calibration.scaled(p, right, images), calibration.scaled(p, other, images)
    assert one[7] == two[7] and (one != two).any()


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40))
def test_any_answers_give_finite_numbers(answers):
    confidence, right = map(np.array, zip(*answers, strict=True))
    later = calibration.scaled(confidence, right, [str(n) for n in range(len(right))])
    assert ((later >= 0) & (later <= 1)).all()
    assert 0 <= calibration.aurc(confidence, right) <= 1
    assert 0 <= calibration.ece(confidence, right, calibration.bins(confidence)) <= 1
    sizes = np.bincount(calibration.bins(confidence))
    assert sizes.max() - sizes.min() <= 1 and len(sizes) <= calibration.BINS


def test_what_counts():
    good = table([0.4, 0.6], [1, 0])
    void, lost = table([0.9], [1], category="N", image="v"), table([0.9], [0], image="x")
    lost["class"] = ""
    mapped = table([0.7], [1], kind="closed", model_kind="composed", image="y")
    rows = list(calibration.rows(pandas.concat([good, void, lost, mapped])))
    assert {row["n"] for row in only(rows, "accuracy")} == {2}
    assert list(calibration.rows(mapped)) == []
    with pytest.raises(LabelwiseError, match="not all are probabilities"):
        list(calibration.rows(table([1.2], [1])))
