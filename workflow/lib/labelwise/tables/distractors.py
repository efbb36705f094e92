"""The distractor schemes of multiple choice side by side (the paper's Tables 7 and 19)."""

from dataclasses import replace

from labelwise.selection import Run
from labelwise.tables import multiple_choice
from labelwise.tables.style import Table, command


def build(runs: list[Run]) -> Table:
    """The multiple-choice table of the experiment that runs all schemes."""
    return replace(multiple_choice.build(runs), name="distractors")


if __name__ == "__main__":
    command(build)
