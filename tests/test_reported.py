"""The paper's tables as data: complete, and true to the identities that its numbers keep."""

from collections import defaultdict
from pathlib import Path

import pytest
from labelwise.evaluation.statistics import ranks
from labelwise.records import read_csv

REPORTED = Path(__file__).resolve().parents[1] / "workflow" / "reported"
TABLES = (2, 4, 5, 6, 7, *range(9, 20))
ROUNDING = 0.005
TWICE = 0.05 + ROUNDING
"""One decimal that was rounded from two (3.4496 -> 3.45 -> 3.5), as Tables 2 and 5 print it."""


def rows(number):
    return read_csv(REPORTED / f"table{number:02d}.csv")


def by(number, *keys):
    """Groups of rows by columns, each a dict of category -> row."""
    groups = defaultdict(dict)
    for row in rows(number):
        groups[tuple(row[k] for k in keys)][row["category"]] = row
    return groups


def sizes():
    return {row["category"]: int(row["n"]) for row in rows(2)}


def test_all_tables_are_there():
    assert sorted(p.stem for p in REPORTED.glob("*.csv")) == [f"table{n:02d}" for n in TABLES]
    models = {4: 13, 5: 4, 6: 5, 7: 1, 9: 12, 10: 12, 11: 3, 12: 2, 13: 3, 14: 4, 15: 4, 16: 4}
    models |= {17: 1, 18: 5, 19: 4}
    for number, count in models.items():
        names = {row["model"] for row in rows(number)}
        assert len(names - {"original labels"}) == count


def test_sizes_add_up():
    n = sizes()
    assert n["A"] == n["S"] + n["M"] + n["N"] == 31250
    assert n["S"] == n["S+"] + n["S-"]
    assert n["M"] == n["M+"] + n["M-"]
    for row in rows(2):
        assert float(row["percent"]) == pytest.approx(100 * int(row["n"]) / n["A"], abs=TWICE)


GROUPED = {
    4: ("model",),
    6: ("model", "protocol"),
    7: ("options",),
    11: ("model", "images_per_prompt"),
    14: ("model", "answer"),
    17: ("model",),
    18: ("model", "encoder", "templates"),
    19: ("model", "options"),
}


@pytest.mark.parametrize("number", GROUPED)
def test_wholes_are_the_weighted_means_of_their_parts(number):
    """With void images right in every case, within the rounding of the parts and the whole."""
    slack = 2 * ROUNDING
    for group in by(number, *GROUPED[number]).values():
        n = {c: int(row["n"]) for c, row in group.items()}
        value = {c: float(row["accuracy"]) for c, row in group.items()}
        void = n["A"] - n["S"] - n["M"]
        assert void == (1345 if n["A"] == 31250 else 33)
        total = n["S"] * value["S"] + n["M"] * value["M"] + 100 * void
        assert value["A"] == pytest.approx(total / n["A"], abs=slack)
        for whole in "SM":
            parts = sum(n[whole + s] * value[whole + s] for s in "+-")
            assert value[whole] == pytest.approx(parts / n[whole], abs=slack)


@pytest.mark.parametrize("number", [11, 14])
def test_single_runs_are_whole_numbers_of_images(number):
    for row in rows(number):
        hits = float(row["accuracy"]) * int(row["n"]) / 100
        assert hits == pytest.approx(round(hits), abs=int(row["n"]) * 0.0001)


def test_gains_agree_with_their_cells():
    for row in rows(4):
        if row["gain"]:
            difference = float(row["accuracy"]) - float(row["original"])
            assert float(row["gain"]) == pytest.approx(difference, abs=0.051)
    by_model = defaultdict(dict)
    for row in rows(9):
        by_model[row["model"], row["protocol"]][row["images"], row["labels"], row["category"]] = row
    for group in by_model.values():
        for images, labels in (("one-per-class", "corrected"), ("weasels", "expert")):
            row = group[images, labels, "A"]
            difference = float(row["accuracy"]) - float(group[images, "original", "A"]["accuracy"])
            assert float(row["gain"]) == pytest.approx(difference, abs=0.051 + ROUNDING)
    for row in rows(10):
        difference = float(row["accuracy"]) - float(row["original"])
        assert float(row["gain"]) == pytest.approx(difference, abs=0.051 + ROUNDING)


BASES = {6: ("protocol", "closed"), 13: ("images_per_prompt", "1"), 14: ("answer", "id")}


@pytest.mark.parametrize("number", BASES)
def test_changes_agree_with_their_cells(number):
    column, base = BASES[number]
    checked = 0
    for row in rows(number):
        same = ("model", "category", "position")
        zero = [
            other
            for other in rows(number)
            if other[column] == base and all(other.get(k) == row.get(k) for k in same)
        ]
        for name in ("accuracy", "original", "oop"):
            cell, value = row.get(f"{name}_change"), "oop_count" if name == "oop" else name
            if cell:
                difference = float(row[value]) - float(zero[0][value])
                assert float(cell) == pytest.approx(difference, abs=0.051 + ROUNDING)
                checked += 1
    assert checked >= 8


@pytest.mark.parametrize(("value", "rank"), [("accuracy", "rank"), ("original", "original_rank")])
def test_ranks_follow_the_values_but_for_one_known_swap(value, rank):
    for category in ("A", "S", "S+", "S-", "M", "M+", "M-"):
        found = [row for row in rows(4) if row["category"] == category and row[rank]]
        if not found:
            continue
        ours = ranks([float(row[value]) for row in found])
        differs = {
            row["model"]: (int(row[rank]), int(r))
            for row, r in zip(found, ours, strict=True)
            if int(row[rank]) != r
        }
        if value == "original":
            assert differs == {"SigLIP 2 giant": (4, 5), "DINOv3 (k-NN)": (5, 4)}
        else:
            assert not differs


def test_answers_outside_the_list():
    table5 = {(r["model"], r["category"]): float(r["oop"]) for r in rows(5)}
    for (model,), group in by(15, "model").items():
        for category, row in group.items():
            count, n = int(row["oop_count"]), int(row["n"])
            assert n == sizes()[category]
            assert float(row["oop"]) == pytest.approx(100 * count / n, abs=ROUNDING + 1e-9)
            assert table5[model, category] == pytest.approx(100 * count / n, abs=TWICE)
            if row["mapped_right"]:
                share = 100 * int(row["mapped_right"]) / count
                assert float(row["mapped_right_percent"]) == pytest.approx(
                    share, abs=ROUNDING + 1e-9
                )
        for column in ("oop_count", "mapped_right"):
            value = {c: int(row[column] or group[c]["oop_count"]) for c, row in group.items()}
            assert value["A"] == value["S"] + value["M"] + value["N"]  # all of N count as mapped
            assert value["S"] == value["S+"] + value["S-"]
            assert value["M"] == value["M+"] + value["M-"]


def test_mapped_answers_explain_the_step_from_closed_to_mapped():
    accuracy = {(r["model"], r["protocol"], r["category"]): r for r in rows(6)}
    for row in rows(15):
        if row["category"] == "N":
            continue
        cell = accuracy[row["model"], "closed", row["category"]]
        mapped = accuracy[row["model"], "closed-mapped", row["category"]]
        step = float(mapped["accuracy"]) - float(cell["accuracy"])
        # void images were right before they were mapped
        void = next(r for r in rows(15) if (r["model"], r["category"]) == (row["model"], "N"))
        gained = int(row["mapped_right"]) - (row["category"] == "A") * int(void["oop_count"])
        assert step == pytest.approx(100 * gained / int(row["n"]), abs=2 * ROUNDING + 1e-9)


def test_kinds_of_answers_outside_the_list_are_all():
    total = defaultdict(float)
    for row in rows(16):
        total[row["model"]] += float(row["percent"])
    assert all(value == pytest.approx(100, abs=0.02) for value in total.values())


def test_tables_repeat_each_other():
    mc = {(r["options"], r["category"]): r for r in rows(19) if r["model"] == "GPT-4o"}
    for row in rows(7):
        assert row == mc[row["options"], row["category"]]
    best = {(r["model"], r["category"], r["accuracy"]) for r in rows(18)}
    for row in rows(6):
        if row["protocol"] == "open":
            assert (row["model"], row["category"], row["accuracy"]) in best
    shown = {(r["model"], r["protocol"], r["category"]): r["accuracy"] for r in rows(6)}
    for row in rows(4):
        key = (row["model"], row["protocol"], row["category"])
        assert row["protocol"] == "closed" or shown[key] == row["accuracy"]
    repeats = {r["category"]: (r["accuracy"], r["half_width"]) for r in rows(17)}
    for category, cell in repeats.items():
        row = mc["original+999", category]
        assert (row["accuracy"], row["half_width"]) == cell


def test_weasels():
    found = defaultdict(dict)
    for row in rows(9):
        if (row["images"], row["labels"]) == ("weasels", "expert"):
            found[row["model"], row["protocol"]][row["category"]] = row
    recall = defaultdict(float)
    for row in rows(10):
        recall[row["model"]] += float(row["accuracy"]) * int(row["n"]) / 100
    for (model, protocol), group in found.items():
        parts = sum(int(group[c]["n"]) * float(group[c]["accuracy"]) for c in ("S+", "S-"))
        whole = float(group["A"]["accuracy"])
        assert whole == pytest.approx(parts / 159, abs=2 * ROUNDING)
        if protocol == "closed":
            assert whole == pytest.approx(100 * recall[model] / 159, abs=2 * ROUNDING)
