"""An engine written from docs/engine.md alone: installed as a package, run by the workflow."""

import json
import re
import shutil
import subprocess
import sys
from importlib.metadata import EntryPoints
from pathlib import Path

import pytest
import yaml
from labelwise import infer
from labelwise.asking.journal import Journal
from labelwise.engines import plugins
from labelwise.engines.base import Answer, Run
from labelwise.errors import LabelwiseError
from study import ROOT, copy

PAGE = (ROOT / "docs/engine.md").read_text()
FILES = dict(re.findall(r"^`([\w.]+)`\n\n```\w+\n(.*?)^```$", PAGE, re.M | re.S))
ENTRY = yaml.safe_load(re.search(r"^```yaml\n(models:.*?)^```$", PAGE, re.M | re.S)[1])
RUN = "small/palette/closed/b1"
SCORES = f"results/scores/{RUN}/exact/single.json"


def install(folder: Path, site: Path, version: str) -> None:
    """Build and install the package of the page, as a user would, but into a folder."""
    folder.mkdir(exist_ok=True)
    shutil.rmtree(site, ignore_errors=True)  # pip leaves the old version in a target folder
    for name, text in FILES.items():
        (folder / name).write_text(text.replace('"0.1"', f'"{version}"'))
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    command += ["--no-index", "--disable-pip-version-check", "--target", str(site)]
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The study of controls with the page's model, asked the closed world in plain text."""
    study = copy(tmp_path_factory.mktemp("plugin"))
    path = study.root / "config/config.yaml"
    config = yaml.safe_load(path.read_text())
    config["models"] |= ENTRY["models"]
    config["protocols"]["closed"] |= {
        "format": "plain",
        "prompt": "config/prompts/closed-plain.yaml",
    }
    block = {"models": ["palette"], "protocols": ["closed"], "mappers": ["exact"]}
    config["experiments"]["main"]["runs"].append(block)
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return study


def test_the_page_is_all_that_is_needed(study, tmp_path, monkeypatch):
    assert set(FILES) == {"pyproject.toml", "labelwise_palette.py"}
    said = study.refuses(SCORES)
    assert "models: palette: engine: 'palette' is none of transformers, composed, openai" in said
    assert "there is none (docs/engine.md)" in said

    site = tmp_path / "site"
    install(tmp_path / "palette", site, "0.1")
    monkeypatch.setenv("PYTHONPATH", str(site))
    study.build(SCORES)
    score = json.loads((study.root / SCORES).read_text())
    assert (score["model"], score["engine"]) == ("palette", "palette")
    assert score["categories"]["A"]["n"] == 30
    assert score["categories"]["A"]["outcomes"] == {"ok": 30}
    meta = json.loads((study.root / f"results/responses/{RUN}.meta.json").read_text())
    assert meta["model"]["package"] == "labelwise-palette==0.1"
    assert meta["engine"] == {"images_looked_at": 30} and meta["asked"] == 30
    rows = (study.root / f"results/responses/{RUN}.jsonl").read_text().splitlines()
    assert len({json.loads(row)["text"] for row in rows}) > 1
    assert study.planned(SCORES) == {}

    install(tmp_path / "palette", site, "0.2")
    assert study.planned(SCORES) == {"infer": 1, "map_responses": 1, "score": 1}
    study.build(SCORES)
    meta = json.loads((study.root / f"results/responses/{RUN}.meta.json").read_text())
    assert meta["model"]["package"] == "labelwise-palette==0.2"
    assert (meta["asked"], meta["replayed"]) == (30, 0), "another version is another model"

    study.edit("config/config.yaml", "engine: palette", "engine: pallete")
    said = study.refuses(SCORES)
    assert "'pallete' is none of" in said and "palette (labelwise-palette==0.2)" in said
    study.edit("config/config.yaml", "engine: pallete", "engine: chance")
    assert "options: chance is built in" in study.refuses(SCORES)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (lambda n: Answer(n, None, "stop"), "is None and ended with 'stop'; it must be a text"),
        (lambda n: Answer(n, "hen", "done"), "ended with 'done'; .* stop, length, content_filter"),
        (lambda n: Answer(n + 7, "hen", "stop"), "the answer to 7: no such question waits"),
        (lambda n: Answer(0, "hen", "stop"), "the answer to 0: no such question waits; .*, once"),
    ],
)
def test_what_is_no_answer_is_refused_and_not_kept(said, message, tmp_path):
    class Odd:
        def answer(self, questions):
            return (said(question.id) for question in questions)

    texts = dict.fromkeys(("system", "image", "closing", "primer"), "") | {"schema": None}
    header = texts | {"protocol": "closed", "answer": "name", "format": "plain"}
    asked = [{"request": n, "repeat": 0, "images": ["a"]} for n in range(2)]
    todo, files = list(zip(asked, "kl", strict=True)), {"a": ("a.png", "")}
    with Journal(tmp_path / "journal") as journal:
        with pytest.raises(LabelwiseError, match=message):
            infer._ask(Odd(), {}, Run(header, ["hen"]), lambda: iter(todo), files, journal)
        assert "l" not in journal


class Point:
    """An entry point as importlib.metadata has it."""

    group = plugins.GROUP

    def __init__(self, name, package, loads=object):
        self.name, self.value, self.loads = name, f"{package}:Model", loads
        self.dist = type("Dist", (), {"name": package, "version": "1.0"})

    def load(self):
        if isinstance(self.loads, Exception):
            raise self.loads
        return self.loads


@pytest.fixture
def offered(monkeypatch):
    def offer(*points):
        monkeypatch.setattr(plugins, "entry_points", lambda group: EntryPoints(points))

    return offer


def test_a_built_in_engine_is_not_replaced(offered):
    offered(Point("oracle", "evil"), Point("timm", "evil"), Point("mine", "good"))
    assert list(plugins.installed()) == ["mine"]
    assert plugins.load("oracle").__module__ == "labelwise.engines.oracle"
    assert plugins.load("mine") is object


def test_packages_that_clash_or_cannot_be_loaded_are_named(offered):
    offered(Point("mine", "one"), Point("mine", "two"))
    with pytest.raises(LabelwiseError, match=r"one==1.0 and two==1.0 both have an engine 'mine'"):
        plugins.load("mine")
    offered(Point("mine", "one", ImportError("no module named cuda")))
    with pytest.raises(LabelwiseError, match=r"mine: one==1.0 cannot be loaded: no module"):
        plugins.load("mine")
