"""A study of one's own images: from a folder and a list of names to a configuration that plans."""

import shutil
from pathlib import Path

import pytest
import yaml
from labelwise import classnames, images, labels, records
from labelwise.__main__ import main
from labelwise.config import check
from labelwise.engines.decode import fits
from labelwise.errors import LabelwiseError
from labelwise.planning.grid import Grid
from labelwise.studies import examples, own
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


def init(name="trees", **given):
    given = {"images": "pictures", "classes": "trees.txt", "labels": None} | given
    pictures, classes, labels = (value and Path(value) for value in given.values())
    return own.init(name, pictures, classes, labels, Path(name))


def plan(name="trees"):
    config = yaml.safe_load(Path(name, "config.yaml").read_text())
    check(config, SCHEMA, "config.yaml")
    return Grid(config, LOCKED)


def labelled(name="trees"):
    return {row["image"]: row["labels"] for row in records.read_csv(f"{name}/labels.csv")}


def as_read(name="trees"):
    """The images of a label file, as the study reads it."""
    return labels.load({"format": "csv", "file": f"{name}/labels.csv", "n_classes": 2}).keys()


def test_folders_name_the_classes_and_the_study_plans(data):
    assert init()[0] == "trees/config.yaml: 3 images, 2 classes, 3 labelled"
    grid = plan()
    named = {"constrained", "likelihood", "likelihood-mean"}
    asked = {point.run.protocol for point in grid.points}
    assert asked == {"closed", "open", "choice", "classify"} | named
    assert grid.config["labels"]["trees"]["equivalents"] == "none"
    assert grid.config["protocols"]["choice"]["options"] == 2
    assert labelled() == {"a.png": "0", "b.png": "0", "c.png": "1"}
    assert as_read() == {"a", "b", "c"}


def test_a_label_file_may_have_names_ids_several_or_none(data):
    Path("l.csv").write_text("image,label\na.png,oak tree; ELM\nb,1\nc,\nz,0\n")
    said = init(labels="l.csv")
    assert "1 label is of an image not in pictures (first: z)" in said
    assert any(line.startswith("1 image has an empty label") for line in said)
    assert labelled() == {"a.png": "0 1", "b.png": "1", "c.png": ""}
    assert own.parts("3 4") == ["3", "4"] and own.parts("a b; c") == ["a b", "c"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "My trees"}, "'My trees': a study's name is of lower-case letters"),
        ({"name": "../My trees"}, "not a path: labelwise init my-trees --out '../My trees' ..."),
        ({"name": "trees/"}, "not a path: labelwise init trees --out trees/ ..."),
        ({"name": "2024"}, "'2024': YAML takes this for a number, .* like my-2024"),
        ({"images": "gone"}, "--images gone: no such folder"),
        ({"classes": "gone.txt"}, "gone.txt: no such file"),
        ({"classes": "one.txt"}, "one.txt: 1 class; a study has 2 to 20,000, one name a line"),
        ({"classes": "ids.csv"}, "ids.csv: no columns class and name; it has id, name; rename"),
        ({"classes": "other.txt"}, "folder 'elm' is no class name; name folders as classes, or"),
        ({"labels": "column.csv"}, "column.csv: no column label or labels; it has image, class"),
        ({"labels": "name.csv"}, "line 2: 'larch' is neither a class name nor an id of 0..1"),
        ({"labels": "twice.csv"}, "twice.csv: line 3: image a is there twice; give it one line"),
        ({"labels": "comma.csv"}, "comma.csv: line 2: more cells than columns; put a name with"),
        ({"labels": "empty.csv"}, "empty.csv: no line with an image"),
        ({"labels": "nameless.csv"}, "nameless.csv: line 3: the image is empty"),
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
        "ids.csv": "id,name\n0,oak tree\n1,elm\n",
        "comma.csv": "image,label\na,oak tree, elm\n",
        "empty.csv": "image,label\n",
        "nameless.csv": "image,label\na,0\n,1\n",
    }.items():
        Path(name).write_text(text)
    with pytest.raises(LabelwiseError, match=message) as error:
        init(**change)
    assert "\n" not in str(error.value)
    assert not Path("trees").exists()


def test_files_of_one_name_in_two_folders_are_known_by_their_paths(data):
    Image.new("RGB", (8, 8), "red").save("pictures/elm/a.jpg.png")
    Image.new("RGB", (8, 8), "red").save("pictures/elm/b.png")
    assert any("known by their paths" in line for line in init())
    config = yaml.safe_load(Path("trees/config.yaml").read_text())
    rows = images.find("trees", config["images"]["trees"])
    assert list(rows) == ["elm/a.jpg", "elm/b", "elm/c", "oak tree/a", "oak tree/b"]
    assert as_read() == rows.keys()
    with pytest.raises(LabelwiseError, match=r"two files bear the id 'b'.*or set `ids: path`"):
        images.find("trees", config["images"]["trees"] | {"ids": "name"})
    shutil.rmtree("trees")
    lines = [
        "elm/b.png,elm",
        "pictures/oak tree/b.png,0",
        "./oak tree/a,0",
        r"elm\c.png,1",
        "a.jpg.png,1",
    ]
    Path("l.csv").write_text("\n".join(["image,label", *lines]) + "\n")
    init(labels="l.csv")
    assert as_read() == rows.keys()
    shutil.rmtree("trees")
    Path("l.csv").write_text("image,label\nb.png,elm\n")
    with pytest.raises(LabelwiseError, match="line 2: 'b' is the name of 2 images, elm/b and oak"):
        init(labels="l.csv")


def test_odd_names_are_taken_as_they_are_and_what_they_mean_is_said(data):
    odd = ["Dog, domestic dog", 'a "cat"', "été", "木", "Dog,  domestic dog", "St. Bernard", "a;b"]
    Path("odd.txt").write_text("\n".join(odd) + "\n", encoding="utf-8")
    rows = ['a,"dog, domestic dog"', 'b,"ÉTÉ;a ""cat"";木"', "c,a;b"]
    Path("l.csv").write_text("\n".join(["image,label", *rows]) + "\n", encoding="utf-8")
    said = init("imagenet", classes="odd.txt", labels="l.csv")
    assert any("1 name is that of several classes (first: 'Dog, domestic" in s for s in said)
    assert classnames.read("imagenet/classes.csv") == odd
    assert labelled("imagenet") == {"a.png": "0 4", "b.png": "1 2 3", "c.png": "6"}
    grid = plan("imagenet")
    assert grid.config["protocols"]["open"]["stop"] == ["\n"], "names hold the other stops"
    assert set(grid.config["class_names"]) == {"imagenet", "imagenet-1k"}


def test_a_study_may_lie_anywhere_but_is_made_beside_the_workflow(data, tmp_path, monkeypatch):
    out = Path("my {study}, #1")
    said = own.init("trees", Path("pictures"), Path("trees.txt"), None, out)
    assert said[-1].startswith("run: snakemake --cores 2 --configfile 'my {study}, #1/config.yaml'")
    plan(out)
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path / "else")
    with pytest.raises(LabelwiseError, match="run this in the folder of the workflow"):
        own.init("trees", Path("../pictures"), Path("../trees.txt"), None, Path("trees"))


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
