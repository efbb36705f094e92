"""The paper's claims, tested on studies whose answers are known."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelwise import findings
from labelwise.annotation.counts import Count
from labelwise.claims.base import CLAIMS, Effect, Finding, Lacking, Term, effect
from labelwise.evaluation.statistics import wilson
from labelwise.evaluation.verdicts import Judge
from small_study import PLAN, SmallStudy

N = 60
ENCODED = {"mapper_": {"encoder": "minilm", "templates": "none"}}


@pytest.fixture
def small(tmp_path, monkeypatch):
    """40 images with one label (20 of them with a wrong original), 12 with two, 8 with none."""
    monkeypatch.chdir(tmp_path)
    truth = {}
    for i in range(N):
        corrected = (i,) if i < 20 else (i + 500,) if i < 40 else (i, i + 300) if i < 52 else ()
        truth[f"i{i:02d}"] = (i, corrected)
    return SmallStudy(tmp_path, truth)


def right(small, up_to, wrong="", under="multi"):
    """Answers that are right for images below a number, and ``wrong`` for all others."""
    return {
        image: (own if under == "single" or not found else found[0]) if i < up_to else wrong
        for i, (image, (own, found)) in enumerate(small.truth.items())
    }


def answers(small, **names):
    groups = findings.groups(small.gather(), Judge(PLAN), names, {})
    found = [findings.answer(claim, groups) for claim in findings.ordered()]
    return {answer.claim.test.__name__: answer for answer in found}


def test_mapping_that_helps_holds_with_its_effect(small):
    small.predict("m", right(small, 20))
    small.predict("m", right(small, 50), mapper="minilm", **ENCODED)
    found = answers(small)["mapping_helps"]
    assert found.verdict == "holds" and not found.undecided
    assert found.where == "images few, corrected labels multi"
    original, corrected = found.effects
    assert corrected.value == pytest.approx(100 * 30 / N)  # void images are right in both
    assert (corrected.low, corrected.high) != (corrected.value, corrected.value)
    assert corrected.low < corrected.value < corrected.high and corrected.n == N
    assert corrected.p < 1e-6
    assert original.value == pytest.approx(100 * 10 / N)  # only i40..i49 are the original label


def test_mapping_that_changes_nothing_does_not_hold(small):
    for mapper, more in (("exact", {}), ("minilm", ENCODED)):
        small.predict("m", right(small, 20), mapper=mapper, **more)
    found = answers(small)["mapping_helps"]
    assert found.verdict == "does not hold" and not found.undecided
    assert {effect.value for effect in found.effects} == {0.0}


def test_too_few_images_leave_a_question_open(small):
    small.predict("m", right(small, 40))
    changed = right(small, 42) | {"i00": ""}
    small.predict("m", changed, mapper="minilm", **ENCODED)
    found = answers(small)["mapping_helps"]
    assert found.verdict == "does not hold" and found.undecided
    assert found.text == "does not hold (open)"


def test_what_was_not_run_is_not_tested(small):
    small.predict("m", right(small, 20))
    found = answers(small)
    for name in ("mapping_helps", "open_wins_somewhere", "supervised_best", "random_saturates"):
        assert found[name].verdict == "not tested" and found[name].reason.startswith("no ")
    for name in ("labels_taken_over", "corrected_wrong", "second_pass"):
        assert "human annotators" in found[name].reason
    assert "experts" in found["experts_gain"].reason
    assert found["prompted_gain"].verdict == "holds"


def test_a_leader_that_is_overtaken_and_a_gap_that_shrinks(small):
    small.predict("m", right(small, 40))
    small.predict(
        "s", right(small, 40, under="single"), "classify", mapper="argmax", kind="supervised"
    )
    found = answers(small)
    before = found["gap_shrinks"].effects[0]
    assert found["gap_shrinks"].verdict == "holds"
    assert before.value == pytest.approx(100 * (20 + 20) / N)  # +20 images before, -20 after
    assert found["supervised_best"].verdict == "does not hold"
    assert found["free_models_lead"].verdict == "holds"
    assert found["free_models_lead"].effects[0].n == 20  # S-; no M- image here
    assert found["wrong_labels_and_error"].effects[0].value == pytest.approx(100 * (20 - 20) / N)


def test_outside_the_list_by_category(small):
    answered = right(small, 60) | {f"i{i}": "" for i in range(40, 60)}
    small.predict("m", answered)
    found = answers(small)
    assert found["outside_several"].effects[0].value == pytest.approx(100)
    assert found["outside_several"].verdict == "holds"
    assert found["outside_wrong"].effects[0].value == pytest.approx(-100 * 12 / 32)
    assert found["outside_none"].verdict == "not tested"  # eight images are too few
    assert "fewer than 10 images" in found["outside_none"].reason


def test_images_per_prompt_order_and_place(small):
    places = {image: 1 + i % 2 for i, image in enumerate(small.truth)}
    small.predict("m", right(small, 50))
    second_lost = {i: "" if places[i] == 2 else a for i, a in right(small, 50).items()}
    small.predict("m", second_lost, batching="b2-shuffled-s0", places=places)
    small.predict("m", right(small, 60), batching="b2-same-class-s0")
    found = answers(small)
    assert found["batch_costs"].verdict == "holds"
    assert found["batch_costs"].effects[0].value == pytest.approx(-100 * 25 / N)
    assert found["batch_keeps"].verdict == "does not hold"
    assert found["last_place_loses"].verdict == "holds"
    assert found["last_place_loses"].effects[0].value == pytest.approx(-100 * 25 / 30)
    assert found["same_class_inflates"].verdict == "holds"


def test_multiple_choice(small):
    for source, up_to in (("random", 60), ("nearest", 50), ("confusions", 30)):
        said = {"true": ["original"], "distractors": {"from": source}, "answer": "letter"}
        own = right(small, up_to, under="single", wrong=999)
        small.predict("m", own, f"choice-{source}", mapper="options", protocol_=said)
    small.predict("m", right(small, 10, under="single"))
    found = answers(small)
    for name in ("random_saturates", "confusions_cost", "confusions_harder", "choice_easier"):
        assert found[name].verdict == "holds", name
    assert found["confusions_cost"].effects[0].value == pytest.approx(100 * 30 / N)


def test_repeats_are_averaged(small):
    twice = {
        image: [a, a if i % 2 else ""] for i, (image, a) in enumerate(right(small, 40).items())
    }
    small.predict("m", right(small, 40))
    small.predict("m", twice, "closed-again")
    found = answers(small)["repeats_agree"]
    assert found.verdict == "does not hold"
    assert found.effects[0].low < 0 < found.effects[0].high


def test_likeness_of_models(small):
    shared = right(small, 60) | {f"i{i:02d}": 999 for i in range(0, 60, 3)}
    other = right(small, 60) | {f"i{i:02d}": 999 for i in range(1, 60, 3)}
    for name in ("s1", "s2"):
        small.predict(name, shared, "classify", mapper="argmax", kind="supervised")
    small.predict("m", other)
    found = answers(small)["supervised_cluster"]
    assert found.verdict == "holds"
    labelled = np.arange(52)
    between = np.corrcoef(labelled % 3 != 0, labelled % 3 != 1)[0, 1]
    assert found.effects[0].value == pytest.approx(1 - between)


def tally(kind, **measures):
    """A tally of one annotator; ``measures``: measure__category -> (percent, n)."""
    rows = [Count("second", "who", kind, "A", "cases", "", "cases", 9.0, 9.0, 9.0, None, None)]
    for name, (value, n) in measures.items():
        measure, category = name.split("__")
        low, high = (100 * end for end in wilson(value * n / 100, n))
        text = ("second", "settled", "", category.replace("_", "-"), measure, "m", "percent")
        rows.append(Count(*text, value * n / 100, n, value, low, high))
    return rows


def people(small, **measures):
    found = findings.groups(small.gather(), Judge(PLAN), {}, {}, [tally(**measures)])
    wanted = ("labels_taken_over", "corrected_wrong", "corrected_wrong_several", "second_pass")
    claims = {claim.test.__name__: claim for claim in CLAIMS}
    return [findings.answer(claims[name], found) for name in wanted]


def test_what_people_decided_is_tested_and_what_others_decided_is_not(small):
    small.predict("m", right(small, 40))
    decided = {
        "confirmed__S_": (52.6, 1000),
        "confirmed__M_": (49.5, 1000),
        "old_wrong__S_": (50.6, 1000),
        "old_wrong__M_": (8.7, 1000),
        "kept__S_": (30.9, 1000),
        "right_before__S_": (34.4, 1000),
        "right_after__S_": (55.2, 1000),
    }
    found = people(small, kind="person", **decided)
    assert [answer.verdict for answer in found] == ["holds"] * 4
    assert found[0].effects[0].value == 52.6 and found[0].effects[0].n == 1000
    assert found[3].effects[0].value == pytest.approx(20.8)
    for answer in people(small, kind="system", **decided):
        assert answer.verdict == "not tested" and "who (system); no person" in answer.reason


def test_experts_labels_are_declared(small):
    small.predict("m", right(small, 40))
    small.predict(
        "s", right(small, 60, under="single"), "classify", mapper="argmax", kind="supervised"
    )
    found = answers(small, labels={"multi": "expert"})
    assert found["experts_gain"].verdict == "holds"
    assert found["experts_deny"].effects[0].value == pytest.approx(100 * 20 / N)
    assert found["ferret_recall"].verdict == "not tested"


def test_the_page_says_no_more_than_answers(small, tmp_path):
    small.predict("<b>|m*", right(small, 20))
    small.gather()
    out = tmp_path / "findings.md"
    command = [str(tmp_path / "results/experiments/small.csv"), "--plan", json.dumps(PLAN)]
    html = tmp_path / "findings.html"
    command += ["--out", str(out), "--html", str(html)]
    findings.main(command)
    first = out.read_bytes(), html.read_bytes()
    findings.main(command)
    assert (out.read_bytes(), html.read_bytes()) == first
    text, shown = (content.decode() for content in first)
    assert "<b>" not in shown and "&lt;b&gt;|m*" in shown and "**" not in shown
    assert shown.count("<h2>") == 1 + len(CLAIMS)
    assert "<b>" not in text and r"&lt;b&gt;\|m\*" in text
    assert text.count("\n## ") - 1 == len(CLAIMS) == text.count('<a id="')
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings[0] == "## At a glance"
    assert all(line.endswith("?") for line in headings[1:])
    holds = text.count("**Holds**: images") + text.count("**Does not hold")
    assert holds + text.count("**Not tested**: ") - 2 == len(CLAIMS)  # the head has the words, too


def told(answered, noise=None):
    return findings.markdown(findings.lead(answered, noise), findings.sections(answered, noise))


def test_every_claim_is_a_question_of_its_own():
    assert len({claim.question for claim in CLAIMS}) == len(CLAIMS)
    for claim in CLAIMS:
        assert claim.question.endswith("?") and claim.about and claim.test.__doc__


def test_p_values_are_adjusted_over_the_page():
    claim = SimpleNamespace(question="Is it so?", about="Table 1", test=None)
    effects = [Effect("a", 1.0, 0.5, 1.5, 20, p) for p in (0.01, 0.04, None)]
    text = told([findings.Answer(claim, "holds", where="w", effects=effects)])
    assert "| 0.020 |" in text and "| 0.040 |" in text


def test_a_mask_with_few_images_is_no_comparison():
    flags = np.ones((1, 20), dtype=bool)
    mask = np.arange(20) < 9
    with pytest.raises(Lacking, match="fewer than 10 images"):
        effect("x", [Term(1, flags, mask)])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=20, max_size=80))
def test_an_effect_is_the_difference_of_shares_and_lies_in_its_interval(rows):
    first, second, chosen = np.array(rows, dtype=bool).T
    mask = chosen | (np.arange(len(rows)) < 10)
    found = effect("x", [Term(1, first[None], mask), Term(-1, second[None], mask)])
    assert found.value == pytest.approx(100 * (first[mask].mean() - second[mask].mean()))
    assert found.low - 1e-9 <= found.value <= found.high + 1e-9 or abs(found.value) < 100
    assert -100 <= found.low <= found.high <= 100 and found.n == mask.sum()
    assert 0 <= found.p <= 1


def test_findings_know_three_verdicts():
    assert Finding(True, True, []).holds
    assert set(findings.VERDICTS) == {"holds", "does not hold", "not tested"}


def test_a_difference_within_the_noise_is_marked():
    claim = findings.ordered()[0]
    effects = [
        Effect("asked otherwise", -3.0, -9.0, 2.0, 24, asked="m"),
        Effect("asked otherwise, more", -30.0, -40.0, -20.0, 24, asked="m"),
        Effect("another model", -3.0, -9.0, 2.0, 24),
    ]
    answered = [findings.Answer(claim, "does not hold", where="images x", effects=effects)]
    lines = told(answered, {"m": 13.8}).split("\n")
    marked = [line for line in lines if line.startswith("|") and "−3.0 points ≈" in line]
    assert len(marked) == 1 and "asked otherwise |" in marked[0]
    assert any("13.8 points for m" in line for line in lines)
    assert "No numerics panel was given" in told(answered)
