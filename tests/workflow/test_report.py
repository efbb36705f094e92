"""The report in headless Chromium: opens without a script error, and holds what it should."""

import os
import shutil

import pytest
from labelwise.bench.browser import CHROMIUM, OPTIONS

sync_api = pytest.importorskip("playwright.sync_api")


def test_the_report_opens_and_names_its_parts(study, tmp_path):
    if not os.path.exists(CHROMIUM):
        pytest.skip(f"no browser at {CHROMIUM}; set CHROMIUM")
    code, said = study.snakemake("--report", "results/report.html")
    assert code == 0, said
    alone = tmp_path / "alone"
    alone.mkdir()
    for page in ("report.html", "browser.html"):
        shutil.copy(study.root / "results" / page, alone)
    complaints = []
    with sync_api.sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        page = chromium.new_page(viewport={"width": 1400, "height": 900})
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda m: m.type == "error" and complaints.append(m.text))
        page.on("request", lambda r: r.url.startswith("http") and complaints.append(r.url))
        page.goto((alone / "report.html").as_uri())
        page.wait_for_selector("text=Workflow")
        for category in ("Figures", "Tables", "What was run"):
            assert page.locator(f"text={category}").count(), category
        assert page.locator("a[href='browser.html']").count() == 1
        page.click("text=What was run")
        page.wait_for_selector("text=provenance")
        page.goto((alone / "browser.html").as_uri())
        page.wait_for_selector("html[data-ready]", state="attached")
        assert " cases; " in page.inner_text("#status")
        chromium.close()
    assert complaints == []
