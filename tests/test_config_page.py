"""The page that explains the configuration is the schema, and every key is explained."""

from pathlib import Path

import yaml
from labelwise.config import page

ROOT = Path(__file__).resolve().parents[1]
PAGE = page(yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text()))


def test_the_page_is_kept_in_step():
    assert (ROOT / "config/README.md").read_text() == PAGE, (
        "run: python -m labelwise.config workflow/schemas/config.schema.yaml --out config/README.md"
    )


def test_every_key_has_a_meaning():
    rows = [line.split(" | ") for line in PAGE.splitlines() if line.startswith("| `")]
    assert len(rows) > 60
    assert [row[0] for row in rows if not row[-1].rstrip("| ")] == []
