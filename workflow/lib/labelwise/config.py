"""The configuration's shape: checked with one line a fault, and explained in one page.

``python -m labelwise.config SCHEMA --out config/README.md`` writes the page from the schema.
"""

import argparse
import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from labelwise.errors import LabelwiseError, cli
from labelwise.records import read_yaml, write_text

TYPES = {
    "object": "entries of the form `name: value`",
    "array": "a list, [a, b]",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
}
"""What the types of a schema are called in messages."""


SCHEMA = Path(__file__).resolve().parents[2] / "schemas" / "config.schema.yaml"


def load(path: str | Path) -> dict[str, Any]:
    """The configuration of a file, checked as the workflow checks it before names are looked up.

    Raises:
        LabelwiseError: the first fault; one line that begins with the file.
    """
    config = read_yaml(path)
    check_keys(path)
    check(config, read_yaml(SCHEMA), str(path))
    return config


def check(config: Mapping[str, Any], schema: Mapping[str, Any], file: str) -> None:
    """Compare a configuration with the schema.

    Raises:
        LabelwiseError: the first fault, as ``file: key: key: what is wrong``.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    errors = list(Draft202012Validator(schema).iter_errors(config))
    error = best_match(errors)
    if error is not None:
        here = [e for e in errors if e.absolute_path == error.absolute_path]
        # a key that is missing may be there under a name that is not known
        error = next((e for e in here if e.validator == "additionalProperties"), error)
        place = ": ".join(map(str, error.absolute_path))
        raise LabelwiseError(f"{file}: {place + ': ' if place else ''}{_say(error)}")


def check_keys(path: str | Path) -> None:
    """Refuse a YAML file with a key that stands twice, of which YAML would keep the last silently.

    Raises:
        LabelwiseError: the key and the lines on which it stands.
    """
    import yaml

    with open(path, encoding="utf-8") as file:
        todo = [yaml.compose(file, Loader=yaml.SafeLoader)]
    while todo:
        node = todo.pop()
        if isinstance(node, yaml.MappingNode):
            lines: dict[str, int] = {}
            for key, value in node.value:
                line = key.start_mark.line + 1
                if lines.setdefault(key.value, line) != line:
                    raise LabelwiseError(
                        f"{path}: line {line}: key {key.value!r} stands here and on line"
                        f" {lines[key.value]}; keep one"
                    )
                todo.append(value)
        elif isinstance(node, yaml.SequenceNode):
            todo += node.value


def _say(error: Any) -> str:
    value = error.instance
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        unknown = [key for key in value if key not in known]
        if unknown[0] is True and "true" in known:
            return 'key true: YAML takes it for yes; write "true" in quotes'
        near = difflib.get_close_matches(str(unknown[0]), known, 1, cutoff=0.7)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
        return f"unknown key {unknown[0]!r}; {hint}"
    if error.validator == "required":
        missing = [key for key in error.validator_value if key not in value]
        return f"key {missing[0]!r} is missing"
    if error.validator == "enum":
        return f"{value!r} is none of {', '.join(map(repr, error.validator_value))}"
    if error.validator == "type" and isinstance(error.validator_value, str):
        if error.validator_value == "string" and isinstance(value, int | float):
            return f"{str(value).lower()} is no text to YAML; write it in quotes"
        quoted = isinstance(value, str) and value.strip("-.").isdigit()
        hint = "; take the quotes off" if quoted else ""
        return f"{value!r} is not {TYPES[error.validator_value]}{hint}"
    if error.validator == "pattern" and "description" in error.schema:
        return f"{value!r} is not {error.schema['description']}"
    return error.message


def page(schema: Mapping[str, Any]) -> str:
    """The schema as Markdown: every section, every key, its values and meaning."""
    lines = ["# The configuration", "", schema["description"], ""]
    for name, section in schema["properties"].items():
        lines += [f"## `{name}`", "", section["description"], ""]
        entry = section["additionalProperties"]
        lines += ["| key | values | meaning |", "|---|---|---|"]
        lines += list(_rows(entry, schema["$defs"]))
        lines += [""]
    return "\n".join(lines).rstrip() + "\n"


def _rows(entry: Mapping[str, Any], defs: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for key, value in entry["properties"].items():
        shown = _resolved(value, defs)
        values = "name" if value.get("$ref", "").endswith("/id") else _values(shown, defs)
        required = " (required)" if key in entry.get("required", ()) else ""
        meaning = str(value.get("description", "")).replace("|", "\\|")
        yield f"| `{above}{key}`{required} | {values} | {meaning} |"
        below = _resolved(shown.get("items", {}), defs)
        for inner, path in ((shown, f"{above}{key}."), (below, f"{above}{key}[].")):
            if "properties" in inner:
                yield from _rows(inner, defs, path)


def _resolved(value: Mapping[str, Any], defs: Mapping[str, Any]) -> Mapping[str, Any]:
    return defs[value["$ref"].rsplit("/", 1)[1]] if "$ref" in value else value


def _values(value: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    if "enum" in value:
        return ", ".join(f"`{choice}`" for choice in value["enum"])
    if value.get("type") == "array":
        if value["items"].get("$ref", "").endswith("/id"):
            return "list of names"
        return f"list of {_values(_resolved(value['items'], defs), defs)}"
    if "pattern" in value and "description" in value:
        return "text" if "/" in value["pattern"] else str(value["description"])
    kinds = value.get("type", "")
    return " or ".join(kinds) if isinstance(kinds, list) else str(kinds)


@cli
def main(argv: list[str] | None = None) -> None:
    """Write the page that explains every key."""
    parser = argparse.ArgumentParser(prog="python -m labelwise.config", description=main.__doc__)
    parser.add_argument("schema", help="workflow/schemas/config.schema.yaml")
    parser.add_argument("--out", required=True, help="config/README.md")
    args = parser.parse_args(argv)
    write_text(args.out, page(read_yaml(args.schema)))


if __name__ == "__main__":
    main()
