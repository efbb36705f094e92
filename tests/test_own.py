"""A study of one's own images: from a folder and a list of names to a configuration that plans."""

import shutil
from pathlib import Path

import pytest
import yaml
from labelwise import classnames, examples, own, records
from labelwise.__main__ import main
from labelwise.config import check
from labelwise.engines.decode import fits
from labelwise.errors import LabelwiseError
from labelwise.grid import Grid
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
LOCKED = yaml.safe_load((ROOT / "config/weights.lock.yaml").read_text())
SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Three pictures of two classes in a folder beside the workflow, which is the place to be."""
    for name in ("config", "data", "workflow"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    for place in ("oak tree/a", "oak tree/b", "elm/c"):
        path = tmp_path / f"pictures/{place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), "green").save(path)
    (tmp_path / "trees.txt").write_text("Oak tree\nelm\n")
    return tmp_path


def init(name="trees", classes="trees.txt", labels=None, images="pictures"):
    return own.init(name, Path(images), Path(classes), labels and Path(labels), Path(name))


def plan(name="trees"):
    config = yaml.safe_load(Path(name, "config.yaml").read_text())
    check(config, SCHEMA, "config.yaml")
    return Grid(config, LOCKED)


def test_folders_name_the_classes_and_the_study_plans(data):
    assert init()[0] == "trees/config.yaml: 3 images, 2 classes, 3 labelled"
    grid = plan()
    assert {point.run.protocol for point in grid.points} == {"closed", "open", "choice", "classify"}
    assert grid.config["labels"]["trees"]["equivalents"] == "none"
    assert grid.config["protocols"]["choice"]["options"] == 2
    found = {row["image"]: row["labels"] for row in records.read_csv("trees/labels.csv")}
    assert found == {"a": "0", "b": "0", "c": "1"}


def test_a_label_file_may_have_names_ids_several_or_none(data):
    Path("l.csv").write_text("image,label\na.png,oak tree; ELM\nb,1\nc,\nz,0\n")
    said = init(labels="l.csv")
    assert "1 labels are of images that are not in pictures" in said
    found = {row["image"]: row["labels"] for row in records.read_csv("trees/labels.csv")}
    assert found == {"a": "0 1", "b": "1", "c": ""}
    assert own.parts("3 4") == ["3", "4"] and own.parts("a b; c") == ["a b", "c"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "My trees"}, "'My trees': a study's name is of lower-case letters"),
        ({"images": "gone"}, "gone: no such folder"),
        ({"classes": "gone.txt"}, "gone.txt: no such file"),
        ({"classes": "one.txt"}, "one.txt: 1 classes; a study has 2 to 20,000"),
        ({"classes": "other.txt"}, "folder 'elm' is no class name; name folders as classes, or"),
        ({"labels": "column.csv"}, "column.csv: no column label or labels; it has image, class"),
        ({"labels": "name.csv"}, "line 2: 'larch' is neither a class name nor an id of 0..1"),
        ({"labels": "twice.csv"}, "twice.csv: line 3: image a is there twice; give it one line"),
        ({"labels": "others.csv"}, r"none of its images \(first: z\) is in pictures \(first: a\)"),
    ],
)
def test_what_does_not_fit_is_one_line_and_writes_nothing(data, change, message):
    for name, text in {
        "one.txt": "oak tree\n",
        "other.txt": "oak tree\nash\n",
        "column.csv": "image,class\na,0\n",
        "name.csv": "image,label\na,larch\n",
        "twice.csv": "image,label\na,0\na.png,1\n",
        "others.csv": "image,label\nz,0\n",
    }.items():
        Path(name).write_text(text)
    with pytest.raises(LabelwiseError, match=message) as error:
        init(**change)
    assert "\n" not in str(error.value)
    assert not Path("trees").exists()


def test_a_study_is_not_written_over(data, capsys):
    command = ["init", "trees", "--images", "pictures", "--classes", "trees.txt"]
    main(command)
    assert "run: snakemake --cores 2 --configfile trees/config.yaml" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(command)
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(("n", "protocol"), [(2, "closed"), (1000, "closed"), (20_000, "narrowed")])
def test_from_two_to_twenty_thousand_classes(data, n, protocol):
    Path("many.txt").write_text("".join(f"tree number {i}\n" for i in range(n)))
    Path("l.csv").write_text(f"image,label\na,{n - 1}\nb,0\n")
    said = init(classes="many.txt", labels="l.csv")
    grid = plan()
    assert protocol in grid.config["protocols"]
    assert any("too long for a prompt" in line for line in said) == (protocol == "narrowed")
    assert grid.config["labels"]["trees"]["n_classes"] == n
    assert len(classnames.read("trees/classes.csv")) == n


def test_a_list_beyond_the_context_is_refused_with_the_way_out():
    header = {"protocol": "closed", "kind": "closed"}
    fits(header, 8192, 8192)
    fits(header, 10**6, 0)
    with pytest.raises(
        LabelwiseError, match="need 60000 tokens, but the model takes 8192"
    ) as error:
        fits(header, 60_000, 8192)
    assert "kind narrowed (docs/own-data.md)" in str(error.value)


def test_the_digits_are_a_folder_that_init_takes(data):
    assert examples.digits(Path("d"), 2) == 20
    first = Path("d/images/seven").iterdir().__next__().read_bytes()
    again = shutil.move("d", "before") and examples.digits(Path("d"), 2)
    assert again == 20 and first in [p.read_bytes() for p in Path("d/images/seven").iterdir()]
    own.init("digits", Path("d/images"), Path("d/classes.txt"), None, Path("digits"))
    assert len(plan("digits").config["labels"]) == 1
