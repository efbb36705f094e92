"""One file is the truth about versions, which others repeat; links in the pages lead somewhere."""

import ast
import csv
import json
import re
import subprocess
import tomllib
from collections import Counter
from pathlib import Path

import labelwise
import pytest
import yaml
from jsonschema import Draft7Validator

ROOT = Path(__file__).resolve().parents[1]


def name_of(text):
    return re.sub(r"[-_.]+", "-", text.split("[")[0]).lower()


def pins(lines):
    found = {}
    for line in lines:
        name, equal, version = line.partition("==")
        assert equal, f"{line}: not pinned with =="
        found[name_of(name)] = version
    return found


LOCK_TEXT = (ROOT / "requirements.lock").read_text()
LOCK = pins(re.findall(r"^([A-Za-z0-9_.\[\]-]+==[^ \\\n]+)", LOCK_TEXT, re.M))
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
DIRECT = {extra: pins(deps) for extra, deps in EXTRAS.items() if extra != "all"}
ENVS = sorted((ROOT / "envs").glob("*.yaml"))


def test_every_locked_package_has_hashes():
    for block in re.split(r"\n(?=[A-Za-z])", LOCK_TEXT.split("\n", 2)[2]):
        assert "--hash=sha256:" in block, block.split()[0]


@pytest.mark.parametrize("extra", DIRECT)
def test_pyproject_agrees_with_the_lock(extra):
    assert DIRECT[extra] == {name: LOCK.get(name) for name in DIRECT[extra]}


def test_all_is_every_extra():
    named = re.search(r"\[(.*)\]", EXTRAS["all"][0]).group(1).split(",")
    assert sorted(named) == sorted(DIRECT)


@pytest.mark.parametrize("path", ENVS, ids=lambda path: path.stem)
def test_environments_are_the_extras_of_their_name(path):
    env = yaml.safe_load(path.read_text())
    assert "nodefaults" in env["channels"]
    pip = next(item["pip"] for item in env["dependencies"] if isinstance(item, dict))
    assert pins(pip) == DIRECT[path.stem]


def test_every_rule_names_an_environment():
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        for rule in re.split(r"\n(?=rule )", path.read_text())[1:]:
            named = re.search(r'"\.\./\.\./envs/(\w+)\.yaml"', rule)
            assert named and (ROOT / "envs" / f"{named.group(1)}.yaml").is_file(), rule[:40]


def test_contributing_says_where_every_part_of_the_package_is():
    table = (ROOT / "CONTRIBUTING.md").read_text().partition("## To add")[0]
    package = ROOT / "workflow/lib/labelwise"
    named = set(re.findall(r"`([\w.]+/?)`", table))
    for path in package.iterdir():
        if path.is_dir() and not path.name.startswith("__"):
            assert f"{path.name}/" in named, path
        elif path.suffix == ".py" and not path.name.startswith("__"):
            assert {path.stem, path.name} & named, path


def public_functions():
    for path in sorted((ROOT / "workflow/lib/labelwise").rglob("*.py")):
        tree = ast.parse(path.read_text())
        for owner in (tree, *(n for n in tree.body if isinstance(n, ast.ClassDef))):
            for node in owner.body:
                if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                    yield f"{path}:{node.lineno} {node.name}", node


def test_docstrings_give_the_shapes_of_arrays_and_say_what_is_raised():
    for where, node in public_functions():
        said = ast.get_docstring(node) or ""
        types = ast.unparse(node.args) + ast.unparse(node.returns or ast.Constant(""))
        if "ndarray" in types or "Tensor" in types:
            assert re.search(r"\bshape|\[[^][]*[a-z][^][]*\]", said), f"{where}: no shape"
        if "raise LabelwiseError" in ast.unparse(node) and node.name not in ("main", "run"):
            told = ("Raise", "Error", "error", "Refuse", "refuse")
            assert any(word in said for word in told), f"{where}: not said what it raises"


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
PAGES += [*(ROOT / "docs").glob("*.md"), *(ROOT / "data/demo").rglob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_local_links_lead_somewhere(page):
    for link in re.findall(r"\]\((?!https?://|#)([^)#\s]+)", page.read_text()):
        assert (page.parent / link).exists(), link


TOLD = [*PAGES, *(ROOT / "workflow").rglob("*.py"), *(ROOT / "workflow/rules").glob("*.smk")]
TOLD += [ROOT / "config/README.md", ROOT / "Snakefile", *(ROOT / "workflow/reported").glob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tests_that_pages_name_are_there(page):
    for file in re.findall(r"\btests/[a-z_/]+\.py", page.read_text()):
        assert (ROOT / file).is_file(), file


def test_modules_that_pages_name_as_files_are_there():
    lib = ROOT / "workflow/lib/labelwise"
    pages = [*PAGES, ROOT / "config/README.md"]
    for file in {f for page in pages for f in re.findall(r"`([a-z_/]+\.py)`", page.read_text())}:
        places = (ROOT / file, lib / file, lib.parent / file, ROOT / "data/demo" / file)
        there = any(place.is_file() for place in places) or list(lib.rglob(file))
        assert there or file == "labelwise_palette.py", file


def test_the_table_of_licences_names_all_photographs_and_weights():
    table = (ROOT / "docs/licences.md").read_text()
    assert f"| {len(LOCK)} packages |" in table
    photos = csv.DictReader((ROOT / "data/demo/photos.csv").read_text().splitlines())
    counts = Counter(row["licence"] for row in photos if row["file"].startswith("photos/"))
    assert f"| {sum(counts.values())} photographs |" in table
    for licence, count in counts.items():
        assert re.search(rf"{licence} {count}\b", table, re.I), licence
    for name, entry in yaml.safe_load((ROOT / "config/weights.lock.yaml").read_text()).items():
        (row,) = [line for line in table.splitlines() if f"`{name}`" in line]
        assert re.match(r"[\w.-]+", entry["licence"])[0] in row, name


def test_modules_that_texts_name_are_there():
    lib, named = ROOT / "workflow/lib/labelwise", set()
    for path in TOLD:
        named |= set(
            re.findall(r"(?:python -m |`)labelwise\.((?:[a-z_]+\.)?[a-z_]+)", path.read_text())
        )
    assert len(named) > 60
    for name in named:
        first, *more = name.split(".")
        inside = [lib / first / part for part in more if (lib / first).is_dir()]
        for place in inside or [lib / first]:
            assert place.is_dir() or place.with_suffix(".py").is_file(), name


def test_no_file_of_code_has_more_than_500_lines():
    for folder in ("workflow", "tests"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".smk", ".js", ".css", ".html", ".sh"):
                assert len(path.read_text().splitlines()) <= 500, path


def test_shell_scripts_can_be_read():
    scripts = [*(ROOT / ".ci").iterdir(), *(ROOT / "workflow/profiles").rglob("*.s*h*")]
    assert len(scripts) > 3
    for script in scripts:
        subprocess.run(["bash", "-n", script], check=True)


def test_version_and_date_agree_with_the_changes():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    latest = re.search(r"^## (\S+), (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert cited["version"] == labelwise.__version__ == latest[1]
    assert cited["date-released"] == latest[2]


def test_the_citation_is_valid():
    """By the schema of the format, as ``cffconvert --validate`` has it."""
    schema = json.loads((ROOT / "tests/data/citation-1.2.0.schema.json").read_text())
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert [error.message for error in Draft7Validator(schema).iter_errors(cited)] == []
    assert list(Draft7Validator(schema).iter_errors({**cited, "authors": []}))
