"""Answers to multiple choice: letters, what denies them, and names of options."""

import pytest
from labelwise import parsing
from parsed import NAMES, OTHER, TWO, ask, outcome

A, B, C, D = (("ok", (c,)) for c in (0, 1, 2, 8))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A", A),
        ("b", B),
        (" C ", C),
        ("(D)", D),
        ("B.", B),
        ("B)", B),
        ("[B]", B),
        ("**B**", B),
        ('"B"', B),
        ("a) tench", A),
        ("A. tench", A),
        ("A tench", A),
        ("B: goldfish", B),
        ("B – Goldfish", B),
        ("1: B", B),
        ("Answer: B", B),
        ("answer is b.", B),
        ("The answer is A.", A),
        ("The correct option is (C).", C),
        ("Option B because of its colour", B),
        ("A is the right one", A),
        ("It's a tench, so A.", A),
        ("B\n\nThe fish is orange.", B),
        ("I'm not sure, but the answer is B.", B),
        ("A or B", TWO),
        ("A, B", TWO),
        ("A/B", TWO),
        ("A and D", TWO),
        ("B: tench", TWO),
        ("B (tench)", TWO),
        ("E", OTHER),
        ("E. ostrich", OTHER),
        ("tench", OTHER),
        ("a dog", OTHER),
        ("A great big fish", OTHER),
        ("A goldfish", OTHER),
        ("the answer is a fish", OTHER),
        ("Both", OTHER),
        ("Cat", OTHER),
        ("ABCD", OTHER),
        ("42", OTHER),
        ("I don't know", ("abstain", ())),
        ("None of the above", ("abstain", ())),
        ("I cannot say whether it is A or B", ("abstain", ())),
        ("", ("empty", ())),
    ],
)
def test_letters(text, expected):
    assert outcome(text, kind="choice", answer="letter") == expected


@pytest.mark.parametrize(
    "text",
    [
        "not B",
        "NOT B",
        "It is not B",
        "It is **not** B",
        "It _is not_ B",
        "It isn't A",
        "It isn’t A",
        "Neither A",
        "Neither A nor B",
        "The image does not show B.",
        "I would rule out A.",
        "A is incorrect",
        "A is incorrect.",
        "A is ruled out",
        "Option B is wrong",
        "b) is not it",
        "A: wrong",
        "A, in my view, is wrong.",
        "A. Incorrect.",
        "A. tench is incorrect",
        "A. Tench is wrong",
        "B? No.",
        "Is it B? I don't think so",
        "B. This is not right.",
        "It isn't the tench, A.",
        "Not A but B",
        "B, not A",
        "Anything but B",
        "Everything except A",
        "It cannot be B",
        "No, not B.",
        "Definitely not (B).",
        "Incorrect options:\n- A",
        "~~B~~ ≠",
        "❌ B",
        "The answer is not B",
        "The answer isn't B.",
        "The wrong answer is B",
        "I don't think the answer is B.",
        "The answer is B. That is incorrect.",
        "Not a fish (C); surely not",
    ],
)
def test_a_letter_that_is_denied_is_not_chosen(text):
    assert outcome(text, kind="choice", answer="letter") == TWO
    assert outcome(text, kind="choice", answer="letter", finish="length") == TWO


@pytest.mark.parametrize("name", ["not a lynx", "exception", "wrong"])
def test_an_options_own_name_denies_nothing(name):
    options = [{"letter": "A", "class": 0, "name": name}]
    header = {"kind": "choice", "answer": "letter", "format": "plain", "images_per_prompt": 1}
    request = {"images": ["i"], "options": options}
    for text in (f"A. {name}", f"It is {name}: A"):
        (found,) = parsing.parse(text, "stop", header | {"primer": ""}, request, NAMES)
        assert (found.outcome, found.classes) == A


@pytest.mark.parametrize(
    "text",
    [
        "B!",
        "It may not be silver, but B is my choice",
        "I am not certain. Answer: B",
        "**Answer:** B, not the feathered one",
        "The answer is B, because it is not silver",
        "B because it is not silver",
        "It does not look silver, so B.",
        "B\n\nThe fish is not silver.",
        "B. It is not silver.",
        "It is B. The image does not show a bird.",
    ],
)
def test_a_denial_elsewhere_leaves_a_letter_as_it_is(text):
    assert outcome(text, kind="choice", answer="letter") == B


@pytest.mark.parametrize("text", ["not goldfish", "Neither hen", "Not a goldfish but a hen"])
def test_a_denied_name_is_no_choice(text):
    assert outcome(text, kind="choice") == OTHER
    assert outcome(text, kind="choice", answer="letter") == OTHER


def test_a_letter_is_complete_when_it_stands():
    assert outcome("B", kind="choice", answer="letter", finish="length") == B
    assert outcome("B. gold", kind="choice", answer="letter", finish="length") == B
    assert outcome("The ans", kind="choice", answer="letter", finish="length") == ("truncated", ())


def test_letters_in_json():
    assert ask('{"1": "B"}', format="json", kind="choice", answer="letter")[0].classes == (1,)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Goldfish.", B),
        ("hen", D),
        ("ostrich", OTHER),
        ("A", OTHER),
        ("tench; hen", TWO),
    ],
)
def test_choice_by_name_knows_the_options_only(text, expected):
    assert outcome(text, kind="choice") == expected


def test_an_option_denotes_its_own_class_where_two_bear_its_name():
    request = {"images": ["i"], "options": [{"letter": "A", "class": 744, "name": "missile"}]}
    header = {"kind": "choice", "answer": "name", "format": "plain", "images_per_prompt": 1}
    header |= {"primer": ""}
    assert parsing.parse("missile", "stop", header, request, NAMES)[0].classes == (744,)
