"""How many answers change when only the arithmetic does?"""

from labelwise.analyses.noise import noisiest
from labelwise.analyses.numerics import COLUMNS as NAMES
from labelwise.evaluation.selection import stand_in
from labelwise.evaluation.statistics import wilson
from labelwise.records import read_csv
from labelwise.tables import style
from labelwise.tables.files import command

COLUMNS = (
    style.Column("A", "flips", "Answers that flip"),
    style.Column("A", "texts", "Texts that differ", "count"),
    style.Column("A", "accuracy", "Accuracy"),
    style.Column("A", "difference", "Difference", "points"),
)


def read(path: str) -> list[dict[str, str]]:
    """Rows of results/numerics/NAME.csv."""
    return read_csv(path, NAMES)


def build(rows: list[dict[str, str]]) -> style.Table:
    """The numerics panel: one row a variant; rows are those of ``results/numerics``, in percent."""
    panels = []
    for key in dict.fromkeys(_panel(row) for row in rows):
        images, protocol, batching, labels = key
        own = [row for row in rows if _panel(row) == key]
        panels.append(
            style.Panel(
                f"Images {images}, protocol {protocol}, {batching}, labels {labels}",
                ("Computed with", "Dtype"),
                COLUMNS,
                style.model_groups(_row(row) for row in own),
            )
        )
    noise = ", ".join(f"{points:.1f} for {name}" for name, points in sorted(noisiest(rows).items()))
    counts = sorted({int(row["n"]) for row in rows})
    limits = ", ".join(f"{100 * wilson(0, n)[1]:.1f} with {n} answers" for n in counts)
    return style.Table(
        "numerics",
        rows[0]["experiment"],
        "How many answers change when only the arithmetic does?",
        "The same prompts, asked once more, with one setting of the computation changed. Answers"
        " that flip denote another class than before (percent, Wilson's 95 % interval); texts that"
        " differ do so in any letter. Difference: accuracy minus that of the model as it is run in"
        " the study, in points. Noise by which other tables mark differences (points; the highest"
        f" upper limit among the variants of the same dtype): {noise or 'none'}. If no answer flips"
        f" at all, the limit is {limits}.",
        panels,
    )


def _panel(row: dict[str, str]) -> tuple[str, str, str, str]:
    return row["images"], row["protocol"], row["batching"], row["labels"]


def _row(row: dict[str, str]) -> style.Row:
    n = int(row["n"])
    rate, low, high = (float(row[name]) for name in ("rate", "low", "high"))
    dtype = "same" if row["same_dtype"] == "1" else "another"
    return style.Row(
        ((row["setting"], ""), (dtype, "")),
        stand_in(row),
        [
            style.Cell(rate, n, low, high),
            style.Cell(float(row["texts"]), n),
            style.Cell(float(row["accuracy"]), n),
            style.Cell(float(row["difference"]), n),
        ],
        setting=row["variant"],
    )


if __name__ == "__main__":
    command(build, read)
