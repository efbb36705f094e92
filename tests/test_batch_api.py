"""The provider's Batch API: the same answers for half, whatever is lost, refused or killed."""

import json
import signal

import pytest
from fake_openai import KEY, Fake, error
from labelwise import records
from labelwise.servers import batch_api
from served_runs import PRICE, Study, start


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    return Study(tmp_path)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(batch_api, "POLL", 0.01)


def state(study):
    return records.read_json(study.root / "journal.batches.json")["batches"]


def test_batches_give_what_online_gives_for_half(study, quick):
    with Fake() as fake:
        online = study.run(fake, price=PRICE, max_cost_usd=1)
        text = (study.root / "responses.jsonl").read_bytes()
        (study.root / "journal.jsonl").unlink()
        fake.requests.clear()
        assert study.run(fake, batch=True, price=PRICE, max_cost_usd=1) == online
        assert fake.requests == [] and len(fake.uploads) == len(fake.batches) == 1
    assert (study.root / "responses.jsonl").read_bytes() == text
    assert study.meta["cost_usd"] == pytest.approx(6 * (2000 * 1.25 + 5 * 5) / 1e6)
    keys = {json.loads(line)["custom_id"] for line in fake.uploads[0].splitlines()}
    assert keys == {entry["key"] for entry in study.journal}
    assert [batch["step"] for batch in state(study)] == ["done"]


def test_files_keep_the_limits(study, quick, monkeypatch):
    with Fake() as fake:
        study.run(fake, batch=True, batch_requests=4)
        assert [len(data.splitlines()) for data in fake.uploads] == [4, 2]
        (study.root / "journal.jsonl").unlink()
        fake.uploads.clear()
        monkeypatch.setattr(batch_api, "MOST_BYTES", 2500)
        study.run(fake, batch=True)
        assert len(fake.uploads) > 1 and max(map(len, fake.uploads)) <= 2500


@pytest.mark.parametrize(
    "plan, again",
    [
        ({"status": "expired", "lose": [0, 3]}, 2),
        ({"status": "cancelled", "lose": [0, 1, 2, 3, 4, 5]}, 6),
        ({"errors": {2: (500, error("server_error")), 4: (429, error("rate_limit_exceeded"))}}, 2),
    ],
)
def test_only_what_is_missing_is_sent_again(study, quick, plan, again):
    with Fake(batches=[plan]) as fake:
        found = study.run(fake, batch=True)
        assert [len(data.splitlines()) for data in fake.uploads] == [6, again]
        (study.root / "journal.jsonl").unlink()
        assert study.run(fake) == found


def test_refused_requests_of_a_batch(study, quick, capsys):
    plan = {"errors": {1: (400, error("content_filter")), 2: (400, error("invalid_value"))}}
    with Fake(batches=[plan]) as fake:
        assert "refused (400 invalid_value)" in study.fails(fake, capsys, batch=True)
        assert len(study.journal) == 5
        assert [e["finish"] for e in study.journal].count("content_filter") == 1
        study.run(fake, batch=True)
        assert [len(data.splitlines()) for data in fake.uploads] == [6, 1]


def test_an_image_that_a_batch_refuses_is_an_outcome(study, quick):
    plan = {"errors": {2: (400, error("invalid_image", "no image at all"))}}
    with Fake(batches=[plan]) as fake:
        found = study.run(fake, batch=True)
    assert [line["finish"] == "image_error" for line in found].count(True) == 1
    assert list(study.meta["image_errors"].values()) == ["no image at all"]
    assert len(study.journal) == 5 and len(fake.uploads) == 1


def test_a_batch_that_has_no_room_yet_is_made_again(study, quick):
    full = {"status": "failed", "error": {"code": "token_limit_exceeded", "message": "later"}}
    with Fake(batches=[full, full]) as fake:
        study.run(fake, batch=True)
    assert len(fake.batches) == 3


def test_a_failed_batch_is_one_line(study, quick, capsys):
    plan = {"status": "failed", "error": {"code": "invalid_file", "message": f"bad {KEY}"}}
    with Fake(batches=[plan]) as fake:
        assert "failed: bad ***" in study.fails(fake, capsys, batch=True)


def test_a_batch_beyond_the_limit_of_cost_is_not_sent(study, quick, capsys):
    with Fake() as fake:
        study.fails(fake, capsys, batch=True, price=PRICE, max_cost_usd=0.0001)
    assert fake.uploads == []


MOMENTS = ["upload", "uploaded", "create", "created", "fetch"]


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_any_step_no_batch_is_lost_or_made_twice(study, moment, monkeypatch):
    (study.root / "sitecustomize.py").write_text(
        "from labelwise.servers import batch_api\nbatch_api.POLL = 0.05\n"
    )
    with Fake() as fake:
        running = []

        def kill(event):
            if event == moment and running:
                fake.on = lambda event: None
                running[0].send_signal(signal.SIGKILL)
                running[0].wait()

        fake.on = kill
        running.append(start(study, fake, batch=True))
        assert running[0].wait(60) == -signal.SIGKILL
        monkeypatch.setattr(batch_api, "POLL", 0.01)
        found = study.run(fake, batch=True)
        assert len(found) == 6 and len(fake.batches) == 1
        assert fake.requests == []
