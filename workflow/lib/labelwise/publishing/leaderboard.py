"""Everything a hub needs to list a study's results: ``results/leaderboard.csv`` and ``.json``.

One row a result: which model (with the revision of its weights), asked how, mapped how, scored
against which labels by which rules, with its interval, the number of images, and when and by which
commit it was computed (of its run's own record). Points that several experiments share are listed
once. Both files hold the same rows; the JSON is checked by
``workflow/schemas/leaderboard.schema.json`` before it is written.

``python -m labelwise.publishing.leaderboard EXPERIMENT.csv... --spec JSON --schema JSON --out
STEM``
"""

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import labelwise
from labelwise import records
from labelwise.errors import LabelwiseError, cli
from labelwise.evaluation import selection
from labelwise.evaluation.statistics import LEVEL

FORM = "labelwise-leaderboard-1"
"""What the schema calls this form of the file."""

METRICS = {
    "accuracy": ("accuracy", "percent", ""),
    "accuracy_original": ("original", "percent", "original_"),
    "gain": ("gain", "points", "gain_"),
    "oop": ("oop", "percent", None),
}
"""Metric -> column of the experiments, unit, prefix of its interval's ends (None: it has none)."""

COLUMNS = (
    "images",
    "model",
    "model_name",
    "model_kind",
    "model_id",
    "revision",
    "protocol",
    "kind",
    "answer",
    "images_per_prompt",
    "order",
    "repeats",
    "mapper",
    "encoder",
    "templates",
    "labels",
    "rules",
    "metric",
    "unit",
    "value",
    "low",
    "high",
    "interval",
    "level",
    "n",
    "date",
    "commit",
)


def identity(entry: Mapping[str, Any]) -> dict[str, str | None]:
    """What a model is called outside this study, and the revision of its weights.

    Args:
        entry: its ``models`` entry, or what decides its look at images.

    A hub's repository and commit; a server's snapshot; packages with their versions, joined where a
    model is made of parts; a folder's digest. A control has neither.
    """
    if "hf" in entry:
        return {"model_id": entry["hf"], "revision": entry["revision"]}
    if "model" in entry:
        return {"model_id": entry["model"], "revision": entry.get("pretrained")}
    names = [entry[key] for key in ("vision", "language", "weights") if key in entry]
    if not names:
        return {"model_id": None, "revision": None}
    found = [records.read_json(f"results/weights/{name}.json") for name in names]
    revisions = [
        f"{own['package']}=={own['version']}" if "package" in own else own["files"][0]["sha256"]
        for own in found
    ]
    return {"model_id": " + ".join(names), "revision": " + ".join(revisions)}


def made(run: selection.Run, look: str) -> dict[str, str | None]:
    """Date and commit of a run, from its record; None for predictions made elsewhere."""
    path = f"results/responses/{run.run}.meta.json"
    if run.kind == "classify":
        if not look:
            return {"date": None, "commit": None}
        path = f"results/logits/{run.images}/{look}.meta.json"
    meta = records.read_json(path)
    return {"date": meta["ended"], "commit": meta["commit"] or None}


def rows(
    runs: Iterable[selection.Run],
    models: Mapping[str, Mapping[str, Any]],
    looks: Mapping[str, str],
) -> Iterator[dict[str, Any]]:
    """The rows of all runs, each once, in a fixed order.

    Args:
        runs: of all experiments.
        models: what computes the numbers of each model: its entry, or that of its look.
        looks: the name of that look; '' for models that write text.
    """
    seen: dict[tuple[str, ...], selection.Run] = {}
    for run in runs:
        seen.setdefault((run.run, run.mapper, run.labels), run)
    for _, run in sorted(seen.items()):
        head = {name: getattr(run, name) for name in COLUMNS if hasattr(run, name)}
        head = {name: None if value == "" else value for name, value in head.items()}
        head |= {"model_name": run.name, "n": run.n("A")}
        head |= {**identity(models[run.model]), **made(run, looks[run.model])}
        for metric, (column, unit, prefix) in METRICS.items():
            value = run.get("A", column)
            if value is None:
                continue
            low, high = (
                (None, None)
                if prefix is None
                else (run.get("A", f"{prefix}{end}") for end in ("low", "high"))
            )
            row = {**head, "metric": metric, "unit": unit, "value": value, "low": low, "high": high}
            given = low is not None
            row["interval"] = _interval(metric, run.repeats) if given else None
            row["level"] = LEVEL if given else None
            yield {name: row.get(name) for name in COLUMNS}


def _interval(metric: str, repeats: int) -> str:
    if repeats > 1:
        return "student-t over repeats"
    return "newcombe, paired" if metric == "gain" else "wilson"


def document(found: list[dict[str, Any]], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The rows as the JSON file holds them.

    Raises:
        LabelwiseError: they do not fit the schema.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    whole = {
        "form": FORM,
        "workflow": {"name": "labelwise", "version": labelwise.__version__},
        "results": found,
    }
    error = best_match(Draft202012Validator(schema).iter_errors(whole))
    if error is not None:
        place = ": ".join(map(str, error.absolute_path))
        raise LabelwiseError(f"leaderboard: {place}: {error.message}")
    return whole


@cli
def main(argv: list[str] | None = None) -> None:
    """Command line of the stage ``leaderboard``."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.publishing.leaderboard",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("experiments", nargs="+", type=Path, help="results/experiments/*.csv")
    parser.add_argument("--spec", type=json.loads, required=True, help="model entries, as JSON")
    parser.add_argument("--schema", required=True, help="leaderboard.schema.json")
    parser.add_argument("--out", required=True, help="path without suffix")
    args = parser.parse_args(argv)
    runs = [run for path in args.experiments for run in selection.load(path)]
    found = list(rows(runs, args.spec["models"], args.spec["looks"]))
    records.write_json(f"{args.out}.json", document(found, records.read_json(args.schema)))
    records.write_csv(f"{args.out}.csv", COLUMNS, found)


if __name__ == "__main__":
    main()
