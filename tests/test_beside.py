"""The paper's numbers beside ours: every printed number finds its cell, and only that."""

import csv
import importlib
import json
import shutil
import subprocess
import sys

import pytest
from labelwise.evaluation.selection import load
from labelwise.tables import beside as beside_module
from labelwise.tables import files
from labelwise.tables.beside import COLUMNS, beside
from labelwise.tables.html import to_html
from make_experiment import DATA
from paper_runs import Paper

TABLES = {
    2: ("categories", 8 * 2),
    4: ("main", 13 * 10),
    5: ("out_of_list", 4 * 8),
    6: ("protocols", 13 * 8),
    7: ("multiple_choice", 6 * 8),
    9: ("label_sets", 17 * 8),
    10: ("recall", 13 * 4 * 2),
    11: ("batches", 9 * 9),
    12: ("order", 4 * 3),
    13: ("position", 27 * 3),
    14: ("formats", 8 * 9),
    15: ("mapped_answers", 4 * (7 * 4 + 2)),
    16: ("answer_kinds", 4 * 4),
    17: ("stability", 9),
    18: ("encoders", 30 * 8),
    19: ("distractors", 32 * 8),
}
"""Module of each table, and how many numbers the paper prints there (Table 10: without gains)."""


def module(number):
    return importlib.import_module(f"labelwise.tables.{TABLES[number][0]}")


def compared(number, paper=None, **names):
    paper, own = paper or Paper(number), module(number)
    return beside(own.build(*paper.built), own.PUBLISHED, paper.names | names)


def test_every_table_has_a_module_that_says_which_it_is():
    for number in TABLES:
        assert module(number).PUBLISHED.table == number
        assert f"Table {number})" in module(number).__doc__


@pytest.mark.parametrize("number", TABLES)
def test_every_printed_number_is_found_and_a_study_that_equals_the_paper_differs_nowhere(number):
    table, found = compared(number)
    assert table.panels and not table.note
    assert len(found) == TABLES[number][1]
    for record in found:
        # gains, and whole numbers of images, are printed with one decimal
        assert record["difference"] == pytest.approx(0, abs=0.06), record
        assert record["inside"] in (1, None), record
    judged = sum(record["inside"] is not None for record in found)
    assert f"Inside: {judged} of {judged} cells." in table.caption


def test_a_difference_is_ours_minus_the_papers_and_is_judged_by_our_interval():
    paper = Paper(4)
    for run in paper.runs.values():
        if run["model_name"] == "EVA-02":
            run["categories"]["M"] |= {"accuracy": 91.0, "low": 90.9, "high": 91.1}
            run["categories"]["S"] |= {"accuracy": 91.0, "low": 88.0, "high": 93.0}
    table, found = compared(4, paper)
    eva = {
        r["category"]: r
        for r in found
        if r["model_name"] == "EVA-02" and r["measure"] == "accuracy"
    }
    assert (eva["M"]["paper"], eva["M"]["inside"]) == (90.38, 0)
    assert eva["M"]["difference"] == pytest.approx(0.62)
    assert (eva["S"]["paper"], eva["S"]["inside"]) == (89.08, 1)
    html = to_html(table)
    assert "90.38" in html and "+0.62" in html and "outside" in html and "inside" in html


def test_what_is_printed_to_fewer_places_is_inside_by_them():
    paper = Paper(5)  # prints 26.8
    run = next(r for r in paper.runs.values() if r["model_name"] == "LLaVA-OV")
    run["categories"]["A"] |= {"oop": 26.76, "oop_low": 26.755, "oop_high": 26.765}
    _, found = compared(5, paper)
    cell = next(r for r in found if (r["model_name"], r["category"]) == ("LLaVA-OV", "A"))
    assert cell["inside"] == 1


def test_the_papers_count_of_mapped_answers_follows_the_definition():
    _, found = compared(15)
    cells = {(r["model_name"], r["category"], r["measure"]): r["paper"] for r in found}
    assert cells["Qwen3-VL", "A", "mapped_right"] == 497 + 453  # printed: 1275, with all of N
    assert cells["Qwen3-VL", "A", "mapped_right_rate"] == pytest.approx(32.04, abs=0.01)
    assert cells["Qwen3-VL", "A", "out_of_list"] == 3290


@pytest.mark.parametrize("number", TABLES)
def test_what_is_not_the_papers_is_said_in_words(number, tmp_path):
    table, found = compared(number, images={})
    files.write(table, tmp_path / "t", found, COLUMNS)
    said = "Nothing to compare with Table"
    assert table.note.startswith(said) and not table.panels
    for suffix in ("csv", "tex", "html"):
        assert said in (tmp_path / f"t.{suffix}").read_text()
    if number != 2:
        table, _ = compared(number, models={})
        assert "none of its models is among those of this study" in table.note


def test_a_setting_that_the_paper_does_not_have_is_left_out():
    table, found = compared(18, encoders={})
    assert not found[1:] and "runs none of its settings" in table.note


def test_an_experiment_without_what_a_table_needs_says_so_beside_the_paper_too():
    runs = load(DATA / "experiment_classifiers.csv")
    table, found = beside(module(6).build(runs), module(6).PUBLISHED, Paper(6).names)
    assert found[0]["note"] == table.note and table.note.startswith("Not run: ")


def test_a_hostile_name_is_escaped(tmp_path):
    paper = Paper(5)
    for run in paper.runs.values():
        run["model_name"] = r"<script>alert(1)</script> \input{x} & | $"
    table, found = compared(5, paper)
    files.write(table, tmp_path / "t", found, COLUMNS)
    assert "<script>" not in (tmp_path / "t.html").read_text()
    assert r"\input{x}" not in (tmp_path / "t.tex").read_text()


def test_command_line(tmp_path, monkeypatch):
    names = {"models": {"composed-lite2": "GPT-4o"}, "images": {"demo": "full"}}
    names |= {"labels": {}, "encoders": {}}
    given = [str(DATA / "experiment_main.csv"), "--module", "protocols", "--names"]
    monkeypatch.setattr(
        sys, "argv", ["beside", *given, json.dumps(names), "--out", f"{tmp_path}/t"]
    )
    beside_module.main()
    with open(tmp_path / "t.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert {row["model"] for row in rows} == {"composed-lite2"} and len(rows) == 3 * 8
    for row in rows:
        assert float(row["difference"]) == float(row["value"]) - float(row["paper"])
        inside = float(row["low"]) - 0.005 <= float(row["paper"]) <= float(row["high"]) + 0.005
        assert int(row["inside"]) == inside


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles_within_the_page(tmp_path):
    for number in TABLES:
        files.write(compared(number)[0], tmp_path / f"t{number}")
    inputs = "".join(rf"\input{{t{number}}}\clearpage" for number in TABLES)
    (tmp_path / "all.tex").write_text(
        r"\documentclass[10pt,twocolumn]{article}\usepackage[T1]{fontenc}"
        r"\usepackage{booktabs}\usepackage{graphicx}"
        r"\usepackage[textwidth=6.9in,textheight=9in]{geometry}"
        rf"\begin{{document}}x{inputs}\end{{document}}"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert r"Overfull \hbox" not in (tmp_path / "all.log").read_text(errors="replace")
