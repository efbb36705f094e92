"""No two jobs share a device, a dead job's device is free, a scheduler's choice holds."""

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from labelwise import gpu
from labelwise.errors import LabelwiseError
from labelwise.planning.sources import LIB

DEVICES = 3
JOB = """
import json, pathlib, sys, time
from labelwise import gpu
gpu.POLL = 0.01
locks, n, seconds, log = sys.argv[1:]
taken = gpu.lease(int(n), pathlib.Path(locks))
assert "torch" not in sys.modules
start = time.monotonic()
time.sleep(float(seconds))
with open(log, "a") as file:
    file.write(json.dumps([taken, start, time.monotonic()]) + "\\n")
"""
FREE = {k: v for k, v in os.environ.items() if k not in (*gpu.ASSIGNED, gpu.CONTAINER)}


def start(tmp_path, n, seconds, shown="0,1,2"):
    environment = FREE | {"PYTHONPATH": str(LIB), gpu.SHOWN: shown}
    command = [sys.executable, "-c", JOB, str(tmp_path / "locks"), str(n), str(seconds)]
    return subprocess.Popen([*command, str(tmp_path / "log")], env=environment)


def test_many_jobs_never_share_a_device(tmp_path):
    draw = random.Random(0)
    jobs = [start(tmp_path, draw.choice([1, 1, 2, 3]), draw.uniform(0, 0.2)) for _ in range(24)]
    assert [job.wait(60) for job in jobs] == [0] * len(jobs)
    held = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert len(held) == len(jobs)
    for device in "012":
        spans = sorted((since, until) for taken, since, until in held if device in taken)
        assert spans
        for (_, until), (since, _) in itertools.pairwise(spans):
            assert until <= since


def test_the_device_of_a_killed_job_is_free_again(tmp_path):
    job = start(tmp_path, 3, 60)
    while not (tmp_path / "locks/2").exists():
        time.sleep(0.01)
    waiting = start(tmp_path, 3, 0)
    time.sleep(0.3)
    assert waiting.poll() is None
    job.send_signal(signal.SIGKILL)
    assert waiting.wait(10) == 0
    job.wait()


@pytest.fixture
def alone(monkeypatch):
    for name in (*gpu.ASSIGNED, gpu.CONTAINER, gpu.SHOWN, "CUDA_DEVICE_ORDER"):
        monkeypatch.delenv(name, raising=False)
    held = list(gpu._held)
    yield monkeypatch
    for lock in gpu._held[len(held) :]:
        os.close(lock)
    gpu._held[:] = held


def test_a_job_without_gpus_sees_none(alone, tmp_path):
    alone.setenv(gpu.SHOWN, "0,1")
    assert gpu.lease(0, tmp_path) == [] and os.environ[gpu.SHOWN] == ""


def test_by_hand_nothing_changes(alone, tmp_path):
    alone.setenv(gpu.SHOWN, "1")
    assert gpu.lease(None, tmp_path) == ["1"]
    assert not list(tmp_path.iterdir())


def test_one_process_leases_what_another_left(alone, tmp_path):
    alone.setenv(gpu.SHOWN, "4,GPU-8f6d")
    assert gpu.lease(1, tmp_path) == ["4"]
    alone.setenv(gpu.SHOWN, "4,GPU-8f6d")
    assert gpu.lease(1, tmp_path) == ["GPU-8f6d"]
    assert os.environ[gpu.SHOWN] == "GPU-8f6d"
    assert os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


@pytest.mark.parametrize("name", gpu.ASSIGNED)
def test_a_schedulers_assignment_holds(alone, tmp_path, name):
    alone.setenv(name, "2")
    alone.setenv(gpu.SHOWN, "0")
    assert gpu.lease(1, tmp_path) == ["0"]
    assert not list(tmp_path.iterdir())


def test_too_few_is_one_line(alone, tmp_path):
    alone.setenv(gpu.SHOWN, "0")
    with pytest.raises(
        LabelwiseError, match=r"asks for 2 GPUs .* has 1 \(CUDA_VISIBLE_DEVICES=0\)"
    ):
        gpu.lease(2, tmp_path)


def test_devices_of_a_machine_are_counted_without_a_driver(tmp_path):
    for name in ("nvidia0", "nvidia1", "nvidia10", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert gpu.devices({}, tmp_path) == ["0", "1", "2"]
    assert gpu.devices({gpu.SHOWN: "7, 8"}, tmp_path) == ["7", "8"]
    assert gpu.devices({gpu.SHOWN: ""}, tmp_path) == []
