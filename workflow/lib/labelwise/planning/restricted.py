"""Which results may not be published: those that hold restricted labels, images or answers.

Stdlib only: Snakemake imports this module to parse the workflow. ``restricted: true`` in an entry
of ``labels``, ``images`` or ``models`` says that its labels, thumbnails or answers are not ours to
give. Label sets of format reimagenet are restricted unless the entry says ``restricted: false``,
and image sets with ``show: true`` too, since that says no licence.
"""

from labelwise.planning.grid import Grid
from labelwise.planning.points import CLASSIFY

NEVER = (
    "archive.zip",
    "benchmarks/*",
    "embeddings/*",
    "journal/*",
    "logits/*",
    "logs/*",
    "report.html",
    "shards/*",
    "thumbnails/*",
)
"""What no archive holds: images, what can be computed again in minutes, and records of machines."""

ANNOTATION = "annotation/*"
"""Files of annotators: they hold labels of all kinds."""


def labels(grid: Grid) -> set[str]:
    """Restricted label sets; one that revises a restricted one holds its labels."""
    entries = grid.config["labels"]

    def closed(name: str) -> bool:
        entry = entries[name]
        if entry["format"] != "annotations":
            return entry.get("restricted", entry["format"] == "reimagenet")
        base = grid.config["annotations"][entry["annotation"]]["corrected"]
        return entry.get("restricted", closed(base))

    return {name for name in entries if closed(name)}


def images(grid: Grid) -> set[str]:
    """Image sets whose thumbnails may not be published."""
    return {
        name
        for name, entry in grid.config["images"].items()
        if entry.get("restricted", entry.get("show") is True)
    }


def models(grid: Grid) -> set[str]:
    """Models whose answers may not be published."""
    return {name for name, entry in grid.config["models"].items() if entry.get("restricted")}


def left_out(grid: Grid) -> list[str]:
    """Patterns (of ``fnmatch``) of results that an archive leaves out, from ``results/``."""
    config, closed, shut, mute = grid.config, labels(grid), images(grid), models(grid)
    found = [*NEVER, *(f"labels/{name}.*" for name in closed)]
    runs = {point.run for point in grid.points}
    if closed or mute or shut & {run.images for run in runs}:
        found.append("browser.html")
    found += [ANNOTATION] if closed else []
    told = set()
    for name, entry in config["experiments"].items():
        sets = {*entry["labels"], *(config["images"][i]["original"] for i in entry["images"])}
        if sets & closed:
            told.add(name)
            found.append(f"judged/{name}.csv")
    if gallery := config["figures"].get("gallery"):
        shown = gallery["experiment"]
        if shown in told or shut & set(config["experiments"][shown]["images"]):
            found.append("figures/gallery.*")
    for run in runs:
        original = config["images"][run.images]["original"]
        model, knows = run.model, config["models"][run.model].get("labels")
        if model in mute or knows in closed:
            found.append(f"responses/*/{model}/*.jsonl")
        if knows in closed:
            found.append(f"predictions/*/{model}/*")
        if run.protocol != CLASSIFY:
            entry = config["protocols"][run.protocol]
            if entry["kind"] == "choice" and {original, entry.get("corrected")} & closed:
                found += [f"requests/{run.images}/{run.protocol}/*"]
    return sorted(set(found))
