"""``python -m labelwise.bench browser``: the case browser at the size of the full study.

Made-up answers of 13 models about 31,250 images (one label in ten is another, one answer in eight a
text of its own outside the list) become one page; its size, the seconds until it is ready and the
milliseconds that a filter takes are measured in headless Chromium, from a plain file.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labelwise import bench
from labelwise.data.rules import Rules, read_pairs
from labelwise.draw import rng
from labelwise.errors import LabelwiseError
from labelwise.labels import Label
from labelwise.pages.browser import Page
from labelwise.scoring import Key

CLASSES = 1000
REPEATS = 5
"""How often each filter is timed; the median counts."""
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
FILTERS = (
    ("model", "model-3"),
    ("verdict", "0"),
    ("category", "S-"),
    ("outcome", "1"),
    ("class", "class number 17"),
    ("text", "unheard 12"),
)


def invent(n_images: int, n_models: int) -> Page:
    """A page of made-up answers."""
    names = [f"class number {c}" for c in range(CLASSES)]
    ids = [f"ILSVRC2012_val_{i:08d}" for i in range(1, n_images + 1)]
    draw = rng(0, "browser")
    first = draw.integers(CLASSES, size=n_images)
    other = draw.integers(CLASSES, size=n_images)
    moved, void = draw.random(n_images) < 0.1, draw.random(n_images) < 0.04
    original = {i: Label((int(c),)) for i, c in zip(ids, first, strict=True)}
    corrected = {
        image: Label(() if v else (int(o if m else c),))
        for image, c, o, m, v in zip(ids, first, other, moved, void, strict=True)
    }
    sets = {"corrected": corrected, "imagenet": original}
    pairs = read_pairs("paper")
    keys = {name: Key(own, original, Rules(), pairs, ids) for name, own in sets.items()}
    page = Page({"curated": names}, list(sets))
    page.add_set("imagenet-625x50", ids, keys, sets, None)
    header: dict[str, Any] = {
        "system": "You are an image classifier.\n" + ", ".join(names),
        "image": "{n}: ",
    }
    header |= {"closing": "Which class is it?", "primer": "", "schema": None}
    requests = [{"request": r, "repeat": 0, "images": [image]} for r, image in enumerate(ids)]
    for number in range(n_models):
        right = draw.random(n_images) < 0.75
        outside = draw.random(n_images) < 0.12
        rows, said = {}, {}
        for i, image in enumerate(ids):
            known = int(first[i] if right[i] else other[i])
            text = f"unheard {draw.integers(10**6)} thing" if outside[i] else names[known]
            rows[image] = {
                "position": "1",
                "outcome": "out_of_list" if outside[i] else "ok",
                "answer": text,
                "class": str(known),
                "score": f"{draw.random():.4f}" if outside[i] else "",
                "mapped": str(int(outside[i])),
            }
            said[i] = {"text": text, "finish": "stop"}
        about = {"images": "imagenet-625x50", "model": f"model-{number}"}
        about |= {"name": f"Model {number}", "protocol": "closed-json", "batching": "b1"}
        run = page.add_run(about | {"classes": "curated"}, ids, rows, (header, requests), said)
        page.add_series(run, "siglip2", ids, rows, keys)
    return page


def browse(path: Path) -> dict[str, Any]:
    """Seconds until a page is ready, its heap in MB, and the median milliseconds of ``FILTERS``.

    Raises:
        LabelwiseError: playwright is not installed.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise LabelwiseError("playwright is not installed: pip install -e '.[test]'") from None
    ready = "html[data-ready]"
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        page = chromium.new_page(viewport={"width": 1400, "height": 900})
        start = time.perf_counter()
        page.goto(path.resolve().as_uri())
        page.wait_for_selector(ready, state="attached", timeout=120_000)
        found: dict[str, Any] = {"load_s": time.perf_counter() - start}
        heap = page.evaluate("performance.memory ? performance.memory.usedJSHeapSize : 0")
        found["heap_mb"] = heap / 1e6
        for name, value in FILTERS:
            times = []
            for _ in range(REPEATS):
                times.append(
                    page.evaluate(
                        "([name, value]) => { form.reset(); form.elements[name].value = value;"
                        " filter(); return Number(document.documentElement.dataset.filtered); }",
                        [name, value],
                    )
                )
            found[f"filter_{name}_ms"] = statistics.median(times)
            found[f"filter_{name}_first_ms"] = times[0]
        chromium.close()
    return found


def main(argv: Sequence[str]) -> None:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.bench browser",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--images", type=int, default=31_250)
    parser.add_argument("--models", type=int, default=13)
    parser.add_argument("--keep", type=Path, metavar="HTML", help="write the page here")
    parser.add_argument("--json", type=Path, metavar="OUT")
    args = parser.parse_args(argv)
    start = time.perf_counter()
    text = invent(args.images, args.models).html()
    made = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as folder:
        path = args.keep or Path(folder) / "browser.html"
        path.write_text(text, encoding="utf-8")
        found = {"images": args.images, "models": args.models, "made_s": made}
        found |= {"file_mb": path.stat().st_size / 1e6, **browse(path)}
    filters = ", ".join(f"{n} {found[f'filter_{n}_ms']:.0f}" for n, _ in FILTERS)
    print(
        f"{args.images} images x {args.models} models: made in {made:.1f} s,"
        f" {found['file_mb']:.1f} MB, ready in {found['load_s']:.1f} s"
        f" ({found['heap_mb']:.0f} MB of heap)\nfilters, ms: {filters}"
    )
    bench.finish(found, args.json)
