"""Put the shards of a run together: the same bytes as if it had never been divided."""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

from labelwise import records
from labelwise.asking import prompts
from labelwise.errors import LabelwiseError, cli


def merge(requests: Path, shards: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """The responses of all shards, in the order of the requests.

    Args:
        requests: the requests file of the run.
        shards: responses of its shards, in their order.

    Raises:
        LabelwiseError: the shards are not of these requests, one is missing or stands twice.
    """
    answers = chain.from_iterable(map(records.read_jsonl, shards))
    for request, answer in zip_longest(prompts.stream(requests), answers):
        if request is None or answer is None or request["request"] != answer["request"]:
            there = "no request" if request is None else f"request {request['request']}"
            raise LabelwiseError(
                f"{requests}: {there} where the shards go on with"
                f" {'nothing' if answer is None else answer['request']}; make the shards again:"
                f" snakemake -R infer_shard"
            )
        yield answer


def total(metas: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The record of a run from those of its shards: counts are added, times span all of them."""
    engines = [meta["engine"] for meta in metas if "engine" in meta]
    found = {**metas[0], **({"engine": engines[0]} if engines else {})}
    found |= {key: sum(meta[key] for meta in metas) for key in ("asked", "replayed", "seconds")}
    found |= {"started": min(m["started"] for m in metas), "ended": max(m["ended"] for m in metas)}
    found["dirty"] = any(meta["dirty"] for meta in metas)
    tokens: Counter[str] = Counter()
    for meta in metas:
        tokens.update(meta["tokens"])
    found["tokens"] = dict(tokens)
    if errors := {i: why for m in metas for i, why in m.get("image_errors", {}).items()}:
        found["image_errors"] = errors
    own = ("asked", "replayed", "seconds", "started", "ended", "machine", "engine")
    found["shards"] = [{key: meta[key] for key in own if key in meta} for meta in metas]
    return found


@cli
def main(argv: list[str] | None = None) -> None:
    """Command line of the stage ``merge_shards``."""
    parser = argparse.ArgumentParser(prog="python -m labelwise.merge_shards", description=__doc__)
    parser.add_argument("shards", nargs="+", type=Path, help="responses of the shards, in order")
    parser.add_argument("--requests", required=True, type=Path, help="requests file of the run")
    parser.add_argument("--axes", default={}, type=json.loads, help="names for the record, as JSON")
    parser.add_argument("--out", required=True, type=Path, help="responses (JSON lines)")
    parser.add_argument("--meta", required=True, type=Path, help="record of the run (JSON)")
    args = parser.parse_args(argv)
    started = time.time()
    records.write_jsonl(args.out, merge(args.requests, args.shards))
    facts = total([records.read_json(path.with_suffix(".meta.json")) for path in args.shards])
    records.write_json(args.meta, facts | {"axes": args.axes})
    print(f"{len(args.shards)} shards, {time.time() - started:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
