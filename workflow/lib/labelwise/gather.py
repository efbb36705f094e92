"""Stage ``gather``: the scores of one experiment as one tidy table.

``python -m labelwise.gather SCORES... --experiment NAME --describe JSON --out CSV --meta JSON``
writes one row a score and category, and into ``--meta`` the first and the last day on which one of
the runs ended, as the files ``--runs`` say. A ``SCORES`` argument that begins with ``@`` is a file
with one path a line.
``--describe`` says what the configuration calls the models, protocols and mappers:
``{"models": {id: {engine, name, kind}}, "protocols": {id: {kind, answer, true, distractors}},
"mappers": {id: {encoder, templates}}}``; what it leaves out is an empty cell.
"""

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from labelwise import records
from labelwise.errors import LabelwiseError, cli

AXES = ("images", "model", "protocol", "images_per_prompt", "order", "batching", "mapper", "labels")
DESCRIBED = (
    "model_name",
    "model_kind",
    "engine",
    "kind",
    "answer",
    "choice_true",
    "choice_from",
    "encoder",
    "templates",
)
COLUMNS = (
    "experiment",
    *AXES,
    *DESCRIBED,
    "rules",
    "voids",
    "category",
    "n",
    "repeats",
    *records.NUMBERS,
    *(f"n_{outcome}" for outcome in records.OUTCOMES),
)


def describe(score: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """The columns ``DESCRIBED`` of one score, from ``--describe``."""
    model, protocol, mapper = (
        known.get(f"{kind}s", {}).get(score.get(kind), {})
        for kind in ("model", "protocol", "mapper")
    )
    return {
        "model_name": model.get("name", score.get("model")),
        "model_kind": model.get("kind"),
        "engine": model.get("engine", score.get("engine")),
        "kind": protocol.get("kind", score.get("kind")),
        "answer": protocol.get("answer"),
        "choice_true": "+".join(protocol.get("true", ())),
        "choice_from": protocol.get("distractors", {}).get("from"),
        "encoder": mapper.get("encoder"),
        "templates": mapper.get("templates"),
    }


def rules_text(rules: Mapping[str, Any]) -> str:
    """The rules of a label set in one line."""
    options = ", ".join(
        f"{key}={rules[key]}" for key in ("void", "uncertain", "sign", "equivalents")
    )
    return f"{options} ({rules['n_equivalents']} pairs)"


def rows(
    experiment: str, scores: Iterable[Path], known: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Rows of the table: ``COLUMNS``, in the order of the scores and then of the categories.

    Percentages keep their full precision; a number that does not exist (no image in the category)
    is an empty cell. ``n_<outcome>`` is the mean count over repeats.

    Raises:
        LabelwiseError: a file that is no score.
    """
    for path in scores:
        score = records.read_json(path)
        if not isinstance(score, dict) or "categories" not in score:
            raise LabelwiseError(f"{path}: not a score: no key categories")
        categories = score["categories"]
        for category in (c for c in records.CATEGORIES if c in categories):
            numbers = categories[category]
            yield {
                "experiment": experiment,
                **{axis: score.get(axis) for axis in AXES},
                **describe(score, known),
                "rules": rules_text(score["rules"]),
                "voids": score["rules"]["void"],
                "category": category,
                "n": numbers["n"],
                "repeats": score["repeats"],
                **{name: numbers.get(name) for name in records.NUMBERS},
                **{f"n_{o}": numbers["outcomes"].get(o, 0) for o in records.OUTCOMES},
            }


def days(metas: Iterable[Path]) -> dict[str, str]:
    """First and last day (UTC) on which a run ended; nothing where none has a record."""
    ended = sorted(records.read_json(path)["ended"][:10] for path in metas)
    return {"first": ended[0], "last": ended[-1]} if ended else {}


@cli
def main(argv: list[str] | None = None) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.gather", description=__doc__, fromfile_prefix_chars="@"
    )
    parser.add_argument(
        "scores", nargs="+", type=Path, help="score files, or @FILE that lists them"
    )
    parser.add_argument("--experiment", required=True)
    parser.add_argument("--describe", type=json.loads, default={}, help="names and kinds, as JSON")
    parser.add_argument("--runs", nargs="*", type=Path, default=[], help="*.meta.json of the runs")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--meta", type=Path, help="days of the runs (JSON)")
    args = parser.parse_args(argv)
    records.write_csv(args.out, COLUMNS, rows(args.experiment, args.scores, args.describe))
    if args.meta:
        records.write_json(args.meta, days(args.runs))


if __name__ == "__main__":
    main()
