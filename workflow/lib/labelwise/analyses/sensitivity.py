"""Prompt and layout sensitivity: whose doing is it that an answer is right?

A protocol with ``vary`` asks every image under every combination of layout, list format, list order
and wording. ``python -m labelwise.analyses.sensitivity results/experiments/NAME.csv --spec JSON
--out CSV`` decomposes the variance of being right (0 or 1) by an analysis of variance (statsmodels;
the design is whole, so the sums of squares do not depend on their order):

- ``image``: some images are harder than others, however one asks;
- each factor: a setting that is better or worse on the whole (``layout``, ``prompt``, ...);
- two factors together: a setting whose effect depends on another;
- a factor x image: answers that a setting turns right on some images and wrong on others;
- ``residual``: the interactions of more than two.

A factor is tested against its interaction with the images, as in a repeated-measures analysis
(which is what ``statsmodels.stats.anova.AnovaRM`` gives for a whole design; p-values are Holm's).
``share`` is percent of the whole sum of squares. ``flips`` is the percent of pairs of answers about
an image that denote other classes although only this factor differs; ``range`` is the difference in
accuracy (points) between the factor's best and worst setting.
"""

import argparse
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labelwise import records, score
from labelwise.analyses.ranks import Study
from labelwise.asking import prompts
from labelwise.errors import LabelwiseError, cli
from labelwise.evaluation import selection, statistics

COLUMNS = (
    "experiment",
    "images",
    "protocol",
    "batching",
    "mapper",
    "labels",
    "model",
    "model_name",
    "model_kind",
    "row",
    "factor",
    "level",
    "share",
    "df",
    "f",
    "p",
    "p_holm",
    "range",
    "flips",
    "accuracy",
    "low",
    "high",
    "n",
    *selection.COUNTED,
    "rules",
)


def anova(right: np.ndarray, design: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """Sums of squares of every source, in order: image, factors, pairs, factor x image, residual.

    Args:
        right: 0 or 1, float [images, cells].
        design: factor -> its level in each cell; factors with one level are left out.

    Returns:
        Dicts with ``factor``, ``share`` (percent of the whole), ``df`` and, of factors, ``f`` and
        ``p``.

    Raises:
        LabelwiseError: fewer than two images or no factor with two levels.
    """
    import pandas as pd
    import statsmodels.formula.api as smf
    from scipy.stats import f as f_distribution
    from statsmodels.stats.anova import anova_lm

    factors = [name for name, levels in design.items() if len(set(levels)) > 1]
    if not factors or len(right) < 2:
        raise LabelwiseError("sensitivity needs two images and a factor with two settings")
    frame = pd.DataFrame(
        {
            "right": right.ravel(),
            "image": np.repeat(np.arange(len(right)), right.shape[1]),
            **{name: np.tile(np.asarray(design[name]), len(right)) for name in factors},
        }
    )
    pairs = list(itertools.combinations(factors, 2))
    names = [*factors, *(f"{a} x {b}" for a, b in pairs)]
    whole = _around(frame["right"])
    found = {"image": {"ss": _between(frame, ["image"]), "df": len(right) - 1}}
    if whole > 0:
        terms = [f"C({name})" for name in factors] + [f"C({a}):C({b})" for a, b in pairs]
        table = anova_lm(smf.ols("right ~ " + " + ".join(terms), frame).fit(), typ=2)
        for name, term in zip(names, terms, strict=True):
            line = table.loc[term]
            found[name] = {"ss": max(float(line["sum_sq"]), 0.0), "df": int(line["df"])}
    else:
        found |= {name: {"ss": 0.0, "df": 0} for name in names}
    for name in factors:
        ss = _between(frame, ["image", name]) - found["image"]["ss"] - found[name]["ss"]
        df = (len(right) - 1) * (len(set(design[name])) - 1)
        found[f"{name} x image"] = {"ss": max(ss, 0.0), "df": df}
    rest = whole - sum(own["ss"] for own in found.values())
    df = right.size - 1 - int(sum(own["df"] for own in found.values()))
    found["residual"] = {"ss": max(rest, 0.0), "df": df}
    made = []
    for name, own in found.items():
        share = 100 * own["ss"] / whole if whole else 0.0
        row: dict[str, Any] = {"factor": name, "share": share, "df": own["df"]}
        error = found.get(f"{name} x image")
        if error and error["ss"] > 1e-9:
            ratio = (own["ss"] / own["df"]) / (error["ss"] / error["df"])
            row |= {"f": ratio, "p": float(f_distribution.sf(ratio, own["df"], error["df"]))}
        made.append(row)
    tested = [row for row in made if "p" in row]
    for row, p in zip(tested, statistics.holm([r["p"] for r in tested]), strict=True):
        row["p_holm"] = float(p)
    return made


def _around(values: Any) -> float:
    """Sum of squares around the mean."""
    return float(((values - values.mean()) ** 2).sum())


def _between(frame: Any, columns: list[str]) -> float:
    """Sum of squares between the groups of some columns."""
    return _around(frame.groupby(columns, observed=True)["right"].transform("mean"))


def flips(said: np.ndarray, design: Mapping[str, Sequence[str]], factor: str) -> float:
    """Percent of pairs of answers that differ where only ``factor`` does.

    Args:
        said: what each answer denotes, any comparable values [images, cells].
        design: factor -> its level in each cell.
        factor: which one.
    """
    others = [name for name in design if name != factor]
    cells = range(said.shape[1])
    pairs = [
        (a, b)
        for a, b in itertools.combinations(cells, 2)
        if design[factor][a] != design[factor][b]
        and all(design[name][a] == design[name][b] for name in others)
    ]
    if not pairs:
        return 0.0
    return float(100 * np.mean([said[:, a] != said[:, b] for a, b in pairs]))


def levels(
    right: np.ndarray, design: Mapping[str, Sequence[str]], factor: str
) -> list[dict[str, Any]]:
    """Accuracy of each setting of a factor, in percent, images resampled for its interval.

    Args:
        right: 0 or 1, float [images, cells].
        design: factor -> its level in each cell.
        factor: which one.
    """
    made = []
    for level in dict.fromkeys(design[factor]):
        own = right[:, [i for i, other in enumerate(design[factor]) if other == level]].mean(axis=1)
        drawn = statistics.clustered(own[:, None], range(len(own)), 10_000)[:, 0]
        low, high = statistics.percentile(100 * drawn)
        made.append({"level": level, "accuracy": float(100 * own.mean()), "low": low, "high": high})
    return made


def analyse(run: selection.Run, study: Study) -> list[dict[str, Any]]:
    """Rows of one run (``COLUMNS``): its sources of variance, then the settings of each factor.

    Raises:
        LabelwiseError: its protocol varies nothing, or was not asked once a variation.
    """
    header, _ = prompts.read(selection.requests(run))
    cells = header.get("variations")
    if not cells:
        raise LabelwiseError(
            f"experiment {run.experiment}: protocol {run.protocol} varies nothing; give it `vary`"
        )
    design = {
        name: [Path(cell[name]).stem if name == "prompt" else cell[name] for cell in cells]
        for name in cells[0]
    }
    key = study.key(run.labels, run.images)
    answers = score.read_predictions(selection.predictions(run))
    if len(answers) != len(cells):
        raise LabelwiseError(
            f"{selection.predictions(run)}: {len(answers)} repeats for {len(cells)} variations;"
            " a varied protocol is asked once (repeats: 1)"
        )
    judged = key.judge(answers)
    right = judged.right.T.astype(float)
    said = np.array(
        [
            [" ".join(map(str, own[i].classes)) or own[i].outcome for own in answers]
            for i in judged.images
        ]
    )
    made = []
    for row in anova(right, design):
        if row["factor"] in design:
            settings = levels(right, design, row["factor"])
            spread = [setting["accuracy"] for setting in settings]
            row |= {"range": max(spread) - min(spread), "flips": flips(said, design, row["factor"])}
        made.append({"row": "source", **row})
    for name in design:
        for own in levels(right, design, name):
            asked = [i for i, level in enumerate(design[name]) if level == own["level"]]
            made.append({"row": "level", "factor": name, **own, **judged.counts(asked)})
    head = {a: getattr(run, a) for a in COLUMNS if hasattr(run, a)}
    return [{**head, "model_name": run.name, "n": len(judged.images), **row} for row in made]


@cli
def main(argv: list[str] | None = None) -> None:
    """Command line of the stage ``sensitivity``."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.analyses.sensitivity",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("experiment", type=Path, help="results/experiments/NAME.csv")
    parser.add_argument("--spec", type=json.loads, required=True, help="label sets, as JSON")
    parser.add_argument("--out", required=True, help="results/sensitivity/NAME.csv")
    args = parser.parse_args(argv)
    study = Study(args.spec)
    found = [row for run in selection.load(args.experiment) for row in analyse(run, study)]
    records.write_csv(args.out, COLUMNS, found)


if __name__ == "__main__":
    main()
