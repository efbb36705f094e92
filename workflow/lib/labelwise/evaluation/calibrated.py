"""What a row of ``results/calibration`` holds, and how figures and tables read it."""

from pathlib import Path
from typing import TYPE_CHECKING

from labelwise import records

if TYPE_CHECKING:
    import pandas

HEAD = ("experiment", "images", "labels", "model", "model_name", "model_kind", "kind", "protocol")
COLUMNS = (*HEAD, "measure", "at", "value", "low", "high", "n")
"""See ``labelwise.calibration``."""


def read(path: str | Path) -> "pandas.DataFrame":
    """The rows of a file: texts, and numbers in the columns from ``at`` on (NaN where empty)."""
    import pandas

    records.read_csv(path, COLUMNS)  # a missing file or column is told in one line
    table = pandas.read_csv(path, dtype=str, keep_default_na=False)
    numbers = ["at", "value", "low", "high", "n"]
    table[numbers] = table[numbers].apply(pandas.to_numeric)
    prompted = table.kind == "likelihood"
    table["name"] = table.model_name.where(~prompted, table.model_name + ", " + table.protocol)
    return table
