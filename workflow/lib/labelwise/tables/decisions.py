"""What people decided on the cases of an annotation (the paper's Figure 7, as a table)."""

from labelwise.annotation.counts import SETTLED, VERDICTS, Count, categories, deciders, find, load
from labelwise.evaluation.selection import stand_in
from labelwise.tables.files import command
from labelwise.tables.style import Cell, Column, Panel, Row, Table

HELP = (
    Column("", "judged", "Cases", "count"),
    *(Column("", name, name.capitalize()) for name in VERDICTS),
    Column("", "confirmed", "Preferred or combined"),
    Column("", "old_wrong", "Old labels wrong"),
)
BACKGROUND = (
    Column("", "cases", "Cases", "count"),
    Column("", "unsure", "Not sure", "count"),
    Column("", "disputed", "Disputed", "count"),
    Column("", "changed", "Labels changed"),
    Column("", "as_suggested", "As suggested"),
    Column("", "planted_accepted", "Planted label accepted"),
    Column("", "seconds_median", "Seconds (median)", "count"),
)


def build(counts: list[Count]) -> Table:
    """Decisions by category, the accuracy of every source before and after, and agreement."""
    name = counts[0].annotation
    settled = [c for c in counts if c.annotator == SETTLED]
    helper = next((c.source for c in settled if c.measure == "kept"), "")
    panels = []
    if helper:
        title = f"Annotation {name}, helper {helper}: where it disagrees with the old labels"
        panels.append(_panel(name, title, counts, HELP))
    panels.append(_panel(name, f"Annotation {name}, all cases", counts, BACKGROUND))
    panels.append(_sources(name, settled))
    agreed = [c for c in counts if c.measure in ("kappa", "alpha")]
    words = {"kappa": "Cohen's kappa", "alpha": "Krippendorff's alpha"}
    agreement = " ".join(
        f"{words[c.measure]} of {c.annotator}: {c.value:.2f} on {c.n:.0f} cases." for c in agreed
    )
    caption = (
        f"Decided by {deciders(counts)}."
        " In percent of the cases, with 95 % intervals (Wilson) below. Preferred: the model's label"
        " is in the new labels and none of the old ones is; combined: both are; kept: an old label"
        " is and the model's is not; other: neither is. Where the old labels are none, keeping that"
        " counts as kept. Cases with the decision “not sure” alone, or in dispute, are not judged."
        f" {agreement or 'One annotator a case: agreement was not measured.'}"
    )
    return Table(
        "decisions",
        name,
        "How often does a model help whoever corrects the labels?",
        caption,
        panels,
    )


def _panel(name: str, title: str, counts: list[Count], columns: tuple[Column, ...]) -> Panel:
    groups = []
    for who in dict.fromkeys(c.annotator for c in counts if " & " not in c.annotator):
        own = [c for c in counts if c.annotator == who]
        rows = []
        for category in categories(counts):
            here = [c for c in own if c.category == category]
            if here:
                cells = [_cell(here, column.measure) for column in columns]
                said = {"model": who, "model_kind": own[0].annotator_kind}
                run = stand_in({"experiment": name, **said})
                label = "all" if category == "A" else category.replace("-", "−")
                rows.append(Row(((label, ""),), run, cells, category=category))
        heading = "decisions that stand" if who == SETTLED else who
        groups.append((f"{heading} ({own[0].annotator_kind})", rows))
    if len(groups) == 2:
        groups = groups[:1]
    return Panel(title, ("Category",), columns, groups)


def _cell(counts: list[Count], measure: str) -> Cell:
    if measure == "judged":
        kept = find(counts, measure="kept")
        n = int(kept.n or 0) if kept else 0
        return Cell(n, n)
    found = find(counts, measure=measure)
    if found is None or found.value is None:
        return Cell(None, 0)
    if found.unit == "cases":
        return Cell(found.value, int(found.n or 0))
    return Cell(found.value, int(found.n or 0), found.low, found.high)


def _sources(name: str, settled: list[Count]) -> Panel:
    shown = categories(settled)
    columns = [
        Column("", f"right_{when}_{c}", f"{'all' if c == 'A' else c} {when}")
        for c in shown
        for when in ("before", "after")
    ]
    rows = []
    for source in dict.fromkeys(c.source for c in settled if c.measure == "right_before"):
        cells = []
        for category in shown:
            own = [c for c in settled if c.category == category and c.source == source]
            cells += [_cell(own, f"right_{when}") for when in ("before", "after")]
        rows.append(Row(((source, ""),), stand_in({"experiment": name, "model": source}), cells))
    title = "Accuracy of each source on these cases, by the old labels (before) and the new (after)"
    return Panel(title, ("Source",), columns, [("", rows)])


if __name__ == "__main__":
    command(build, load)
