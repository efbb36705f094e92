import csv
import importlib
import os
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import analysis_rows
import pytest
from labelwise.errors import LabelwiseError
from labelwise.evaluation.selection import AXES, COUNTED, load, representative, usual_batching
from labelwise.records import OUTCOMES, write_csv
from labelwise.tables import answers, files, style
from labelwise.tables.html import to_html
from labelwise.tables.latex import to_latex
from make_experiment import COLUMNS, DATA, SIZES, SKILL, experiment, write

NAMES = (
    "main",
    "categories",
    "protocols",
    "out_of_list",
    "mapped_answers",
    "multiple_choice",
    "distractors",
    "batches",
    "order",
    "encoders",
    "label_sets",
)
MAIN = DATA / "experiment_main.csv"
CLASSIFIERS = DATA / "experiment_classifiers.csv"
HOSTILE = r"a_b & 50% #1 {x} \input{y} ~^ <script>alert(1)</script> 模 $z$"


def build(name, path=MAIN):
    return importlib.import_module(f"labelwise.tables.{name}").build(load(path))


def records(name, path=MAIN):
    return files.tidy(build(name, path))


@pytest.fixture
def changed(tmp_path):
    """Writes the main experiment with changed rows."""

    def make(change):
        rows = [new for row in experiment(list(SKILL)) if (new := change(dict(row))) is not None]
        write_csv(tmp_path / "changed.csv", COLUMNS, rows)
        return tmp_path / "changed.csv"

    return make


def test_committed_experiments_are_what_the_generator_makes(tmp_path, monkeypatch):
    monkeypatch.setattr("make_experiment.DATA", tmp_path)
    write()
    for path in (MAIN, CLASSIFIERS):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_three_formats_with_the_same_bytes_every_time(name, tmp_path):
    for stem in ("first", "second"):
        files.write(build(name), tmp_path / stem)
    for suffix in ("csv", "tex", "html"):
        first = (tmp_path / f"first.{suffix}").read_bytes()
        assert first == (tmp_path / f"second.{suffix}").read_bytes()
    with open(tmp_path / "first.csv") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == files.CSV_COLUMNS
    for row in rows:
        if row["low"]:
            assert float(row["low"]) - 1e-9 <= float(row["value"]) <= float(row["high"]) + 1e-9
            assert int(row["n"]) > 0
        accuracy = row["measure"] in ("original", "accuracy", "gain", "both")
        assert row["low"] or row["unit"] == "count" or not accuracy


def test_csv_holds_the_experiment_unrounded():
    runs = {(r.model, r.protocol, r.mapper, r.batching, r.labels): r for r in load(MAIN)}
    for name in ("main", "encoders", "batches"):
        for row in records(name):
            if row["measure"] == "accuracy" and name != "batches":
                key = (row["model"], row["protocol"], row["mapper"], "b1", row["labels"])
                assert row["value"] == runs[key].get(row["category"], "accuracy")


def test_gain_is_corrected_minus_original():
    cells = {(r["model"], r["category"], r["measure"]): r["value"] for r in records("main")}
    for model in SKILL:
        difference = cells[model, "A", "accuracy"] - cells[model, "A", "original"]
        assert cells[model, "A", "gain"] == pytest.approx(difference, abs=1e-9)


def test_deltas_are_differences_of_cells():
    rows = records("protocols")
    closed = {
        (r["model"], r["category"], r["measure"]): r["value"] for r in rows if r["task"] == "CW"
    }
    seen = 0
    for row in rows:
        if row["task"] != "CW":
            reference = closed[row["model"], row["category"], row["measure"]]
            assert row["delta"] == row["value"] - reference
            seen += 1
        else:
            assert row["delta"] is None
    assert seen == 2 * 2 * len(style.ACCURACIES)

    rows = records("batches")
    cells = {
        (r["model"], r["images_per_prompt"], r["order"], r["category"], r["measure"]): r["value"]
        for r in rows
    }
    assert {row["order"] for row in rows} == {"", "shuffled-s0"}
    for row in rows:
        if row["images_per_prompt"] == 5:
            reference = cells[row["model"], 1, "", row["category"], row["measure"]]
            assert row["delta"] == row["value"] - reference

    rows = records("order")
    assert {row["images_per_prompt"] for row in rows} == {5}
    mixed = {(r["model"], r["measure"]): r["value"] for r in rows if r["order"] == "shuffled-s0"}
    for row in rows:
        if row["order"] == "same-class-s0":
            assert row["delta"] == row["value"] - mixed[row["model"], row["measure"]]


def test_best_and_ranks_leave_controls_out():
    rows = [r for r in records("main") if r["measure"] in ("original", "accuracy")]
    for row in rows:
        column = [
            r for r in rows if (r["category"], r["measure"]) == (row["category"], row["measure"])
        ]
        if row["model_kind"] == "control":
            assert not row["best"] and row["rank"] is None
            continue
        ranked = [r for r in column if r["model_kind"] != "control"]
        assert bool(row["best"]) == (row["value"] == max(r["value"] for r in ranked))
        values = {r["value"] for r in ranked}
        assert row["rank"] == 1 + sum(value > row["value"] for value in values)


@pytest.mark.parametrize("name", ["main", "protocols", "batches", "multiple_choice", "encoders"])
def test_outcomes_of_the_answers_stand_beside_every_accuracy(name):
    table = answers.beside(build(name))
    runs = {run.key: run for run in load(MAIN)}
    seen = 0
    for row in files.tidy(table):
        key = tuple(row[axis] for axis in AXES)
        if row.get("measure") in answers.MEASURES:
            own = [row[column] for column in COUNTED]
            assert own == [runs[key].get(row["category"], column) for column in COUNTED]
            assert sum(own) == pytest.approx(row["n"])
            seen += 1
        else:
            assert not any(column in row for column in COUNTED)
    assert seen
    for panel in table.panels:
        assert panel.columns[-1].label == "Answers"
        for row in panel.rows:
            if row.cells:
                last, n = row.cells[-1], row.run.n("A")
                told = [part.split(" ", 1) for part in [last.text, *last.small.split(", ")] if part]
                assert sum(float(number) for number, _ in told) == pytest.approx(n, abs=0.2)
                assert {what.replace(" ", "_") for _, what in told} <= set(OUTCOMES)
    assert "what became of the answers" in table.text
    html, tex = to_html(table), to_latex(table)
    assert html.count('class="text"') == sum(bool(r.cells) for p in table.panels for r in p.rows)
    assert html.count(' title="') >= seen / 2 and "Answers" in tex


KEY = tuple(c for c in files.CSV_COLUMNS[: files.CSV_COLUMNS.index("unit")] if c != "model_name")


@pytest.mark.parametrize("name", [*NAMES, "ranks", "numerics", "sensitivity"])
def test_every_row_of_the_csv_is_another_cell(name, tmp_path):
    if name in NAMES:
        table = build(name)
    else:
        own = importlib.import_module(f"labelwise.tables.{name}")
        table = own.build(own.read(analysis_rows.write(tmp_path)[name]))
    found = [tuple(str(row.get(column)) for column in KEY) for row in files.tidy(table)]
    assert len(set(found)) == len(found) > 3


def test_tables_without_accuracies_are_left_alone():
    for name in ("categories", "out_of_list", "mapped_answers"):
        assert answers.beside(build(name)) == build(name)


def test_noise_is_in_points_for_counts_too():
    run = load(MAIN)[0]
    columns = [style.Column("A", "accuracy", ""), style.Column("A", "oop_count", "", "count")]
    rows = [style.Row((), run, [style.Cell(v, 200), style.Cell(2 * v, 200)]) for v in (10.0, 13.0)]
    style.deltas(rows[1], rows[0], columns, {run.model: 4.0})
    assert [cell.delta for cell in rows[1].cells] == [3.0, 6.0]
    assert [cell.noise for cell in rows[1].cells] == [True, True]  # 6 of 200 are 3 points
    style.deltas(rows[1], rows[0], columns, {run.model: 2.0})
    assert [cell.noise for cell in rows[1].cells] == [False, False]


def test_equal_columns_have_no_best():
    run = load(MAIN)[0]
    column = style.ACCURACIES[:1]
    rows = [style.Row((), run, [style.Cell(50.0, 10)]) for _ in range(3)]
    style.mark_best(rows, column)
    assert not any(row.cells[0].best for row in rows)


def test_the_best_mapper_stands_for_a_model_and_the_caption_says_so():
    runs = [r for r in load(MAIN) if r.model == "composed-lite2" and r.labels == "multi"]
    chosen = representative(runs)
    rivals = [r for r in usual_batching(runs) if r.task in ("CW+", "OW")]
    assert chosen.get("A", "accuracy") == max(r.get("A", "accuracy") for r in rivals)
    assert len(rivals) == 12 and chosen.images_per_prompt == 1
    caption = build("main").caption
    assert "a choice made on the test images" in caption
    for word in ("Wilson", "void=correct", "n: images", "95 %"):
        assert word in caption
    assert "Student's t over 3 repeats" in build("multiple_choice").caption


def test_no_image_without_a_class_counts_as_mapped_right():
    cells = {(r["model"], r["category"], r["measure"]): r for r in records("mapped_answers")}
    rates = {(r["model"], r["category"]): r["value"] for r in records("out_of_list")}
    for model in ("composed-lite0", "composed-lite2"):
        parts = [cells[model, c, "mapped_right"]["value"] for c in ("S", "M")]
        assert cells[model, "A", "mapped_right"]["value"] == sum(parts)
        assert cells[model, "N", "mapped_right"]["value"] is None
        counts = [cells[model, "A", m]["value"] for m in ("out_of_list", "abstained", "unusable")]
        rate = cells[model, "A", "oop"]
        assert rate["value"] == pytest.approx(100 * sum(counts) / rate["n"])
        assert rates[model, "A"] == rate["value"]


def test_hostile_names_are_printed_as_they_are(changed):
    path = changed(lambda r: r | {"model_name": HOSTILE} if r["model"] == "conse" else r)
    table = build("main", path)
    tex, html = to_latex(table), to_html(table)
    assert "<script>" not in html and "&lt;script&gt;" in html and html.isascii()
    assert r"\input" not in tex
    assert r"a\_b \& 50\% \#1 \{x\} \textbackslash{}input\{y\}" in tex and r"\$z\$" in tex
    assert "[U+6A21]" in tex


def test_composed_models_are_called_composed(changed):
    path = changed(lambda r: r | {"model_name": "Lite0"} if r["model"] == "composed-lite0" else r)
    names = {r["model_name"] for r in records("main", path) if r["model_kind"] == "composed"}
    assert names == {"composed Lite0", "composed Lite2 + SmolLM2-135M"}


@pytest.mark.parametrize("name", sorted({*NAMES} - {"main", "categories", "label_sets"}))
def test_what_was_not_run_is_said(name, tmp_path):
    table = build(name, CLASSIFIERS)
    assert table.note.startswith("Not run: experiment classifiers has no ")
    files.write(table, tmp_path / "t")
    for suffix in ("csv", "tex", "html"):
        assert "Not run: experiment classifiers" in (tmp_path / f"t.{suffix}").read_text()


def test_a_study_of_multiple_choice_alone_has_no_main_comparison(changed):
    table = build("main", changed(lambda r: r if r["kind"] == "choice" else None))
    assert not table.panels and table.note.endswith("or classification protocol.")
    part = changed(lambda r: r if r["kind"] in ("choice", "open") else None)
    notes = [r["note"] for r in records("out_of_list", part) if "note" in r]
    assert len(notes) == 1 and notes[0].startswith("Not run: experiment ")


def test_a_missing_cell_of_the_grid_is_noted_in_its_row(changed):
    path = changed(lambda r: None if r["model"] == "composed-lite0" and r["kind"] == "open" else r)
    rows = [(r["model"], r["note"]) for r in records("protocols", path) if "note" in r]
    assert rows == [("composed-lite0", "not run: OW")]
    path = changed(lambda r: None if (r["model"], r["kind"]) == ("composed-lite0", "choice") else r)
    notes = [r["note"] for r in records("distractors", path) if "note" in r]
    assert notes == ["not run: multiple-choice protocols"]


def test_one_model_and_the_controls_show_multiple_choice(changed):
    shown = {r["model"] for r in records("multiple_choice")}
    assert shown == {"composed-lite2", "oracle", "chance"}
    only = changed(lambda r: None if (r["model"], r["kind"]) == ("composed-lite2", "choice") else r)
    assert {r["model"] for r in records("multiple_choice", only)} == {
        "composed-lite0",
        "oracle",
        "chance",
    }
    assert "most often right in closed world" in build("multiple_choice").caption


def test_the_sizes_of_categories_are_those_of_the_label_set():
    cells = {(r["category"], r["measure"]): r["value"] for r in records("categories")}
    assert {c: cells[c, "n"] for c in SIZES} == SIZES
    assert cells["A", "n"] == sum(SIZES.values())
    assert cells["S", "percent"] == pytest.approx(100 * (58 + 12) / 135)


def test_the_date_of_the_run_is_in_the_captions_and_not_in_the_data(tmp_path):
    table = build("main")
    table.date = files.when({"first": "2026-01-30", "last": "2026-02-01"})
    files.write(table, tmp_path / "t")
    for suffix in ("tex", "html"):
        assert "Run from 2026-01-30 to 2026-02-01." in (tmp_path / f"t.{suffix}").read_text()
    assert "2026-02-01" not in (tmp_path / "t.csv").read_text()
    assert files.when({"first": "2026-02-01", "last": "2026-02-01"}) == "Run on 2026-02-01."
    assert files.when({}) == ""


def test_choice_alone_needs_no_closed_world(changed):
    table = build("multiple_choice", changed(lambda r: r if r["kind"] == "choice" else None))
    assert {row.run.task for row in table.panels[0].rows} == {"MC"}
    assert "CW" not in table.caption and "CW: " in build("multiple_choice").caption


def test_a_study_with_one_label_set_is_shown_by_it(changed):
    path = changed(lambda r: r if r["labels"] == "single" else None)
    for name in NAMES:
        table = build(name, path)
        assert table.note == "" and {row.run.labels for p in table.panels for row in p.rows} == {
            "single"
        }


def test_a_missing_experiment_is_one_line(tmp_path):
    command = [sys.executable, "-m", "labelwise.tables.main", "gone.csv", "--out", "x"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=env)
    assert (done.returncode, done.stderr) == (1, "error: gone.csv: no such file\n")
    (tmp_path / "empty.csv").write_text(",".join(COLUMNS) + "\n")
    with pytest.raises(LabelwiseError, match="no rows"):
        load(tmp_path / "empty.csv")
    (tmp_path / "short.csv").write_text("experiment,images\nmain,demo\n")
    with pytest.raises(LabelwiseError, match="no column model, model_name"):
        load(tmp_path / "short.csv")


@pytest.mark.parametrize(
    ("value", "n", "text"),
    [(12.34, 135, "12.3"), (12.34, 12, "12"), (12.345, 31_250, "12.35"), (None, 0, "–")],
)
def test_no_decimals_that_mean_nothing(value, n, text):
    assert style.number(style.Cell(value, n), "percent") in (text, "12.34")
    assert style.signed(-0.04, 135) == "0.0"
    assert style.signed(-1.26, 135) == "−1.3"


class Headings(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.scopes = [], set()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "th":
            self.scopes.add(dict(attrs).get("scope"))


@pytest.mark.parametrize("name", NAMES)
def test_html_has_a_caption_and_scoped_headings(name):
    parser = Headings()
    parser.feed(to_html(build(name)))
    assert {"caption", "thead", "tbody"} <= set(parser.tags)
    assert parser.scopes - {"rowgroup"} == {"col", "row"}


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles_within_the_page(tmp_path, changed):
    for name in NAMES:
        files.write(answers.beside(build(name)), tmp_path / name)
    files.write(build("encoders", CLASSIFIERS), tmp_path / "none")
    hostile = changed(lambda r: r | {"rules": HOSTILE, "protocol": HOSTILE})
    files.write(build("protocols", hostile), tmp_path / "hostile")
    inputs = "".join(rf"\input{{{name}}}" for name in (*NAMES, "none", "hostile"))
    (tmp_path / "all.tex").write_text(
        r"\documentclass[10pt,twocolumn]{article}\usepackage[T1]{fontenc}"
        r"\usepackage{booktabs}\usepackage{graphicx}"
        r"\usepackage[textwidth=6.9in,textheight=9in]{geometry}"
        rf"\begin{{document}}x{inputs}\end{{document}}"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    wide = (tmp_path / "all.log").read_text(errors="replace").split("hostile.tex")[0]
    assert "Overfull" not in wide


def test_a_narrowed_list_has_rows_of_its_own_beside_closed_world(changed):
    def narrowed(row):
        return row | {"kind": "narrowed", "protocol": "few"} if row["kind"] == "closed" else row

    rows = [r for r in build("protocols", changed(narrowed)).panels[0].rows if r.cells]
    assert {row.run.task for row in rows} == {"CN", "CN+", "OW"}
    assert all((row.cells[1].delta is None) == (row.run.task == "CN") for row in rows)
    main = {row.run.task for row in build("main", changed(narrowed)).panels[0].rows if row.cells}
    assert main & {"CN+", "OW"}
