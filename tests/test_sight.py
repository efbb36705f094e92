"""What a model is shown: the same pixels with any number of processes, which all end; odd files."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from labelwise import images, records
from labelwise.asking import prompts
from labelwise.bench import reading, tiny
from labelwise.engines import sight
from labelwise.engines import transformers as engine
from labelwise.engines.base import Question, Run
from labelwise.errors import LabelwiseError
from labelwise.planning.sources import LIB
from PIL import Image
from test_images import png_header
from test_resume import HEADER as CLOSED
from transformers import AutoProcessor

NAMES = ["tench", "goldfish", "hammerhead shark", "electric ray"]
FAMILIES = tuple(tiny.SPECIAL)
HEADER = CLOSED | {
    "protocol": "open",
    "kind": "open",
    "system": "Name the main object of the picture.",
    "closing": "\nWhat is it?",
    "max_tokens": 4,
}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    place = tmp_path_factory.mktemp("models")
    made = {family: tiny.make(family, place / family, NAMES) for family in FAMILIES}
    with pytest.MonkeyPatch.context() as patch:  # the fork server imports once for all tests
        patch.setattr(sight, "spare", lambda: 1)
        sight.prepare(AutoProcessor.from_pretrained(made["qwen3-vl"]))
    return made


@pytest.fixture(autouse=True)
def as_a_command(monkeypatch):
    """As if started by ``python -m``; pytest itself may be a script."""
    monkeypatch.setattr(sight, "spare", lambda: images.workers() - 1)


def test_a_script_is_run_once(models, photos, tmp_path):
    spec = {"folder": str(models["qwen3-vl"]), "dtype": "float32"}
    file = tmp_path / "script.py"
    file.write_text(f"""print("run")
from labelwise.asking import prompts
from labelwise.engines import transformers
from labelwise.engines.base import Question, Run
header = {HEADER!r}
request = {{"request": 0, "repeat": 0, "images": ["x"]}}
model = transformers.Model({spec!r}, Run(header, []))
asked = Question(0, prompts.render(header, request), request, ({str(photos[0])!r},))
print(len(list(model.answer([asked]))), model.describe()["reading_processes"])
""")
    environment = os.environ | {"PYTHONPATH": str(LIB), "OMP_NUM_THREADS": "3"}
    done = subprocess.run(
        [sys.executable, file], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.split("\n")[:2] == ["run", "1 0"], done.stderr


def noise(size, seed=0):
    width, height = size
    draw = np.random.default_rng(seed)
    return Image.fromarray(draw.integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    place = tmp_path_factory.mktemp("photos")
    for n in range(12):
        noise((40 + 9 * n, 120 - 5 * n), n).save(place / f"{n:02d}.png")
    return sorted(place.iterdir())


def questions(files):
    for n, file in enumerate(files):
        request = {"request": n, "repeat": 0, "images": [Path(file).stem]}
        yield Question(n, prompts.render(HEADER, request), request, (file,))


def load(folder, **spec):
    spec = {"folder": str(folder), "dtype": "float32", "tensor_batch": 4} | spec
    return engine.Model(spec, Run(HEADER, NAMES))


@pytest.mark.parametrize("family", FAMILIES)
def test_pixels_do_not_depend_on_how_many_processes_make_them(models, photos, family):
    processor = AutoProcessor.from_pretrained(models[family])
    seen = sight.Sight(processor, {}, torch.bfloat16)
    whole = family == "paligemma"
    found = []
    for count in (0, 1, 2):
        batches = [[question] for question in questions(photos)]
        found.append(list(sight.ahead(seen, batches, whole, count)))
    for others in found[1:]:
        for one, other in zip(found[0], others, strict=True):
            assert one.questions == other.questions and one.inputs.keys() == other.inputs.keys()
            for name, tensor in one.inputs.items():
                assert tensor.dtype == other.inputs[name].dtype
                assert torch.equal(tensor, other.inputs[name])


@pytest.mark.parametrize("spec", [{}, {"prefix": "plain"}], ids=["shared", "plain"])
def test_answers_do_not_depend_on_threads(models, photos, monkeypatch, spec):
    found = []
    for threads in (1, 2, 3):
        monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
        model = load(models["qwen3-vl"], **spec)
        found.append(sorted((a.id, a.text) for a in model.answer(questions(photos))))
        assert model.describe()["reading_processes"] == threads - 1
    assert found[0] == found[1] == found[2] and len(set(dict(found[0]).values())) > 1


def test_the_benchmark_of_processes(tmp_path):
    none, one = reading.measure(6, [0, 1], "bfloat16", tmp_path)
    assert none["same"] and one["same"] and none["kb"] == one["kb"] > 500
    assert one["own_ms"] > 0 and none["own_ms"] > 0


def test_what_waits_for_the_model_is_bounded(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert sight.workers(1) == 7
    assert sight.workers(sight.WAITING // 5) == 2
    assert sight.workers(sight.WAITING) == 0


def test_a_file_that_is_gone_is_one_line(models, photos, tmp_path):
    seen = sight.Sight(AutoProcessor.from_pretrained(models["qwen3-vl"]), {}, torch.float32)
    for count in (0, 1):
        batches = [[question] for question in questions([*photos[:2], tmp_path / "gone.png"])]
        with pytest.raises(LabelwiseError, match=r"gone\.png: unreadable image: No such file"):
            list(sight.ahead(seen, batches, False, count))


# processes end


def alive(folder):
    """Processes that run in a folder."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{entry}/cwd") == str(folder):
                found.append(int(entry))
        except OSError:
            continue
    return found


@pytest.fixture
def run(models, photos, tmp_path):
    """A run with two reading processes; its image list is long."""
    known = [images.describe(("", str(photo))) for photo in photos]
    rows = [known[n % len(known)] | {"image": f"{n}", "sha256": f"{n:064x}"} for n in range(2000)]
    records.write_csv(tmp_path / "images.csv", records.IMAGES, rows)
    records.write_csv(tmp_path / "classes.csv", records.CLASSES, [{"class": 0, "name": "tench"}])
    asked = [{"request": n, "repeat": 0, "images": [f"{n}"]} for n in range(2000)]
    records.write_jsonl(tmp_path / "requests.jsonl", [HEADER, *asked])
    spec = {"engine": "transformers", "folder": str(models["qwen3-vl"]), "dtype": "float32"}
    command = [sys.executable, "-m", "labelwise.infer", "requests.jsonl", "--images", "images.csv"]
    command += ["--classes", "classes.csv", "--model", json.dumps(spec), "--meta", "meta.json"]
    command += ["--journal", "journal.jsonl", "--out", "responses.jsonl"]
    environment = os.environ | {"PYTHONPATH": str(LIB), "OMP_NUM_THREADS": "3"}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    )
    journal = tmp_path / "journal.jsonl"
    while process.poll() is None and not (journal.exists() and journal.stat().st_size):
        time.sleep(0.02)
    assert process.poll() is None and len(alive(tmp_path)) >= 4  # with the fork server
    yield process
    process.kill()
    process.communicate()


def gone(folder, seconds=10):
    end = time.monotonic() + seconds
    while alive(folder) and time.monotonic() < end:
        time.sleep(0.05)
    return not alive(folder)


def test_processes_end_with_the_run_that_is_killed(run, tmp_path):
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert gone(tmp_path)


@pytest.mark.slow
def test_ctrl_c_ends_them_without_a_traceback(run, tmp_path):
    for pid in alive(tmp_path):  # as a terminal sends it to all
        os.kill(pid, signal.SIGINT)
    said = run.communicate(timeout=20)[1]
    assert run.returncode == 130 and "stopped; what was finished is kept" in said
    assert "Traceback" not in said and gone(tmp_path)


@pytest.mark.slow
def test_one_that_is_killed_stops_the_run_with_one_line(run, tmp_path):
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    readers = [pid for pid in alive(tmp_path) if pid != run.pid and str(pid) not in children]
    os.kill(readers[0], signal.SIGKILL)
    said = run.communicate(timeout=20)[1]
    assert run.returncode == 1 and "a process that reads images was killed" in said
    assert "Traceback" not in said and gone(tmp_path)


# odd files


def odd_files(place):
    """Images of every odd kind that can be read."""
    picture = noise((90, 60))
    exif = Image.Exif()
    exif[0x0112] = 6
    ramp = np.linspace(0, 65535, 4800).astype(np.uint16).reshape(60, 80)
    picture.convert("CMYK").save(place / "cmyk.jpg")
    picture.convert("L").save(place / "grey.jpg")
    Image.fromarray(ramp).save(place / "deep.png")
    picture.convert("P").save(place / "palette.png")
    picture.save(place / "turned.jpg", exif=exif)
    Image.new("RGB", (1, 1), (200, 30, 60)).save(place / "one.png")
    picture.save(place / "x.webp", lossless=True)
    (place / "x.webp").rename(place / "wrong.jpg")
    noise((600, 3)).save(place / "thin.png")
    return sorted(place.iterdir())


@pytest.mark.parametrize("family", FAMILIES)
def test_odd_images_are_answered_as_what_they_are_read_as(models, family, tmp_path):
    (tmp_path / "odd").mkdir()
    (tmp_path / "clean").mkdir()
    files = odd_files(tmp_path / "odd")
    clean = [tmp_path / "clean" / f"{file.stem}.png" for file in files]
    for file, copy in zip(files, clean, strict=True):
        images.read(file).save(copy)
    model = load(models[family])
    found = [{a.id: a.text for a in model.answer(questions(each))} for each in (files, clean)]
    assert found[0] == found[1] and len(found[0]) == len(files)
    assert len(set(found[0].values())) > 3


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_a_hundred_megapixels_are_shown(models, family, tmp_path):
    (tmp_path / "large.png").write_bytes(png_header(10000, 10000))
    Image.new("RGB", (50, 50)).save(tmp_path / "black.png")
    asked = questions([tmp_path / "large.png", tmp_path / "black.png"])
    found = {a.id: a.text for a in load(models[family]).answer(asked)}
    assert len(found) == 2
    if family == "paligemma":  # both are shown as one black square of one size
        assert found[0] == found[1]


def test_files_that_cannot_be_read_are_refused_in_one_line(models, tmp_path):
    whole = io.BytesIO()
    noise((80, 80)).save(whole, "jpeg")
    bad = {"zero": b"", "half": whole.getvalue()[:900], "bomb": png_header(20000, 20000)}
    model = load(models["qwen3-vl"])
    for name, data in bad.items():
        (tmp_path / f"{name}.jpg").write_bytes(data)
        with pytest.raises(LabelwiseError, match=f"{name}.jpg: unreadable image"):
            list(model.answer(questions([tmp_path / f"{name}.jpg"])))
