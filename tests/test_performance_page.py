"""Figures of the performance page and the README are numbers of a results file, rounded."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/performance.md"
FIGURE = re.compile(
    r'\[([−-]?[\d,]*\.?\d+)( %)?\]\((?:docs/)?(benchmarks/[\w-]+\.json) "([^"]+)"\)'
)
FIGURES = FIGURE.findall(PAGE.read_text() + (ROOT / "README.md").read_text())


def test_the_page_has_figures_and_every_results_file_is_on_it():
    assert len(FIGURES) > 20
    shown = {file for _, _, file, _ in FIGURES}
    assert shown == {f"benchmarks/{f.name}" for f in (PAGE.parent / "benchmarks").glob("*.json")}


@pytest.mark.parametrize(("said", "percent", "file", "key"), FIGURES)
def test_figures_are_those_of_the_results(said, percent, file, key):
    found = json.loads((PAGE.parent / file).read_text())
    for part in key.split("."):
        found = found[int(part) if isinstance(found, list) else part]
    decimals = len(said.partition(".")[2])
    value = round((100 if percent else 1) * found, decimals)
    assert float(said.replace(",", "").replace("−", "-")) == value


def test_results_name_their_machine():
    for file in (PAGE.parent / "benchmarks").glob("*.json"):
        assert {"processor", "cores", "load"} <= set(json.loads(file.read_text())["machine"]), file
