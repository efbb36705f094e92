from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelwise.asking import distractors
from labelwise.asking.distractors import Scheme
from labelwise.errors import LabelwiseError

NAMES = [f"name {i}" for i in range(40)]
NAMES[11] = NAMES[10]
CONFUSED = {0: [1, 2, 3, 4, 5], 20: [21, 22, 23, 24], 30: [31], 5: [6, 20, 7, 8]}
ORIGINAL, CORRECTED, BOTH = ("original",), ("corrected",), ("original", "corrected")


def hard(c):
    return CONFUSED.get(c, [])


def classes(options, role=None):
    return [o["class"] for o in options if role in (None, o["role"])]


def ask(true=ORIGINAL, image="i", original=0, corrected=(), repeat=0, **more):
    return Scheme(NAMES, true, **more).options(image, original, corrected, repeat)


@pytest.mark.parametrize("ranking", [distractors.no_ranking, hard])
@pytest.mark.parametrize("true", [ORIGINAL, CORRECTED, BOTH])
def test_the_seven_schemes_offer_n_options_of_different_names(true, ranking):
    for n in (2 if len(true) == 1 else 3, 4, 10, 26):
        options = ask(true, corrected=(20, 5), n=n, ranking=ranking)
        assert len({o["name"] for o in options}) == n
        assert len(classes(options, "distractor")) == n - len(true)
        if "original" in true:
            assert classes(options, "original") == [0]
        if "corrected" in true:
            assert classes(options, "corrected")[0] in (5, 20)


def test_on_s_plus_both_true_options_with_random_distractors_is_original_with_random():
    for i in range(50):
        for repeat in range(3):
            one = ask(ORIGINAL, f"i{i}", i % 40, (i % 40,), repeat)
            assert one == ask(BOTH, f"i{i}", i % 40, (i % 40,), repeat)
            assert one == ask(CORRECTED, f"i{i}", i % 40, (i % 40,), repeat)
            assert [o["role"] for o in one].count("both") == 1


def test_on_s_plus_confusions_of_the_corrected_are_those_of_the_original():
    kwargs = {"original": 0, "corrected": (0,), "ranking": hard}
    assert ask(ORIGINAL, **kwargs) == ask(CORRECTED, **kwargs)
    assert set(classes(ask(ORIGINAL, **kwargs))) == {0, 1, 2, 3}


def test_on_s_plus_confusions_of_both_leave_one_random_distractor():
    drawn = set()
    for i in range(60):
        options = set(classes(ask(BOTH, f"i{i}", 0, (0,), ranking=hard)))
        assert {0, 1, 2} < options
        drawn |= options - {0, 1, 2}
    assert len(drawn) > 15


def test_two_true_options_take_turns():
    assert set(classes(ask(BOTH, corrected=(20,), ranking=hard))) == {0, 20, 1, 21}
    assert set(classes(ask(BOTH, corrected=(20,), ranking=hard, n=5))) == {0, 20, 1, 21, 2}


def test_true_options_with_one_name_merge():
    options = ask(BOTH, original=10, corrected=(11,))
    assert classes(options, "both") == [10]
    assert len(options) == 4 and 11 not in classes(options)
    assert classes(ask(CORRECTED, original=10, corrected=(11,)), "corrected") == [11]
    assert classes(ask(BOTH, original=10, corrected=(10, 11, 5)), "corrected") == [5]


def test_few_confusions_are_filled_with_random_classes():
    options = set(classes(ask(original=30, ranking=hard)))
    assert {30, 31} < options and len(options) == 4
    assert len(ask(original=39, ranking=hard)) == 4
    rest = {c for i in range(60) for c in classes(ask(image=f"i{i}", original=30, ranking=hard))}
    assert len(rest) > 25


@pytest.mark.parametrize("ranking", [distractors.no_ranking, hard])
def test_corrected_labels_and_their_equivalents_are_no_distractors(ranking):
    equivalents = {2: {9}, 9: {2}, 0: {5}, 5: {0}}
    for i in range(200):
        options = ask(image=f"i{i}", corrected=(1, 2), ranking=ranking, equivalents=equivalents)
        assert not {1, 2, 9, 5} & set(classes(options, "distractor"))


def test_the_exclusion_can_be_switched_off():
    options = ask(corrected=(1, 2), ranking=hard, exclude_corrected=False)
    assert set(classes(options)) == {0, 1, 2, 3}


def test_an_equivalent_of_a_true_option_is_never_a_second_right_answer():
    options = ask(ranking=hard, equivalents={0: {1}}, exclude_corrected=False)
    assert set(classes(options)) == {0, 2, 3, 4}


def test_the_corrected_option_differs_from_the_original_where_it_can():
    for i in range(50):
        assert classes(ask(CORRECTED, f"i{i}", 0, (0, 20)), "corrected") == [20]
    picked = Counter(
        classes(ask(CORRECTED, f"i{i}", 0, (0, 5, 20)), "corrected")[0] for i in range(200)
    )
    assert set(picked) == {5, 20} and min(picked.values()) > 60
    repeats = {classes(ask(CORRECTED, "i", 0, (5, 20), r), "corrected")[0] for r in range(20)}
    assert len(repeats) == 1


@pytest.mark.parametrize("true", [CORRECTED, BOTH])
def test_a_void_image_is_asked_with_its_original_label(true):
    options = ask(true, corrected=())
    assert classes(options, "original") == [0] and len(options) == 4
    assert options == ask(ORIGINAL, corrected=())


def test_hard_distractors_are_the_same_in_all_repeats_and_orders_are_not():
    questions = [ask(ranking=hard, repeat=r) for r in range(31)]
    assert len({frozenset(classes(q)) for q in questions}) == 1
    assert len({tuple(classes(q)) for q in questions}) > 10
    firsts = Counter(
        classes(ask(image=f"i{i}", repeat=r))[0] == 0 for i in range(100) for r in range(4)
    )
    assert 0.2 < firsts[True] / 400 < 0.3


def test_random_distractors_are_redrawn_per_repeat_and_seed():
    assert ask(repeat=0) != ask(repeat=1)
    assert ask(seed=0) != ask(seed=1)
    assert ask() == ask()


def test_ids_of_another_class_set_are_errors():
    with pytest.raises(LabelwiseError, match="image i: label 40 is not among the 40 classes"):
        ask(original=40)
    with pytest.raises(LabelwiseError, match="image i: label 99 is not among"):
        ask(corrected=(99,))
    with pytest.raises(LabelwiseError, match="a hard distractor, 77 is not among"):
        ask(ranking=lambda c: [77])


def test_too_few_classes():
    with pytest.raises(LabelwiseError, match="only 2 of 4 options can be made from 3 classes"):
        Scheme(NAMES[:3]).options("i", 0, (1,))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"true": ("corrected", "original")}, "true must be"),
        ({"n": 27}, "options must be 2..26"),
        ({"true": BOTH, "n": 2}, "leave room for a distractor"),
    ],
)
def test_bad_schemes(more, message):
    with pytest.raises(LabelwiseError, match=message):
        Scheme(NAMES, **more)


def test_confusions_are_ranked_by_count_then_weight_then_id():
    rows = [
        {"labelled": "0", "predicted": str(p), "count": str(n), "weight": str(w)}
        for p, n, w in [(0, 50, 9.0), (7, 2, 0.5), (3, 2, 0.9), (5, 4, 0.1), (2, 2, 0.5), (9, 0, 3)]
    ]
    ranking = distractors.confusions(rows)
    assert list(ranking(0)) == [5, 3, 2, 7, 9]
    assert list(ranking(1)) == []


def test_nearest_ranks_by_cosine_then_id_without_the_class_itself():
    angles = np.array([0, 10, 90, 20, -10], dtype=np.float32) * np.pi / 180
    ranking = distractors.nearest(np.stack([np.cos(angles), np.sin(angles)], 1))
    assert list(ranking(0)) == [1, 4, 3, 2]


@settings(max_examples=200, deadline=None)
@given(
    true=st.sampled_from([ORIGINAL, CORRECTED, BOTH]),
    original=st.integers(0, 39),
    corrected=st.sets(st.integers(0, 39), max_size=4),
    repeat=st.integers(0, 3),
    use_hard=st.booleans(),
    pairs=st.lists(st.tuples(st.integers(0, 39), st.integers(0, 39)), max_size=4),
)
def test_what_holds_for_every_question(true, original, corrected, repeat, use_hard, pairs):
    equivalents = {}
    for a, b in pairs:
        equivalents.setdefault(a, set()).add(b)
        equivalents.setdefault(b, set()).add(a)
    ranking = hard if use_hard else distractors.no_ranking
    scheme = Scheme(NAMES, true, ranking=ranking, equivalents=equivalents)
    options = scheme.options("i", original, sorted(corrected), repeat)
    assert [o["letter"] for o in options] == list("ABCD")
    assert len({o["name"] for o in options}) == 4
    barred = corrected.union(*(equivalents.get(c, ()) for c in corrected))
    assert not barred & set(classes(options, "distractor"))
    if "original" in true or not corrected:
        assert original in classes(options)
    if "corrected" in true and corrected:
        shown = {o["name"] for o in options if o["role"] != "distractor"}
        assert shown & {NAMES[c] for c in corrected}


def test_confusions_may_be_ranked_by_probability_and_published_elsewhere(tmp_path):
    import numpy as np

    ours = tmp_path / "ours.csv"
    ours.write_text(
        "labelled,predicted,count,weight,labels\n0,1,5,0.1,x\n0,2,3,0.3,x\n0,0,9,0.6,x\n"
    )
    rows = distractors.read_confusions(str(ours))
    assert distractors.confusions(rows)(0) == [1, 2]
    assert distractors.confusions(rows, "weight")(0) == [2, 1]

    theirs = tmp_path / "theirs.csv"
    theirs.write_text("labelled,predicted,count\n0,2,1\n0,1,4\n1,0,2\n")
    np.save(tmp_path / "matrix.npy", np.array([[7, 4, 1], [2, 9, 0], [0, 0, 0]]))
    for path in (theirs, tmp_path / "matrix.npy"):
        ranking = distractors.confusions(distractors.read_confusions(str(path)))
        assert ranking(0) == [1, 2] and ranking(1) == [0] and list(ranking(2)) == []

    theirs.write_text("labelled,predicted,count\n0,dog,1\n")
    with pytest.raises(LabelwiseError, match="line 2: labelled and predicted must be class ids"):
        distractors.read_confusions(str(theirs))
    np.save(tmp_path / "matrix.npy", np.zeros((2, 3)))
    with pytest.raises(LabelwiseError, match=r"shape \(2, 3\)"):
        distractors.read_confusions(str(tmp_path / "matrix.npy"))
