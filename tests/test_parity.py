"""Flips between the answers of two engines."""

import pytest
from labelwise import parity, records
from labelwise.evaluation.statistics import wilson

HEADER = {
    **{"kind": "closed", "answer": "name", "format": "plain", "classes": "c", "system": ""},
    **{"image": "", "closing": "", "primer": "", "schema": None, "max_tokens": 9, "stop": []},
    **{"images_per_prompt": 1, "order": "", "protocol": "closed"},
}


@pytest.fixture
def results(tmp_path):
    rows = [{"class": i, "name": n} for i, n in enumerate(["tench", "goldfish", "great white"])]
    records.write_csv(tmp_path / "classes/c.csv", records.CLASSES, rows)
    asked = [{"request": n, "repeat": 0, "images": [f"i{n}"]} for n in range(4)]
    records.write_jsonl(tmp_path / "requests/small/closed/b1.jsonl", [HEADER, *asked])

    def write(model, *texts):
        file = tmp_path / f"responses/small/{model}/closed/b1.jsonl"
        lines = [{"request": n, "text": t, "finish": "stop"} for n, t in enumerate(texts)]
        records.write_jsonl(file, lines)
        return str(file)

    return write


def test_flips_are_counted_on_what_answers_mean(results, tmp_path, capsys):
    a = results("a", "tench", "Goldfish.", "a robin", "tench")
    b = results("b", "tench", "goldfish", "A robin", "great white")
    parity.main([a, b, "--json", str(tmp_path / "out.json")])
    said = capsys.readouterr().out
    low, high = wilson(1, 4)
    assert f"1 of 4 answers differ: 25.00 % (95 % Wilson {100 * low:.2f} to" in said
    assert "i3: 'tench' | 'great white'" in said
    found = records.read_json(tmp_path / "out.json")
    assert (found["flips"], found["low"], found["high"]) == (1, low, high)


def test_no_flip_at_all(results, capsys):
    file = results("a", "tench", "x", "y", "")
    parity.main([file, file])
    assert "0 of 4 answers differ: 0.00 % (95 % Wilson 0.00 to 48.99)" in capsys.readouterr().out


def test_a_file_elsewhere_or_with_a_gap_is_one_line(results, tmp_path, capsys):
    file = results("a", "tench", "x", "y")
    for path in (file, str(tmp_path / "x.jsonl")):
        with pytest.raises(SystemExit):
            parity.main([path, path])
    said = capsys.readouterr().err.splitlines()
    assert "no answer to request 3" in said[0] and "give --requests" in said[1]
