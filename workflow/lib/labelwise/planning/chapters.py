"""In which chapter of the report a figure, table or page stands, and what it is called there.

Stdlib only. Snakemake sorts categories by name, so the names carry the order of reading.
"""

MAIN = "1 Main results"
LABELS = "2 Labels"
PROTOCOLS = "3 Protocols"
MAPPING = "4 Answers outside the list"
ROBUSTNESS = "5 Robustness"
MODELS = "6 Models beside classifiers"
FINDINGS = "7 What holds"
CASES = "8 Cases"
RUN = "9 What was run"

HOLDS = {
    MAIN: ("main", "label_gain", "ranks"),
    LABELS: ("categories", "label_sets", "recall", "revised_labels", "decisions"),
    PROTOCOLS: ("protocols", "decoding", "multiple_choice", "distractors"),
    MAPPING: (
        *("out_of_list", "mapped_answers", "answer_kinds", "gallery"),
        *("encoders", "encoder_templates"),
    ),
    ROBUSTNESS: (
        *("batches", "batch_size", "order", "position", "positions", "formats", "stability"),
        *("numerics", "sensitivity"),
    ),
    MODELS: ("agreement", "confusions", "reliability", "calibration", "selective"),
}
"""Figures and tables by chapter; a figure and a table of one name stand together."""


def of(name: str) -> str:
    """The chapter of a figure or table; "Other" for one that none of these chapters names."""
    return next((chapter for chapter, names in HOLDS.items() if name in names), "Other")


def label(name: str, kind: str) -> dict[str, str]:
    """What stands in the report's list: one label, since Snakemake makes switches of more."""
    return {"result": f"{name.replace('_', ' ')}: {kind}"}
