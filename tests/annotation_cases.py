"""Cases that the tests of annotation share: real photographs of the demo set."""

from pathlib import Path

from labelwise import records
from labelwise.annotation.cases import Case, Cases, ClassInfo, Sealed, Source

ROOT = Path(__file__).resolve().parents[1]
HOSTILE = "<img src=x onerror=alert(1)>"
NAMES = ("tench", "goldfish", "great white shark", "tiger shark", "hammerhead", HOSTILE)

LOOK = {
    "images": "small",
    "classes": "curated",
    "corrected": "multi",
    "predictions": {
        "guess": {"model": "guess", "protocol": "closed", "mapper": "exact"},
        "oracle": {"model": "oracle", "protocol": "closed", "mapper": "exact"},
    },
    "show": ["guess", "oracle"],
    "helper": "guess",
    "select": [{"by": "category", "categories": ["S-", "M-", "N"]}],
    "annotators": {"ann": "person", "bot": "system"},
}
"""An annotation of the study of controls."""


def classes(n=1000):
    """Class descriptions: the first five with ImageNet's names."""
    names = [*NAMES, *(f"class {i}" for i in range(len(NAMES), n))]
    return [ClassInfo(name, f"synonym of {name}", f"what a {name} is") for name in names]


def demo_cases(n=20, annotators=None, n_classes=1000, **more):
    """``n`` demo photographs as cases, with options of one, of two and of no class."""
    rows = records.read_csv(ROOT / "data/demo/photos.csv")
    rows = [row for row in rows if row["file"].startswith("photos/")][:n]
    cases = [
        Case(
            f"c{i:011d}",
            row["image"],
            f"data/demo/{row['file']}",
            500,
            400,
            tuple(sorted({(), (i % 6,), (i % 6, 10 + i)})),
        )
        for i, row in enumerate(rows)
    ]
    return Cases(
        "test", 0, annotators or {}, classes(n_classes), "# Rules\n\n1. Look.", cases, **more
    )


def sealed(case, image, category, corrected, helper, original=(0,), planted=None, valid=True):
    """The key of one case."""
    sources = [
        Source("single", "original", original, True),
        Source("multi", "corrected", corrected, corrected != (-1,)),
        Source("model", "model", helper, valid),
    ]
    if planted is not None:
        sources.append(Source("planted from net", "planted", (planted,), True))
    return Sealed(case, image, category, "category", tuple(sources))
