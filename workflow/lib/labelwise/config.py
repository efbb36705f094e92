"""The configuration's shape: every fault becomes one line that names the key and the fix."""

import difflib
from collections.abc import Mapping
from typing import Any

from labelwise.errors import LabelwiseError


def check(config: Mapping[str, Any], schema: Mapping[str, Any], file: str) -> None:
    """Compare a configuration with the schema.

    Raises:
        LabelwiseError: the first fault, as ``file: key: key: what is wrong``.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(schema).iter_errors(config))
    if error is not None:
        place = ": ".join(map(str, error.absolute_path))
        raise LabelwiseError(f"{file}: {place + ': ' if place else ''}{_say(error)}")


def _say(error: Any) -> str:
    value = error.instance
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        unknown = [key for key in value if key not in known]
        near = difflib.get_close_matches(unknown[0], known, 1) if unknown else []
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
        return f"unknown key {unknown[0]!r}; {hint}"
    if error.validator == "required":
        missing = [key for key in error.validator_value if key not in value]
        return f"key {missing[0]!r} is missing"
    if error.validator == "enum":
        return f"{value!r} is none of {', '.join(map(repr, error.validator_value))}"
    if error.validator == "pattern" and "description" in error.schema:
        return f"{value!r} is not {error.schema['description']}"
    return error.message
