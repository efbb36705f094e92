import importlib
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from docutils.core import publish_parts
from jinja2 import Environment, StrictUndefined
from labelwise.errors import LabelwiseError
from labelwise.figures import out_of_list, style
from labelwise.selection import corrected, load
from make_experiment import DATA
from matplotlib.colors import to_rgb
from matplotlib.text import Text

NAMES = ("label_gain", "encoders", "out_of_list")
MAIN = DATA / "experiment_main.csv"
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
CLASSIFIERS = DATA / "experiment_classifiers.csv"

# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB
VISION = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
}


def module(name):
    return importlib.import_module(f"labelwise.figures.{name}")


def linear(colour):
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lightness(colour, vision="normal"):
    """CIE L* of a colour, which is what a grey print shows."""
    y = np.clip(VISION[vision] @ linear(colour), 0, 1) @ [0.2126, 0.7152, 0.0722]
    return 116 * np.cbrt(y) - 16 if y > 0.008856 else 903.3 * y


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("suffix", ["pdf", "svg", "png"])
def test_same_bytes_every_time(name, suffix, tmp_path):
    paths = [tmp_path / f"{i}.{suffix}" for i in range(2)]
    for path in paths:
        style.draw(module(name).build, MAIN, path)
    content = paths[0].read_bytes()
    assert content == paths[1].read_bytes()
    assert not re.search(rb"CreationDate|dc:date|ModDate", content)
    if suffix == "pdf":
        assert b"/FontFile2" in content and b"/Type3" not in content


def test_same_bytes_in_another_process(tmp_path):
    style.draw(module("label_gain").build, MAIN, tmp_path / "a.svg")
    command = [sys.executable, "-m", "labelwise.figures.label_gain", str(MAIN), "--out", "b.svg"]
    subprocess.run(command, cwd=tmp_path, check=True, env=ENVIRONMENT)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


@pytest.mark.parametrize(
    ("name", "width"),
    [("label_gain", style.COLUMN), ("encoders", style.PAGE), ("out_of_list", style.PAGE)],
)
def test_width_and_labels_that_neither_overlap_nor_leave_the_page(name, width):
    with plt.rc_context(style.SETTINGS):
        figure = module(name).build(load(MAIN))
        figure.canvas.draw()
        assert figure.get_figwidth() == width
        page = figure.bbox
        unseen = [
            tick.label1
            for axes in figure.axes
            for axis in (axes.xaxis, axes.yaxis)
            for tick in axis.get_major_ticks()
            if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
        ]
        visible = [
            (text.get_text(), text.get_window_extent())
            for text in figure.findobj(Text)
            if text.get_text().strip() and text.get_visible() and text not in unseen
        ]
        assert len(visible) > 10
        for text, box in visible:
            inside = box.x0 >= -1 and box.y0 >= -1
            assert inside and box.x1 <= page.x1 + 1 and box.y1 <= page.y1 + 1, text
        for (a, one), (b, two) in itertools.combinations(visible, 2):
            apart = (
                one.x1 <= two.x0 or two.x1 <= one.x0 or one.y1 <= two.y0 + 1 or two.y1 <= one.y0 + 1
            )
            assert apart, (a, b)
        plt.close(figure)


def test_touching_series_differ_in_grey_and_for_colour_blind_people():
    inks = [ink for _, ink, _ in out_of_list.SERIES]
    for vision in VISION:
        for one, two in itertools.pairwise(inks):
            assert abs(lightness(one, vision) - lightness(two, vision)) >= 15, (vision, one, two)


def test_kinds_of_models_have_colours_and_markers_of_their_own():
    colours, markers = zip(*style.KINDS.values(), strict=True)
    assert len(set(colours)) == len(set(markers)) == len(style.KINDS)


def test_gain_shows_the_numbers_of_the_experiment():
    runs = load(MAIN)
    with plt.rc_context(style.SETTINGS):
        figure = module("label_gain").build(runs)
        drawn = {line.get_xdata()[0] for line in figure.axes[0].lines if len(line.get_xdata()) == 1}
        plt.close(figure)
    group = next(iter(corrected(runs).values()))
    for run in (r for r in group if r.kind == "classify"):
        gain, void = run.get("A", "gain"), run.get("A", "gain_void")
        assert {gain, gain - void} <= drawn


def test_shares_sum_to_the_whole():
    runs = [r for r in load(MAIN) if r.labels == "multi" and r.model == "composed-lite2"]
    exact, mapped = out_of_list.closed_and_mapped(runs)
    for category in out_of_list.CATEGORIES:
        shares = out_of_list._shares(exact, mapped, category)
        assert sum(shares) == pytest.approx(100)
    assert out_of_list._shares(exact, mapped, "N")[1] == 0


def test_what_was_not_run_is_said(tmp_path):
    with plt.rc_context(style.SETTINGS):
        for name in ("encoders", "out_of_list"):
            figure = module(name).build(load(CLASSIFIERS))
            assert "Not run: experiment classifiers" in figure.texts[0].get_text()
            plt.close(figure)


def test_errors_are_one_line(tmp_path):
    with pytest.raises(LabelwiseError, match=r"gone\.csv: no such file"):
        style.draw(module("encoders").build, tmp_path / "gone.csv", tmp_path / "a.pdf")
    with pytest.raises(LabelwiseError, match="choose pdf, svg or png"):
        style.draw(module("encoders").build, MAIN, tmp_path / "a.jpeg")


@pytest.mark.parametrize("name", ["study", "figure", "table"])
def test_captions_of_the_report_are_valid(name):
    source = (Path(__file__).parents[1] / f"workflow/report/{name}.rst").read_text()
    known = {"label_gain", "encoders", "out_of_list", "main", "batches", "later"}
    config = {"figures": {"encoders": {"experiment": "main"}}, "models": {"knn": {}}}
    for item in known:
        wildcards = SimpleNamespace(figure=item, table=item)
        snakemake = SimpleNamespace(wildcards=wildcards, config=config)
        text = (
            Environment(undefined=StrictUndefined).from_string(source).render(snakemake=snakemake)
        )
        settings = {"report_level": 2, "halt_level": 2}
        assert publish_parts(text, writer="html", settings_overrides=settings)["body"].strip()
