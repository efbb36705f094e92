"""A real browser, keys alone: two annotators over 20 photographs, the server killed in between."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from annotation_cases import HOSTILE, ROOT, demo_cases, sealed
from labelwise import records
from labelwise.annotation import interchange
from labelwise.annotation.cases import write_key
from labelwise.annotation.store import opened
from labelwise.annotation.tally import main as tally
from labelwise.bench.browser import CHROMIUM, OPTIONS

PEOPLE = {"ann": "person", "bob": "person"}
CASES = demo_cases(20, PEOPLE)

pytestmark = pytest.mark.skipif(
    not os.path.exists(CHROMIUM), reason=f"no browser at {CHROMIUM}; set CHROMIUM"
)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield found
        found.close()


class Server:
    """The command, started, killed and started again on one port."""

    def __init__(self, folder: Path):
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        CASES.write(folder / "cases.jsonl")
        self.process = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self, *more: str) -> None:
        command = [sys.executable, "-m", "labelwise.annotate", str(self.folder / "cases.jsonl")]
        self.process = subprocess.Popen(
            [*command, "--db", str(self.folder / "a.sqlite"), "--port", str(self.port), *more],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT / "workflow/lib")},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert "20 cases of test" in self.process.stderr.readline()
        assert self.url in self.process.stderr.readline()

    def kill(self) -> None:
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None


@pytest.fixture
def server(tmp_path):
    found = Server(tmp_path)
    yield found
    found.kill()


class Person:
    """Somebody at a keyboard; ``said`` is what they decided, by case number."""

    def __init__(self, browser, url: str, name: str, tabs: int, **more):
        self.name, self.said = name, {}
        self.page = browser.new_context(viewport={"width": 1280, "height": 800}, **more).new_page()
        self.errors = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", lambda dialog: self.errors.append(dialog.message))
        self.page.goto(url)
        self.page.locator("#enter[open]").wait_for()
        self.press(*["Tab"] * tabs, "Enter")
        self.page.locator("#main:visible, #end:visible").first.wait_for()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()

    def at(self) -> int:
        return int(re.match(r"Case (\d+) of 20", self.text("#where"))[1])

    def marked(self) -> list[str]:
        return self.page.locator("#marked li span").all_inner_texts()

    def decide(self, *keys: str, wait: bool = True) -> None:
        """Press keys, note what is marked, save."""
        number = self.at()
        self.press(*keys)
        self.said[number] = {
            "marks": self.marked(),
            "unsure": self.page.get_attribute("#unsure", "aria-pressed") == "true",
            "comment": self.page.input_value("#comment"),
        }
        self.press("Enter")
        if wait:
            self.saved(number)

    def saved(self, number: int) -> None:
        self.page.locator("#saved", has_text=f"case {number} saved").wait_for(timeout=15000)


def decided(folder: Path) -> list:
    with opened(folder / "a.sqlite", CASES) as store:
        return store.all()


def in_words(decision) -> dict:
    boxed = {i for box in decision.boxes for i in box.labels}
    return {
        "marks": sorted(
            CASES.classes[i].name + (" · 1 box" if i in boxed else "") for i in decision.labels
        ),
        "unsure": decision.unsure,
        "comment": decision.comment,
    }


KEYS = (
    ("1",),
    ("2",),
    ("n",),
    ("u",),
    ("1", "u"),
    ("/", *"great white", "Enter", "Escape"),
    ("/", *"what a tiger", "Enter", *"tench", "Enter", "Escape", "x"),
    ("c", *"two of them n u 1", "Escape", "3"),
    ("/", *"hammer", "Enter", "Escape", "b", "Shift+ArrowLeft", "ArrowUp", "Enter"),
    ("n", "n", "/", *"goldfi", "ArrowDown", "ArrowUp", "Enter", "Escape"),
)


def test_two_annotators_by_keyboard_with_a_killed_server(browser, server):
    server.start()
    ann = Person(browser, server.url, "ann", 0, color_scheme="dark")
    bob = Person(browser, server.url, "bob", 1, color_scheme="light")
    assert ann.text("#who") == "ann" and bob.text("#who") == "bob"
    assert ann.page.get_attribute("#picture", "src") != bob.page.get_attribute("#picture", "src")
    for keys in KEYS[:7]:
        ann.decide(*keys)
        bob.decide(*keys[::-1] if keys == ("1", "u") else keys)

    # Killed while a decision is on its way: the page says so, waits, and sends it again.
    server.kill()
    ann.decide(*KEYS[7], wait=False)
    ann.page.locator("#trouble", has_text="does not answer").wait_for()
    assert len(decided(server.folder)) == 14
    server.start()
    ann.saved(8)
    assert ann.page.locator("#trouble").is_hidden()

    # Undo, twice, and decide again.
    ann.press("z")
    ann.page.locator("#saved", has_text="taken back").wait_for()
    assert ann.at() == 8 and ann.page.input_value("#comment") == "two of them n u 1"
    ann.decide("u")

    for k in range(8, 20):
        ann.decide(*KEYS[k % len(KEYS)])
    ann.page.locator("#end-title", has_text="All 20 cases are decided").wait_for()

    # Another browser goes on where the first stopped; what was begun and not saved is not kept.
    bob.press("1")
    bob.page.context.close()
    server.kill()
    server.start()
    again = Person(browser, server.url, "bob", 1)
    assert again.at() == 8 and again.text("#progress") == "7 of 20" and again.marked() == []
    again.said |= bob.said
    for k in range(7, 20):
        again.decide(*KEYS[(k + 1) % len(KEYS)])
    again.press("[")
    again.page.locator("#where", has_text="Case 20 of 20, decided before").wait_for()
    assert not ann.errors and not bob.errors and not again.errors
    server.kill()

    # Every decision is there, as it was shown.
    kept = decided(server.folder)
    assert len(kept) == 40
    for person in (ann, again):
        own = {d.case: d for d in kept if d.annotator == person.name}
        for number, case in enumerate(CASES.asked(person.name), 1):
            said = {**person.said[number], "marks": sorted(person.said[number]["marks"])}
            assert in_words(own[case]) == said, (person.name, number)
            assert 0 <= own[case].seconds < 60
    assert any(d.boxes for d in kept) and any(d.comment for d in kept)
    assert sum(d.seconds for d in kept) > 1

    # Export, tally.
    interchange.write_csv(server.folder / "d.csv", kept, CASES)
    keys = [sealed(c.case, c.image, "S-", (i % 6,), (10 + i,)) for i, c in enumerate(CASES.cases)]
    write_key(server.folder / "key.csv", keys)
    spec = {"helper": "model", "annotators": PEOPLE}
    files = {"--cases": "cases.jsonl", "--key": "key.csv", "--out": "tally.csv"}
    options = [text for k, v in files.items() for text in (k, str(server.folder / v))]
    tally([str(server.folder / "d.csv"), "--spec", json.dumps(spec), *options])
    rows = records.read_csv(server.folder / "tally.csv")
    cases = {r["annotator"]: r["value"] for r in rows if r["measure"] == "cases"}
    assert cases == {"settled": "20", "ann": "20", "bob": "20"}
    assert {r["measure"] for r in rows} >= {"kappa", "alpha", "preferred", "seconds_median"}

    # Adjudication of what they differ on.
    server.start("--adjudicate")
    judge = browser.new_page()
    judge.goto(server.url)
    judge.locator("#enter[open]").wait_for()
    for key in ("j", "u", "d", "g", "e", "Enter"):
        judge.keyboard.press(key)
    judge.locator("#role", has_text="adjudication").wait_for()
    judge.locator("#main").wait_for()
    total = int(judge.locator("#progress").inner_text().split()[-1])
    assert 0 < total < 20
    for number in range(1, total + 1):
        judge.keyboard.press("1")
        judge.keyboard.press("Enter")
        judge.locator("#saved", has_text=f"case {number} saved").wait_for()
    judge.locator("#end-title", has_text=f"All {total} cases").wait_for()
    server.kill()
    assert sum(d.role == "adjudicator" for d in decided(server.folder)) == total


CONTRAST = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const lum = (c) => {
    const [r, g, b] = c.slice(0, 3).map((v) => v / 255)
      .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const back = (node) => {
    for (; node; node = node.parentElement) {
      const c = parse(getComputedStyle(node).backgroundColor);
      if (c.length < 4 || c[3] === 1) return c;
    }
    return [255, 255, 255];
  };
  const low = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !node.checkVisibility() || node.closest("svg")) continue;
    const [a, b] = [lum(parse(getComputedStyle(node).color)), lum(back(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) low.push([node.tagName, node.textContent.slice(0, 30), ratio.toFixed(2)]);
  }
  return low;
}"""

NAMELESS = """() => [...document.querySelectorAll("button, input, textarea, img, dialog, progress")]
  .filter((node) => {
    const by = node.getAttribute("aria-labelledby");
    const name = node.getAttribute("aria-label") || node.textContent.trim() || node.alt
      || (node.labels && node.labels.length && node.labels[0].textContent)
      || (by && document.getElementById(by).textContent);
    return node.checkVisibility() && !name;
  }).map((node) => node.outerHTML)"""


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_the_page_can_be_read_and_names_everything(browser, server, scheme):
    server.start()
    person = Person(browser, server.url, "ann", 0, color_scheme=scheme)
    person.press("1", "/", *"shark")
    person.page.locator("#found li").first.wait_for()
    assert person.page.evaluate(CONTRAST) == [] and person.page.evaluate(NAMELESS) == []
    focused = "() => document.activeElement.getAttribute('aria-activedescendant')"
    assert person.page.evaluate(focused) == "found-0"
    person.press("ArrowDown")
    assert person.page.evaluate(focused) == "found-1"
    person.press("Escape", "g")
    person.page.locator("#guidelines[open]").wait_for()
    assert person.text("#guidelines-text").split("\n") == ["Rules", "Look."]
    assert person.page.evaluate(CONTRAST) == []
    person.press("g", "?")
    person.page.locator("#keys[open]").wait_for()
    assert person.page.evaluate(CONTRAST) == [] and person.page.evaluate(NAMELESS) == []
    person.press("Escape", "Tab")
    outline = "() => getComputedStyle(document.activeElement).outlineStyle"
    assert person.page.evaluate(outline) == "solid", "the focus is seen"
    assert not person.errors


def test_model_text_is_shown_and_never_run(browser, server):
    server.start()
    person = Person(browser, server.url, "ann", 0)
    person.press("/", *"onerror", "Enter", "Escape")
    assert person.marked() == [HOSTILE]
    assert person.text("#card-name") == f"{HOSTILE} (5)"
    assert person.page.locator("#panel img:not(#card-examples img)").count() == 0
    person.press("Enter")
    person.saved(1)
    assert not person.errors


def test_the_pages_numbers_are_the_mouse_s_too(browser, server):
    """A box drawn with the mouse is in pixels of the photograph."""
    server.start()
    person = Person(browser, server.url, "ann", 0)
    person.press("1", "b")
    if person.page.locator("#box-help").is_hidden():
        person.press("n", "2", "b")
    frame = person.page.locator("#boxes").bounding_box()
    mouse = person.page.mouse
    mouse.move(frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2)
    mouse.down()
    mouse.move(frame["x"] + frame["width"] - 1, frame["y"] + frame["height"] - 1, steps=4)
    mouse.up()
    person.press("Enter", "Enter")
    person.saved(1)
    server.kill()
    (box,) = decided(server.folder)[0].boxes
    x0, y0, x1, y1 = box.coordinates
    assert (x0, y0) == pytest.approx((250, 200), abs=2)
    assert x1 <= 500 and y1 == pytest.approx(400, abs=3)
