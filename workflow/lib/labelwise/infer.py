"""Ask one model every request of one run, or of one shard of a run.

Answers are journalled as they arrive; those the journal knows are not asked again, and a model
whose answers are all known is not even loaded. Requests and answers pass through one by one: memory
holds the names of images and answers alone.

An image that a model cannot be shown counts as ``image_error``, and the run goes on. Its prompt is
asked again with a text in its place (``prompts.UNSHOWN``) if it holds other images, else not at
all. The response says so: ``refused`` has the numbers of such images, ``finish`` is ``image_error``
where no other is left; the record has the reasons (``image_errors``). That is no answer, so the
journal does not hold it: another run of the job tries again.
"""

import argparse
import dataclasses
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from labelwise import classnames, gpu, provenance, records
from labelwise.asking import prompts
from labelwise.asking.journal import Journal, key
from labelwise.engines import plugins
from labelwise.engines.base import FINISHES, Answer, Engine, Question, Refused, Run, Told
from labelwise.errors import LabelwiseError, cli
from labelwise.progress import progress

Asked = Callable[[], Iterator[dict]]
"""Gives the requests of a run, anew each time."""

IMAGE_ERROR = "image_error"
"""Finish of a request of which no image can be shown."""

Images = Mapping[str, tuple[str, str]]
"""File and SHA-256 of each image, by its id."""


@dataclass(frozen=True)
class Unshown:
    """A request with images that the model cannot be shown.

    ``why`` has the reasons by number in the prompt, from 1; ``name`` is the answer to the prompt
    without them, None where nothing is left to ask.
    """

    why: dict[int, str]
    name: str | None = None


def load(spec: dict[str, Any], run: Run) -> Engine:
    """The engine that a model's entry names, ready to answer.

    ``numerics`` of the entry overrides its other keys: settings that change how an answer is
    computed and not what is asked. They count as part of the model, so that no answer computed
    otherwise is taken for theirs.
    """
    spec = {**spec, **spec.get("numerics", {})}
    return plugins.load(spec["engine"])(spec, run)


def key_of(
    spec: dict,
    header: dict,
    request: dict,
    digests: Mapping[str, str],
    names: Sequence[str],
    without: Collection[int] = (),
) -> str:
    """The journal key of one request: all that the model is shown, and how.

    Args:
        spec: the model's entry, with the digests of its weights.
        header: of the requests file.
        request: one of its requests.
        digests: SHA-256 of each image's bytes.
        names: class names; they count where the answer is found among them and not written
            (``header["decoding"]``).
        without: numbers of images that the model cannot be shown (``prompts.render``).
    """
    prompt = prompts.render(header, request, without)
    seen = {
        "system": prompt.system,
        "user": [[k, digests[v] if k == "image" else v] for k, v in prompt.user],
        "primer": prompt.primer,
        "schema": prompt.schema,
        "max_tokens": header["max_tokens"],
        "stop": header["stop"],
        "repeat": request["repeat"],
    }
    if "decoding" in header:
        seen |= {"decoding": header["decoding"], "names": names}
    return key(spec, seen)


def keys(
    spec: dict,
    header: dict,
    asked: Iterable[dict],
    digests: Mapping[str, str],
    names: Sequence[str] = (),
) -> dict[int, str]:
    """The journal key of each request, by its number; see ``key_of``."""
    return {request["request"]: key_of(spec, header, request, digests, names) for request in asked}


def infer(
    spec: dict[str, Any],
    run: Run,
    asked: Asked,
    images: Images,
    journal: Journal,
    out: str | Path,
    gpus: int | None = None,
    whole: bool = True,
) -> dict[str, Any]:
    """Write the responses in the order of the requests; returns what it took to get them.

    Args:
        spec: the model's entry.
        run: what its engine may know.
        asked: the requests.
        images: what can be asked about.
        journal: the run's journal, open.
        out: the responses (JSON lines).
        gpus: how many to lease if the model is needed; see ``labelwise.gpu``.
        whole: these are all requests of the run, and not a shard.

    Raises:
        LabelwiseError: a request is left unanswered, or no image of a whole run could be shown.
    """
    digests = {image: digest for image, (_, digest) in images.items()}
    names = [key_of(spec, run.header, request, digests, run.names) for request in asked()]
    del digests
    facts: dict[str, Any] = {"asked": 0}
    unshown: dict[str, Unshown] = {}
    with ExitStack() as stack:
        known = journal
        if any(name not in known for name in names):
            run = dataclasses.replace(
                run,
                state=journal.path.with_suffix(".batches.json"),
                spent=spent(journal, names),
            )
            gpu.lease(gpus)
            engine = load(spec, run)
            if not engine.journalled:
                folder = stack.enter_context(TemporaryDirectory())
                known = stack.enter_context(Journal(Path(folder) / "answers.jsonl"))
                names = list(map(str, range(len(names))))
            todo = partial(_unknown, asked, names, known)
            facts["asked"], unshown = _ask(engine, spec, run, todo, images, known)
            facts["engine"] = engine.describe()
            if whole and unshown and not known:
                why = next(iter(next(iter(unshown.values())).why.values()))
                raise LabelwiseError(
                    f"{run.header['protocol']}: {spec['engine']} can be shown no image of the"
                    f" {facts['asked']} requests; the first: {why}"
                )
        facts["replayed"] = len(names) - facts["asked"]
        records.write_jsonl(out, _responses(spec, asked, names, known, unshown, facts))
    return facts


def spent(answers: Mapping[str, Mapping[str, Any]], names: Iterable[str]) -> float:
    """USD paid for requests by the keys of their prompts, also where asked without an image."""
    wanted = set(names)
    return sum(
        entry.get("facts", {}).get("cost_usd", 0.0)
        for name, entry in answers.items()
        if name in wanted or entry.get("instead_of") in wanted
    )


def _unknown(
    asked: Asked, names: Sequence[str], known: Mapping[str, Any]
) -> Iterator[tuple[dict, str]]:
    """Requests whose answer is not known, and its name; two that are the same are one question."""
    before = set()
    for request, name in zip(asked(), names, strict=True):
        if name not in known and name not in before:
            before.add(name)
            yield request, name


def _ask(
    engine: Engine,
    spec: dict[str, Any],
    run: Run,
    todo: Callable[[], Iterator[tuple[dict, str]]],
    images: Images,
    journal: Journal,
) -> tuple[int, dict[str, Unshown]]:
    """Have the engine answer what is to do, and journal the answers.

    Returns:
        How many requests that were, and those with images that could not be shown, by name.
    """
    shown = [len(request["images"]) for request, _ in todo()]
    waiting: dict[int, Question] = {}
    unshown: dict[str, Unshown] = {}
    sync = getattr(engine, "synced", False)

    def question(request: dict, name: str, without: Collection[int] = ()) -> Question:
        kept = [i for n, i in enumerate(request["images"], 1) if n not in without]
        files = tuple(images[image][0] for image in kept)
        prompt = prompts.render(run.header, request, without)
        return Question(request["request"], prompt, request, files, name)

    def questions() -> Iterator[Question]:
        for request, name in todo():
            yield waiting.setdefault(request["request"], question(request, name))

    def keep(name: str, answer: Answer, instead_of: str = "") -> None:
        entry = {"text": answer.text, "finish": answer.finish, "usage": answer.usage}
        if instead_of:
            entry["instead_of"] = instead_of
        if answer.facts:
            entry["facts"] = answer.facts
        if answer.scored:
            entry["scored"] = answer.scored
        journal.add(name, entry, sync)

    def again(refused: list[tuple[Question, dict[int, str]]]) -> Iterator[Question]:
        """Ask without the images that cannot be shown, in rounds, until all others can.

        A round asks prompts that begin alike together: an engine may share what they begin with.
        """
        while refused:
            groups: dict[str, dict[int, tuple[Question, dict[int, str], Question]]] = {}
            later, names = [], set()
            for one, why in refused:
                numbers = range(1, len(one.request["images"]) + 1)
                if not set(numbers) - set(why):
                    unshown[one.key] = Unshown(why)
                    yield one
                    continue
                digests = {image: images[image][1] for image in one.request["images"]}
                name = key_of(spec, run.header, one.request, digests, run.names, why)
                if name in journal:
                    unshown[one.key] = Unshown(why, name)
                    yield one
                elif name in names:
                    later.append((one, why))
                else:
                    names.add(name)
                    less = question(one.request, name, why)
                    head = less.prompt.system + str(less.prompt.user[0])
                    groups.setdefault(head, {})[less.id] = one, why, less
            for group in groups.values():
                asked_again = {number: less for number, (*_, less) in group.items()}
                with _ending(engine.answer(list(asked_again.values()))) as answers:
                    for found in answers:
                        _check(found, asked_again, engine)
                        less = asked_again.pop(found.id)
                        one, why, _ = group[found.id]
                        if isinstance(found, Answer):
                            keep(less.key, found, one.key)
                            unshown[one.key] = Unshown(why, less.key)
                            yield one
                        else:
                            left = [n for n in range(1, len(one.files) + 1) if n not in why]
                            more = {left[n - 1]: reason for n, reason in found.why.items()}
                            later.append((one, why | more))
            refused = later

    def ended(answers: Iterator[Told]) -> Generator[Question, None, None]:
        """Questions that wait no longer."""
        refused = []
        with _ending(answers):
            for found in answers:
                _check(found, waiting, engine)
                one = waiting.pop(found.id)
                if isinstance(found, Refused):
                    refused.append((one, found.why))
                else:
                    keep(one.key, found)
                    yield one
        yield from again(refused)

    what = f"{run.header['protocol']}, {len(shown)} requests, images"
    note = getattr(engine, "note", None)
    answers = engine.answer(questions())  # what prompts share is computed before the clock starts
    with closing(ended(answers)) as done:
        for _ in progress(done, sum(shown), what, note, lambda one: len(one.files)):
            pass
    return len(shown), unshown


@contextmanager
def _ending(answers: Iterator[Told]) -> Iterator[Iterator[Told]]:
    """What an engine tells; when no more is wanted the engine's own generator ends at once.

    Else it would end with the interpreter, where its threads can no longer be waited for.
    """
    try:
        yield answers
    finally:
        if isinstance(answers, Generator):
            answers.close()


def _check(told: Told, waiting: Mapping[int, Question], engine: Engine) -> None:
    """Refuse an answer that is none, before it is kept."""
    what = f"{type(engine).__module__}.{type(engine).__name__}: the answer to {told.id!r}"
    if told.id not in waiting:
        raise LabelwiseError(f"{what}: no such question waits; give each its own id, once")
    if isinstance(told, Refused):
        most = len(waiting[told.id].files)
        if not told.why or not all(n in range(1, most + 1) for n in told.why):
            raise LabelwiseError(
                f"{what} refuses images {list(told.why)}; it must be some of 1 to {most}"
                " (docs/engine.md)"
            )
        return
    if not isinstance(told.text, str) or told.finish not in FINISHES:
        raise LabelwiseError(
            f"{what} is {told.text!r:.60} and ended with {told.finish!r:.60}; it must be a text"
            f" and end with {', '.join(FINISHES)} (docs/engine.md)"
        )


def _responses(
    spec: dict,
    asked: Asked,
    names: Sequence[str],
    known: Mapping[str, dict[str, Any]],
    unshown: Mapping[str, Unshown],
    facts: dict[str, Any],
) -> Iterator[dict[str, Any]]:
    """The lines of the responses; when they are read, ``facts`` has errors, tokens and costs."""
    tokens: Counter[str] = Counter()
    errors: dict[str, str] = {}
    told, cost = False, 0.0
    by: Counter[str] = Counter()
    for request, name in zip(asked(), names, strict=True):
        refused: dict[str, Any] = {}
        if (gone := unshown.get(name)) is not None:
            refused = {"refused": sorted(gone.why)}
            errors |= {request["images"][n - 1]: gone.why[n] for n in sorted(gone.why)}
            if gone.name is None:
                yield {"request": request["request"], "text": "", "finish": IMAGE_ERROR} | refused
                continue
            name = gone.name
        if name not in known:
            raise LabelwiseError(
                f"the engine {spec['engine']} left request {request['request']} unanswered"
            )
        entry = known[name]
        tokens.update(entry.get("usage", {}))
        if "facts" in entry:
            told = True
            cost += entry["facts"].get("cost_usd", 0.0)
            by[" ".join(entry["facts"]["by"])] += 1
        said = {"request": request["request"], "text": entry["text"], "finish": entry["finish"]}
        yield said | {key: entry[key] for key in ("scored",) if key in entry} | refused
    facts["tokens"] = dict(sorted(tokens.items()))
    if errors:
        facts["image_errors"] = errors
    if told:
        facts |= {"cost_usd": round(cost, 9), "answered_by": by}


def shard_of(text: str) -> tuple[int, int]:
    """Number and count of shards: ``2-of-4`` -> ``(2, 4)``; an error for anything else."""
    found = re.fullmatch(r"(\d+)-of-(\d+)", text)
    number, count = map(int, found.groups()) if found else (0, 0)
    if not 1 <= number <= count:
        raise LabelwiseError(f"--shard {text}: give the shard as 1-of-4, 2-of-4, ...")
    return number, count


@cli
def main(argv: list[str] | None = None) -> None:
    """Command line of the stage ``infer``."""
    parser = argparse.ArgumentParser(prog="python -m labelwise.infer", description=__doc__)
    parser.add_argument("requests", help="requests file (JSON lines)")
    parser.add_argument("--images", required=True, help="image set (CSV)")
    parser.add_argument("--classes", required=True, help="class names (CSV)")
    parser.add_argument("--labels", help="label set, for controls only (CSV)")
    parser.add_argument("--model", required=True, help="the model's entry as JSON")
    parser.add_argument("--weights", nargs="*", default=[], help="records of its weights (JSON)")
    parser.add_argument("--axes", default="{}", help="names for the record, as JSON")
    parser.add_argument("--journal", required=True, help="journal of answers (JSON lines)")
    parser.add_argument("--cache", type=Path, help="folder for what engines keep between runs")
    parser.add_argument("--shard", default="1-of-1", help="ask this part alone: 2-of-4 (1-of-1)")
    parser.add_argument("--gpus", type=int, help=gpu.HELP)
    parser.add_argument("--out", required=True, help="responses (JSON lines)")
    parser.add_argument("--meta", required=True, help="record of the run (JSON)")
    args = parser.parse_args(argv)

    started = time.time()
    spec = json.loads(args.model)
    if args.weights:  # part of the key: other weights under the same name are another model
        spec["weights_sha256"] = [records.sha256(path) for path in args.weights]
    header = prompts.read_header(args.requests)
    asked = partial(prompts.stream, args.requests, shard_of(args.shard))
    labels = {}
    if args.labels:
        table = records.stream_csv(args.labels, records.LABELS)
        labels = {row["image"]: records.ids(row["labels"]) for _, row in table}
    run = Run(header, classnames.read(args.classes), labels, cache=args.cache)
    table = records.stream_csv(args.images, records.IMAGES)
    images: Images = {row["image"]: (row["file"], row["sha256"]) for _, row in table}
    with Journal(args.journal) as journal:
        whole = shard_of(args.shard)[1] == 1
        facts = infer(spec, run, asked, images, journal, args.out, args.gpus, whole)
    facts |= {"axes": json.loads(args.axes), "model": spec}
    facts["requests_sha256"] = records.sha256(args.requests)
    records.write_json(args.meta, provenance.meta(started, **facts))
    if errors := facts.get("image_errors"):
        image, why = next(iter(errors.items()))
        print(
            f"{len(errors)} images cannot be shown to the model and count as wrong (image_error);"
            f" the first, {image}: {why}",
            file=sys.stderr,
        )
    print(
        f"asked {facts['asked']}, replayed {facts['replayed']}, {time.time() - started:.1f} s",
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()
