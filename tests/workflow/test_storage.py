"""Results in object storage, an S3 server of this test's own; and what Kubernetes plans."""

import os
import subprocess
import sys

import pytest
from study import copy
from test_cluster import PATHS

pytestmark = pytest.mark.slow

BUCKET, PREFIX = "labelwise", "study"
SOURCES = ("config", "data/demo/labels", "data/demo/photos.csv", "workflow", "images.csv")
KEYS = {
    **{"SNAKEMAKE_STORAGE_S3_ACCESS_KEY": "key", "SNAKEMAKE_STORAGE_S3_SECRET_KEY": "secret"},
    **{"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"},
    "AWS_DEFAULT_REGION": "us-east-1",
}


class Bucket:
    def __init__(self, url):
        import boto3

        self.url, self.client = url, boto3.client("s3", endpoint_url=url)
        self.client.create_bucket(Bucket=BUCKET)

    def fill(self, root):
        """What a user uploads once: all inputs that are no results."""
        for name in SOURCES:
            path = root / name
            for file in [path] if path.is_file() else path.rglob("*"):
                if file.is_file() and "__pycache__" not in file.parts:
                    key = f"{PREFIX}/{file.relative_to(root).as_posix()}"
                    self.client.upload_file(str(file), BUCKET, key)

    def files(self, stages):
        found = {}
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        for item in (item for page in pages for item in page.get("Contents", [])):
            name = item["Key"].removeprefix(f"{PREFIX}/")
            if name.startswith(tuple(f"results/{stage}/" for stage in stages)):
                body = self.client.get_object(Bucket=BUCKET, Key=item["Key"])["Body"]
                found[name] = body.read()
        return found


@pytest.fixture
def bucket(monkeypatch):
    moto = pytest.importorskip("moto.server", reason="needs moto and flask, extra `test`")
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield Bucket(f"http://{host}:{port}")
    server.stop()


def snakemake(study, bucket, *args):
    command = [sys.executable, "-m", "snakemake", "--storage-s3-endpoint-url", bucket.url]
    done = subprocess.run(
        [*command, *args], cwd=study.root, env=os.environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_results_in_s3_are_the_local_results(bucket, built, tmp_path):
    study = copy(tmp_path)
    bucket.fill(study.root)
    stored = ["--default-storage-provider", "s3"]
    stored += ["--default-storage-prefix", f"s3://{BUCKET}/{PREFIX}"]
    snakemake(study, bucket, "--cores", "2", *stored, "results/tables/multiple_choice.csv")
    found = bucket.files(PATHS)
    assert "results/tables/multiple_choice.csv" in found
    for name, data in found.items():
        if not name.endswith(".meta.json"):
            assert data == (built.root / name).read_bytes(), name
    assert not (study.root / "results/tables").exists()
    said = snakemake(study, bucket, "-n", *stored, "results/tables/multiple_choice.csv")
    assert "Nothing to be done" in said


def test_kubernetes_plans_the_study(bucket, tmp_path):
    study = copy(tmp_path)
    bucket.fill(study.root)
    said = snakemake(study, bucket, "-n", "--profile", "workflow/profiles/kubernetes")
    total = next(line for line in said.splitlines() if line.startswith("total"))
    assert int(total.split()[1]) > 40
