import importlib
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import analysis_rows
import make_experiment
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from docutils.core import publish_parts
from jinja2 import Environment, StrictUndefined
from labelwise import calibration
from labelwise.analyses.noise import MARK
from labelwise.errors import LabelwiseError
from labelwise.evaluation import judged as answers
from labelwise.evaluation.selection import corrected, load
from labelwise.figures import (
    agreement,
    confusions,
    distractors,
    gallery,
    out_of_list,
    reliability,
    style,
)
from labelwise.pages import thumbnails
from labelwise.planning import chapters, sources
from labelwise.planning.shown import JUDGED
from labelwise.records import read_csv, write_csv
from make_experiment import DATA
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from PIL import Image

MAIN = DATA / "experiment_main.csv"
WIDTHS = {
    "label_gain": style.COLUMN,
    "encoders": style.PAGE,
    "out_of_list": style.PAGE,
    "agreement": style.PAGE,
    "batch_size": style.PAGE,
    "confusions": style.PAGE,
    "distractors": style.PAGE,
    "encoder_templates": style.PAGE,
    "gallery": style.PAGE,
    "positions": style.PAGE,
    "reliability": style.PAGE,
}
ANALYSES = {
    "ranks": style.COLUMN,
    "numerics": style.COLUMN,
    "sensitivity": style.PAGE,
    "decisions": style.COLUMN,
    "calibration": style.PAGE,
    "selective": style.COLUMN,
}
"""Figures of analyses, and their widths."""
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
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
# linear sRGB to CIE XYZ
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


@pytest.fixture(scope="session")
def judged(tmp_path_factory):
    path = tmp_path_factory.mktemp("judged") / "main.csv"
    write_csv(path, answers.COLUMNS, make_experiment.judged())
    return path


def module(name):
    return importlib.import_module(f"labelwise.figures.{name}")


@pytest.fixture(scope="session")
def drawn_from(judged, tmp_path_factory):
    """What a figure is drawn from here: files, and how they are read."""
    analyses = analysis_rows.write(tmp_path_factory.mktemp("analyses"))
    calibrated = judged.with_name("calibration.csv")
    columns = (*calibration.HEAD, "image", "category", "class", "score", "right")
    rows = calibration.rows(answers.read(judged, columns))
    write_csv(calibrated, calibration.COLUMNS, rows)
    marked = analyses["numerics"]

    def found(name, noise=True):
        own = module(name)
        files = [marked] if noise and name in ("batch_size", "positions", "sensitivity") else []
        if name in ("calibration", "selective"):
            return [calibrated], own.read
        if name == "decisions":
            return [analyses[name]], own.load
        if name in analyses:
            return [analyses[name], *files], getattr(own, "read", read_csv)
        if name in JUDGED:
            return [judged, *files], getattr(own, "read", lambda p: answers.read(p, own.COLUMNS))
        return [MAIN, *files], getattr(own, "read", load)

    return found


def linear(colour):
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lightness(colour, vision="normal"):
    """CIE L* of a colour, which is what a grey print shows."""
    y = np.clip(VISION[vision] @ linear(colour), 0, 1) @ [0.2126, 0.7152, 0.0722]
    return 116 * np.cbrt(y) - 16 if y > 0.008856 else 903.3 * y


@pytest.mark.parametrize("name", WIDTHS | ANALYSES)
def test_same_bytes_every_time(name, drawn_from, tmp_path):
    files, read = drawn_from(name)
    paths = [[tmp_path / f"{i}.{suffix}" for suffix in style.FORMATS] for i in range(2)]
    for outs in paths:
        style.draw(module(name).build, files, outs, read)
    for one, two in zip(*paths, strict=True):
        content = one.read_bytes()
        assert content == two.read_bytes()
        assert not re.search(rb"CreationDate|dc:date|ModDate", content)
        if one.suffix == ".pdf":
            assert b"/FontFile2" in content and b"/Type3" not in content


def test_same_bytes_in_another_process(tmp_path):
    style.draw(module("label_gain").build, [MAIN], [tmp_path / "a.svg"])
    command = [sys.executable, "-m", "labelwise.figures.label_gain", str(MAIN)]
    command += ["--out", "b.svg", "b.png"]
    subprocess.run(command, cwd=tmp_path, check=True, env=ENVIRONMENT)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("name", "width"), (WIDTHS | ANALYSES).items())
def test_width_and_labels_that_neither_overlap_nor_leave_the_page(name, width, drawn_from):
    files, read = drawn_from(name)
    with plt.rc_context(style.SETTINGS):
        figure = module(name).build(read(*files))
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


def lab(colour, vision):
    """CIE L*a*b* (D65) of a colour as somebody with this vision sees it."""
    rgb = np.clip(VISION[vision] @ linear(colour), 0, 1)
    xyz = XYZ @ rgb / XYZ.sum(axis=1)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("vision", VISION)
def test_colours_of_one_figure_are_told_apart_by_everybody(vision):
    sets = {
        "kinds": [ink for ink, _ in style.KINDS.values()],
        "distractors": [ink for ink, _ in distractors.LOOKS[:4]],
        "reliability": [ink for ink, *_ in (reliability.CLASSIFIER, *reliability.LOOKS[:3])],
        "batch_size": list(module("batch_size").TASKS.values()),
        "positions": [module("positions").TOGETHER[0], module("positions").ALONE[0]],
        "numerics": [style.BLUE, style.VERMILLION],
        "calibration": [ink for ink, *_ in module("calibration").LOOKS.values()],
        "decisions": [ink for ink, _ in module("decisions").LOOKS.values()],
        "encoders": [style.VERMILLION, style.BLUE],
    }
    for name, inks in sets.items():
        for one, two in itertools.combinations(inks, 2):
            apart = np.linalg.norm(lab(one, vision) - lab(two, vision))
            assert apart >= 10, (name, one, two, apart)


@pytest.mark.parametrize("vision", VISION)
def test_heat_maps_darken_evenly_for_everybody(vision):
    colours = matplotlib.colormaps[style.SCALE](np.linspace(0, 1, 11))
    steps = np.diff([lightness(colour[:3], vision) for colour in colours])
    assert (steps < -2).all()


def test_series_of_one_figure_have_markers_of_their_own():
    for looks in (distractors.LOOKS, (reliability.CLASSIFIER, *reliability.LOOKS)):
        marks = [mark for _, mark, *_ in looks]
        assert len(set(marks)) == len(marks)


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
    for category in out_of_list.SHOWN:
        shares = out_of_list._shares(exact, mapped, category)
        assert sum(shares) == pytest.approx(100)
    assert out_of_list._shares(exact, mapped, "N")[1] == 0


def test_what_was_not_run_is_said(tmp_path):
    with plt.rc_context(style.SETTINGS):
        for name in sorted(WIDTHS.keys() - JUDGED - {"label_gain"}):
            figure = module(name).build(getattr(module(name), "read", load)(CLASSIFIERS))
            assert "Not run: experiment classifiers" in figure.texts[0].get_text()
            plt.close(figure)


@pytest.mark.parametrize("name", JUDGED)
def test_what_was_not_judged_is_said(name, judged, drawn_from, tmp_path):
    empty = tmp_path / "empty.csv"
    empty.write_text(judged.read_text().split("\n")[0] + "\n")
    with plt.rc_context(style.SETTINGS):
        read = drawn_from(name)[1]
        figure = module(name).build(read(empty))
        assert "Not run: the experiment\nhas no" in figure.texts[0].get_text()
        plt.close(figure)


def test_differences_within_the_noise_are_marked(drawn_from):
    marks = {}
    for name in ("batch_size", "positions"):
        for noise in (True, False):
            files, read = drawn_from(name, noise)
            with plt.rc_context(style.SETTINGS):
                figure = module(name).build(read(*files))
                texts = [text.get_text() for text in figure.findobj(Text)]
                plt.close(figure)
            marks[name, noise] = texts.count(MARK)
            assert (style.noise_handle()[1] in texts) is noise
    assert not marks["batch_size", False] and not marks["positions", False]
    assert marks["batch_size", True] > 0 and marks["positions", True] > 0


def test_agreement_is_that_of_the_library(judged):
    rows = answers.read(judged, agreement.COLUMNS)
    rows = rows[(rows.stands == 1) & (rows.model_kind != "control")]
    spearman, phi = agreement.correlations(rows[rows.category.isin(("S+", "S-"))], rows)
    table = rows.pivot(index="image", columns="model", values="right")[rows.model.unique()]
    expected = np.corrcoef(table.to_numpy(), rowvar=False)
    assert np.allclose(np.array(phi)[:-1, :-1], expected)
    assert np.allclose(np.diag(spearman), 1) and np.allclose(spearman, np.transpose(spearman))


def test_confusions_that_share_a_class_are_neighbours():
    pairs = [("a", "b"), ("x", "y"), ("b", "c"), ("y", "z"), ("p", "q")]
    number = confusions._neighbourhoods(pairs)
    assert number[pairs[0]] == number[pairs[2]] and number[pairs[1]] == number[pairs[3]]
    assert len(set(number.values())) == 3


def test_gallery_shows_no_picture_without_permission(judged):
    rows, photos = gallery.read(judged)
    assert not photos
    with plt.rc_context(style.SETTINGS):
        figure = gallery.build((rows, photos))
        texts = [text.get_text() for text in figure.findobj(Text)]
        plt.close(figure)
    assert sum(text.startswith("not shown") for text in texts) == 9
    assert not any(axes.images for axes in figure.axes)


@pytest.mark.parametrize("name", WIDTHS | ANALYSES)
def test_a_figure_depends_on_no_other_figure_and_on_no_stage(name):
    own = {f"workflow/lib/labelwise/figures/{part}.py" for part in (name, "style", "__init__")}
    files = set(sources.code(f"figures.{name}"))
    assert {file for file in files if "/figures/" in file} <= own
    stages = ("judge", "score", "scoring", "gather", "mapping", "calibration")
    stages += ("ranks", "numerics", "sensitivity", "tables/style")
    assert not files & {f"workflow/lib/labelwise/{stage}.py" for stage in stages}


def test_errors_are_one_line(tmp_path):
    with pytest.raises(LabelwiseError, match=r"gone\.csv: no such file"):
        style.draw(module("encoders").build, [tmp_path / "gone.csv"], [tmp_path / "a.pdf"])
    with pytest.raises(LabelwiseError, match=r"gone\.csv: no such file"):
        answers.read(tmp_path / "gone.csv")
    with pytest.raises(LabelwiseError, match="choose pdf, svg or png"):
        style.draw(module("encoders").build, [MAIN], [tmp_path / "a.jpeg"])


def test_gallery_shows_pictures_with_author_and_licence(judged, tmp_path):
    picture = tmp_path / "picture.png"
    Image.new("RGB", (90, 60), "green").save(picture)
    rows = answers.read(judged, gallery.COLUMNS)
    images = [
        {"image": image, "file": str(picture), "status": "ok"} for image in rows.image.unique()
    ]
    credits = [
        {"image": row["image"], "author": "$A", "licence": licence, "source": "here"}
        for row, licence in zip(images, itertools.cycle(("CC0-1.0", "not known")))
    ]
    write_csv(tmp_path / "credits.csv", thumbnails.CREDITS, credits)
    spec = {"show": ["CC0-1.0"], "credits": str(tmp_path / "credits.csv")}
    thumbnails.write(images, spec, tmp_path / "thumbs.zip")
    with plt.rc_context(style.SETTINGS):
        figure = gallery.build(gallery.read(judged, tmp_path / "thumbs.zip"))
        texts = [text.get_text() for text in figure.findobj(Text)]
        plt.close(figure)
    shown = sum(bool(axes.images) for axes in figure.axes)
    assert shown == sum(text == r"\$A, CC0-1.0" for text in texts) > 4
    assert {"S+", "S−", "M+", "M−", "N"} <= {axes.get_title() for axes in figure.axes}
    assert {axes.get_aspect() for axes in figure.axes} == {1}  # pictures are not stretched


@pytest.mark.parametrize(
    "name", ["study", "figure", "table", "runs", "provenance", "findings", "browser"]
)
def test_captions_of_the_report_are_valid(name):
    source = (Path(__file__).parents[1] / f"workflow/report/{name}.rst").read_text()
    known = {"later", *(name for names in chapters.HOLDS.values() for name in names)}
    config = {"figures": {"encoders": {"experiment": "main"}}, "models": {"knn": {}}}
    for item in known:
        wildcards = SimpleNamespace(figure=item, table=item)
        output = SimpleNamespace(html=f"results/tables/paper/{item}.html")
        snakemake = SimpleNamespace(wildcards=wildcards, config=config, output=output)
        text = (
            Environment(undefined=StrictUndefined).from_string(source).render(snakemake=snakemake)
        )
        settings = {"report_level": 2, "halt_level": 2}
        assert publish_parts(text, writer="html", settings_overrides=settings)["body"].strip()
        assert (
            name not in ("figure", "table")
            or item == "later"
            or "?" in text
            or (importlib.util.find_spec(f"labelwise.{name}s.{item}") is None)
        ), f"no question in the caption of {name} {item}"


def test_every_figure_and_table_has_a_chapter():
    lib = Path(chapters.__file__).parents[1]
    for kind, least in (("figures", 17), ("tables", 20)):
        shown = [p for p in (lib / kind).glob("*.py") if "def build(" in p.read_text()]
        assert len(shown) >= least
        for path in shown:
            assert chapters.of(path.stem) != "Other", path
    names = [name for names in chapters.HOLDS.values() for name in names]
    assert len(names) == len(set(names))
