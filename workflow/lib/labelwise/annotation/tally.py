"""Stage ``tally_cases``: what people decided about the labels, and how often a model helped them.

``python -m labelwise.annotation.tally DECISIONS --cases JSONL --key CSV --spec JSON --rules JSON
--out CSV`` writes one row a number: for every annotator, for the decisions that stand
(``settled``), and for every category of the paper's Table 1 that has cases (A: all).

The helper is the model whose help is measured. Its prediction is valid if it names a class, and
disagrees with the label set under revision if none of its classes is admissible there (where that
set has none, every class disagrees). A case on which it disagrees is, by the new labels (paper,
Figure 7; classes match as in scoring, equivalent ones included):

``preferred``  a class of the helper is in the new labels, none of the old labels is
``combined``   both are
``kept``       an old label is in the new labels, none of the helper's classes is
``other``      neither is

"No class of the list" is kept, or preferred, as a label would be: the paper has no such cases,
since it looked again only at images with labels. ``confirmed`` is preferred or combined,
``old_wrong`` preferred or other. A case on which annotators differ (``disputed``) or were only
"not sure" (``unsure``) is counted and judged no further; where the old labels were only "not sure"
(``old_unsure``) there is nothing that the helper could disagree with.
"""

import argparse
import json
import statistics as plain
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from labelwise import labels, records
from labelwise.agreement import agreement, merged
from labelwise.annotation import cases as case_files
from labelwise.annotation import interchange
from labelwise.annotation.cases import Cases, Option, Sealed
from labelwise.annotation.counts import NUMBERS, SETTLED, TEXTS, VERDICTS
from labelwise.annotation.decisions import Decision, settle
from labelwise.data.rules import Pairs, Rules
from labelwise.errors import LabelwiseError, cli
from labelwise.evaluation.statistics import wilson
from labelwise.labels import UNSURE
from labelwise.scoring import admissible, hits

COLUMNS = (*TEXTS, *NUMBERS)


def matches(answer: Iterable[int], allowed: Iterable[int], pairs: Pairs) -> bool:
    """Whether a class of the answer is admissible (Eq. 1); no class matches no class.

    Marks of -1 count for nothing. An answer without any class says "no class of the list".
    """
    answer, allowed = (tuple(i for i in ids if i != UNSURE) for ids in (answer, allowed))
    if not answer or not allowed:
        return not answer and not allowed
    bound = 1 + max((*answer, *allowed, *(i for pair in pairs for i in pair)))
    return bool(hits(admissible([allowed], pairs, bound), [answer])[0])


def verdict(helper: Option, old: Option, new: Option, pairs: Pairs) -> str | None:
    """Which of ``VERDICTS`` a case is; None where the helper does not disagree with the old labels.

    Args:
        helper: classes of a valid prediction.
        old: labels under revision; none for "no class of the list".
        new: labels that were decided.
        pairs: equivalent classes.
    """
    if matches(helper, old, pairs):
        return None
    helped, kept = matches(helper, new, pairs), matches(old, new, pairs)
    if helped:
        return "combined" if kept else "preferred"
    return "kept" if kept else "other"


def right(answer: Option, valid: bool, truth: Option, pairs: Pairs, void: str) -> bool | None:
    """Whether a source is right under a label set; None where the void rule excludes the image.

    Args:
        answer: its class ids.
        valid: whether it says anything.
        truth: class ids of the label set; none for a void image.
        pairs: equivalent classes.
        void: the rule of the label set.
    """
    if not truth:
        return None if void == "exclude" else void == "correct"
    return valid and bool(answer) and matches(answer, truth, pairs)


class Judged(NamedTuple):
    """A case with its decision; ``decision`` None where annotators differ."""

    sealed: Sealed
    options: Sequence[Option]
    decision: Decision | None

    @property
    def made(self) -> Decision:
        """The decision of a case that has one."""
        assert self.decision is not None
        return self.decision

    @property
    def decided(self) -> bool:
        """Whether there are new labels: a class, or that there is none."""
        return self.decision is not None and not (self.decision.unsure and not self.decision.labels)


Number = dict[str, Any]
"""Columns of one row, from ``measure`` on."""


def share(measure: str, hits: int, n: int, source: str = "") -> Number:
    """A share of ``hits`` in ``n`` in percent, with Wilson's interval; no value where n is 0."""
    row: Number = {"measure": measure, "source": source, "unit": "percent", "count": hits, "n": n}
    if n:
        low, high = wilson(hits, n)
        row |= {"value": 100 * hits / n, "low": 100 * low, "high": 100 * high}
    return row


def count(measure: str, hits: int, n: int) -> Number:
    """A number of cases out of all."""
    return {"measure": measure, "unit": "cases", "count": hits, "n": n, "value": hits}


def numbers(judged: Sequence[Judged], helper: str, pairs: Pairs, rules: Rules) -> Iterator[Number]:
    """Every number about some cases: what became of them, of the helper, of each source.

    Args:
        judged: the cases.
        helper: the model whose help is measured; '' for none.
        pairs: equivalent classes.
        rules: of the labels under revision.
    """
    done = [one for one in judged if one.decided]
    yield count("cases", len(judged), len(judged))
    yield count("disputed", sum(one.decision is None for one in judged), len(judged))
    yield count(
        "unsure", sum(one.decision is not None and not one.decided for one in judged), len(judged)
    )
    changed = sum(not _same(_old(one), one.made.labels, pairs) for one in done)
    yield share("changed", changed, len(done))
    if helper:
        yield from _helped(done, helper, pairs)
    for name in dict.fromkeys(s.name for one in done for s in one.sealed.sources if _real(s)):
        said = [(one, s) for one in done for s in one.sealed.sources if s.name == name]
        for when in ("before", "after"):
            verdicts = [
                right(
                    s.labels,
                    s.valid,
                    _old(one) if when == "before" else one.made.labels,
                    pairs,
                    rules.void,
                )
                for one, s in said
            ]
            asked = [v for v in verdicts if v is not None]
            yield share(f"right_{when}", sum(asked), len(asked), name)
    taken = [one.made.meaning(pairs) for one in done]
    shown = [{merged(o, pairs) for o in one.options} for one in done]
    yield share("as_suggested", sum(t in s for t, s in zip(taken, shown, strict=True)), len(done))
    planted = [(one, s) for one in done if (s := one.sealed.source("planted"))]
    accepted = sum(matches(s.labels, one.made.labels, pairs) for one, s in planted)
    yield share("planted_accepted", accepted, len(planted))
    seconds = [one.decision.seconds for one in judged if one.decision and one.decision.seconds]
    if seconds:
        low, middle, high = np.quantile(seconds, [0.25, 0.5, 0.75])
        spread = {"value": float(middle), "low": float(low), "high": float(high)}
        yield {"measure": "seconds_median", "unit": "seconds", "n": len(seconds), **spread}
        mean = plain.fmean(seconds)
        yield {"measure": "seconds_mean", "unit": "seconds", "n": len(seconds), "value": mean}


def _real(source: case_files.Source) -> bool:
    return source.kind != "planted"


def _old(one: Judged) -> Option:
    source = one.sealed.source("corrected")
    return tuple(i for i in source.labels if i != UNSURE) if source else ()


def _same(first: Option, second: Option, pairs: Pairs) -> bool:
    return merged(first, pairs) == merged(second, pairs)


def _helped(done: Sequence[Judged], helper: str, pairs: Pairs) -> Iterator[Number]:
    found: Counter[str] = Counter()
    for one in done:
        said = next((s for s in one.sealed.sources if s.name == helper), None)
        old = one.sealed.source("corrected")
        if old is None or not old.valid:
            found["old_unsure"] += 1
        elif said is None or not said.valid or not said.labels:
            found["invalid"] += 1
        else:
            found[verdict(said.labels, _old(one), one.made.labels, pairs) or "agreed"] += 1
    yield count("old_unsure", found["old_unsure"], len(done))
    yield count("helper_invalid", found["invalid"], len(done))
    yield count("helper_agreed", found["agreed"], len(done))
    n = sum(found[name] for name in VERDICTS)
    for name in VERDICTS:
        yield share(name, found[name], n, helper)
    yield share("confirmed", found["preferred"] + found["combined"], n, helper)
    yield share("old_wrong", found["preferred"] + found["other"], n, helper)


def agreements(decisions: Sequence[Decision], n_classes: int, pairs: Pairs) -> Iterator[dict]:
    """Cohen's kappa of every two annotators, and Krippendorff's alpha of all.

    Kappa: on image x class decisions, as in ``labelwise.agreement``. Alpha: nominal, a case's whole
    set of marks being one value, so that sets which differ in one class disagree wholly.
    """
    said: dict[str, dict[str, Decision]] = {}
    for decision in decisions:
        if decision.role == "annotator":
            said.setdefault(decision.annotator, {})[decision.case] = decision
    for a, b in combinations(sorted(said), 2):
        common = sorted(said[a].keys() & said[b].keys())
        if not common:
            continue
        first, second = ({c: set(said[who][c].marks) for c in common} for who in (a, b))
        found = agreement(first, second, n_classes, pairs)
        names = f"{a} & {b}"
        yield {"annotator": names, "measure": "kappa", "n": len(common), "value": found["kappa"]}
        equal = round(found["images_equal"] * len(common))
        yield {"annotator": names, **share("same_labels", equal, len(common))}
    if len(said) > 1 and (value := alpha(list(said.values()), pairs)) is not None:
        shared = Counter(case for own in said.values() for case in own)
        n = sum(times > 1 for times in shared.values())
        yield {"annotator": " & ".join(sorted(said)), "measure": "alpha", "n": n, "value": value}


def alpha(said: Sequence[Mapping[str, Decision]], pairs: Pairs) -> float | None:
    """Krippendorff's nominal alpha (2011, section C: any number of observers, missing data).

    Args:
        said: each annotator's decisions by case; a case that one alone decided tells nothing.
        pairs: equivalent classes, which are one value.

    Returns:
        1 for full agreement, 0 for chance; None where all decisions are the same value.
    """
    totals: Counter[frozenset[int]] = Counter()
    disagreeing = 0.0
    for case in sorted({case for own in said for case in own}):
        counts = Counter(own[case].meaning(pairs) for own in said if case in own)
        n = counts.total()
        if n > 1:
            totals += counts
            disagreeing += (n**2 - sum(c**2 for c in counts.values())) / (n - 1)
    n = totals.total()
    expected = n**2 - sum(c**2 for c in totals.values())
    return 1 - (n - 1) * disagreeing / expected if expected else None


def kinds(names: Iterable[str], known: Mapping[str, str]) -> str:
    """What some annotators are: person, system, unstated, or mixed."""
    found = {known.get(name, "unstated") for name in names}
    return found.pop() if len(found) == 1 else "mixed" if found else ""


def tally(
    decisions: Sequence[Decision],
    cases: Cases,
    sealed: Mapping[str, Sealed],
    spec: Mapping[str, Any],
    rules: Rules,
    pairs: Pairs,
) -> list[dict[str, Any]]:
    """All rows of the tally, in a fixed order.

    Args:
        decisions: each about one of the cases.
        cases: what was shown.
        sealed: the key by case.
        spec: the entry of the annotation.
        rules: of the labels under revision.
        pairs: their equivalent classes.

    Raises:
        LabelwiseError: somebody decided who is not among annotators or adjudicators.
    """
    helper = spec.get("helper", "")
    known = {**spec.get("annotators", {}), **spec.get("adjudicators", {})}
    asked = {d.annotator for d in decisions if d.role == "annotator"}
    strange = sorted({d.annotator for d in decisions} - set(known))
    if known and strange:
        raise LabelwiseError(
            f"annotations: {cases.name}: {', '.join(strange)} decided and is not among annotators"
            " or adjudicators; say there whether it is a person or a system"
        )
    settled = {case: found for case, (found, _) in settle(decisions, pairs).items()}
    groups: dict[Any, Mapping[str, Decision | None]] = {
        (SETTLED, kinds({d.annotator for d in decisions}, known)): settled
    }
    for name in sorted(asked):
        own = {d.case: d for d in decisions if d.annotator == name and d.role == "annotator"}
        groups[name, kinds([name], known)] = own
    rows = []
    for (name, kind), of_case in groups.items():
        judged = [
            Judged(sealed[case], cases.by_id[case].options, decision)
            for case, decision in of_case.items()
            if case in sealed
        ]
        for category in records.CATEGORIES:
            some = [one for one in judged if category in ("A", one.sealed.category)]
            if some:
                head = {"annotator": name, "annotator_kind": kind, "category": category}
                rows += [head | number for number in numbers(some, helper, pairs, rules)]
    for row in agreements(decisions, len(cases.classes), pairs):
        who = row["annotator"].split(" & ")
        rows.append({"annotator_kind": kinds(who, known), "category": "A", **row})
    return [{"annotation": cases.name, **row} for row in rows]


@cli
def main(argv: list[str] | None = None) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.annotation.tally",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "decisions", type=Path, help="what interchange exports: .csv, .json, .jsonl"
    )
    parser.add_argument("--cases", type=Path, required=True)
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--spec", type=json.loads, required=True, help="the annotation, as JSON")
    parser.add_argument(
        "--rules", type=json.loads, default={}, help="the corrected labels, as JSON"
    )
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    cases = case_files.read(args.cases)
    decisions = interchange.read(args.decisions, cases, len(cases.classes))
    for decision in decisions:
        if decision.case not in cases.by_id and decision.image in cases.by_image:
            raise LabelwiseError(
                f"{args.decisions}: case {decision.case} of {decision.image} is of other cases"
            )
    left = [d for d in decisions if d.case not in cases.by_id]
    if left:
        print(
            f"{len(left)} decisions are about images that are no case (any more): not counted",
            file=sys.stderr,
        )
    kept = [d for d in decisions if d.case in cases.by_id]
    if not kept:
        raise LabelwiseError(f"{args.decisions}: no decision on any of the cases of {args.cases}")
    sealed = case_files.read_key(args.key)
    pairs = labels.pairs_of(args.rules)
    rows = tally(kept, cases, sealed, args.spec, Rules.of(args.rules), pairs)
    records.write_csv(args.out, COLUMNS, rows)


if __name__ == "__main__":
    main()
