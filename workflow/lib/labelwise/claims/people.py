"""Claims on what human annotators decide (section 3.4). They wait for people."""

from labelwise.claims.base import Finding, Group, Lacking, claim

NO_PEOPLE = "needs the decisions of human annotators, and this study has none"


@claim(
    "Figure 7", "Do annotators take over a model's disagreeing label in about half of the cases?"
)
def labels_taken_over(group: Group) -> Finding:
    """Share of disagreements in which people confirm or add the model's label."""
    raise Lacking(NO_PEOPLE)


@claim("Figure 7", "On S−, do annotators find half of the corrected labels quite wrong?")
def corrected_wrong(group: Group) -> Finding:
    """Share of S− disagreements in which no corrected label is kept."""
    raise Lacking(NO_PEOPLE)


@claim("Section 3.4", "Is the model right more often by the labels of a second pass?")
def second_pass(group: Group) -> Finding:
    """Accuracy under labels of the second pass minus under those of the first."""
    raise Lacking(NO_PEOPLE)
