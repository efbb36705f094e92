"""Does the choice of labels change who is best? Ranks with uncertainty, and a ceiling."""

from labelwise.analyses.ranks import COLUMNS as NAMES
from labelwise.evaluation.selection import stand_in
from labelwise.records import read_csv
from labelwise.tables import style
from labelwise.tables.files import command

COLUMNS = (
    style.Column("A", "accuracy", "Accuracy"),
    style.Column("A", "rank", "Rank", "rank"),
    style.Column("A", "p_best", "Best"),
    style.Column("A", "move", "Move", "move"),
    style.Column("A", "gain", "Gain", "points"),
    style.Column("A", "gain_void", "of it void", "points"),
    style.Column("A", "gain_labelled", "Gain, labelled", "points"),
)
CEILING = (
    style.Column("A", "ceiling", "All images"),
    style.Column("A", "ceiling_labelled", "With a label"),
)


def read(path: str) -> list[dict[str, str]]:
    """Rows of results/ranks/NAME.csv."""
    return read_csv(path, NAMES)


def build(rows: list[dict[str, str]]) -> style.Table:
    """Ranks, moves and gains of every model, by label set; then what annotators agree on.

    Rows are those of ``results/ranks``, each number in its own unit.
    """
    panels = []
    ceilings = []
    for images, labels in dict.fromkeys((row["images"], row["labels"]) for row in rows):
        own = [row for row in rows if (row["images"], row["labels"]) == (images, labels)]
        models = [row for row in own if row["model"]]
        known = {row["measure"] for row in models}
        columns = tuple(column for column in COLUMNS if column.measure in known)
        panels.append(
            style.Panel(
                f"Images {images}, labels {labels}",
                ("Model", "Run"),
                columns,
                style.kind_groups(_rows(models, "model", columns)),
            )
        )
        if annotators := [row for row in own if row["annotator"]]:
            ceilings.append(
                style.Panel(
                    f"Images {images}, annotators of {labels}",
                    ("Annotator",),
                    CEILING,
                    [("", _rows(annotators, "annotator", CEILING))],
                )
            )
    rules = sorted({(row["labels"], row["rules"]) for row in rows})
    return style.Table(
        "ranks",
        rows[0]["experiment"],
        "Does the choice of labels change which model is best?",
        " ".join(
            [
                "Each model in the run that stands for it in the main comparison. Rank: 1 plus"
                " the number of better models, so equal ones share it. Best: how often the model"
                " is best when the images are drawn again (ties share). Move: ranks lost (+) or"
                " won (−) against the original labels. Gain: accuracy minus that under the"
                " original labels, in points; of it void: the part from images without any"
                " label, which count by the rules below; Gain, labelled: the gain on the other"
                " images alone. Below each number its 95 % interval: 10,000 draws of the images,"
                " paired over models and label sets.",
                "Annotators: the share of one annotator's labels that are right by another's, or"
                " by the adjudicated set: above this ceiling no two models can be told apart."
                if ceilings
                else "No label set names its annotators' passes, so no ceiling can be given.",
                *(f"Scoring rules of {labels}: {text}." for labels, text in rules),
            ]
        ),
        panels + ceilings,
    )


def _rows(
    rows: list[dict[str, str]], by: str, columns: tuple[style.Column, ...]
) -> list[style.Row]:
    grouped: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        grouped.setdefault(row[by], []).append(row)
    made = []
    for own in grouped.values():
        run = stand_in(own[0])
        found = {row["measure"]: row for row in own}
        said = " ".join(filter(None, (run.protocol, run.mapper.replace("argmax", ""))))
        stubs = ((run.name, ""), (said, "")) if by == "model" else ((own[0][by], ""),)
        cells = [_cell(found.get(c.measure)) for c in columns]
        made.append(style.Row(stubs, run, cells, setting=own[0]["annotator"]))
    return made


def _cell(row: dict[str, str] | None) -> style.Cell:
    if row is None:
        return style.Cell(None, 0)
    low, high = (float(row[end]) if row[end] else None for end in ("low", "high"))
    return style.Cell(float(row["value"]), int(row["n"]), low, high)


if __name__ == "__main__":
    command(build, read)
