"""Small made-up analyses, from which the figures of ranks, numerics and decisions are drawn."""

from pathlib import Path

from labelwise.analyses import numerics, ranks, sensitivity
from labelwise.annotation import counts
from labelwise.records import write_csv

MODELS = {"composed-lite2": "composed", "conse": "dual-encoder", "knn": "knn"}
FACTORS = ("image", "layout", "list_order", "layout x list_order", "layout x image", "residual")


def write(folder: Path) -> dict[str, Path]:
    """Write one file a figure; figure -> path."""
    made = {
        "ranks": (ranks.COLUMNS, _ranks()),
        "numerics": (numerics.COLUMNS, _numerics()),
        "sensitivity": (sensitivity.COLUMNS, _sensitivity()),
        "decisions": ((*counts.TEXTS, *counts.NUMBERS), _decisions()),
    }
    for name, (columns, rows) in made.items():
        write_csv(folder / f"{name}.csv", columns, rows)
    return {name: folder / f"{name}.csv" for name in made}


def _ranks() -> list[dict]:
    found = []
    for labels, order in (("multi", (1, 2, 3)), ("single", (2, 1, 3))):
        for (model, kind), rank in zip(MODELS.items(), order, strict=True):
            about = {"images": "demo", "labels": labels, "model": model, "n": 150}
            about |= {"model_name": f"{model} by its long name", "model_kind": kind}
            values = {"rank": (rank, max(1, rank - 1), 3), "p_best": (100 / rank, "", "")}
            values |= {"move": (0, -1, 1)} if labels == "multi" else {}
            for measure, (value, low, high) in values.items():
                found.append(about | {"measure": measure, "value": value, "low": low, "high": high})
    return found


def _numerics() -> list[dict]:
    about = {"model": "composed-lite2", "model_name": "Composed Lite2", "images": "demo"}
    about |= {"protocol": "closed", "labels": "multi", "n": 24}
    about |= {"texts": 1, "accuracy": 50, "difference": 0}
    settings = (("repeat 1", 1, 0.0), ("tensor_batch 1", 1, 4.2), ("dtype bfloat16", 0, 8.3))
    return [
        about
        | {
            "variant": s,
            "setting": s,
            "same_dtype": same,
            "rate": r,
            "low": max(0, r - 4),
            "high": r + 14,
        }
        for s, same, r in settings
    ]


def _sensitivity() -> list[dict]:
    about = {"experiment": "sensitivity", "model": "composed-lite2", "model_kind": "composed"}
    about |= {"model_name": "Composed Lite2", "images": "demo", "protocol": "closed"}
    about |= {"labels": "multi", "n": 12}
    found = []
    for place, factor in enumerate(FACTORS):
        own = {"p_holm": 0.2, "flips": 40, "range": 5} if factor in FACTORS[1:3] else {}
        own |= {"df": 1}
        found.append(about | own | {"row": "source", "factor": factor, "share": 48 / 2**place})
    for factor, level in (("layout", "list-first"), ("layout", "image-first"), ("list_order", "x")):
        own = {"row": "level", "factor": factor, "level": level}
        found.append(about | own | {"accuracy": 40, "low": 20, "high": 60})
    return found


def _decisions() -> list[dict]:
    about = {"annotation": "second-look", "annotator": counts.SETTLED, "unit": "percent"}
    about |= {"annotator_kind": "system", "source": "composed-lite2"}
    return [
        about | {"category": category, "measure": measure, "count": count, "n": 10}
        | {"value": 10 * count, "low": 5 * count, "high": min(100, 10 * count + 25)}
        for category in ("S-", "M-", "A")
        for measure, count in zip(counts.VERDICTS, (4, 0, 5, 1), strict=True)
    ]  # fmt: skip
