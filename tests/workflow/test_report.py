"""The report in headless Chromium, clicked as a user does: chapters, pages and the case browser."""

import json
import os
import shutil

import pytest
from labelwise.bench.browser import CHROMIUM, OPTIONS
from labelwise.planning import chapters

sync_api = pytest.importorskip("playwright.sync_api")

HOSTILE = "<img src=x onerror=\"document.title='owned'\"></script><script>parent.owned = 1</script>"
OFTEN = 2_500_000
"""Bytes by which the browser exceeds the 2 MB that Chromium opens as a data: address."""


def hostile(study):
    """Let a model answer with markup, and make the pages that show it."""
    path = study.root / "results/responses/small/guess/closed/b1.jsonl"
    lines = path.read_text().splitlines()
    said = json.loads(lines[0])
    lines[0] = json.dumps(said | {"text": json.dumps({"1": HOSTILE})})
    path.write_text("\n".join(lines) + "\n")
    study.build("results/browser.html")
    with open(study.root / "results/browser.html", "a") as file:
        file.write(f"<!-- {'x' * OFTEN} -->\n")


def test_the_report_holds_everything_in_one_file(study, tmp_path):
    if not os.path.exists(CHROMIUM):
        pytest.skip(f"no browser at {CHROMIUM}; set CHROMIUM")
    hostile(study)
    code, said = study.snakemake("--report", "results/report.html")
    assert code == 0, said
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(study.root / "results/report.html", alone)
    complaints = []
    with sync_api.sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        page = chromium.new_page(viewport={"width": 1600, "height": 900})
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda m: m.type == "error" and complaints.append(m.text))
        page.on("request", lambda r: r.url.startswith("http") and complaints.append(r.url))
        page.goto((alone / "report.html").as_uri())
        page.wait_for_selector("text=Workflow")
        for chapter in (chapters.MAIN, chapters.MAPPING, chapters.FINDINGS, chapters.RUN):
            assert page.locator(f"text={chapter}").count() == 1, chapter

        shown = opened(page, chapters.RUN, "runs and outcomes")
        assert shown.locator("h1").inner_text() == "What was run"
        shown = opened(page, chapters.FINDINGS, "the paper's claims, tested")
        assert "Each claim of arXiv 2603.06578" in shown.locator("body").inner_text()

        shown = opened(page, chapters.CASES, "every answer of the study")
        shown.locator("html[data-ready]").wait_for(state="attached")
        everything = shown.locator("#status").inner_text()
        shown.locator("[name=model]").select_option("guess")
        shown.locator("[name=text]").fill("onerror")
        shown.locator("#status", has_text="1 of").wait_for()
        assert shown.locator("#status").inner_text() != everything
        shown.locator("#rows [role=row]").click()
        assert json.loads(shown.locator("#case pre").first.inner_text()) == {"1": HOSTILE}
        assert "single" in shown.locator("#case").inner_text()
        assert page.title() == "Snakemake Report" and page.evaluate("window.owned") is None
        chromium.close()
    assert complaints == []


def opened(page, chapter, result):
    """What the eye beside a result of a chapter shows."""
    page.reload()
    page.wait_for_selector("text=Workflow")
    page.wait_for_function("Object.values(results).every((one) => one.data_uri.length < 2e6)")
    page.click(f"text={chapter}")
    page.locator("tr", has_text=result).locator("a").first.click()
    return page.frame_locator("iframe")
