"""How far the probabilities of answers can be trusted, in numbers."""

from typing import TYPE_CHECKING

from labelwise.evaluation.calibrated import read
from labelwise.evaluation.selection import stand_in
from labelwise.tables import style
from labelwise.tables.files import command

if TYPE_CHECKING:
    from pandas import DataFrame

COLUMNS = (
    style.Column("A", "accuracy", "Accuracy"),
    style.Column("A", "confidence", "Confidence"),
    style.Column("A", "ece", "ECE"),
    style.Column("A", "ece_scaled", "ECE scaled"),
    style.Column("A", "brier", "Brier"),
    style.Column("A", "brier_scaled", "Brier scaled"),
    style.Column("A", "aurc", "Risk over coverages"),
)


def build(table: "DataFrame") -> style.Table:
    """Calibration errors, Brier scores and selective risk in percent, a row a run.

    The table is one of ``results/calibration`` (fractions).
    """
    panels = [
        style.Panel(
            style.panel_title(images, labels),
            ("Model", "Protocol"),
            COLUMNS,
            style.kind_groups(_row(own) for _, own in group.groupby("name", sort=False)),
        )
        for (images, labels), group in table.groupby(["images", "labels"], sort=False)
    ]
    experiment = table.experiment.iloc[0] if len(table) else ""
    return style.Table(
        "calibration",
        experiment,
        "How far can the probabilities of answers be trusted?",
        "In percent, on images with at least one label; every answer counted names a listed class"
        " (outcome ok). Confidence: mean probability of the"
        " named class (of likelihood by best-first search what it is at least); ECE: mean gap"
        " between confidence and accuracy, in bins of equally many images (with few images it is"
        " above 0 even for true probabilities); Brier: mean squared difference of confidence and"
        " right or wrong; risk over coverages: mean share of wrong answers among the most"
        " confident ones, over all shares that can be kept. Scaled: after Platt's logistic"
        " function of the log-odds, fitted by cross-validation on the other images. Below each"
        " number its 95 % interval (accuracy: Wilson; else bootstrap over images)."
        if panels
        else "",
        panels,
        "" if panels else "Not run: the experiment has no answers with probabilities.",
    )


def _row(own: "DataFrame") -> style.Row:
    run = stand_in(own.iloc[0].to_dict())
    stubs = ((run.name, ""), (run.protocol, ""))
    return style.Row(stubs, run, [_cell(own, column) for column in COLUMNS])


def _cell(own: "DataFrame", column: style.Column) -> style.Cell:
    one = own[own.measure == column.measure].iloc[0]
    value, low, high = (100 * float(one[name]) for name in ("value", "low", "high"))
    return style.Cell(value, int(one.n), low, high)


if __name__ == "__main__":
    command(build, read)
