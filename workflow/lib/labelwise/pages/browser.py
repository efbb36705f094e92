"""Stage ``browse``: one page with every answer, from question to verdict, that works from a file.

All data stand in the page as deflated columns in base64, so nothing that a model wrote can become
markup; the page's own policy allows its one script and its one style, and no connection. A case is
one image of one run under one mapper; of a run with repeats the first is shown. The script is
``pages/browser.js``.
"""

import argparse
import base64
import hashlib
import json
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labelwise import classnames, labels, records
from labelwise.asking import prompts
from labelwise.data.rules import Rules
from labelwise.errors import LabelwiseError, cli
from labelwise.pages import thumbnails
from labelwise.progress import progress
from labelwise.records import CATEGORIES, OUTCOMES
from labelwise.scoring import Answer, Key

PAGES = Path(__file__).parent
FINISHES = ("stop", "length", "content_filter", "image_error")
UNKNOWN = 255
"""Category of an image that is not asked under a label set."""
UNJUDGED = 2
"""Verdict of such an image; 0 is wrong and 1 is right."""
NO_SCORE = -32768
LARGEST = 32_000_000
"""Most bytes of thumbnails in the page, in base64."""


class Pool:
    """Different values, each with a number; the first is the empty one."""

    def __init__(self, empty: Any) -> None:
        self.values, self._numbers = [empty], {empty: 0}

    def __call__(self, value: Any) -> int:
        """The number of a value, new ones in the order of asking."""
        number = self._numbers.setdefault(value, len(self.values))
        if number == len(self.values):
            self.values.append(value)
        return number


class Page:
    """The columns of the page, gathered piece by piece.

    Args:
        classes: class-name sets: name -> class names by id.
        label_sets: names of the label sets, in the order in which they are offered; the first
            is the one that the page begins with.
    """

    def __init__(self, classes: Mapping[str, Sequence[str]], label_sets: Sequence[str]) -> None:
        self.strings, self.lists = Pool(""), Pool(())
        self.columns: list[tuple[str, bytes]] = []
        self.pictures: list[str] = []
        self.sets: list[dict[str, Any]] = []
        self.runs: list[dict[str, Any]] = []
        self.series: list[dict[str, Any]] = []
        self.classes, self.label_sets = classes, label_sets
        self.finishes = list(FINISHES)

    def column(self, values: Iterable[int], kind: str) -> int:
        """Number of a new column of whole numbers of a numpy kind (u1, u2, u4, i2)."""
        self.columns.append((kind, np.asarray(list(values), dtype=f"<{kind}").tobytes()))
        return len(self.columns) - 1

    def json(self, value: Any) -> int:
        """Number of a new column that is one JSON value."""
        text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
        self.columns.append(("json", text.encode()))
        return len(self.columns) - 1

    def add_set(
        self,
        name: str,
        ids: Sequence[str],
        keys: Mapping[str, Key],
        sets: Mapping[str, labels.Labels],
        photos: Mapping[str, tuple[bytes, str]] | None,
    ) -> None:
        """Add an image set.

        Args:
            name: of the set.
            ids: its images.
            keys: label set -> its answer key.
            sets: label set -> its labels.
            photos: thumbnails and credits by image; None where the set's images may not be shown.
        """
        found = {}
        for label_set, key in keys.items():
            leaf: dict[str, Any] = {}
            for category in ("S", "M", "N", "S+", "S-", "M+", "M-"):
                if category in key.members:
                    code = CATEGORIES.index(category)
                    leaf |= {key.images[i]: code for i in np.flatnonzero(key.members[category])}
            own = sets[label_set]
            found[label_set] = {
                "category": self.column((leaf.get(i, UNKNOWN) for i in ids), "u1"),
                "list": self.column(
                    (self.lists(own[i].ids if i in own else ()) for i in ids), "u4"
                ),
            }
        offsets, credits, texts, size = [0], [], [], 0
        for image in ids:
            content, credit = (photos or {}).get(image, (b"", ""))
            text = base64.b64encode(content).decode()
            if size + len(text) > LARGEST - sum(map(len, self.pictures)):
                text, credit = "", ""
            size += len(text)
            texts.append(text)
            offsets.append(size)
            credits.append(self.strings(credit))
        self.pictures.append("".join(texts))
        why = "The image set does not say that this image may be shown."
        if photos:
            why += f" Thumbnails stop at {LARGEST // 10**6} MB a page."
        self.sets.append(
            {
                "name": name,
                "ids": self.json(list(ids)),
                "labels": found,
                "offsets": self.column(offsets, "u4") if size else None,
                "credits": self.column(credits, "u4") if size else None,
                "shows": why,
            }
        )

    def add_run(
        self,
        about: Mapping[str, str],
        ids: Sequence[str],
        rows: Mapping[str, Mapping[str, str]],
        asked: tuple[dict, list[dict]] | None,
        said: Mapping[int, Mapping[str, Any]],
    ) -> int:
        """Add a run and return its number.

        Args:
            about: images, model, name, protocol, batching, classes.
            ids: images of its set.
            rows: predictions by image, of any of its mappers.
            asked: header and requests; None for a classifier.
            said: responses by request.
        """
        blank = {"position": "", "outcome": "image_error", "answer": ""}
        own = [rows.get(image, blank) for image in ids]
        names = [s["name"] for s in self.sets]
        run: dict[str, Any] = {
            **{key: about[key] for key in ("model", "name", "protocol", "batching", "classes")},
            "set": names.index(about["images"]),
            "repeats": 1,
            "outcome": self.column((OUTCOMES.index(row["outcome"]) for row in own), "u1"),
            "answer": self.column((self.strings(row["answer"]) for row in own), "u4"),
            **dict.fromkeys(("request", "position", "prompt", "raw", "finish")),
        }
        if asked:
            header, requests = asked
            run["repeats"] = 1 + max((request["repeat"] for request in requests), default=0)
            once = [request for request in requests if request["repeat"] == 0]
            of_image = {image: n for n, r in enumerate(once) for image in r["images"]}
            answers = [said[request["request"]] for request in once]
            run["request"] = self.column((of_image.get(image, 0) for image in ids), "u4")
            run["position"] = self.column((int(row["position"] or 0) for row in own), "u2")
            texts = [
                self.strings(question(header, request, answer.get("refused", ())))
                for request, answer in zip(once, answers, strict=True)
            ]
            run["prompt"] = self.column(texts, "u4")
            run["raw"] = self.column((self.strings(a["text"]) for a in answers), "u4")
            run["finish"] = self.column((self._finish(a["finish"]) for a in answers), "u1")
        self.runs.append(run)
        return len(self.runs) - 1

    def _finish(self, name: str) -> int:
        if name not in self.finishes:
            self.finishes.append(name)
        return self.finishes.index(name)

    def add_series(
        self,
        run: int,
        mapper: str,
        ids: Sequence[str],
        rows: Mapping[str, Mapping[str, str]],
        keys: Mapping[str, Key],
    ) -> None:
        """Add the classes that one mapper made of a run's answers, and their verdicts.

        Args:
            run: its number.
            mapper: name of the mapper.
            ids: images of its set.
            rows: predictions by image.
            keys: label set -> its answer key.
        """
        own = [rows.get(image, {"class": "", "score": ""}) for image in ids]
        answers = {
            image: Answer(records.ids(row["class"]), row["outcome"], row["mapped"] == "1")
            for image, row in rows.items()
        }
        verdicts = {}
        for label_set, key in keys.items():
            judged = key.judge([answers])
            right = dict(zip(judged.images, judged.right[0].tolist(), strict=True))
            verdicts[label_set] = self.column((right.get(i, UNJUDGED) for i in ids), "u1")
        scores = (round(float(r["score"]) * 1e4) if r["score"] else NO_SCORE for r in own)
        self.series.append(
            {
                "run": run,
                "mapper": mapper,
                "list": self.column((self.lists(records.ids(r["class"])) for r in own), "u4"),
                "score": self.column((min(max(s, NO_SCORE), 32767) for s in scores), "i2"),
                "right": verdicts,
            }
        )

    def html(self) -> str:
        """The page."""
        strings, lists = self.json(self.strings.values), self.json(self.lists.values)
        meta = {
            "columns": [kind for kind, _ in self.columns],
            "strings": strings,
            "lists": lists,
            "sets": self.sets,
            "runs": self.runs,
            "series": self.series,
            "labels": list(self.label_sets),
            "classes": self.classes,
            "categories": CATEGORIES,
            "outcomes": OUTCOMES,
            "finishes": self.finishes,
        }
        parts = [_block("meta", json.dumps(meta).encode())]
        parts += [_block(f"c{i}", content) for i, (_, content) in enumerate(self.columns)]
        parts += [
            f'<script type="text/plain" id="pictures{i}">{text}</script>'
            for i, text in enumerate(self.pictures)
        ]
        style, script = (
            (PAGES / f"browser.{suffix}").read_text(encoding="utf-8") for suffix in ("css", "js")
        )
        policy = (
            f"default-src 'none'; img-src data:; style-src '{_digest(style)}';"
            f" script-src '{_digest(script)}'"
        )
        page = (PAGES / "browser.html").read_text(encoding="utf-8")
        for name, text in (
            ("policy", policy),
            ("style", style),
            ("script", script),
            ("data", "\n".join(parts)),
        ):
            before, after = page.split("{{" + name + "}}")
            page = before + text + after
        return page


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _block(name: str, content: bytes) -> str:
    text = base64.b64encode(zlib.compress(content, 9)).decode()
    return f'<script type="text/plain" id="{name}">{text}</script>'


def question(header: dict, request: dict, without: Collection[int] = ()) -> str:
    """A prompt as text, with images as numbered placeholders: alike for all images of a run."""
    prompt, n, parts = prompts.render(header, request, without), 0, []
    for kind, text in prompt.user:
        n += kind == "image" or text == prompts.UNSHOWN
        parts.append(text if kind == "text" else f"[image {n}]")
    texts = [prompt.system, "".join(parts)]
    texts += [f"[the answer starts with] {prompt.primer}"] if prompt.primer else []
    return "\n\n".join(text for text in texts if text)


def first_repeat(path: str | Path) -> dict[str, dict[str, str]]:
    """Rows of a predictions file by image, of its first repeat."""
    rows = records.read_csv(path, records.PREDICTIONS)
    return {row["image"]: row for row in rows if row["repeat"] == "0"}


def build(plan: Mapping[str, Any], results: Path = Path("results")) -> Page:
    """The page of a study.

    Args:
        plan: ``points`` (lists of images, model, protocol, batching, mapper), ``labels`` (name ->
            entry), ``names`` (model -> display name), ``original`` (image set -> label set),
            ``classes`` (protocol -> class-name set), ``thumbnails`` (image set -> file).
        results: folder of the results.

    Raises:
        LabelwiseError: a file that is missing or not what it should be.
    """
    sets = {n: labels.read(results / f"labels/{n}.csv") for n in plan["labels"]}
    names = {
        n: classnames.read(results / f"classes/{n}.csv") for n in set(plan["classes"].values())
    }
    originals = set(plan["original"].values())
    page = Page(
        dict(sorted(names.items())), sorted(plan["labels"], key=lambda n: (n in originals, n))
    )
    ids, keys = {}, {}
    for images, original in plan["original"].items():
        listed = records.read_csv(results / f"images/{images}.csv", ("image",))
        ids[images] = [row["image"] for row in listed]
        keys[images] = {
            name: Key(
                sets[name],
                sets[original],
                Rules.of(spec),
                labels.pairs_of(spec),
                ids[images],
            )
            for name, spec in plan["labels"].items()
        }
        thumbs = plan["thumbnails"].get(images)
        photos = thumbnails.read(thumbs) if thumbs else None
        page.add_set(images, ids[images], keys[images], sets, photos)
    numbers: dict[tuple[str, ...], int] = {}
    for *run, mapper in progress(plan["points"], len(plan["points"]), "runs"):
        images, model, protocol, batching = run
        rows = first_repeat(results / "predictions" / "/".join(run) / f"{mapper}.csv")
        if tuple(run) not in numbers:
            asked, said = None, {}
            path = results / "responses" / "/".join((images, model, protocol, f"{batching}.jsonl"))
            if protocol in plan["prompted"]:
                asked = prompts.read(results / f"requests/{images}/{protocol}/{batching}.jsonl")
                said = {r["request"]: r for r in records.read_jsonl(path)}
            about = dict(zip(("images", "model", "protocol", "batching"), run, strict=True))
            about |= {"name": plan["names"][model], "classes": plan["classes"][protocol]}
            numbers[tuple(run)] = page.add_run(about, ids[images], rows, asked, said)
        page.add_series(numbers[tuple(run)], mapper, ids[images], rows, keys[images])
    if not page.series:
        raise LabelwiseError("the config has no experiment; there is nothing to browse")
    return page


@cli
def main(argv: Sequence[str] | None = None) -> None:
    """Write one page with every answer of a study, from question to verdict."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.pages.browser", description=main.__doc__
    )
    parser.add_argument(
        "--plan", type=json.loads, required=True, help="JSON; see labelwise.pages.browser.build"
    )
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    records.write_text(args.out, build(args.plan).html())
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
