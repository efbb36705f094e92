"""Raw text to one outcome an image: names, ids, JSON and numbered lines, hand-made and drawn."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelwise.classnames import Names
from labelwise.reading import wording
from parsed import LISTED, NAMES, OTHER, TIGHTS, TWO, ask, outcome, outcomes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tench", ("ok", (0,))),
        ("TENCH", ("ok", (0,))),
        ("  tench \n", ("ok", (0,))),
        ('"tench"', ("ok", (0,))),
        ("“tench”.", ("ok", (0,))),
        ("**tench**", ("ok", (0,))),
        ("Tench!", ("ok", (0,))),
        ("`tench`", ("ok", (0,))),
        ("tench.", ("ok", (0,))),
        ("great  white\nshark", ("ok", (2,))),
        ("St. Bernard", ("ok", (247,))),
        ("1: tench", ("ok", (0,))),
        ('"1": "tench"', ("ok", (0,))),
        ("missile", ("ok", (657, 744))),
        (TIGHTS, ("ok", (638,))),
        (f"{TIGHTS}.", ("ok", (638,))),
        ("tench; goldfish", ("ok", (0, 1))),
        (f"{TIGHTS}; hen", ("ok", (638, 8))),
        ("tench; dragon", ("out_of_list", ())),
        ("tench, goldfish", ("out_of_list", ())),
        ("tench or goldfish", ("out_of_list", ())),
        ("2: tench", ("out_of_list", ())),
        ("a tench", ("out_of_list", ())),
        ("tenches", ("out_of_list", ())),
        ("The image shows a tench.", ("out_of_list", ())),
        ("tench\ngoldfish", ("out_of_list", ())),
        ("0", ("out_of_list", ())),
        ("cannon, which is a type of artillery weapon.", ("out_of_list", ())),
        ("", ("empty", ())),
        (" \n ", ("empty", ())),
        ('""', ("empty", ())),
        (".", ("empty", ())),
    ],
)
def test_one_name(text, expected):
    assert outcome(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "I don't know",
        "I don’t know.",
        "I'm not sure what this is",
        "I'm sorry, but I can't assist with that.",
        "Sorry, I can't help",
        "As an AI language model, I cannot see images.",
        "Unable to determine",
        "Cannot be identified",
        "It is impossible to tell",
        "unknown",
        "Unknown object",
        "N/A",
        "None of the above",
        "none of the listed classes",
        "No matching class",
        "There is no suitable class name",
        "The image is too blurry to tell",
        "The object in the image cannot be identified",
        "**I cannot identify the image**",
    ],
)
def test_abstentions(text):
    assert outcome(text) == ("abstain", ())
    assert outcome(text, kind="open") == ("abstain", ())


@pytest.mark.parametrize(
    "text",
    [
        "unknown warrior's tomb",
        "nothing but a sandy beach",
        "sorrel horse",
        "blurry human silhouette",
        "none-too-clean mug",
        "a dog that I cannot name",
        "no parking sign",
        "abstract metal sculpture",
    ],
)
def test_descriptions_are_no_abstentions(text):
    assert outcome(text, kind="open") == ("out_of_list", ())


def test_no_listed_name_reads_as_an_abstention():
    assert [name for name in LISTED if wording.refuses(name)] == []


def test_how_an_answer_ended():
    assert outcome("tench", finish="content_filter") == ("content_filter", ())
    assert outcome("tench", finish="length") == ("truncated", ())
    assert ask("tiger sh", finish="length")[0].answer == "tiger sh"
    assert outcome("", finish="length") == ("truncated", ())
    assert outcomes("{}", finish="content_filter", format="json") == ["content_filter"] * 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("207", ("ok", (207,))),
        ("0", ("ok", (0,))),
        ("007", ("ok", (7,))),
        ("207.", ("ok", (207,))),
        ("id 207", ("ok", (207,))),
        ("Class ID: 207", ("ok", (207,))),
        ("#207", ("ok", (207,))),
        ("1: 207", ("ok", (207,))),
        ("0: tench", ("ok", (0,))),
        ('0 – "tench"', ("ok", (0,))),
        ("0 (tench)", ("ok", (0,))),
        ("21 (kite (bird of prey))", ("ok", (21,))),
        ("0: goldfish", ("out_of_list", ())),
        ("1000", ("out_of_list", ())),
        ("99999999999999999999", ("out_of_list", ())),
        ("-1", ("out_of_list", ())),
        ("1.0", ("out_of_list", ())),
        ("1.5", ("out_of_list", ())),
        ("2 07", ("out_of_list", ())),
        ("207, 208", ("out_of_list", ())),
        ("207; 208", ("ok", (207, 208))),
        ("tench", ("out_of_list", ())),
        ("two hundred and seven", ("out_of_list", ())),
        ("unknown", ("abstain", ())),
    ],
)
def test_ids(text, expected):
    assert outcome(text, answer="id") == expected
    assert outcome(text, answer="id", finish="length") == ("truncated", ())


GOOD = {"1": "tench", "2": "goldfish", "3": "hen"}
ALL = [(0,), (1,), (8,)]


@pytest.mark.parametrize("form", ["json", "structured"])
@pytest.mark.parametrize(
    "text",
    [
        json.dumps(GOOD),
        json.dumps(GOOD, indent=2),
        json.dumps(dict(reversed(GOOD.items()))),
        f"```json\n{json.dumps(GOOD)}\n```",
        f"```\n{json.dumps(GOOD)}\n```\nI hope this helps!",
        f"Here is the JSON you asked for: {json.dumps(GOOD)} Done.",
        f"In the form {{name}}: {json.dumps(GOOD)}",
        json.dumps({"predictions": GOOD}),
        json.dumps({"image 1": "tench", "Image_2": "goldfish", "3.": "hen"}),
        json.dumps({**GOOD, "reason": "fins", "confidence": 0.9}),
        json.dumps({**GOOD, "4": "ostrich", "5": "tench"}),
        json.dumps({"1": ["tench"], "2": {"label": "goldfish", "prob": 0.8}, "3": " Hen. "}),
        '{"1": "tench"}\n{"2": "goldfish"}\n{"3": "hen"}',
        '{"1": "tench", "1": "tench", "2": "goldfish", "3": "hen"}',
        json.dumps(GOOD) + json.dumps(GOOD),
        '\ufeff{"1": "tench", "2": "gold\\u0066ish", "3": "hen"}',
    ],
)
def test_json_in_all_its_wrapping(text, form):
    assert outcomes(text, format=form) == ALL


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"1": "tench", "3": "hen"}', [(0,), "count_mismatch", (8,)]),
        ('{"1": "tench", "1": "goldfish", "3": "hen"}', ["parse_error", "count_mismatch", (8,)]),
        (
            '{"1": "tench"} or {"1": "goldfish"}',
            ["parse_error", "count_mismatch", "count_mismatch"],
        ),
        ('{"0": "tench", "1": "goldfish", "2": "hen"}', ["count_mismatch"] * 3),
        ('{"1": "", "2": null, "3": "  "}', ["empty"] * 3),
        (
            '{"1": "dragon", "2": "I don\'t know", "3": true}',
            ["out_of_list", "abstain", "parse_error"],
        ),
        ('{"1": 5, "2": 1.5, "3": {"a": 1}}', ["out_of_list", "parse_error", "parse_error"]),
        (
            '{"1": {"label": "hen", "name": "tench"}, "2": [["hen"]], "3": []}',
            ["parse_error", "parse_error", "empty"],
        ),
        (
            '{"1": ["tench", "hen"], "2": ["tench", "dragon"], "3": "hen; tench"}',
            [(0, 8), "out_of_list", (8, 0)],
        ),
        ('{"-1": "tench", "1.5": "hen", "x": "hen"}', ["parse_error"] * 3),
        ('["tench", "goldfish", "hen"]', ["parse_error"] * 3),
        ("{'1': 'tench'}", ["parse_error"] * 3),
        ('{"1": "tench",}', ["parse_error"] * 3),
        ('{"1": NaN, "2": "hen"}', ["parse_error"] * 3),
        ('{"1": "tench", "2": "gold', ["parse_error"] * 3),
        ("{" * 100_000, ["parse_error"] * 3),
        ('{"1": ' * 50_000, ["parse_error"] * 3),
        ("tench, goldfish, hen", ["parse_error"] * 3),
        ("{}", ["parse_error"] * 3),
        ('{"label": "tench"}', ["parse_error"] * 3),
        ("I'm sorry, I can't help with that.", ["abstain"] * 3),
        ("", ["empty"] * 3),
    ],
)
def test_json_that_is_not_as_asked(text, expected):
    assert outcomes(text, format="json") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"1": "tench", "2": "gold', [(0,), "truncated", "truncated"]),
        ('{"1": "tench", "2": "goldfish"', [(0,), "truncated", "truncated"]),
        ('{"1": "tench", "2": "goldfish",', [(0,), (1,), "truncated"]),
        ('Sure: {"1"', ["truncated"] * 3),
        ("", ["truncated"] * 3),
        (json.dumps(GOOD) + " Let me expl", ALL),
        ('{"1": "a \\"tench\\"", "2": "hen", "3', ["out_of_list", (8,), "truncated"]),
    ],
)
def test_json_cut_at_the_limit_keeps_what_was_complete(text, expected):
    assert outcomes(text, format="json", finish="length") == expected


def test_the_primer_belongs_to_the_json_and_the_lines():
    primed = ask('tench", "2": "hen"}', 2, format="json", primer='{"1": "')
    assert [a.classes for a in primed] == [(0,), (8,)]
    assert outcomes(" tench\n2: hen\n3: ostrich", primer="1:") == [(0,), (8,), (9,)]
    assert outcome(" tench", primer="The class name is:") == ("ok", (0,))
    assert outcomes(" I cannot see them", primer="1:") == ["abstain"] * 3
    assert outcomes("I'm sorry, I can't.", format="json", primer='{"1": "') == ["abstain"] * 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0: hen\n1: tench\n2: goldfish", ["count_mismatch"] * 3),
        (" **0.** hen\n1: tench", ["count_mismatch"] * 3),
        ("\nImage 0: hen\nImage 1: tench", ["count_mismatch"] * 3),
        (" Sure!\n0: hen\n1: tench", ["count_mismatch"] * 3),
        ("1: tench\n2: goldfish\n3: hen", ALL),
        ("2: goldfish\n3: hen", ["count_mismatch", (1,), (8,)]),
        (" tench\n2: goldfish\n3: hen", ALL),
    ],
)
def test_the_primer_is_not_put_before_a_number_label(text, expected):
    assert outcomes(text, primer="1:") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" 0: tench\n2: 5\n3: 7", [(0,), (5,), (7,)]),
        (" 207.\n2: 5\n3: 6", [(207,), (5,), (6,)]),
        ("0: 5\n1: 6\n2: 7", ["count_mismatch"] * 3),
        ("1: 5\n2: 6\n3: 7", [(5,), (6,), (7,)]),
    ],
)
def test_an_id_with_its_own_name_is_no_number_label(text, expected):
    assert outcomes(text, primer="1:", answer="id") == expected


def test_json_ids_are_read_exactly():
    text = '{"1": 0, "2": "207", "3": 207.0}'
    assert outcomes(text, format="json", answer="id") == [(0,), (207,), "parse_error"]
    text = '{"1": "0: tench", "2": -1, "3": {"label": 0}}'
    assert outcomes(text, format="json", answer="id") == [(0,), "out_of_list", (0,)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1: tench\n2: goldfish\n3: hen", ALL),
        ("1. tench\n2) goldfish\n3 - hen", ALL),
        ("Image 1: tench\nimage 2: goldfish\nImage 3: hen", ALL),
        ('"1": "tench"\n**2**: goldfish\n- 3: hen', ALL),
        ("Here you are:\n\n3: hen\n1: tench\n2: goldfish\n\nThat is all.", ALL),
        ("1: tench\n2: goldfish\n3: hen\n4: ostrich\n5: ostrich", ALL),
        ("1: tench\n3: hen", [(0,), "count_mismatch", (8,)]),
        ("0: tench\n1: goldfish\n2: hen", ["count_mismatch"] * 3),
        ("1: tench\n1: hen\n2: a hen\n3:", ["parse_error", "out_of_list", "empty"]),
        ("tench\ngoldfish\nhen", ["parse_error"] * 3),
        ("tench, goldfish, hen", ["parse_error"] * 3),
        ("I cannot see any images", ["abstain"] * 3),
        ("", ["empty"] * 3),
    ],
)
def test_numbered_lines(text, expected):
    assert outcomes(text) == expected


def test_json_that_was_not_asked_for_is_read():
    assert outcomes(json.dumps(GOOD), primer="1:") == ALL
    assert outcomes(f"```json\n{json.dumps(GOOD)}\n```", primer="1:") == ALL
    assert outcome('{"1": "tench"}', primer="Name:") == ("ok", (0,))
    assert outcome('{"2": "tench"}') == ("count_mismatch", ())
    assert outcome('{"name": "tench"}') == OTHER


def test_numbered_lines_cut_at_the_limit():
    assert outcomes("1: tench\n2: gold", finish="length") == [(0,), "truncated", "truncated"]
    assert outcomes("1: tench\n2: goldfish\n", finish="length") == [(0,), (1,), "truncated"]


@pytest.mark.parametrize(
    ("text", "answer", "expected"),
    [
        ("1, 2, 3", "id", ("ok", (1, 2, 3))),
        ("[1, 2, 2]", "id", ("ok", (1, 2))),
        ("1; 2", "id", ("ok", (1, 2))),
        ("1 5000", "id", ("ok", (1,))),
        ("5000", "id", OTHER),
        ("[]", "id", ("ok", ())),
        ("none", "id", ("ok", ())),
        ("tench; hen", "name", ("ok", (0, 8))),
        ("tench\nhen", "name", ("ok", (0, 8))),
        ("dragon; hen", "name", ("ok", (8,))),
        (f"{TIGHTS}; missile", "name", ("ok", (638, 657, 744))),
        ("dragon", "name", OTHER),
        ("I don't know", "name", ("abstain", ())),
        ("1. tench\n2. goldfish", "name", ("ok", (0, 1))),
        ("1) tench\n2) dragon", "name", ("ok", (0,))),
        ("**1.** tench\n**2.** hen", "name", ("ok", (0, 8))),
        ("- tench\n- goldfish", "name", ("ok", (0, 1))),
        ("These:\n\n* tench\n• hen", "name", ("ok", (0, 8))),
        ("- tench, hen\n- ostrich", "name", ("ok", (0, 8, 9))),
        ('["tench","hen"]', "name", ("ok", (0, 8))),
        ('["tench", "dragon"]', "name", ("ok", (0,))),
        ('["dragon"]', "name", OTHER),
        ("[]", "name", ("ok", ())),
        ('```json\n["tench",\n "hen"]\n```', "name", ("ok", (0, 8))),
        ('[["tench"]]', "name", TWO),
        ("tench, goldfish", "name", ("ok", (0, 1))),
        ("tench, hen; ostrich", "name", ("ok", (0, 8, 9))),
        ("tench, dragon", "name", OTHER),
        ("tench, ", "name", OTHER),
        (TIGHTS, "name", ("ok", (638,))),
        (f"tench, {TIGHTS}", "name", ("ok", (0, 638))),
        (f'"{TIGHTS}", "hen"', "name", ("ok", (638, 8))),
        (";", "name", OTHER),
        ("1. 207\n2. 208", "id", ("ok", (207, 208))),
        ("- 207\n- 208", "id", ("ok", (207, 208))),
        ("1. 207, 208", "id", ("ok", (207, 208))),
        ("5. 207", "id", OTHER),
        ("0. 207\n1. 208", "id", OTHER),
        ("1: goldfish\n2: great white shark", "id", ("ok", (1, 2))),
        ("[1,\n2]", "id", ("ok", (1, 2))),
        ('["1", "2"]', "id", ("ok", (1, 2))),
        ("[1.5]", "id", TWO),
    ],
)
def test_all_labels(text, answer, expected):
    assert outcome(text, kind="all", answer=answer) == expected


def test_a_comma_list_that_can_be_read_in_two_ways_is_unknown():
    names = Names(["red", "green", "red, green", "blue"])
    assert outcome("red, green", kind="all", names=names) == ("ok", (2,))
    assert outcome("red, green, blue", kind="all", names=names) == OTHER
    assert outcome("green, red, blue", kind="all", names=names) == ("ok", (1, 0, 3))


def test_all_labels_in_json():
    text = '{"1": [1, 2], "2": [], "3": "4, 5"}'
    found = outcomes(text, kind="all", answer="id", format="json")
    assert found == [(1, 2), (), (4, 5)]


def test_the_laxer_match_is_the_lookups_and_off_by_default():
    lax = Names(LISTED, relaxed=True)
    for text in ("a tench", "The Tench!", "tenches"):
        assert outcome(text) == OTHER
        assert outcome(text, names=lax) == ("ok", (0,))
    assert outcome("the missiles", names=lax) == ("ok", (657, 744))


@pytest.mark.parametrize(
    "text",
    [
        *(
            part * 10**5
            for part in ("{", '{"1": ', '"', "*", "#", "A ", "answer ", "1: ", "; ", "- ")
        ),
        *(part * 10**5 for part in ("not B. ", "B because ", "tench, ", "1. 2\n", "[", ":\n")),
        "1" * 10**5 + ": tench",
        "\x00\r",
        '{"1": "\\ud800"}',
    ],
    ids=range(19),
)
@pytest.mark.parametrize(
    ("kind", "answer"),
    [("closed", "name"), ("closed", "id"), ("choice", "letter"), ("all", "id"), ("all", "name")],
)
@pytest.mark.parametrize("form", ["plain", "json"])
def test_hostile_texts_are_read_in_no_time(text, kind, answer, form):
    started = time.process_time()
    for n in (1, 2) if kind != "choice" else (1,):
        for finish in ("stop", "length"):
            for found in ask(text, n, kind=kind, answer=answer, format=form, finish=finish):
                found.answer.encode()
    assert time.process_time() - started < 5


def test_line_ends_inside_json_strings_are_white_space():
    assert outcomes('{"1": "great white\nshark", "2": "hen", "3": "tench\t"}', format="json") == [
        (2,),
        (8,),
        (0,),
    ]


WRAPPERS = [
    "{}",
    " {}\n",
    '"{}"',
    "'{}'",
    "“{}”",
    "**{}**",
    "`{}`",
    "{}.",
    '"{}."',
    "1: {}",
    "1. {}",
]


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 999),
    st.sampled_from(WRAPPERS),
    st.sampled_from([str, str.upper, str.lower, str.title]),
)
def test_a_wrapped_name_is_itself(i, wrapper, case):
    found = outcome(wrapper.format(case(LISTED[i])))
    assert found == ("ok", NAMES.find(LISTED[i])) and i in found[1]


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_every_wrapped_name_and_id_is_itself(wrapper):
    for i, name in enumerate(LISTED):
        assert i in outcome(wrapper.format(name))[1], name
        assert outcome(wrapper.format(i), answer="id") == ("ok", (i,))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(0, 999), min_size=1, max_size=50),
    st.permutations(range(50)),
    st.sampled_from(["{}", "```json\n{}\n```", "Sure! {} Anything else?", '{{"answers": {}}}']),
    st.booleans(),
)
def test_a_batch_of_names_is_itself_in_any_order(classes, order, wrapper, by_id):
    entries = {str(n): c if by_id else LISTED[c] for n, c in enumerate(classes, 1)}
    shuffled = {str(k + 1): entries[str(k + 1)] for k in order if k < len(classes)}
    answer = "id" if by_id else "name"
    answers = ask(wrapper.format(json.dumps(shuffled)), len(classes), format="json", answer=answer)
    assert all(c in a.classes for a, c in zip(answers, classes, strict=True))


@settings(max_examples=300, deadline=None)
@given(
    st.text(max_size=80),
    st.sampled_from(["plain", "json"]),
    st.sampled_from(
        [("closed", "name"), ("closed", "id"), ("choice", "letter"), ("all", "id"), ("all", "name")]
    ),
    st.sampled_from(["stop", "length"]),
    st.integers(1, 3),
)
def test_no_text_breaks_the_parser_and_it_answers_the_same_twice(text, form, kind, finish, n):
    more = {"format": form, "kind": kind[0], "answer": kind[1], "finish": finish}
    n = 1 if kind[0] == "choice" else n
    assert ask(text, n, **more) == ask(text, n, **more)
