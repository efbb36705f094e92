"""Runs of the stage ``infer`` over a few made-up images, asked of a scripted server."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_openai import KEY
from labelwise import records
from labelwise.infer import main as infer
from labelwise.requests import make
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
NAMES = ["tench", "goldfish", "hammerhead shark"]
PRICE = {"input": 2.5, "cached": 1.25, "output": 10.0, "date": "2026-11-24"}
FORMATS = {"JPEG": "image/jpeg", "PNG": "image/png", "GIF": "image/gif", "WEBP": "image/webp"}


class Study:
    """Requests of some images in a folder, and runs of the stage ``infer`` over them."""

    def __init__(self, root, n=6, batch=1, **protocol):
        self.root = root
        rows = []
        for i in range(n):
            kind = list(FORMATS)[i % 4]
            data = io.BytesIO()
            colour = (i * 40 % 256, 100, 200)
            Image.new("RGB", (30 + i, 40), colour).save(data, kind)
            file = root / f"i{i}.bin"
            file.write_bytes(data.getvalue())
            row = {"image": f"i{i}", "file": str(file), "sha256": f"{i}", "status": "ok"}
            rows.append(row | {"bytes": 1, "width": 30 + i, "height": 40})
        records.write_csv(root / "images.csv", records.IMAGES, rows)
        classes = [{"class": i, "name": name} for i, name in enumerate(NAMES)]
        records.write_csv(root / "classes.csv", records.CLASSES, classes)
        prompt = root / "prompt.yaml"
        prompt.write_text('system: "Choose from: {{ class_list }}"\nclosing: "Which class?"\n')
        spec = {"kind": "closed", "prompt": str(prompt), "classes": "mine"} | protocol
        order = "sorted" if batch > 1 else ""
        lines = make("closed", spec, [row["image"] for row in rows], NAMES, batch, order)
        records.write_jsonl(root / "requests.jsonl", lines)
        self.images = rows

    def command(self, spec, journal="journal", out="responses"):
        spec = {"engine": "openai", "model": "tiny"} | spec
        return [
            *(str(self.root / "requests.jsonl"), "--images", str(self.root / "images.csv")),
            *("--classes", str(self.root / "classes.csv"), "--model", json.dumps(spec)),
            *("--journal", str(self.root / f"{journal}.jsonl")),
            *("--out", str(self.root / f"{out}.jsonl"), "--meta", str(self.root / f"{out}.json")),
        ]

    def run(self, fake, **spec):
        infer(self.command({"base_url": fake.url} | spec))
        return list(records.read_jsonl(self.root / "responses.jsonl"))

    def fails(self, fake, capsys, **spec):
        with pytest.raises(SystemExit):
            self.run(fake, **spec)
        said = capsys.readouterr().err
        (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
        assert KEY not in said and "Traceback" not in said
        return line

    @property
    def meta(self):
        return records.read_json(self.root / "responses.json")

    @property
    def journal(self):
        file = self.root / "journal.jsonl"
        return list(records.read_jsonl(file)) if file.exists() else []


def start(study, fake, out="responses", **spec):
    environment = {
        **os.environ,
        "OPENAI_API_KEY": KEY,
        "PYTHONPATH": f"{study.root}:{ROOT}/workflow/lib",
    }
    command = study.command({"base_url": fake.url} | spec, out=out)
    return subprocess.Popen(
        [sys.executable, "-m", "labelwise.infer", *command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
