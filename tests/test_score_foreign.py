"""The command for strangers: predictions made elsewhere, published numbers, and odd files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from labelwise import labels, score
from labelwise.data.rules import Rules
from labelwise.errors import LabelwiseError
from labelwise.evaluation import score_foreign
from labelwise.labels import Label
from labelwise.reading import foreign
from labelwise.records import CATEGORIES, LABELS, PREDICTIONS, write_csv
from labelwise.scoring import Answer, Key
from support import published


def run_command(capsys, *args):
    score_foreign.main([str(a) for a in args])
    return capsys.readouterr().out


REAL = {  # cleanlab's cross-validated predictions on ReaL, without equivalences
    "S+": (35716, 30527),
    "S-": (3678, 1121),
    "M+": (6448, 4387),
    "M-": (995, 317),
    "N": (3163, 3163),
}


def test_published_numbers_on_real(tmp_path, capsys):
    predictions = published("cleanlab_cv_predictions.csv", "cleanlab/label-errors, as a CSV")
    out = tmp_path / "o.json"
    common = (predictions, "real", "--equivalents", "none", "--json", out)
    run_command(capsys, *common)
    found = json.loads(out.read_text())["real"]
    assert (found["n"], found["correct"]) == (50000, 39515)
    assert {
        c: (found["categories"][c]["n"], found["categories"][c]["correct"]) for c in REAL
    } == REAL
    every = found["categories"]["A"]
    assert round(every["original"], 2) == 72.73
    assert round(every["both"] * 500) == 34802
    run_command(capsys, *common, "--void", "exclude")
    found = json.loads(out.read_text())["real"]
    assert (found["n"], found["correct"]) == (46837, 36352)
    assert found["left_out"] == {"void": 3163}


def test_original_labels_as_predictions_on_real(tmp_path, capsys):
    original = labels.load({"format": "imagenet"})
    rows = [{"image": image, "class": label.ids[0]} for image, label in original.items()]
    write_csv(tmp_path / "p.csv", ("image", "class"), rows)
    out = tmp_path / "o.json"
    run_command(
        *(capsys, tmp_path / "p.csv", "real", "--equivalents", "none", "--void", "exclude"),
        *("--json", out),
    )
    assert round(json.loads(out.read_text())["real"]["accuracy"], 2) == 90.02


def vocabulary(**options):
    names = ["tench", "missile", "sunglass", "tights, a leotard", "Missile"]
    return foreign.Vocabulary(names, **options)


@pytest.mark.parametrize(
    ("value", "classes", "problem"),
    [
        (3, (3,), None),
        ("0", (0,), None),
        ("2.0", (2,), None),
        ({"label": 0, "prob": 0.5}, (0,), None),
        ("1,3", (1, 3), None),
        ("1 3", (1, 3), None),
        ("tench; SUNGLASS ", (0, 2), None),
        (["tench", 2], (0, 2), None),
        ("tights, a leotard", (3,), None),
        ("missile", (1, 4), "ambiguous_name"),
        (0, (0,), "bare_zero"),
        (0.0, (0,), "bare_zero"),
        ([0], (0,), None),
        (False, (), "no_answer"),
        (True, (), "unreadable"),
        (float("nan"), (), "unreadable"),
        (float("inf"), (), "out_of_range"),
        (10**30, (), "out_of_range"),
        ("9" * 400, (), "out_of_range"),
        ("-" + "9" * 5000, (), "out_of_range"),
        ("1e999", (), "unknown_name"),
        ("", (), "no_answer"),
        ([], (), "no_answer"),
        ([[]], (), "no_answer"),
        (None, (), "no_answer"),
        (-1, (), "no_answer"),
        (5, (), "out_of_range"),
        ("-7", (), "out_of_range"),
        ("dog", (), "unknown_name"),
        (1.5, (), "unreadable"),
        ({"class": 1}, (), "unreadable"),
    ],
)
def test_reading_of_answers(value, classes, problem):
    reader = vocabulary()
    answer = reader.read(value)
    assert answer.classes == classes
    assert dict(reader.problems) == ({problem: 1} if problem else {})
    assert answer.outcome == ("ok" if classes else "out_of_list")


def test_named_choices_of_the_reader():
    assert vocabulary(duplicates="last").read("missile").classes == (4,)
    authors = vocabulary(bare_zero="none")
    assert authors.read(0) == Answer((), "out_of_list")
    assert authors.problems == {"bare_zero": 1}
    assert vocabulary().read(["tench", "dog"]).outcome == "out_of_list"


def test_command_reads_json_and_reports_everything(tmp_path, capsys):
    (tmp_path / "p.json").write_text(
        '{"predictions": {"a": 1, "a": 2, "b": {"label": "7,2000"}, "c": "gibberish", "d": null,'
        ' "e": 0, "f": 1, "a": 1}}'
    )
    (tmp_path / "l.csv").write_text("image,labels\na,1\nb,7\nc,\nd,3\ne,0\ng,4\n")
    out = tmp_path / "o.json"
    printed = run_command(capsys, tmp_path / "p.json", tmp_path / "l.csv", "--json", out)
    found = json.loads(out.read_text())[str(tmp_path / "l.csv")]
    assert (found["n"], found["correct"]) == (5, 4)  # a, b, the void c and the bare 0 of e
    assert found["rules"]["bare_zero"] == "class"
    assert found["left_out"] == {"no_prediction": 1, "unknown_image": 1}
    assert found["problems"] == {
        "duplicate_row": 2,
        "conflicting_row": 1,
        "out_of_range": 1,
        "unknown_name": 1,
        "no_answer": 1,
        "bare_zero": 1,
    }
    assert found["interval"] == [found["categories"]["A"]["low"], found["categories"]["A"]["high"]]
    assert set(found["categories"]) == {"A", "S", "M", "N"}  # no original labels
    assert "2 rows for an image that had one already" in printed
    assert "percent of the 5 images" in printed


def test_command_takes_original_labels_from_the_predictions(tmp_path, capsys):
    (tmp_path / "p.csv").write_text("original_label,img_id,top_1_pred,top_1_prob\n1,a,1,0.5\n")
    (tmp_path / "l.csv").write_text("image,labels\na,1 2\n")
    out = tmp_path / "o.json"
    run_command(capsys, tmp_path / "p.csv", tmp_path / "l.csv", "--json", out)
    found = json.loads(out.read_text())[str(tmp_path / "l.csv")]
    assert set(found["categories"]) == set(CATEGORIES)
    assert found["categories"]["M+"]["n"] == 1


def test_command_reads_our_predictions_and_configured_label_sets(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_text(
        "labels: {mine: {format: csv, file: l.csv, void: wrong, equivalents: none}}"
    )
    (tmp_path / "l.csv").write_text("image,labels\na,1\nb,\n")
    rows = [
        {"repeat": r, "image": i, "outcome": "ok", "class": r} for r in (1, 2) for i in ("a", "b")
    ]
    write_csv(tmp_path / "p.csv", PREDICTIONS, rows)
    run_command(capsys, "p.csv", "mine", "--json", "o.json")
    found = json.loads(Path("o.json").read_text())["mine"]
    assert (found["repeats"], found["correct"], found["n"]) == (2, 0.5, 2)
    assert found["rules"]["void"] == "wrong" and found["rules"]["n_equivalents"] == 0
    run_command(capsys, "p.csv", "mine", "--void", "correct", "--json", "o.json")
    assert json.loads(Path("o.json").read_text())["mine"]["correct"] == 1.5


def test_command_reads_knn_files(tmp_path, capsys):
    (tmp_path / "p.csv").write_text("original_label,img_id,k_1_pred,k_11_pred\n1,a,1,2\n")
    (tmp_path / "l.csv").write_text("image,labels\na,1\n")
    out = tmp_path / "o.json"
    for column, correct in (((), 0), (("--column", "k_1_pred"), 1)):
        run_command(capsys, tmp_path / "p.csv", tmp_path / "l.csv", *column, "--json", out)
        assert json.loads(out.read_text())[str(tmp_path / "l.csv")]["correct"] == correct


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "needs a column of images"),
        ("a,b\n1,2\n", "it has a, b"),
        ("img_id,top_1_pred\nx,1,2\n", "line 2: another number of cells"),
        ("img_id,top_1_pred\nnobody.jpg,1\n", "none of the predicted images is in label set"),
        ('{"predictions": {"a": 1}', "not JSON"),
        ("[1, 2]", "entry 0 of the list is not an object of answers by image"),
        ('[{"image": "a", "label": 1}, {"image": "b"}]', "entry 1 of the list is not"),
        ('{"predictions": [{"label": 1}]}', "nor a record with an image (image, img_id"),
        ("3", "needs a column of images"),
        ("[" * 100_000, "JSON nested too deep"),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "JSON nested too deep"),
        ("img_id,pred,pred\na,1,2\n", "line 1: two columns are named pred"),
        ('img_id,pred\na,1\n"b,1\nc,1\n', "line 3: a quote is opened and never closed"),
        ('img_id,pred\na,1\nb,"1\nc,1"\n', "line 3: column pred holds a line break"),
        ('img_id,pred\na,"1\nb,"2"\n', "line 2: not CSV"),
        ("\n\nimg_id,pred\na,1\n\nb,1,2\n", "line 6: another number of cells"),
        ("{}", "no predictions in it"),
    ],
)
def test_broken_predictions_get_one_line(tmp_path, capsys, text, message):
    (tmp_path / "p").write_text(text)
    (tmp_path / "l.csv").write_text("image,labels\na,1\n")
    with pytest.raises(SystemExit) as stop:
        run_command(capsys, tmp_path / "p", tmp_path / "l.csv")
    error = capsys.readouterr().err
    assert stop.value.code == 1
    assert message in error and error.count("\n") == 1 and error.startswith("error: ")


def test_odd_files_get_one_line(tmp_path, capsys):
    (tmp_path / "l.csv").write_text("image,labels\na,1\na,1\n")
    (tmp_path / "p.csv").write_text('img_id,top_1_pred\na,"' + "1" * 200_000)
    (tmp_path / "utf16.csv").write_text("img_id,top_1_pred\na,1\n", encoding="utf-16")
    (tmp_path / "ok.csv").write_text('"img_id","top_1_pred"\r\n"a","1"\r\n')
    for file in ("p.csv", "utf16.csv", "missing.csv", "."):
        with pytest.raises(SystemExit):
            run_command(capsys, tmp_path / file, tmp_path / "l.csv")
        assert capsys.readouterr().err.count("\n") == 1
    printed = run_command(capsys, tmp_path / "ok.csv", tmp_path / "l.csv")
    assert "1 label rows that say the same again" in printed


def test_unknown_label_set_names_the_known_ones(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.csv").write_text("img_id,top_1_pred\na,1\n")
    with pytest.raises(SystemExit):
        run_command(capsys, "p.csv", "reel")
    assert "reel: no such file, and no label set" in capsys.readouterr().err


def test_labels_load_is_what_the_stage_reads(tmp_path):
    (tmp_path / "l.csv").write_text("image,labels\na,1 -1\nb,-1\n")
    spec = {"format": "csv", "file": str(tmp_path / "l.csv")}
    loaded = labels.load(spec)
    write_csv(tmp_path / "c.csv", LABELS, labels.canonical(loaded, Rules(), "csv"))
    assert labels.read(tmp_path / "c.csv") == loaded


def score_of(capsys, folder, text, *more, answers="p", rows="a,1\nb,0\nc,3\n"):
    (folder / answers).write_text(text)
    (folder / "l.csv").write_text("image,labels\n" + rows)
    out = folder / "o.json"
    printed = run_command(capsys, folder / answers, folder / "l.csv", *more, "--json", out)
    return json.loads(out.read_text())[str(folder / "l.csv")], printed


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("NaN", "unreadable"),
        ("Infinity", "out_of_range"),
        ("-Infinity", "out_of_range"),
        ("1e999", "out_of_range"),
        ("1" * 5000, "out_of_range"),
        ("-" + "1" * 5000, "out_of_range"),
    ],
)
def test_odd_numbers_of_json_are_wrong_answers(tmp_path, capsys, value, problem):
    found, _ = score_of(capsys, tmp_path, '{"a": ' + value + ', "b": {"label": 0}, "c": 3}')
    assert (found["n"], found["correct"], found["problems"]) == (3, 2, {problem: 1})


def test_long_ids_of_csv_are_out_of_range(tmp_path, capsys):
    found, _ = score_of(capsys, tmp_path, f"img_id,pred\na,{'1' * 400}\nb,0\n")
    assert (found["n"], found["correct"], found["problems"]) == (2, 1, {"out_of_range": 1})


@pytest.mark.parametrize("value", ["-5", "1000", "9999999999999999999999"])
def test_ids_out_of_range_in_our_predictions(tmp_path, capsys, value):
    text = ",".join(PREDICTIONS) + "\n"
    text += "".join(
        f"0,{i},1,ok,x,{c},,,0\n" for i, c in (("a", value), ("b", 0), ("c", f"3 {value}"))
    )
    found, _ = score_of(capsys, tmp_path, text)
    assert (found["n"], found["correct"], found["problems"]) == (3, 2, {"out_of_range": 2})
    assert found["categories"]["A"]["outcomes"] == {"ok": 1, "out_of_list": 2}
    plain = Key({"a": Label((1,))}, None, Rules(), frozenset())
    judged = plain.judge([{"a": Answer((int(value),))}])
    assert not judged.right.any()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("x,a,1,ok,1,1,,,0", "line 2: repeat 'x' is not a whole number"),
        ("1.5,a,1,ok,1,1,,,0", "line 2: repeat '1.5' is not a whole number"),
        ("0,a,1,ok,1", "line 2: another number of cells than headings"),
        ('0,"a\n",1,ok,1,1,,,0', "line 2: column image holds a line break"),
    ],
)
def test_broken_rows_of_our_predictions(tmp_path, row, message):
    (tmp_path / "p.csv").write_text(",".join(PREDICTIONS) + "\n" + row + "\n")
    with pytest.raises(LabelwiseError, match=message):
        score.read_predictions(tmp_path / "p.csv")


def test_an_answer_of_ours_may_have_several_lines(tmp_path):
    text = ",".join(PREDICTIONS) + '\n0,a,1,ok,"one\ntwo",1,,,0\n'
    (tmp_path / "p.csv").write_text(text + "0,a,1,ok,x,1,,,0\n")
    with pytest.raises(LabelwiseError, match="line 4: a is twice in repeat 0"):
        score.read_predictions(tmp_path / "p.csv")


def test_a_bare_zero_scores_alike_in_every_form(tmp_path, capsys):
    forms = (
        '{"a": 1, "b": 0, "c": 2}',
        '{"a": "1", "b": "0", "c": "2"}',
        '\n \n{"predictions": [{"image": "a.jpg", "label": 1}, {"image": "b", "label": 0},'
        ' {"image": "c", "label": 2}]}',
        '[{"img_id": "a", "top_1_pred": 1}, {"img_id": "b", "top_1_pred": 0},'
        ' {"img_id": "c", "top_1_pred": 2}]',
        "img_id,top_1_pred\na,1\nb,0\nc,2\n",
        "\n\nimg_id,top_1_pred\na,1\nb,0\nc,2\n",
        ",".join(PREDICTIONS) + "\n0,a,1,ok,,1,,,0\n0,b,1,ok,,0,,,0\n0,c,1,ok,,2,,,0\n",
    )
    for text in forms:
        found, printed = score_of(capsys, tmp_path, text)
        assert (found["n"], found["correct"]) == (3, 2)
        assert "bare_zero: class" in printed
    found, printed = score_of(capsys, tmp_path, forms[0])
    assert found["problems"] == {"bare_zero": 1} and "1 bare 0 as an answer" in printed
    found, printed = score_of(capsys, tmp_path, forms[0], "--bare-zero", "none")
    assert (found["n"], found["correct"], found["problems"]) == (3, 1, {"bare_zero": 1})
    assert "bare_zero: none" in printed and "1 bare 0 as an answer" in printed


BROKEN_CONFIG = [
    (b"labels: {x: null}", "c.yaml: label set x: labels: None is not an entry"),
    (
        b"labels: {x: {format: csv, file: l.csv, n_classes: many}}",
        "label set x: labels: n_classes 'many' is not a number",
    ),
    (b"labels: {x: {format: csv, file: 5}}", "label set x: labels: file 5 is not a path"),
    (b"labels: {x: {format: [csv]}}", "label set x: labels: format ['csv'] is none of"),
    (b"labels: {x: {format: shards}}", "label set x: run the workflow to make"),
    (b"labels: [x]", "c.yaml: labels: ['x'] is not entries by name"),
    (b"- x", "c.yaml: not keys with values"),
    (b"labels: {x: \xff\xfe}", "c.yaml: not UTF-8 text"),
    (b"labels: {x: [}", "c.yaml: not YAML"),
    (b"[" * 5000, "c.yaml: YAML nested too deep"),
]


@pytest.mark.parametrize(("config", "message"), BROKEN_CONFIG)
def test_broken_configuration_gets_one_line(tmp_path, capsys, monkeypatch, config, message):
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_bytes(config)
    Path("p.csv").write_text("img_id,top_1_pred\na,1\n")
    with pytest.raises(SystemExit):
        run_command(capsys, "p.csv", "x", "--config", "c.yaml")
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_files_beside_the_predictions_get_one_line(tmp_path, capsys):
    (tmp_path / "bad").write_bytes(b"1,2,\xff\n")
    (tmp_path / "file").write_text("")
    for more, message in (
        (("--equivalents", tmp_path / "bad"), f"{tmp_path / 'bad'}: not UTF-8"),
        (("--json", tmp_path), f"error: {tmp_path}: Is a directory"),
        (("--json", tmp_path / "file" / "o.json"), f"error: {tmp_path / 'file'}"),
        (("--json", "/proc/none/o.json"), "error: /proc/none: "),
    ):
        (tmp_path / "p").write_text("img_id,pred\na,1\n")
        (tmp_path / "l.csv").write_text("image,labels\na,1\n")
        with pytest.raises(SystemExit) as stop:
            run_command(capsys, tmp_path / "p", tmp_path / "l.csv", *more)
        error = capsys.readouterr().err
        assert stop.value.code == 1
        assert message in error and error.count("\n") == 1


@pytest.mark.parametrize("more", [("--json", "o.json"), ("--help",)])
def test_output_that_nobody_reads_ends_quietly(tmp_path, more):
    (tmp_path / "p.csv").write_text("img_id,pred\na,1\n")
    (tmp_path / "l.csv").write_text("image,labels\na,1\n")
    command = [sys.executable, "-m", "labelwise.scoring", "p.csv", *["l.csv"] * 2]
    unread, pipe = os.pipe()
    os.close(unread)
    done = subprocess.run(
        [*command, *more],
        cwd=tmp_path,
        stdout=pipe,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(foreign.__file__).parents[2])},
    )
    os.close(pipe)
    assert done.returncode in (141, 0) and done.stderr == b""  # argparse keeps its own to itself
    assert (tmp_path / "o.json").is_file() == ("--json" in more)


def test_original_labels_of_a_configured_image_set(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(
        "images: {odd: null, lost: {original: gone}, demo: {original: single}}\n"
        "labels: {single: {format: csv, file: s.csv}, gone: {format: csv, file: no.csv},"
        " multi: {format: csv, file: m.csv}}"
    )
    Path("m.csv").write_text("image,labels\na,1 2\nb,3\nz,9\n")
    Path("s.csv").write_text("image,labels\na,1\nb,4\n")
    Path("p.csv").write_text("img_id,top_1_pred\na,1\nb,3\n")
    common = ("p.csv", "multi", "--config", "c.yaml", "--json", "o.json")
    printed = run_command(capsys, *common)
    assert "original labels: label set single, the original labels of image set demo" in printed
    found = json.loads(Path("o.json").read_text())["multi"]
    assert (found["n"], set(found["categories"])) == (2, set(CATEGORIES))
    assert [found["categories"][c]["n"] for c in ("S-", "M+")] == [1, 1]
    assert found["categories"]["A"]["gain"] == 50
    assert "original labels: none" in run_command(capsys, *common, "--original", "none")
    Path("s.csv").write_text("image,labels\na,1\n")
    assert "original labels: none found" in run_command(capsys, *common)
