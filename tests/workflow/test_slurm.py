"""The workflow on a real Slurm: slurmctld, slurmd and munged of this test's own, on this machine.

Where Slurm cannot be had (no slurm-wlm and munge, or not root) the tests say so and are skipped.
"""

import os
import re
import shutil
import statistics
import subprocess
import sys
import time

import pytest
import yaml
from fake_openai import KEY, Fake
from labelwise import records
from study import ROOT, Study, copy
from test_cluster import kept

pytestmark = pytest.mark.slow

SCRIPT = ROOT / "workflow/profiles/slurm/one-machine.sh"
HERE = ["--profile", "workflow/profiles/slurm", "--cores", "2", "--latency-wait", "10"]
HERE += ["--slurm-status-command", "squeue", "--slurm-no-account"]
HERE += ["--slurm-init-seconds-before-status-checks", "3"]


class Slurm:
    def __init__(self, folder):
        self.folder = folder

    def __call__(self, *command, **more):
        more = {"capture_output": True, "text": True, "timeout": 570} | more
        return subprocess.run([str(SCRIPT), "run", str(self.folder), *command], **more)

    def said(self, *command):
        done = self(*command)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def snakemake(self, study, *args, **environment):
        command = [str(SCRIPT), "run", str(self.folder), sys.executable, "-m", "snakemake"]
        log = open(study.root / "said.log", "wb")  # noqa: SIM115
        return subprocess.Popen(
            [*command, *HERE, *args],
            cwd=study.root,
            env=os.environ | environment,
            stdout=log,
            stderr=log,
        )

    def running(self):
        """Numbers of the jobs that run."""
        return self.said("squeue", "--noheader", "--states=RUNNING", "--format=%i").split()


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slurm")
    done = subprocess.run([SCRIPT, "start", folder, "2"], capture_output=True, text=True)
    if done.returncode == 3:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    pids = [int((folder / f"{name}.pid").read_text()) for name in ("slurmctld", "slurmd", "munged")]
    yield Slurm(folder)
    subprocess.run([SCRIPT, "stop", folder], check=True)
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)


def test_a_slurm_study_is_the_local_study(slurm, built, tmp_path):
    study = copy(tmp_path)
    process = slurm.snakemake(study)
    assert process.wait(570) == 0, (study.root / "said.log").read_text()[-3000:]
    assert kept(study) == kept(built)
    total = int(re.search(r"^total +(\d+)$", (study.root / "said.log").read_text(), re.M)[1])
    assert submitted(study) <= 15 < total, "short jobs are to share one Slurm job"
    assert study.planned() == {}
    assert 0 < seconds_added(slurm, study) < 60


def submitted(study):
    """The number of Slurm jobs of a study."""
    said = (study.root / "said.log").read_text()
    return len(re.findall(r"^Job \S+ has been submitted", said, re.M))


def seconds_added(slurm, study):
    """How much longer the Slurm job of an inference ran than the rule's own command: the median."""
    added = []
    for line in slurm.said("scontrol", "--oneliner", "show", "jobs").splitlines():
        named = re.search(r"Comment=rule_infer_wildcards_(\S+)", line)
        if not named or "JobState=COMPLETED" not in line:
            continue
        path = study.root / f"results/benchmarks/infer/{named[1].replace('_', '/')}.jsonl"
        if path.is_file():  # else a job of another test's study
            clock = re.search(r"RunTime=(\d+):(\d+):(\d+)", line).groups()
            ran = sum(int(n) * unit for n, unit in zip(clock, (3600, 60, 1), strict=True))
            added.append(ran - next(records.read_jsonl(path))["s"])
    middle = statistics.median(added)
    print(f"seconds that Slurm and Snakemake add to a job: {middle:.0f} ({len(added)} jobs)")
    return middle


DAY = rb"\d{4}-\d\d-\d\d"
DATED = re.compile(
    rb"(on|from) " + DAY + rb"( to " + DAY + rb")?"
    rb"|" + DAY + rb"T[\d:]+Z(,[0-9a-f]*)?"
    rb'|"commit": [^,]*,'
)
"""When and at which commit a run was made, as captions and the leaderboard tell it."""


def results(root):
    """Everything that came out, but for what names the time, the machine and the folder."""
    keep = re.compile(r"^(?!(logs|benchmarks|journal|shards)/).*(?<!\.meta\.json)$")
    files = {str(path.relative_to(root)): path for path in root.rglob("*") if path.is_file()}
    own = {"provenance.html", "report.html", "archive.zip", "croissant.json"}
    kept = {name for name in files if keep.match(name)} - own
    return {name: DATED.sub(b"", files[name].read_bytes()) for name in sorted(kept)}


def test_the_default_study_by_slurm_is_that_of_this_checkout(slurm, tmp_path):
    """The whole default study: in this checkout, if it is not there, and in a copy by Slurm."""
    here = Study(ROOT)
    here.build()
    study = copy(tmp_path)
    shutil.copy(ROOT / "config/config.yaml", study.root / "config/config.yaml")
    process = slurm.snakemake(study)
    assert process.wait(3 * 3600) == 0, (study.root / "said.log").read_text()[-3000:]
    ours, theirs = results(study.root / "results"), results(ROOT / "results")
    assert sorted(name for name in ours if ours[name] != theirs.get(name)) == []
    assert len(ours) > 500 and study.planned() == {}
    print(f"{len(ours)} files the same, {submitted(study)} Slurm jobs")
    assert 0 < seconds_added(slurm, study) < 60


@pytest.fixture
def served(tmp_path):
    """A study of one run of 30 questions, whose paid answers take a second each, and its server."""
    study = copy(tmp_path / "study")
    config = yaml.safe_load((ROOT / "tests/workflow/study.yaml").read_text())
    model = {"kind": "mllm", "engine": "openai", "model": "tiny-2026-01-01", "concurrency": 1}
    price = {"input": 1.0, "output": 1.0, "date": "2026-11-01"}
    config["models"] = {"tiny": model | {"structured": "none", "price": price, "max_cost_usd": 9}}
    run = {"models": ["tiny"], "protocols": ["closed"], "mappers": ["exact"]}
    config["experiments"] = {"main": {"images": ["small"], "labels": ["multi"], "runs": [run]}}
    config |= {"figures": {}, "tables": {}}
    (study.root / "config/config.yaml").write_text(yaml.safe_dump(config))
    study.build("results/requests/small/closed/b1.jsonl")
    with Fake(delay=1.0) as fake:
        study.environment = {"OPENAI_BASE_URL": fake.url, "OPENAI_API_KEY": KEY}
        yield study, fake


JOURNAL = "results/journal/small/tiny/closed/b1.jsonl"
RESPONSES = "results/responses/small/tiny/closed/b1.jsonl"


def answered(study):
    path = study.root / JOURNAL
    return path.read_bytes().count(b"\n") if path.exists() else 0


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)


def test_requeued_cancelled_and_out_of_time_a_job_goes_on_from_its_journal(slurm, served):
    study, fake = served
    process = slurm.snakemake(study, RESPONSES, **study.environment)
    try:
        wait_for(lambda: answered(study) >= 4)
        (job,) = slurm.running()
        slurm.said("scontrol", "requeue", job)
        wait_for(lambda: "PENDING" in slurm.said("squeue", "--noheader", "--format=%T"))
        slurm.said("scontrol", "update", f"JobId={job}", "StartTime=now")  # else two minutes later
        wait_for(lambda: answered(study) >= 9)
        (job,) = slurm.running()
        slurm.said("scancel", job)
        wait_for(lambda: answered(study) >= 14)
        (job,) = slurm.running()
        fake.delay = 8.0  # what is left takes longer than the shortest limit there is, a minute
        slurm.said("scontrol", "update", f"JobId={job}", "TimeLimit=1")
        wait_for(lambda: "TIMEOUT" in (study.root / "said.log").read_text(), 200)
        fake.delay = 0.2
        assert process.wait(400) == 0, (study.root / "said.log").read_text()[-3000:]
    finally:
        process.kill()
    said = (study.root / "said.log").read_text()
    assert "CANCELLED" in said and "TIMEOUT" in said
    asked = [request["messages"] for request in fake.requests]
    again = len(asked) - 30
    assert 0 <= again <= 3, "asked again is at most what was under way at each of three ends"
    keys = [line["key"] for line in records.read_jsonl(study.root / JOURNAL)]
    assert len(keys) == len(set(keys)) == 30


def test_a_failed_job_names_its_logs(slurm, served):
    study, fake = served
    fake.script[:] = [("status", 401, {"error": {"message": "no such key", "code": "bad"}})] * 20
    process = slurm.snakemake(study, "--retries", "0", RESPONSES, **study.environment)
    assert process.wait(200) != 0
    said = (study.root / "said.log").read_text()
    assert "results/logs/infer/small/tiny/closed/b1.log" in said
    (log,) = (study.root / "results/logs/slurm/rule_infer").rglob("*.log")
    assert str(log) in said
    assert "error: " in (study.root / "results/logs/infer/small/tiny/closed/b1.log").read_text()
    assert "error: " in said.partition("Logfile")[2], "the rule's log is shown"


def test_gpu_jobs_of_slurm_have_a_device_each(slurm, tmp_path):
    code = (
        "import os, time; from labelwise import gpu; print(gpu.lease(1), gpu.assigned(os.environ));"
        " time.sleep(3)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow/lib")}
    command = [str(SCRIPT), "run", str(slurm.folder), "srun"]
    command += ["--partition=gpu", "--gpus=1", "--mem=100"]
    jobs = [
        subprocess.Popen(
            [*command, sys.executable, "-c", code],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = sorted(job.communicate(timeout=60)[0].strip() for job in jobs)
    assert said == ["['0'] True", "['1'] True"]
