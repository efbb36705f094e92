"""Whose doing is it that an answer is right: the image, the layout, the list or the wording?"""

from labelwise.analyses.factors import said
from labelwise.analyses.noise import Noise, caption, within
from labelwise.analyses.sensitivity import COLUMNS as NAMES
from labelwise.evaluation.selection import stand_in
from labelwise.records import read_csv
from labelwise.tables import style
from labelwise.tables.files import command

SOURCES = (
    style.Column("", "share", "Share of variance"),
    style.Column("", "df", "d.f.", "count"),
    style.Column("", "p_holm", "p (Holm)", "p"),
    style.Column("A", "range", "Best − worst", "points"),
    style.Column("A", "flips", "Answers that flip"),
)
LEVELS = (style.Column("A", "accuracy", "Accuracy"),)


def read(path: str) -> list[dict[str, str]]:
    """Rows of results/sensitivity/NAME.csv."""
    return read_csv(path, NAMES)


def build(rows: list[dict[str, str]], noise: Noise | None = None) -> style.Table:
    """The decomposition of variance, and the accuracy of every setting."""
    panels = []
    shown = [row for row in rows if row["model_kind"] != "control"]
    for key in dict.fromkeys(_panel(row) for row in shown):
        own = [row for row in shown if _panel(row) == key]
        title = "Images {}, protocol {}, labels {}".format(*key)
        parts = {kind: [row for row in own if row["row"] == kind] for kind in ("source", "level")}
        answers = 1 + sum(int(row["df"]) for row in parts["source"])
        sources = [_row(row, ((said(row["factor"]), ""),), SOURCES) for row in parts["source"]]
        for row in sources:
            share, *_, spread, _ = row.cells
            share.n = answers
            spread.noise = spread.value is not None and within(
                spread.value, row.run.model, noise or {}
            )
        panels.append(style.Panel(title, ("Source",), SOURCES, style.model_groups(sources)))
        levels = [
            _row(row, ((said(row["factor"]), ""), (row["level"], "")), LEVELS)
            for row in parts["level"]
        ]
        panels.append(
            style.Panel(
                f"{title}: settings", ("Factor", "Setting"), LEVELS, style.model_groups(levels)
            )
        )
    return style.Table(
        "sensitivity",
        rows[0]["experiment"],
        "How much do layout, list and wording change, and how much is the images' doing?",
        "Every image is asked in all combinations of the settings. Share: percent of the variance"
        " of being right (analysis of variance). × image: a setting helps on some images and harms"
        " on others; by this a factor is tested (F test, p after Holm's correction; as in a"
        " repeated-measures analysis). Best − worst: accuracy between the factor's settings, in"
        " points. Answers that flip: pairs of answers about an image that name other classes"
        " though only this factor differs. Settings: accuracy in percent with the 95 % interval"
        " of 10,000 draws of the images."
        f" {caption(noise, {row['model'] for row in shown})}",
        panels,
        "" if panels else f"Not run: experiment {rows[0]['experiment']} asks controls only.",
    )


def _panel(row: dict[str, str]) -> tuple[str, str, str]:
    return row["images"], row["protocol"], row["labels"]


def _row(
    row: dict[str, str], stubs: tuple[tuple[str, str], ...], columns: tuple[style.Column, ...]
) -> style.Row:
    n = int(row["n"])
    low, high = (float(row[end]) if row[end] else None for end in ("low", "high"))
    cells = []
    for column in columns:
        text = row[column.measure]
        whole = column.measure == "accuracy"
        value = float(text) if text else None
        cells.append(style.Cell(value, n, low if whole else None, high if whole else None))
    setting = ": ".join(filter(None, (row["factor"], row["level"])))
    return style.Row(stubs, stand_in(row), cells, setting=setting)


if __name__ == "__main__":
    command(build, read)
