"""The tables of certain names and of calibration, and what answers cost in tokens."""

from dataclasses import replace

from labelwise import calibration, tokens
from labelwise.evaluation.calibrated import read
from labelwise.evaluation.selection import load
from labelwise.records import write_csv, write_json
from labelwise.tables import calibration as table_of_calibration
from labelwise.tables import decoding, files
from make_experiment import DATA
from test_calibration import table as judged

MAIN = DATA / "experiment_main.csv"


def runs():
    own = [run for run in load(MAIN) if run.model == "composed-lite2" and run.kind == "closed"]
    exact = [run for run in own if run.mapper == "exact" and run.batching == "b1"]
    named = [
        replace(run, kind=kind, protocol=protocol)
        for run in exact
        for kind, protocol in (
            ("constrained", "constrained"),
            ("likelihood", "likelihood"),
            ("likelihood", "likelihood-mean"),
        )
    ]
    return [*own, *named]


def test_each_way_of_answering_is_held_against_mapping():
    told = [
        {"images": "demo", "model": "composed-lite2", "protocol": p, "batching": "b1"}
        | {"prefilled": "23", "generated": generated}
        for p, generated in (("closed", "4.5"), ("constrained", "3"), ("likelihood", "2.25"))
    ]
    shown = decoding.build(runs(), told)
    (panel,) = shown.panels
    assert [row.stubs[0][0] for row in panel.rows] == [
        *("CW", "CW+", "constrained", "likelihood", "likelihood")
    ]
    accuracy = [c.measure for c in panel.columns].index("accuracy")
    mapped = panel.rows[1]
    assert mapped.stubs[1][1] and mapped.cells[accuracy].delta is None
    for row in panel.rows[2:]:
        assert row.stubs[1][0] == row.run.protocol
        own = row.cells[accuracy]
        assert own.delta == own.value - mapped.cells[accuracy].value
        assert row.cells[0].delta is None
    assert [row.cells[-1].value for row in panel.rows] == [4.5, 4.5, 3.0, 2.25, None]
    assert {record["measure"] for record in files.tidy(shown)} >= {"oop", "generated", "accuracy"}


def test_an_experiment_without_them_says_so():
    assert "Not run" in decoding.build(load(MAIN)).note
    columns = calibration.COLUMNS
    empty = judged([], []).reindex(columns=[*columns, "name"])
    assert "Not run" in table_of_calibration.build(empty).note


def test_calibration_in_numbers(tmp_path):
    rows = list(calibration.rows(judged([0.9] * 8 + [0.5] * 8, [1] * 10 + [0] * 6)))
    write_csv(tmp_path / "c.csv", calibration.COLUMNS, rows)
    (panel,) = table_of_calibration.build(read(tmp_path / "c.csv")).panels
    (row,) = panel.rows
    shown = {c.measure: own for c, own in zip(panel.columns, row.cells, strict=True)}
    assert shown["accuracy"].value == 62.5 and shown["accuracy"].n == 16
    assert shown["ece"].value == 17.5
    assert all(own.low <= own.value <= own.high for own in row.cells)


def test_tokens_of_runs(tmp_path):
    axes = {"images": "i", "model": "m", "protocol": "p", "batching": "b1"}
    meta = {"axes": axes, "asked": 1, "replayed": 3}
    write_json(tmp_path / "a", meta | {"tokens": {"shared": 40, "prefilled": 10, "generated": 6}})
    write_json(tmp_path / "b", meta | {"tokens": {"prompt": 9, "completion": 1}})
    write_json(tmp_path / "c", {"axes": {"images": "i", "model": "timm"}, "seconds": 1})
    tokens.main([*(str(tmp_path / name) for name in "abc"), "--out", str(tmp_path / "t.csv")])
    assert (tmp_path / "t.csv").read_text().splitlines() == [
        "images,model,protocol,batching,prompts,shared,prefilled,generated",
        "i,m,p,b1,4,10,2.5,1.5",
        "i,m,p,b1,4,,,",
    ]
