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


def test_what_was_measured_is_what_was_aimed_at():
    found = {
        file.stem: json.loads(file.read_text())["results"]
        for file in (PAGE.parent / "benchmarks").glob("*.json")
    }
    composed, qwen = found["closed-world"]
    assert composed["ratio_cpu"] >= 20 and qwen["ratio_cpu"] >= 8
    for one in (composed, qwen):
        assert one["identical"] == one["images_plain"] > 0
        assert one["prefix_reuse"] >= 0.94 and one["encodes_per_image"] == 1
        assert one["bytes_per_answer"] <= 1024
    for one in found["likelihood"]:
        assert all(way["fewer_tokens"] >= 50 for way in one["ways"].values())
    assert all(one["ms_per_image"] < 2 for one in found["scale"]["overhead"])
    assert found["scale"]["plan"]["cpu_s"] < 15
    for one in found["classify"]:
        assert one["ratio"] > 0.99 and one["same_top1"] == one["images"] > 0
    assert found["knn"]["exact"] == found["knn"]["checked"] > 0 and found["knn"]["ratio"] < 1.2


def test_results_name_their_machine():
    for file in (PAGE.parent / "benchmarks").glob("*.json"):
        assert {"processor", "cores", "load"} <= set(json.loads(file.read_text())["machine"]), file
