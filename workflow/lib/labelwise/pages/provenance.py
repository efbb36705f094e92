"""Page ``provenance``: which code, models, packages and machines made the results, at what cost.

``python -m labelwise.pages.provenance META... --weights JSON... --config JSON --out HTML`` reads
the ``.meta.json`` beside responses and logits and the records of weights. Cost is what a paid
server charged, summed over runs; time is that of the jobs themselves, also of those that ran side
by side.
"""

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from labelwise.errors import LabelwiseError, cli
from labelwise.pages import page
from labelwise.records import read_json, sha256, write_text

Meta = Mapping[str, Any]


def read(path: Path) -> Meta:
    """One ``.meta.json``; what is not one is an error that names the file."""
    found = read_json(path)
    if not isinstance(found, dict) or "axes" not in found or "packages" not in found:
        raise LabelwiseError(f"{path}: not the record of a run: no axes or no packages")
    return found


def sections(metas: Sequence[Meta], weights: Sequence[Path], config: Meta) -> list[dict[str, Any]]:
    """The page's sections, from the records of runs, those of weights, and the configuration."""
    return [
        {
            "title": "Code",
            "columns": _columns("commit", "changed since", "#runs"),
            "rows": _code(metas),
        },
        {
            "title": "Packages",
            "columns": _columns("package", "version", "#runs"),
            "rows": _versions(metas),
        },
        {
            "title": "Machines",
            "columns": _columns("processor", "#cores", "system", "device", "#runs", "#hours"),
            "rows": _machines(metas),
        },
        {
            "title": "Models",
            "lines": ["A revision is a commit of a hub; a digest is of the record of the weights."],
            "columns": _columns("model", "engine", "identity", "answered by"),
            "rows": _models(metas),
        },
        {
            "title": "Weights",
            "columns": _columns("name", "SHA-256 of its record", "#files", "#MB"),
            "rows": [_weight(path) for path in weights],
        },
        {
            "title": "Runs: time, tokens and cost",
            "lines": [_total(metas)],
            "columns": _columns(
                *("run", "started (UTC)", "#seconds", "#asked", "#replayed", "#tokens", "#USD")
            ),
            "rows": [_run(meta) for meta in metas],
        },
        *_errors(metas),
        {"title": "Configuration", "text": _yaml(config)},
    ]


def _columns(*names: str) -> list[tuple[str, bool]]:
    return [(name.removeprefix("#"), name.startswith("#")) for name in names]


def _code(metas: Iterable[Meta]) -> list[list[str]]:
    found = Counter((meta["commit"] or "not known", bool(meta["dirty"])) for meta in metas)
    return [
        [commit, "yes" if dirty else "no", str(n)] for (commit, dirty), n in sorted(found.items())
    ]


def _versions(metas: Iterable[Meta]) -> list[list[str]]:
    found = Counter(
        pair for meta in metas for pair in (*meta["packages"].items(), ("python", meta["python"]))
    )
    return [[name, version, str(n)] for (name, version), n in sorted(found.items())]


def _machines(metas: Iterable[Meta]) -> list[list[str]]:
    found: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for meta in metas:
        own, engine = meta["machine"], meta.get("engine", {})
        device = engine.get("gpu") or engine.get("device") or meta.get("device") or "–"
        key = own["processor"], str(own["cores"]), own["system"], str(device)
        found[key].append(meta["seconds"])
    return [
        [*key, str(len(seconds)), f"{sum(seconds) / 3600:.2f}"]
        for key, seconds in sorted(found.items())
    ]


def _models(metas: Iterable[Meta]) -> list[list[str]]:
    found: dict[str, list[str]] = {}
    answered: dict[str, Counter[str]] = defaultdict(Counter)
    for meta in metas:
        name, spec = _who(meta), meta["model"]
        identity = "; ".join(
            f"{key} {_text(spec[key])}" for key in sorted(spec) if key not in ("engine", "price")
        )
        found[name] = [name, spec.get("engine", ""), identity or "–"]
        answered[name].update(meta.get("answered_by", {}))
    return [
        [*found[name], "; ".join(f"{by}: {n}" for by, n in sorted(answered[name].items())) or "–"]
        for name in sorted(found)
    ]


def _who(meta: Meta) -> str:
    """The model, or the look that several classifiers share."""
    return str(meta["axes"].get("model") or meta["axes"].get("look"))


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(_text, value))
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return f"{text[:12]}…" if len(text) == 64 and set(text) <= set("0123456789abcdef") else text


def _weight(path: Path) -> list[str]:
    record = read_json(path)
    files = record.get("files", []) if isinstance(record, dict) else []
    size = sum(file.get("bytes", 0) for file in files) / 1e6
    return [path.stem, sha256(path), str(len(files)), f"{size:.1f}"]


def _run(meta: Meta) -> list[str]:
    tokens = sum(value for value in meta.get("tokens", {}).values() if isinstance(value, int))
    return [
        _name(meta),
        meta["started"],
        f"{meta['seconds']:.1f}",
        str(meta.get("asked", "")),
        str(meta.get("replayed", "")),
        f"{tokens}" if tokens else "",
        f"{meta['cost_usd']:.4f}" if "cost_usd" in meta else "",
    ]


def _errors(metas: Sequence[Meta]) -> list[dict[str, Any]]:
    """The section of images that could not be shown; none where all could."""
    rows = [
        [_name(meta), image, why]
        for meta in metas
        for image, why in sorted(meta.get("image_errors", {}).items())
    ]
    said = "They count as wrong (image_error); other images of their prompts were asked about."
    columns = _columns("run", "image", "why")
    title = "Images that a model could not be shown"
    return [{"title": title, "lines": [said], "columns": columns, "rows": rows}] if rows else []


def _name(meta: Meta) -> str:
    axes = ("images", "model", "look", "protocol", "batching")
    return "/".join(str(meta["axes"][axis]) for axis in axes if axis in meta["axes"])


def _total(metas: Sequence[Meta]) -> str:
    hours = sum(meta["seconds"] for meta in metas) / 3600
    said = f"{len(metas)} runs took {hours:.2f} hours"
    paid = [meta["cost_usd"] for meta in metas if "cost_usd" in meta]
    if not paid:
        return f"{said}; no paid server was asked."
    return f"{said}; paid servers charged {sum(paid):.4f} USD for {len(paid)} of them."


def _yaml(config: Meta) -> str:
    import yaml

    return yaml.safe_dump(dict(config), sort_keys=True, allow_unicode=True, width=100)


@cli
def main(argv: Sequence[str] | None = None) -> None:
    """Tell by which code, models, packages and machines results were made, and at what cost."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.pages.provenance", description=main.__doc__
    )
    parser.add_argument("metas", nargs="*", type=Path, help="results/**/*.meta.json")
    parser.add_argument("--weights", nargs="*", type=Path, default=[], help="results/weights/*")
    parser.add_argument("--config", type=json.loads, required=True, help="the configuration, JSON")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    lead = ("Taken from the records that every run writes beside its results.",)
    found = sections([read(path) for path in args.metas], args.weights, args.config)
    write_text(args.out, page("Provenance", lead, found))


if __name__ == "__main__":
    main()
