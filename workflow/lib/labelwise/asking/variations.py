"""Variations of one protocol, asked in one run (stdlib only).

A protocol's ``vary`` names other values of some of its own keys; every combination is a cell, asked
as one repeat. So a whole design (layout x list format x list order x wording) is one requests file,
the model is loaded once, and the repeats of a score tell how much the wording alone moves it.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

FACTORS = ("layout", "list_format", "list_order", "prompt")
"""Keys of a protocol that can be varied, in the order of the cells (the last varies fastest)."""


def cells(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The protocol as every combination of the values that ``vary`` gives; itself without it."""
    vary: Mapping[str, Sequence[Any]] = spec.get("vary", {})
    keys = [key for key in FACTORS if key in vary]
    base = {key: value for key, value in spec.items() if key != "vary"}
    return [
        base | dict(zip(keys, values, strict=True))
        for values in itertools.product(*(vary[key] for key in keys))
    ]


def settings(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The varied keys of each cell, as a requests file's header tells them; [] without ``vary``."""
    keys = [key for key in FACTORS if key in spec.get("vary", {})]
    return [{key: cell[key] for key in keys} for cell in cells(spec)] if keys else []


def prompts(spec: Mapping[str, Any]) -> list[str]:
    """Every prompt file that a protocol reads."""
    return list(dict.fromkeys(cell["prompt"] for cell in cells(spec)))
