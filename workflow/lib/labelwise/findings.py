"""Stage ``findings``: which of the paper's claims hold in this study, as one page.

``python -m labelwise.findings EXPERIMENTS... --plan JSON --names JSON --out MD``. Every claim is a
question (``labelwise.claims``); nothing is said but its answer and the numbers behind it. It is
tested on the image set with most images that has what it needs.
"""

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from labelwise import records
from labelwise.analyses.noise import MARK, Noise, caption, noisiest, within
from labelwise.annotation import counts
from labelwise.claims import answers, choice, labels, people, prompts
from labelwise.claims.base import CLAIMS, REPLICATES, Claim, Effect, Group, Lacking
from labelwise.errors import cli
from labelwise.evaluation import statistics
from labelwise.evaluation.selection import Run, by_run, differing, load
from labelwise.evaluation.verdicts import Judge
from labelwise.oop import KINDS
from labelwise.pages import page

LEAD = """\
Each claim of arXiv 2603.06578 that a study can test is a question here, put to this study's own
answers. **Holds**: the 95 % interval of every number (of at least one, where the question asks for
some model) lies wholly on the side that the question asks for. **Does not hold**: it does not;
*open* is added where the intervals reach that side too, so that more images might decide.
**Not tested**: the study lacks what the question needs.

Intervals: percentiles of {replicates} paired resamples of the images; not adjusted for the number
of questions. p: McNemar's exact test where a number compares two runs on the same images, after
Holm's correction over all p on this page. {noise}

Images without any corrected label count by the rule "void" of the label set. Where that is
"correct", as in the paper, every answer to them is right under the corrected labels, and a gain
holds that part too; the figure label_gain and the table ranks tell it apart.

Where a model was asked in several settings, the one with the highest corrected accuracy stands for
it (as in the paper), and the best model of a group is chosen in the same way: both are choices made
on these images. Models called composed join a classifier to a small language model; what holds for
them need not hold for others.

Of {total} questions, {holds} hold, {fails} do not, and {untested} were not tested."""


PARTS = [module.__name__ for module in (labels, answers, choice, prompts, people)]
"""The order of the page."""


class Answer(NamedTuple):
    """What became of a claim: verdict, where it was tested, numbers, or why it was not."""

    claim: Claim
    verdict: str
    undecided: bool = False
    where: str = ""
    effects: Sequence[Effect] = ()
    reason: str = ""

    @property
    def text(self) -> str:
        """The verdict in words."""
        return self.verdict + (" (open)" if self.undecided else "")


def groups(
    runs: Iterable[Run],
    judge: Judge,
    names: dict[str, dict[str, str]],
    kinds: dict[tuple[str, ...], dict[str, float]],
    tallies: Sequence[list[counts.Count]] = (),
) -> list[Group]:
    """All runs by image set and corrected label set, the most images first, each run once."""
    unique = list({run.key: run for run in runs}.values())
    found = [
        Group(images, label_set, own, judge, names, kinds, tallies)
        for (images, label_set), own in differing(unique).items()
    ]
    return sorted(found, key=lambda group: -group.n)


def ordered() -> list[Claim]:
    """All claims in the order of the page."""
    return sorted(CLAIMS, key=lambda claim: PARTS.index(claim.test.__module__))


def answer(claim: Claim, found: Sequence[Group]) -> Answer:
    """Test one claim on the first group that has what it needs."""
    reasons = []
    for group in found:
        try:
            finding = claim.test(group)
        except Lacking as lack:
            reasons.append(f"{lack} ({group.images}, {group.labels})")
            continue
        where = f"images {group.images}, corrected labels {group.labels}"
        verdict = "holds" if finding.holds else "does not hold"
        undecided = not finding.holds and finding.possible
        return Answer(claim, verdict, undecided, where, finding.effects)
    reasons = reasons or ["no label set that differs from the original labels"]
    return Answer(claim, "not tested", reason="; ".join(reasons))


def lead(answered: Sequence[Answer], noise: Noise | None = None) -> str:
    """What stands above the answers, in Markdown."""
    asked = {e.asked for a in answered for e in a.effects if e.asked}
    totals = {VERDICTS[v]: sum(a.verdict == v for a in answered) for v in VERDICTS}
    told = caption(noise, asked)
    return LEAD.format(replicates=f"{REPLICATES:,}", total=len(answered), noise=told, **totals)


def sections(answered: Sequence[Answer], noise: Noise | None = None) -> list[dict[str, Any]]:
    """All answers at a glance, and one section a claim, as ``pages.page`` takes them.

    ``noise`` marks differences that numerics alone could make.
    """
    p_values = [e.p for a in answered for e in a.effects if e.p is not None]
    adjusted = iter(statistics.holm(p_values))
    rows = [[str(i), a.claim.question, a.claim.about, a.text] for i, a in enumerate(answered, 1)]
    found: list[dict[str, Any]] = [{"title": "At a glance", "columns": GLANCE, "rows": rows}]
    for i, one in enumerate(answered, 1):
        said = f"{one.text.capitalize()}: {one.where or one.reason}."
        section: dict[str, Any] = {"title": f"{i}. {one.claim.question}", "lines": [said]}
        if one.effects:
            section["columns"] = NUMBERS
            section["rows"] = [_row(e, adjusted, noise or {}) for e in one.effects]
        found.append(section)
    return found


def _row(effect: Effect, adjusted: Iterator[float], noise: Noise) -> list[str]:
    p = "" if effect.p is None else _p(next(adjusted))
    value = _value(effect)
    if effect.asked and within(effect.value, effect.asked, noise):
        value += f" {MARK}"
    return [effect.what, value, _range(effect), str(effect.n), p]


def markdown(head: str, found: Iterable[Mapping[str, Any]]) -> str:
    """The page, in Markdown: every text of ours or of a model is printed as it is."""
    lines = [f"# {TITLE}", "", head]
    for section in found:
        number = section["title"].partition(".")[0]
        if number.isdigit():
            lines += ["", f'<a id="{number}"></a>']
        lines += ["", f"## {plain(section['title'])}", ""]
        for line in section.get("lines", ()):
            verdict, _, rest = line.partition(": ")
            lines.append(f"**{verdict}**: {plain(rest)}")
        if "rows" in section:
            names, numbers = zip(*section["columns"], strict=True)
            lines += ["", f"| {' | '.join(names)} |", f"|{'|'.join(map(_side, numbers))}|"]
            for first, *rest in section["rows"]:
                first = f"[{first}](#{first})" if first.isdigit() else plain(first)
                lines.append(f"| {' | '.join([first, *map(plain, rest)])} |")
    return "\n".join(lines) + "\n"


def _side(number: bool) -> str:
    """What aligns a column of a Markdown table."""
    return "---:" if number else "---"


TITLE = "What holds in this study"
GLANCE = (("", False), ("question", False), ("about", False), ("answer", False))
NUMBERS = (("", False), *((name, True) for name in ("value", "95 % interval", "n", "p")))
VERDICTS = {"holds": "holds", "does not hold": "fails", "not tested": "untested"}
UNITS = {"points": " points", "percent": " %"}


def plain(text: str) -> str:
    """Text that Markdown prints as it is, on one line, in a table as well."""
    escaped = "".join(f"\\{c}" if c in r"\`*_{}[]#+!|~$" else c for c in text)
    for mark, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        escaped = escaped.replace(mark, entity)
    return " ".join(escaped.split())


def _number(value: float, effect: Effect) -> str:
    digits = 1 if effect.unit in UNITS else 2
    sign = "+" if effect.unit == "points" else ""
    text = f"{value:{sign}.{digits}f}"
    return text.lstrip("+-") if float(text) == 0 else text.replace("-", "−")


def _value(effect: Effect) -> str:
    return f"{_number(effect.value, effect)}{UNITS.get(effect.unit, '')}"


def _range(effect: Effect) -> str:
    return f"{_number(effect.low, effect)} to {_number(effect.high, effect)}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def read_kinds(paths: Iterable[Path]) -> dict[tuple[str, ...], dict[str, float]]:
    """Kinds of answers outside the list in category A, by run; see ``labelwise.oop``."""
    rows = [row for path in paths for row in records.read_csv(path) if row["category"] == "A"]
    return {
        key: {name: float(own[0][name]) for name in ("oop", *KINDS)}
        for key, own in by_run(rows).items()
    }


@cli
def main(argv: list[str] | None = None) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="python -m labelwise.findings", description=__doc__)
    parser.add_argument("experiments", nargs="+", type=Path, help="results/experiments/*.csv")
    parser.add_argument("--oop", nargs="*", type=Path, default=[], help="results/oop files")
    parser.add_argument("--tallies", nargs="*", type=Path, default=[], help="of annotations")
    parser.add_argument("--noise", nargs="*", type=Path, default=[], help="results/numerics files")
    parser.add_argument("--plan", type=json.loads, required=True, help="see verdicts.Judge, JSON")
    parser.add_argument("--names", type=json.loads, default={}, help="keys paper, as JSON")
    parser.add_argument("--out", type=Path, required=True, help="the page in Markdown")
    parser.add_argument("--html", type=Path, help="the same page in HTML")
    args = parser.parse_args(argv)
    tallies = [counts.load(path) for path in args.tallies]
    runs = [run for path in args.experiments for run in load(path)]
    found = groups(runs, Judge(args.plan), args.names, read_kinds(args.oop), tallies)
    noise = noisiest(
        row
        for path in args.noise
        for row in records.read_csv(path, ("model", "same_dtype", "high"))
    )
    answered = [answer(claim, found) for claim in ordered()]
    head, told = lead(answered, noise), sections(answered, noise)
    records.write_text(args.out, markdown(head, told))
    if args.html:
        said = [" ".join(part.split()) for part in head.replace("*", "").split("\n\n")]
        records.write_text(args.html, page(TITLE, said, told))


if __name__ == "__main__":
    main()
