"""What an annotator, or an adjudicator, is asked, and which options a case has for them."""

from functools import cache
from typing import Any, Protocol

from labelwise.annotation.cases import Case, Cases, Option
from labelwise.annotation.decisions import NAME, Decision, settle
from labelwise.annotation.store import Store
from labelwise.data.rules import Pairs
from labelwise.errors import LabelwiseError


class Work(Protocol):
    """A kind of work on the cases."""

    role: str

    def order(self, name: str) -> list[str]:
        """The cases that somebody is asked, in order."""
        ...

    def options(self, case: Case, name: str) -> list[Option]:
        """The options of a case, in the order in which this annotator sees them."""
        ...

    def notes(self, case: Case) -> list[str]:
        """Comments that help to decide."""
        ...


class Annotating:
    """The first look: the options of the cases file, blind to everything else."""

    role = "annotator"

    def __init__(self, cases: Cases) -> None:
        self.cases = cases
        self.order = cache(cases.asked)

    def options(self, case: Case, name: str) -> list[Option]:
        """The case's own options, shuffled for this annotator."""
        return self.cases.options(case.case, name, case.options)

    def notes(self, case: Case) -> list[str]:
        """None: what others said is hidden."""
        return []


class Adjudicating:
    """The cases on which annotators differ; the options are their answers, without their names."""

    role = "adjudicator"

    def __init__(self, cases: Cases, store: Store, pairs: Pairs) -> None:
        self.cases, self.store, self.pairs = cases, store, pairs
        self._seen: tuple[int, dict[str, list[Decision]]] = (-1, {})

    def disputed(self) -> dict[str, list[Decision]]:
        """The annotators' decisions on each case on which they differ."""
        version = self.store.version("annotator")
        if self._seen[0] != version:
            found: dict[str, list[Decision]] = {}
            for decision in self.store.all():
                if decision.role == "annotator" and decision.case in self.cases.by_id:
                    found.setdefault(decision.case, []).append(decision)
            standing = settle((d for own in found.values() for d in own), self.pairs)
            differ = {case: own for case, own in found.items() if standing[case][1] == "disputed"}
            self._seen = version, differ
        return self._seen[1]

    def order(self, name: str) -> list[str]:
        """Cases in dispute, shuffled for this adjudicator."""
        return self.cases.shuffled(self.disputed(), f"adjudicator {name}")

    def options(self, case: Case, name: str) -> list[Option]:
        """The annotators' different answers, shuffled."""
        answers = {decision.marks for decision in self.disputed().get(case.case, ())}
        return self.cases.options(case.case, f"adjudicator {name}", answers)

    def notes(self, case: Case) -> list[str]:
        """The annotators' comments, sorted, so that their order tells nothing."""
        own = self.disputed().get(case.case, ())
        return sorted({decision.comment for decision in own if decision.comment})


def admitted(cases: Cases, name: Any, role: str) -> str:
    """The annotator's name, if somebody of this name is expected.

    Raises:
        LabelwiseError: no name, or the annotation names its annotators and this is none of them.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise LabelwiseError("a name has 1 to 64 letters, digits, spaces and . _ @ + -")
    if role == "annotator" and cases.annotators and name not in cases.annotators:
        raise LabelwiseError(f"{name!r} is none of this annotation's annotators")
    return name
