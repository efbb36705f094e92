import pytest
from labelwise import oop, records
from labelwise.data.rules import Rules
from labelwise.errors import LabelwiseError
from labelwise.labels import Label
from labelwise.score import read_predictions
from labelwise.scoring import Key

NAMES = ["tiger shark", "great white shark", "tench", "coffee mug", "hen"]
OTHERS = ["white shark", "sea creature", "tench"]


@pytest.mark.parametrize(
    ("outcome", "answer", "kind"),
    [
        ("out_of_list", "shark", "partial"),
        ("out_of_list", "Shark, Tiger", "partial"),
        ("out_of_list", "white great", "partial"),
        ("out_of_list", "tiger mug", "wrong"),
        ("out_of_list", "tiger shark fin", "wrong"),
        ("out_of_list", "sharks", "wrong"),
        ("out_of_list", "White Shark", "other_names"),
        ("out_of_list", "sea creature", "other_names"),
        ("out_of_list", "dragon", "wrong"),
        ("out_of_list", "!?", "wrong"),
        ("abstain", "I don't know", "abstain"),
        ("abstain", "sea creature", "abstain"),
        ("empty", "", "no_text"),
        ("truncated", "tiger", "no_text"),
    ],
)
def test_kinds(outcome, answer, kind):
    assert oop.Kinds(NAMES, OTHERS).kind(outcome, answer) == kind


LABELS = {"s+": (0,), "s-": (2,), "m+": (2, 3), "n": (), "n2": (), "ok": (4,), "lost": (4,)}
ORIGINAL = {"s+": (0,), "s-": (4,), "m+": (2,), "n": (1,), "n2": (1,), "ok": (4,), "lost": (4,)}
SAID = {
    "s+": ("out_of_list", "shark", "0"),
    "s-": ("out_of_list", "sea creature", "1"),
    "m+": ("abstain", "I don't know", "3"),
    "n": ("out_of_list", "dragon", "4"),
    "n2": ("empty", "", ""),
    "ok": ("ok", "hen", "4"),
    "lost": ("image_error", "", ""),
}


def predictions(path, mapped, repeats=1):
    rows = [
        {
            "repeat": repeat,
            "image": image,
            "outcome": outcome,
            "answer": answer,
            "class": chosen if mapped or outcome == "ok" else "",
            "mapped": int(mapped and outcome in ("out_of_list", "abstain")),
        }
        for repeat in range(repeats)
        for image, (outcome, answer, chosen) in SAID.items()
    ]
    records.write_csv(path, records.PREDICTIONS, rows)
    return path


def key(**rules):
    labels = {image: Label(ids) for image, ids in LABELS.items()}
    original = {image: Label(ids) for image, ids in ORIGINAL.items()}
    return Key(labels, original, Rules(equivalents="none", **rules), frozenset())


def table(tmp_path, repeats=1, **rules):
    exact = predictions(tmp_path / "exact.csv", False, repeats)
    mapped = predictions(tmp_path / "mapped.csv", True, repeats)
    rows = oop.analyse(
        records.read_csv(exact), read_predictions(mapped), key(**rules), oop.Kinds(NAMES, OTHERS)
    )
    return {row["category"]: row for row in rows}


@pytest.mark.parametrize("repeats", [1, 3])
def test_rates_kinds_and_what_maps_right(tmp_path, repeats):
    rows = table(tmp_path, repeats)
    a = rows["A"]
    assert (a["n"], a["oop"], a["oop_percent"]) == (7, "5", pytest.approx(500 / 7))
    assert [a[kind] for kind in oop.KINDS] == ["1"] * 5
    assert sum(a[f"{kind}_percent"] for kind in oop.KINDS) == pytest.approx(100)
    assert (a["mapped_right"], a["mapped_right_percent"]) == ("4", 80)
    assert (a["oop_labelled"], a["mapped_right_labelled"]) == ("3", "2")
    assert a["mapped_right_labelled_percent"] == pytest.approx(200 / 3)
    assert (rows["S+"]["oop"], rows["S+"]["mapped_right"]) == ("1", "1")
    assert (rows["S-"]["oop"], rows["S-"]["mapped_right"]) == ("1", "0")
    assert (rows["N"]["mapped_right"], rows["N"]["mapped_right_labelled_percent"]) == ("2", "")


def test_all_of_a_is_the_sum_of_s_m_and_n_as_in_table_15(tmp_path):
    rows = table(tmp_path)
    for column in ("oop", "mapped_right", *oop.KINDS):
        assert float(rows["A"][column]) == sum(float(rows[c][column]) for c in "SMN")
        assert float(rows["S"][column]) == sum(float(rows[c][column]) for c in ("S+", "S-"))


def test_void_images_follow_the_rule_of_the_label_set(tmp_path):
    assert table(tmp_path, void="wrong")["A"]["mapped_right"] == "2"
    assert table(tmp_path, void="exclude")["A"]["oop"] == "3"


def test_repeats_must_agree(tmp_path):
    exact = records.read_csv(predictions(tmp_path / "exact.csv", False))
    mapped = read_predictions(predictions(tmp_path / "mapped.csv", True, 2))
    with pytest.raises(LabelwiseError, match="2 repeats, but the exact predictions have 1"):
        oop.analyse(exact, mapped, key(), oop.Kinds(NAMES))


def test_stage(tmp_path):
    def write(name, columns, rows):
        records.write_csv(tmp_path / name, columns, rows)
        return str(tmp_path / name)

    images = write("images.csv", records.IMAGES, [{"image": image} for image in SAID])
    found = {}
    for name, labels in (("labels", LABELS), ("original", ORIGINAL)):
        rows = [
            {"image": i, "labels": " ".join(map(str, ids)), "uncertain": 0, "void": int(not ids)}
            for i, ids in labels.items()
        ]
        found[name] = write(f"{name}.csv", records.LABELS, rows)
    for name, names in (("classes", NAMES), ("others", OTHERS)):
        rows = [{"class": i, "name": text} for i, text in enumerate(names)]
        found[name] = write(f"{name}.csv", records.CLASSES, rows)
    out = tmp_path / "out.csv"
    options = [part for name, path in found.items() for part in (f"--{name}", path)]
    options += ["--images", images, "--out", str(out), "--spec", '{"equivalents": "none"}']
    options += ["--mapped", str(predictions(tmp_path / "mapped.csv", True))]
    oop.main([str(predictions(tmp_path / "exact.csv", False)), *options])
    rows = records.read_csv(out, oop.COLUMNS)
    assert [row["category"] for row in rows] == list(records.CATEGORIES)
    assert rows[0]["mapped_right"] == "4"
