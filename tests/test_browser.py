"""The case browser in headless Chromium, from a plain file."""

import json
import os

import pytest
from labelwise import records
from labelwise.bench import browser as bench
from labelwise.errors import LabelwiseError
from labelwise.pages import browser, thumbnails
from PIL import Image

sync_api = pytest.importorskip("playwright.sync_api")

HOSTILE = (
    "<img src=x onerror=\"document.title='owned'\">",
    "</script><script>document.title='owned'</script>",
    "line\u2028separator \u202egnp.exe and ${document.title = 'owned'}",
)
NAMES = ("tench", "goldfish", "</script><b>shark</b>", "owl")
ANSWERS = {
    "one": ("tench", "ok", "0", "", "0"),
    "two": (HOSTILE[0], "out_of_list", "1", "0.8123", "1"),
    "three": (HOSTILE[1], "out_of_list", "3", "0.5", "1"),
    "four": (HOSTILE[2], "abstain", "", "", "0"),
}
RUN = "set/model/closed/b1"
PLAN = {
    "points": [
        ["set", "model", "closed", "b1", "near"],
        ["set", "looks", "classify", "b1", "argmax"],
    ],
    "prompted": ["closed"],
    "classes": {"classify": "names", "closed": "names"},
    "original": {"set": "single"},
    "labels": {"multi": {"format": "csv"}, "single": {"format": "csv"}},
    "names": {"model": "Model <i>", "looks": "Looks"},
}


@pytest.fixture(scope="module")
def chromium():
    if not os.path.exists(bench.CHROMIUM):
        pytest.skip(f"no browser at {bench.CHROMIUM}; set CHROMIUM")
    with sync_api.sync_playwright() as play:
        found = play.chromium.launch(executable_path=bench.CHROMIUM, args=bench.OPTIONS)
        yield found
        found.close()


def predictions(path, rows):
    made = [
        dict(zip(("answer", "outcome", "class", "score", "mapped"), row, strict=True))
        | {"repeat": 0, "image": image, "position": 1}
        for image, row in rows.items()
    ]
    records.write_csv(path, records.PREDICTIONS, made)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A study of four images, one of which may be shown, and its page."""
    root = tmp_path_factory.mktemp("browser")
    images = []
    for image in ANSWERS:
        Image.new("RGB", (60, 40), "red").save(root / f"{image}.png")
        row = {"image": image, "file": str(root / f"{image}.png"), "status": "ok"}
        images.append(row | dict.fromkeys(("sha256", "bytes", "width", "height"), "0"))
    records.write_csv(root / "images/set.csv", records.IMAGES, images)
    names = [{"class": i, "name": name} for i, name in enumerate(NAMES)]
    records.write_csv(root / "classes/names.csv", records.CLASSES, names)
    for labels, own in (("single", ("0", "0", "2", "3")), ("multi", ("0", "1 2", "3", ""))):
        rows = [{"image": i, "labels": text} for i, text in zip(ANSWERS, own, strict=True)]
        records.write_csv(root / f"labels/{labels}.csv", ("image", "labels"), rows)
    header = {"kind": "closed", "system": "Choose: <b>tench</b>", "image": "{n}: ", "closing": "?"}
    header |= {"primer": "", "schema": None, "answer": "name", "format": "plain"}
    header |= {"images_per_prompt": 1}
    requests = [{"request": r, "repeat": 0, "images": [i]} for r, i in enumerate(ANSWERS)]
    records.write_jsonl(root / "requests/set/closed/b1.jsonl", [header, *requests])
    said = [
        {"request": r, "text": row[0], "finish": "stop"} for r, row in enumerate(ANSWERS.values())
    ]
    records.write_jsonl(root / f"responses/{RUN}.jsonl", said)
    predictions(root / f"predictions/{RUN}/near.csv", ANSWERS)
    looks = {i: ("", "ok", str(c), "0.9", "0") for c, i in enumerate(ANSWERS)}
    predictions(root / "predictions/set/looks/classify/b1/argmax.csv", looks)
    credits = root / "credits.csv"
    rows = [
        {"image": "two", "author": "A <script>", "licence": "CC0-1.0", "source": "here"},
        {"image": "one", "author": "B", "licence": "unknown", "source": "there"},
    ]
    records.write_csv(credits, thumbnails.CREDITS, rows)
    spec = {"show": ["CC0-1.0"], "credits": str(credits)}
    assert thumbnails.write(images, spec, root / "thumbs.zip") == 1
    plan = PLAN | {"thumbnails": {"set": str(root / "thumbs.zip")}}
    page = root / "page with spaces.html"
    page.write_text(browser.build(plan, root).html(), encoding="utf-8")
    return page


@pytest.fixture
def page(chromium, made):
    opened = chromium.new_page(viewport={"width": 1300, "height": 800})
    opened.complaints = []
    opened.on("console", lambda message: opened.complaints.append(message.text))
    opened.on("pageerror", lambda error: opened.complaints.append(str(error)))
    opened.on("dialog", lambda dialog: opened.complaints.append(dialog.message))
    opened.on("request", lambda r: r.url.split(":")[0] in ("file", "data", "blob")
              or opened.complaints.append(r.url))  # fmt: skip
    show(opened, made)
    yield opened
    assert opened.complaints == []
    assert opened.title() == "Labelwise: case browser"
    opened.close()


def show(opened, made, state=""):
    opened.goto(made.as_uri() + state)
    opened.wait_for_selector("html[data-ready]", state="attached")


def listed(page):
    return [row.inner_text().split("\n")[0] for row in page.query_selector_all("#rows [role=row]")]


def choose(page, **filters):
    for name, value in filters.items():
        field = page.locator(f"#filters [name={name}]")
        tag = field.evaluate("e => e.tagName")
        field.select_option(value) if tag == "SELECT" else field.fill(value)
    page.wait_for_timeout(150)


def test_everything_is_listed_and_counted(page):
    assert page.inner_text("#status").startswith("8 of 8 cases; ")
    assert listed(page) == [*ANSWERS] * 2
    assert "right under multi" in page.inner_text("#status")


@pytest.mark.parametrize(
    ("filters", "images"),
    [
        ({"model": "looks"}, [*ANSWERS]),
        ({"protocol": "closed", "outcome": "1"}, ["two", "three"]),
        ({"mapper": "near", "verdict": "1"}, [*ANSWERS]),
        ({"mapper": "near", "labels": "single", "verdict": "0"}, ["two", "three", "four"]),
        ({"mapper": "near", "category": "S-"}, ["three"]),
        ({"mapper": "near", "category": "S"}, ["one", "three"]),
        ({"mapper": "near", "category": "N"}, ["four"]),
        ({"mapper": "near", "class": "goldfish"}, ["two"]),
        ({"mapper": "near", "class": "3"}, ["three"]),
        ({"mapper": "near", "class": "SHARK"}, ["two"]),
        ({"text": "onerror"}, ["two"]),
        ({"text": "thr"}, ["three", "three"]),
        ({"text": "nothing like this"}, []),
    ],
)
def test_filters(page, filters, images):
    choose(page, **filters)
    assert listed(page) == images
    assert page.inner_text("#status").startswith(f"{len(images)} of 8 cases")


def test_hostile_answers_are_text(page):
    choose(page, mapper="near")
    shown = [
        cell.inner_text() for cell in page.query_selector_all("#rows [role=row] :nth-child(6)")
    ]
    assert shown[1:3] == list(HOSTILE[:2])
    assert "⟨U+2028⟩" in shown[3] and "⟨U+202E⟩" in shown[3]
    for number, answer in enumerate(HOSTILE[:2], 1):
        page.click(f"#rows [role=row]:nth-child({number + 1})")
        assert page.inner_text("#case pre") == answer
    assert page.query_selector_all("#case b, #case script, #rows b, #rows img") == []


def test_a_case_tells_all(page):
    choose(page, mapper="near")
    page.click("#rows [role=row]:nth-child(2)")
    text = page.inner_text("#case")
    for part in (
        *("two: Model <i>", "goldfish; </script><b>shark</b> (M−): right", "tench (S+): wrong"),
        *("out of list", "goldfish (1)", "0.8123", "A <script>, CC0-1.0, here"),
    ):
        assert part in text, part
    assert page.eval_on_selector("#case img", "image => image.naturalWidth") == 60
    page.click("#case summary")
    assert "Choose: <b>tench</b>\n\n1: [image 1]?" in page.inner_text("#case details")


def test_a_picture_needs_permission(page):
    choose(page, mapper="near")
    page.click("#rows [role=row]:nth-child(1)")
    assert page.query_selector("#case img") is None
    assert "does not say that this image may be shown" in page.inner_text("#case")


def test_keys_walk_and_the_address_brings_back(page, made):
    choose(page, mapper="argmax")
    page.click("#rows [role=row]:nth-child(1)")
    page.focus("#list")
    page.keyboard.press("ArrowDown")
    assert page.inner_text("#case h2") == "two: Looks"
    state = page.evaluate("location.hash")
    page.goto("about:blank")
    show(page, made, state)
    assert page.inner_text("#case h2") == "two: Looks"
    assert listed(page) == [*ANSWERS]


def test_long_lists_are_scrolled_to_their_end(chromium, tmp_path):
    text = bench.invent(30_000, 12).html()
    path = tmp_path / "long.html"
    path.write_text(text, encoding="utf-8")
    opened = chromium.new_page(viewport={"width": 1300, "height": 800})
    show(opened, path)
    assert "360,000 of 360,000 cases" in opened.inner_text("#status")
    opened.evaluate("list.scrollTop = list.scrollHeight")
    opened.wait_for_timeout(200)
    assert "ILSVRC2012_val_00030000" in listed(opened)
    assert len(listed(opened)) < 60
    assert len(text) < 12e6
    opened.close()


def test_thumbnails_need_a_licence_or_leave(tmp_path):
    assert thumbnails.may_show({}) == {} and thumbnails.may_show({"show": False}) == {}
    assert thumbnails.may_show({"show": True}) is None
    with pytest.raises(LabelwiseError, match="needs `credits`"):
        thumbnails.may_show({"show": ["CC0-1.0"]})
    assert thumbnails.side(150) == 256 and thumbnails.side(31_250) == thumbnails.SMALLEST


def test_a_study_without_experiments_is_one_line():
    with pytest.raises(LabelwiseError, match="nothing to browse"):
        browser.build({**PLAN, "points": [], "original": {}, "labels": {}, "classes": {},
                       "thumbnails": {}})  # fmt: skip


def test_same_bytes_every_time(made):
    plan = PLAN | {"thumbnails": {"set": str(made.parent / "thumbs.zip")}}
    assert browser.build(json.loads(json.dumps(plan)), made.parent).html() == made.read_text()
