"""What the page's server says, refuses and keeps; blindness above all."""

import json
import subprocess
import sys

import pytest
from annotation_cases import ROOT, demo_cases
from labelwise.annotation import server
from labelwise.annotation.store import opened
from labelwise.annotation.work import Adjudicating, Annotating
from starlette.testclient import TestClient

CASES = demo_cases(8, {"ann": "person", "bob": "person"})
TOKEN = "a long enough token"


@pytest.fixture
def store(tmp_path):
    with opened(tmp_path / "a.sqlite", CASES) as found:
        yield found


@pytest.fixture
def page(store, monkeypatch):
    monkeypatch.chdir(ROOT)
    return client(store, Annotating(CASES))


def client(store, work, host="127.0.0.1", token=None, base="http://127.0.0.1"):
    return TestClient(server.create(CASES, store, work, host, token), base_url=base)


def decide(page, who, case, *marks, send=None, **more):
    send = send or f"send {who} {case} {marks}".ljust(8)[:64]
    body = {"annotator": who, "case": case, "marks": list(marks), "send": send, **more}
    return page.post("/api/decide", json=body)


def work(page, who="ann", **more):
    return page.get("/api/work", params={"annotator": who, **more}).json()


def test_a_decision_is_kept_and_the_next_case_comes(page, store):
    first = work(page)
    assert (first["done"], first["total"], first["pace"]) == (0, 8, None)
    case = first["case"]
    assert case["id"] == CASES.asked("ann")[0] and first["upcoming"] == CASES.asked("ann")[1:3]
    answer = decide(page, "ann", case["id"], 3, -1, comment="hm", seconds=2.5).json()
    assert answer["done"] == 1 and answer["case"]["id"] == CASES.asked("ann")[1]
    assert answer["pace"] == 2.5
    (kept,) = store.all()
    assert kept.marks == (3, -1) and kept.image == CASES.by_id[case["id"]].image
    assert kept.at.endswith("Z") and kept.role == "annotator"
    again = work(page, at=0)["case"]
    assert again["decision"] == {
        "marks": [3, -1],
        "boxes": [],
        "comment": "hm",
        "seconds": 2.5,
    }


def test_undo_takes_back_one_after_the_other(page, store):
    order = CASES.asked("ann")
    for i in range(3):
        decide(page, "ann", order[i], i)

    def undo(i):
        return page.post("/api/undo", json={"annotator": "ann", "send": f"undo number {i}"}).json()

    back = undo(1)
    assert undo(1) == back  # its reply was lost, and it is sent again
    assert back["done"] == 2 and back["case"]["id"] == order[2]
    assert back["case"]["decision"]["marks"] == [2]
    assert undo(2)["case"]["id"] == order[1]
    assert undo(3)["done"] == 0 and undo(4)["done"] == 0
    assert store.all() == []


def test_nothing_tells_source_image_or_what_others_said(page):
    other = decide(page, "bob", CASES.cases[0].case, 42, comment="bob was here")
    assert other.status_code == 200
    said = [page.get("/api/setup").text]
    for at in range(8):
        said.append(page.get("/api/work", params={"annotator": "ann", "at": at}).text)
    text = "".join(said)
    for case in CASES.cases:
        assert case.image not in text and case.file not in text
    assert "bob was here" not in text and "[42]" not in text
    assert not {"source", "category", "kind", "file", "image"} & set(work(page)["case"])
    picture = page.get(f"/image/{CASES.cases[0].case}")
    assert picture.content == (ROOT / CASES.cases[0].file).read_bytes()
    assert CASES.cases[0].image not in str(picture.headers)


def test_only_the_cases_files_are_served(page):
    assert page.get("/image/c00000000099").status_code == 404
    for path in (
        "/image/..%2F..%2Fetc%2Fpasswd",
        "/image/../../etc/passwd",
        "/page/..%2Fserver.py",
        "/page/server.py",
        "/example/0/0",
        "/example/-1/0",
        "/docs",
        "/openapi.json",
    ):
        assert page.get(path).status_code in (404, 422), path
    assert page.get("/").headers["content-security-policy"].startswith("default-src 'none'")
    assert page.get("/page/page.js").headers["x-content-type-options"] == "nosniff"


def test_every_file_of_the_page_is_served(page):
    files = {file.name for file in server.PAGE.iterdir()} - {"index.html"}
    assert files == set(server.FILES)
    for name in files:
        assert page.get(f"/page/{name}").text == (server.PAGE / name).read_text()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"marks": [1000]}, "not class ids of 0..999"),
        ({"case": "c99"}, "this case is not yours"),
        ({"case": ["c99"]}, "this case is not yours"),
        ({"annotator": "eve"}, "none of this annotation's annotators"),
        ({"annotator": {}}, "a name has"),
        ({"send": "x"}, "an id of the sending"),
        ({"boxes": 3}, "boxes is a list"),
        ({"boxes": [None]}, "a box has coordinates"),
        ({"comment": []}, ""),
        ({"comment": 5}, "a comment is text"),
        ({"seconds": "soon"}, "is no time"),
    ],
)
def test_bad_requests_are_told_in_one_line_and_keep_nothing(page, store, body, message):
    good = {"annotator": "ann", "case": CASES.cases[0].case, "marks": [1], "send": "send-send"}
    answer = page.post("/api/decide", json={**good, **body})
    if message:
        assert answer.status_code == 422 and message in answer.json()["error"]
        assert store.all() == []
    else:
        assert answer.status_code == 200


def test_requests_of_other_pages_and_names_are_refused(page, store):
    good = {"annotator": "ann", "case": CASES.cases[0].case, "marks": [1], "send": "send-send"}
    text = json.dumps(good)
    sent = page.post("/api/decide", content=text, headers={"content-type": "text/plain"})
    assert sent.status_code == 415
    sent = page.post("/api/decide", json=good, headers={"sec-fetch-site": "cross-site"})
    assert sent.status_code == 403
    assert page.get("/", headers={"host": "evil.example"}).status_code == 421
    assert page.get("/", headers={"host": "localhost:99"}).status_code == 200
    assert page.get("/", headers={"host": "[::1]:99"}).status_code == 200
    big = page.post("/api/decide", json={**good, "comment": "x" * 300_000})
    assert big.status_code == 413
    assert store.all() == []


def test_a_token_opens_the_page_once_and_stays_in_a_cookie(store):
    page = client(store, Annotating(CASES), "0.0.0.0", TOKEN, "http://192.0.2.7")
    for path in ("/", "/api/setup", "/api/work?annotator=ann", f"/image/{CASES.cases[0].case}"):
        assert page.get(path).status_code == 401
    assert page.get("/", params={"token": "wrong"}).status_code == 401
    bearer = {"authorization": f"Bearer {TOKEN}"}
    assert page.get("/api/setup", headers=bearer).status_code == 200
    let_in = page.get("/", params={"token": TOKEN}, follow_redirects=False)
    assert let_in.status_code == 303 and let_in.headers["location"] == "/"
    cookie = let_in.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie
    assert page.get("/api/setup").status_code == 200


def test_a_network_needs_a_token(tmp_path):
    CASES.write(tmp_path / "cases.jsonl")
    command = [sys.executable, "-m", "labelwise.annotate", "cases.jsonl"]
    for more in ([], ["--token", "short"]):
        done = subprocess.run(
            [*command, "--db", "a.sqlite", "--host", "0.0.0.0", *more],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={"PYTHONPATH": str(ROOT / "workflow/lib"), "PATH": ""},
        )
        assert done.returncode == 1
        assert "error: --host 0.0.0.0 opens the page to a network: set" in done.stderr
        assert done.stderr.count("\n") == 1


def test_adjudication_shows_differing_answers_without_names(store):
    page = client(store, Annotating(CASES))
    one, two, three = (case.case for case in CASES.cases[:3])
    decide(page, "ann", one, 5, comment="a note")
    decide(page, "bob", one, 6, -1)
    decide(page, "ann", two, 620)
    decide(page, "bob", two, 681)
    decide(page, "ann", three, 7)
    judge = client(store, Adjudicating(CASES, store, frozenset({(620, 681)})))
    state = work(judge, "eve")
    assert state["total"] == 1 and state["case"]["id"] == one
    assert sorted(state["case"]["options"]) == [[5], [6, -1]]
    assert state["case"]["notes"] == ["a note"]
    assert "ann" not in json.dumps(state).replace("annotator", "") and "bob" not in str(state)
    done = decide(judge, "eve", one, 6).json()
    assert done["done"] == done["total"] == 1 and done["case"] is None
    assert [d.role for d in store.all() if d.case == one] == ["annotator"] * 2 + ["adjudicator"]


def test_a_picture_that_browsers_do_not_know_becomes_one(tmp_path):
    from PIL import Image

    Image.new("RGB", (4, 3), "red").save(tmp_path / "x.tif")
    answer = server.picture(str(tmp_path / "x.tif"))
    assert answer.media_type == "image/png" and answer.body.startswith(b"\x89PNG")
