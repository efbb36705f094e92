"""Ask one model every request of one run.

Answers are journalled as they arrive; those the journal knows are not asked again, and a model
whose answers are all known is not even loaded.
"""

import argparse
import dataclasses
import hashlib
import importlib
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from labelwise import classnames, prompts, provenance, records
from labelwise.engines.base import Engine, Question, Run
from labelwise.errors import LabelwiseError, cli
from labelwise.journal import Journal, key
from labelwise.progress import progress


def load(spec: dict[str, Any], run: Run) -> Engine:
    """The engine that a model's entry names, ready to answer."""
    return importlib.import_module(f"labelwise.engines.{spec['engine']}").Model(spec, run)


def questions(
    header: dict, asked: list[dict], files: dict[str, str], key_of: dict[int, str]
) -> Iterator[Question]:
    """The prompts of a requests file, with the files of their images."""
    for request in asked:
        prompt = prompts.render(header, request)
        shown = tuple(files[image] for image in request["images"])
        number = request["request"]
        yield Question(number, prompt, request, shown, key_of[number])


def keys(
    spec: dict, header: dict, asked: list[dict], digests: dict[str, str], names: Sequence[str] = ()
) -> dict[int, str]:
    """The journal key of each request: all that the model is shown, and how.

    ``names`` count where the answer is found among them and not written (``header["decoding"]``).
    """
    found = {}
    for request in asked:
        prompt = prompts.render(header, request)
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
        found[request["request"]] = key(spec, seen)
    return found


def infer(
    spec: dict[str, Any], run: Run, asked: list[dict], rows: list[dict], journal: Journal
) -> tuple[list[dict], dict[str, Any]]:
    """Responses in the order of the requests, and what it took to get them."""
    files = {row["image"]: row["file"] for row in rows}
    digests = {row["image"]: row["sha256"] for row in rows}
    key_of = keys(spec, run.header, asked, digests, run.names)
    known = journal.answers
    todo = [r for r in asked if key_of[r["request"]] not in known]
    facts: dict[str, Any] = {"asked": len(todo), "replayed": len(asked) - len(todo)}
    fresh: dict[int, dict[str, Any]] = {}
    if todo:
        paid = (known.get(key, {}).get("facts", {}) for key in key_of.values())
        run = dataclasses.replace(
            run,
            state=journal.path.with_suffix(".batches.json"),
            spent=sum(told.get("cost_usd", 0.0) for told in paid),
        )
        engine = load(spec, run)
        shown = {request["request"]: len(request["images"]) for request in todo}
        what = f"{run.header['protocol']}, {len(todo)} requests, images"
        answers = engine.answer(questions(run.header, todo, files, key_of))
        note = getattr(engine, "note", None)
        for answer in progress(answers, sum(shown.values()), what, note, lambda a: shown[a.id]):
            entry = {"text": answer.text, "finish": answer.finish, "usage": answer.usage}
            if answer.facts:
                entry["facts"] = answer.facts
            if answer.scored:
                entry["scored"] = answer.scored
            fresh[answer.id] = entry
            if engine.journalled:
                journal.add(key_of[answer.id], entry)
        facts["engine"] = engine.describe()
    responses = []
    for request in asked:
        number = request["request"]
        entry = fresh.get(number) or known.get(key_of[number])
        if entry is None:
            raise LabelwiseError(f"the engine {spec['engine']} left request {number} unanswered")
        said = {"request": number, "text": entry["text"], "finish": entry["finish"]}
        responses.append(said | {k: entry[k] for k in ("scored",) if k in entry})
    entries = [fresh.get(n) or known[k] for n, k in key_of.items()]
    usages = [entry.get("usage", {}) for entry in entries]
    facts["tokens"] = {
        name: sum(usage.get(name, 0) for usage in usages)
        for name in sorted({name for usage in usages for name in usage})
    }
    if told := [entry["facts"] for entry in entries if "facts" in entry]:
        facts["cost_usd"] = round(sum(fact.get("cost_usd", 0.0) for fact in told), 9)
        facts["answered_by"] = Counter(" ".join(fact["by"]) for fact in told)
    return responses, facts


def _sha256(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@cli
def main(argv: list[str] | None = None) -> None:
    """Command line of the stage ``infer``."""
    parser = argparse.ArgumentParser(prog="labelwise.infer", description=__doc__)
    parser.add_argument("requests", help="requests file (JSON lines)")
    parser.add_argument("--images", required=True, help="image set (CSV)")
    parser.add_argument("--classes", required=True, help="class names (CSV)")
    parser.add_argument("--labels", help="label set, for controls only (CSV)")
    parser.add_argument("--model", required=True, help="the model's entry as JSON")
    parser.add_argument("--weights", nargs="*", default=[], help="records of its weights (JSON)")
    parser.add_argument("--axes", default="{}", help="names for the record, as JSON")
    parser.add_argument("--journal", required=True, help="journal of answers (JSON lines)")
    parser.add_argument("--out", required=True, help="responses (JSON lines)")
    parser.add_argument("--meta", required=True, help="record of the run (JSON)")
    args = parser.parse_args(argv)

    started = time.time()
    spec = json.loads(args.model)
    if args.weights:  # part of the key: other weights under the same name are another model
        spec["weights_sha256"] = [_sha256(path) for path in args.weights]
    header, asked = prompts.read(args.requests)
    labels = {}
    if args.labels:
        table = records.read_csv(args.labels, records.LABELS)
        labels = {row["image"]: records.ids(row["labels"]) for row in table}
    run = Run(header, classnames.read(args.classes), labels)
    rows = records.read_csv(args.images, records.IMAGES)
    with Journal(args.journal) as journal:
        responses, facts = infer(spec, run, asked, rows, journal)
    records.write_jsonl(args.out, responses)
    facts |= {"axes": json.loads(args.axes), "model": spec}
    facts["requests_sha256"] = _sha256(args.requests)
    records.write_json(args.meta, provenance.meta(started, **facts))
    print(
        f"asked {facts['asked']}, replayed {facts['replayed']}, {time.time() - started:.1f} s",
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()
