import math

import pytest
from annotation_cases import classes, sealed
from labelwise.agreement import agreement
from labelwise.annotation.cases import Case, Cases
from labelwise.annotation.decisions import Decision, settle
from labelwise.annotation.tally import alpha, matches, right, tally, verdict
from labelwise.data.rules import Rules
from labelwise.errors import LabelwiseError
from labelwise.evaluation.statistics import wilson

PAIRS = frozenset({(620, 681), (836, 837)})


@pytest.mark.parametrize(
    ("helper", "old", "new", "expected"),
    [
        # the helper's label alone is in the new labels
        ((1,), (2,), (1,), "preferred"),
        ((1,), (2, 3), (1, 9), "preferred"),
        # the helper's label joins the old ones, or a part of them
        ((1,), (2,), (1, 2), "combined"),
        ((1,), (2, 3), (1, 3), "combined"),
        # at least a part of the old labels stays, the helper's is not added
        ((1,), (2,), (2,), "kept"),
        ((1,), (2, 3), (3, 4), "kept"),
        # neither
        ((1,), (2,), (3,), "other"),
        ((1,), (2,), (), "other"),
        # of several predictions one in the new labels is enough
        ((1, 5), (2,), (5,), "preferred"),
        # equivalent classes are the same class
        ((620,), (681,), (681,), None),
        ((620,), (2,), (681,), "preferred"),
        ((1,), (836,), (837,), "kept"),
        # no disagreement
        ((2,), (2,), (7,), None),
        ((1, 2), (2,), (2,), None),
        # no class of the list is kept, or given up
        ((1,), (), (), "kept"),
        ((1,), (), (1,), "preferred"),
        ((1,), (), (4,), "other"),
    ],
)
def test_verdicts_are_the_paper_s(helper, old, new, expected):
    assert verdict(helper, old, new, PAIRS) == expected


def test_no_class_matches_no_class_alone():
    assert matches((), (), PAIRS) and not matches((), (1,), PAIRS) and not matches((1,), (), PAIRS)
    assert matches((-1,), (), PAIRS), "the mark is no class"


@pytest.mark.parametrize(
    ("answer", "valid", "truth", "void", "expected"),
    [
        ((1,), True, (1,), "correct", True),
        ((681,), True, (620,), "correct", True),
        ((1,), True, (2,), "correct", False),
        ((), True, (2,), "correct", False),
        ((1,), False, (1,), "correct", False),
        ((1,), True, (), "correct", True),
        ((1,), True, (), "wrong", False),
        ((1,), True, (), "exclude", None),
    ],
)
def test_sources_are_right_by_the_rules_of_the_labels(answer, valid, truth, void, expected):
    assert right(answer, valid, truth, PAIRS, void) is expected


def decide(case, who, *marks, role="annotator", seconds=0.0):
    return Decision(
        case,
        f"image {case}",
        who,
        tuple(sorted(set(marks) - {-1})),
        -1 in marks,
        seconds=seconds,
        role=role,
    )


KEYS = [
    sealed("a", "image a", "S-", (2,), (1,)),
    sealed("b", "image b", "S-", (2,), (1,)),
    sealed("c", "image c", "M-", (2, 3), (1,)),
    sealed("d", "image d", "N", (), (4,)),
    sealed("e", "image e", "S-", (2,), (), valid=False),
    sealed("f", "image f", "S-", (2,), (1,)),
    sealed("g", "image g", "S+", (2,), (2,), original=(2,), planted=77),
    sealed("h", "image h", "N", (-1,), (4,)),
]
PEOPLE = {"ann": "person", "bot": "system"}
CASES = Cases(
    "t",
    0,
    PEOPLE,
    classes(),
    "",
    [Case(k.case, k.image, "", 1, 1, ((1,), (2,))) for k in KEYS],
)
SPEC = {"helper": "model", "annotators": PEOPLE}


def rows_of(decisions, spec=SPEC):
    rows = tally(decisions, CASES, {k.case: k for k in KEYS}, spec, Rules(), PAIRS)
    return {(r["annotator"], r["category"], r["measure"], r.get("source", "")): r for r in rows}


def test_a_tally_by_hand():
    found = rows_of(
        [
            decide("a", "ann", 1, seconds=4.0),  # preferred
            decide("b", "ann", 1, 2, seconds=8.0),  # combined
            decide("c", "ann", 2, 3),  # kept
            decide("d", "ann"),  # no class, as before: kept
            decide("e", "ann", 9),  # the helper said nothing
            decide("f", "ann", -1),  # not sure
            decide("g", "ann", 2, 77),  # takes the planted label
            decide("h", "ann", 4),  # nothing was decided before
        ]
    )

    def value(measure, category="A", source="model"):
        row = found["settled", category, measure, source]
        return row["count"], row["n"]

    assert value("preferred") == (1, 4) and value("combined") == (1, 4)
    assert value("kept") == (2, 4) and value("other") == (0, 4)
    assert value("confirmed") == (2, 4) and value("old_wrong") == (1, 4)
    assert value("preferred", "S-") == (1, 2) and value("kept", "M-") == (1, 1)
    assert value("helper_invalid", source="") == (1, 7)
    assert value("helper_agreed", source="") == (1, 7)
    assert value("old_unsure", source="") == (1, 7)
    assert value("unsure", source="") == (1, 8)
    assert value("planted_accepted", source="") == (1, 1)
    # a: {2} -> {1}, b: {2} -> {1 2}, e: {2} -> {9}, g: {2} -> {2 77}, h: {} -> {4}
    assert value("changed", source="") == (5, 7)
    # the helper was right on g (it agrees) and, by the paper's rule, on the void d and h
    assert value("right_before") == (3, 7)
    # and is right on a, b, d, g, h now
    assert value("right_after") == (5, 7)
    row = found["settled", "A", "preferred", "model"]
    assert (row["low"], row["high"]) == tuple(100 * end for end in wilson(1, 4))
    assert row["annotator_kind"] == "person"
    assert found["settled", "A", "seconds_median", ""]["value"] == 6.0
    assert found["settled", "A", "seconds_mean", ""]["n"] == 2


def test_two_annotators_and_an_adjudicator():
    decisions = [
        decide("a", "ann", 1),
        decide("a", "bot", 2),
        decide("b", "ann", 2),
        decide("b", "bot", 2),
        decide("c", "ann", 620),
        decide("c", "bot", 681),
        decide("d", "ann", 5),
        decide("d", "bot"),
        decide("d", "bot", 5, role="adjudicator"),
    ]
    settled = settle(decisions, PAIRS)
    assert settled["a"] == (None, "disputed")
    assert settled["b"][1] == settled["c"][1] == "agreed"
    assert settled["d"] == (decisions[-1], "adjudicated")
    found = rows_of(decisions)
    assert found["settled", "A", "disputed", ""]["count"] == 1
    assert found["settled", "A", "cases", ""]["annotator_kind"] == "mixed"
    assert found["ann", "A", "cases", ""]["annotator_kind"] == "person"
    assert found["bot", "A", "cases", ""]["annotator_kind"] == "system"
    sets = [
        {d.case: set(d.marks) for d in decisions if d.annotator == who and d.role == "annotator"}
        for who in ("ann", "bot")
    ]
    kappa = found["ann & bot", "A", "kappa", ""]
    assert kappa["value"] == agreement(*sets, 1000, PAIRS)["kappa"] and kappa["n"] == 4
    assert found["ann & bot", "A", "same_labels", ""]["count"] == 2
    assert -1 < found["ann & bot", "A", "alpha", ""]["value"] < 1


def test_alpha_of_krippendorff_s_example():
    """Two coders, ten units, nominal: Krippendorff (2011), section A: alpha 0.095."""
    first, second = (0, 1, 0, 0, 0, 0, 0, 0, 1, 0), (1, 1, 1, 0, 0, 1, 0, 0, 0, 0)
    said = [
        {str(i): decide(str(i), who, value) for i, value in enumerate(values)}
        for who, values in (("a", first), ("b", second))
    ]
    assert math.isclose(alpha(said, frozenset()), 0.095, abs_tol=0.001)
    assert alpha([said[0], said[0]], frozenset()) == 1.0
    # section C: four observers, twelve units, missing data: alpha 0.743
    rows = ("123321412...", "1233224125.3", ".3332342251.", "12332441251.")
    observers = [
        {str(i): decide(str(i), who, int(value)) for i, value in enumerate(row) if value != "."}
        for who, row in zip("abcd", rows, strict=True)
    ]
    assert math.isclose(alpha(observers, frozenset()), 0.743, abs_tol=0.0005)
    same = {str(i): decide(str(i), "a", 3) for i in range(4)}
    assert alpha([same, same], frozenset()) is None


def test_who_decided_must_be_known():
    with pytest.raises(LabelwiseError, match="eve decided and is not among annotators"):
        rows_of([decide("a", "eve", 1)])
    found = rows_of([decide("a", "eve", 1)], {"helper": "model"})
    assert found["settled", "A", "cases", ""]["annotator_kind"] == "unstated"
    named = {"annotators": {"ann": "system"}, "adjudicators": {"eve": "person"}}
    found = rows_of([decide("a", "eve", 1, role="adjudicator")], named)
    assert found["settled", "A", "cases", ""]["annotator_kind"] == "person"
