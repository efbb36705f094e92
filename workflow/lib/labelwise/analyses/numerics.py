"""The numerics panel: how often an answer changes when only the arithmetic does.

Variants of a model (``numerics`` in its entry) are asked the same prompts as the model itself with
another tensor batch, without a shared prefix, in other numbers (dtype), by another decoding loop,
or once more (repeat). Nothing that the study is about differs, so every answer that flips is noise.

``python -m labelwise.analyses.numerics results/experiments/NAME.csv --spec JSON --out CSV``
compares the runs of an experiment; one row a variant, run and label set: how many of the ``n``
answers denote another class (``flips``, with Wilson's interval in percent) or differ in any letter
(``texts``), and what that does to the accuracy (``difference`` in points).
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labelwise import parity, records
from labelwise.asking.journal import RESOURCES
from labelwise.errors import LabelwiseError, cli
from labelwise.evaluation import selection

COLUMNS = (
    "experiment",
    "images",
    "protocol",
    "batching",
    "labels",
    "model",
    "model_name",
    "model_kind",
    "variant",
    "setting",
    "other",
    "same_dtype",
    "n",
    "flips",
    "rate",
    "low",
    "high",
    "texts",
    "accuracy",
    "difference",
    *selection.COUNTED,
    "rules",
)


def identity(entry: Mapping[str, Any]) -> str:
    """What a model is asked as, whatever its arithmetic: its entry without numerics and names."""
    return json.dumps(
        {k: v for k, v in entry.items() if k not in RESOURCES and k != "numerics"}, sort_keys=True
    )


def reference(variant: str, models: Mapping[str, Mapping[str, Any]]) -> str:
    """The model that a variant is compared with: the same entry without ``numerics``.

    Raises:
        LabelwiseError: the experiment has none, or several.
    """
    own = identity(models[variant])
    found = [m for m, e in models.items() if "numerics" not in e and identity(e) == own]
    if len(found) != 1:
        raise LabelwiseError(
            f"models: {variant}: numerics: the experiment must run exactly one model with the same"
            f" entry and no numerics to compare with; it runs {', '.join(found) or 'none'}"
        )
    return found[0]


def said(setting: Mapping[str, Any]) -> str:
    """A variant's settings in words: ``tensor_batch 1, prefix plain``."""
    return ", ".join(f"{key} {value}" for key, value in setting.items())


def rows(
    runs: Sequence[selection.Run], models: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Rows of the output (``COLUMNS``): rates, intervals and accuracies in percent.

    Args:
        runs: of the experiment.
        models: the entries of its models.

    Raises:
        LabelwiseError: no variant among them, or one without the run that it is compared with.
    """
    made, answers = [], {}

    def read(run: selection.Run) -> parity.Answers:
        path = Path(selection.responses(run))
        if path not in answers:
            answers[path] = parity.read(path, None, None)
        return answers[path]

    for run in runs:
        entry = models[run.model]
        if "numerics" not in entry:
            continue
        base = reference(run.model, models)
        same = ("images", "protocol", "batching", "mapper", "labels")
        own = next(
            (
                r
                for r in runs
                if r.model == base and all(getattr(r, a) == getattr(run, a) for a in same)
            ),
            None,
        )
        if own is None:
            raise LabelwiseError(
                f"experiment {run.experiment}: {run.model} is asked {run.protocol} {run.batching},"
                f" but {base}, with which it is compared, is not"
            )
        flips = parity.compare(read(own), read(run))
        setting = entry["numerics"]
        dtype = entry.get("dtype", "float32")
        made.append(
            {
                "experiment": run.experiment,
                "images": run.images,
                "protocol": run.protocol,
                "batching": run.batching,
                "labels": run.labels,
                "model": base,
                "model_name": own.name,
                "model_kind": own.model_kind,
                "variant": run.model,
                "setting": said(setting),
                "other": said({key: entry[key] for key in setting if key in entry}),
                "same_dtype": int(setting.get("dtype", dtype) == dtype),
                "n": flips["n"],
                "flips": flips["flips"],
                "rate": 100 * flips["rate"],
                "low": 100 * flips["low"],
                "high": 100 * flips["high"],
                "texts": flips["texts"],
                "accuracy": selection.accuracy(run),
                "difference": selection.accuracy(run) - selection.accuracy(own),
                **{column: run.get("A", column) for column in selection.COUNTED},
                "rules": run.rules,
            }
        )
    if not made:
        raise LabelwiseError(
            f"experiment {runs[0].experiment}: no model in it has numerics; nothing to compare"
        )
    return made


@cli
def main(argv: list[str] | None = None) -> None:
    """Command line of the stage ``numerics``."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.analyses.numerics",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("experiment", type=Path, help="results/experiments/NAME.csv")
    parser.add_argument("--spec", type=json.loads, required=True, help="model entries, as JSON")
    parser.add_argument("--out", required=True, help="results/numerics/NAME.csv")
    args = parser.parse_args(argv)
    records.write_csv(args.out, COLUMNS, rows(selection.load(args.experiment), args.spec["models"]))


if __name__ == "__main__":
    main()
