"""One run in several jobs: nothing else changes; what the profile of Slurm says of each rule."""

import re

import yaml
from study import ROOT, RULES

PATHS = ("responses", "predictions", "scores", "experiments", "tables")


def kept(study):
    return {
        path.relative_to(study.root): path.read_bytes()
        for stage in PATHS
        for path in (study.root / "results" / stage).rglob("*")
        if path.is_file() and not path.name.endswith(".meta.json")
    }


def test_shards_change_no_result(study):
    before = kept(study)
    study.edit(
        "config/config.yaml", "engine: chance, seed: 1", "engine: chance, shards: 3, seed: 1"
    )
    target = "results/responses/small/guess/closed/b4-shuffled-s0.jsonl"
    assert study.planned(target) == {"infer_shard": 3, "merge_shards": 1}
    study.build("scores", "tables")
    assert kept(study) == before
    assert len(list((study.root / "results/shards/small/guess/closed").rglob("*-of-3.jsonl"))) == 6
    assert study.planned("scores", "tables") == {}


def test_gpus_memory_and_display_ask_nothing_again(study):
    study.edit("config/config.yaml", "engine: chance, seed: 1", "engine: chance, gpus: 1, seed: 1")
    assert study.planned() == {"tell_provenance": 1}  # the page that shows the configuration


def test_a_job_asks_for_what_its_model_needs(study):
    needs = "engine: chance, gpus: 2, memory: 40GB, seed: 1"
    study.edit("config/config.yaml", "engine: chance, seed: 1", needs)
    target = "results/responses/small/guess/closed/b1.jsonl"
    code, said = study.snakemake("-n", "--forcerun", "infer", "--", target)
    (told,) = re.findall(r"^rule infer:.*?resources: ([^\n]*)", said, re.M | re.S)
    assert code == 0 and "gpu=2" in told and re.search(r"mem=40 ?GB|mem_mb=40000", told), told
    assert re.search(r"runtime=\d+", told), told


def test_a_server_is_not_sharded(study):
    study.edit(
        "config/config.yaml", "engine: chance, seed: 1", "engine: openai, model: m, shards: 2"
    )
    assert "models: guess: shards: leave it out" in study.refuses()


LONG = {"infer", "infer_shard", "classify", "embed_references", "find_neighbours"}
LONG |= {"embed_classes", "list_images"}
"""Rules that take minutes to hours on a real data set: each job goes to Slurm by itself."""


def test_short_jobs_are_local_or_grouped_and_long_ones_are_neither():
    profile = yaml.safe_load((ROOT / "workflow/profiles/slurm/profile.yaml").read_text())
    grouped = set(profile["groups"])
    block = re.search(r"^localrules:\n((?: +\w+,\n)+)", (ROOT / "Snakefile").read_text(), re.M)
    local = set(re.findall(r"\w+", block[1]))
    assert grouped | LONG <= RULES
    assert {"write_requests", "score", "gather", "draw_figure"} <= local
    assert not grouped & (LONG | local), "a group fails as one"
    assert set(profile["groups"].values()) == set(profile["group-components"])
