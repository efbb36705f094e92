"""Gathering scores into one table, and the benchmark of scoring at a small size."""

import json

import pytest
from labelwise import gather
from labelwise.bench import __main__ as bench
from labelwise.data.rules import Rules
from labelwise.evaluation import selection
from labelwise.labels import Label
from labelwise.records import CATEGORIES, OUTCOMES, read_csv, write_json
from labelwise.scoring import Answer, Key


def write_score(path, repeats=1, **axes):
    truth = {"a": Label((1,)), "b": Label((2, 3)), "c": Label(())}
    original = {"a": Label((1,)), "b": Label((4,)), "c": Label((5,))}
    run = {"a": Answer((1,)), "b": Answer((9,), "out_of_list"), "c": Answer((), "abstain")}
    found = Key(truth, original, Rules(), frozenset()).judge([run] * repeats).summary()
    rules = {**Rules().as_dict(), "n_equivalents": 12}
    write_json(path, {"model": "m", "labels": "multi", **axes, "rules": rules, **found})
    return found


DESCRIBE = {
    "models": {"m": {"engine": "composed", "name": "My model", "kind": "mllm"}},
    "protocols": {
        "choice": {
            "kind": "choice",
            "answer": "letter",
            "true": ["original", "corrected"],
            "distractors": {"from": "random"},
        }
    },
    "mappers": {"minilm": {"encoder": "minilm", "templates": "clip-7"}},
}


def test_gather(tmp_path):
    first = write_score(tmp_path / "1.json", protocol="choice", mapper="options")
    write_score(tmp_path / "2.json", repeats=2, protocol="open", mapper="minilm", kind="open")
    (tmp_path / "list").write_text(f"{tmp_path}/1.json\n{tmp_path}/2.json\n")
    out = tmp_path / "e.csv"
    where = [f"@{tmp_path}/list", "--experiment", "main", "--out", str(out)]
    gather.main([*where, "--describe", json.dumps(DESCRIBE)])
    rows = read_csv(out, gather.COLUMNS)
    assert [r["category"] for r in rows] == [*CATEGORIES, *CATEGORIES]
    one = rows[0]
    assert float(one["accuracy"]) == first["categories"]["A"]["accuracy"]  # full precision
    assert (one["n"], one["repeats"], one["correct"]) == ("3", "1", "2")
    assert (one["n_ok"], one["n_abstain"], one["n_truncated"]) == ("1", "1", "0")
    assert (one["model_name"], one["model_kind"], one["engine"]) == ("My model", "mllm", "composed")
    assert (one["choice_true"], one["choice_from"]) == ("original+corrected", "random")
    assert (one["kind"], one["answer"], one["encoder"]) == ("choice", "letter", "")
    assert one["voids"] == "correct"
    assert (
        one["rules"] == "void=correct, uncertain=ignore, sign=plain, equivalents=paper (12 pairs)"
    )
    empty = next(r for r in rows if r["category"] == "M+")
    assert (empty["n"], empty["accuracy"], empty["gain_low"]) == ("0", "", "")
    two = rows[8]
    assert (two["repeats"], two["encoder"], two["templates"]) == ("2", "minilm", "clip-7")
    assert (two["kind"], two["experiment"]) == ("open", "main")


def test_gather_has_what_tables_and_figures_read():
    needed = {*selection.TEXTS, *selection.COUNTS, *selection.MEASURES}
    assert needed <= set(gather.COLUMNS)
    assert {f"n_{outcome}" for outcome in OUTCOMES} <= set(gather.COLUMNS)


def test_gather_refuses_what_is_no_score(tmp_path, capsys):
    write_json(tmp_path / "x.json", [1])
    with pytest.raises(SystemExit):
        gather.main([str(tmp_path / "x.json"), "--experiment", "e", "--out", str(tmp_path / "o")])
    assert "x.json: not a score" in capsys.readouterr().err


def test_benchmark_of_scoring(tmp_path, capsys):
    out = tmp_path / "b.json"
    small = ["--images", "300", "--models", "3", "--replicates", "100", "--naive", "5"]
    bench.main(["scoring", *small, "--json", str(out)])
    found = json.loads(out.read_text())["results"]
    assert found["label_sets"] == 2 and found["ratio"] > 0
    assert "300 images x 3 models x 2 label sets" in capsys.readouterr().out


def test_unknown_benchmark(capsys):
    with pytest.raises(SystemExit):
        bench.main(["nothing"])
    assert "usage: python -m labelwise.bench {" in capsys.readouterr().err
