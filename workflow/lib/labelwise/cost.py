"""What the runs of a configuration will cost, before anything is sent.

The prompts are the real ones: requests files that are missing are written first (no model is asked
for that). Answers that the journal has are not counted again. How tokens are estimated is said in
``labelwise.servers.money``; an answer counts with all the tokens it may have, and ``no cache`` is
what the run costs where no prefix is found in the provider's cache.
"""

import argparse
import copy
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from labelwise import config, infer, records, weights
from labelwise.asking import journal, prompts
from labelwise.errors import LabelwiseError, cli
from labelwise.planning.grid import Grid
from labelwise.planning.inputs import DISPLAY
from labelwise.planning.points import Run
from labelwise.servers import entries as servers
from labelwise.servers import money


class Estimate(NamedTuple):
    """One run: its requests, those still to ask, their tokens and USD, and the limit."""

    run: Run
    requests: int
    left: int
    images: int
    prompt: int
    completion: int
    usd: float
    uncached: float
    spent: float
    limit: float | None


def known(run: Run) -> dict[str, Any]:
    """Journalled answers of a run, by key."""
    found = {}
    for path in journal.files(f"results/journal/{run.path}.jsonl"):
        for line in path.read_bytes().split(b"\n"):
            try:
                entry = json.loads(line)
                found[entry["key"]] = entry
            except (ValueError, KeyError, TypeError):
                continue  # cut off by a kill: asked again
    return found


def estimate(run: Run, spec: Mapping[str, Any]) -> Estimate:
    """Estimated tokens and USD of what a run still has to ask."""
    header, asked = prompts.read(run.requests)
    rows = {
        r["image"]: r for r in records.read_csv(f"results/images/{run.images}.csv", records.IMAGES)
    }
    sent = {key: value for key, value in spec.items() if key not in DISPLAY["models"]}
    key_of = infer.keys(sent, header, asked, {name: row["sha256"] for name, row in rows.items()})
    answered = known(run)
    done = {*answered, *(entry.get("instead_of") for entry in answered.values())}
    left = [request for request in asked if key_of[request["request"]] not in done]
    tokens = []
    for request in left:
        sizes = ((int(rows[i]["width"]), int(rows[i]["height"])) for i in request["images"])
        tokens.append(money.prompt_tokens(spec, prompts.render(header, request), sizes))
    spent = infer.spent(answered, key_of.values())
    return Estimate(
        run,
        len(asked),
        len(left),
        sum(len(request["images"]) for request in left),
        sum(tokens),
        len(left) * header["max_tokens"],
        money.expected(spec, header, tokens),
        sum(money.usd(spec, n, 0, header["max_tokens"]) for n in tokens),
        spent,
        spec.get("max_cost_usd"),
    )


def write_requests(planned: Mapping[str, Any], runs: Sequence[Run]) -> None:
    """Write the requests files that are missing, by the workflow.

    Raises:
        LabelwiseError: it fails; with the last line that it said.
    """
    missing = sorted({run.requests for run in runs if not Path(run.requests).exists()})
    if not missing:
        return
    print(f"writing {len(missing)} requests files", file=sys.stderr, flush=True)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(planned, file)
        file.flush()
        command = [sys.executable, "-m", "snakemake", "--cores", "1", "--nolock", "--quiet", "all"]
        command += ["--configfile", file.name, "--replace-workflow-config", "--", *missing]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise LabelwiseError(f"requests cannot be written: {said[-1] if said else 'snakemake'}")


def table(estimates: Sequence[Estimate]) -> str:
    """The estimates on a screen, one a line, and their sum."""
    head = ["run", "requests", "to ask", "images", "prompt tok", "answer tok"]
    head += ["USD", "no cache", "spent", "limit"]
    rows = [head]
    for e in estimates:
        limit = "missing" if e.limit is None else f"{e.limit:.2f}"
        asked = (e.requests, e.left, e.images, e.prompt, e.completion)
        usd = (f"{e.usd:.4f}", f"{e.uncached:.4f}", f"{e.spent:.4f}")
        rows.append([e.run.path, *map(str, asked), *usd, limit])
    counts = ("requests", "left", "images", "prompt", "completion")
    total = [f"{sum(getattr(e, name) for e in estimates)}" for name in counts]
    sums = ("usd", "uncached", "spent")
    total += [f"{sum(getattr(e, name) for e in estimates):.4f}" for name in sums]
    rows.append(["all", *total, ""])
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


@cli
def main(argv: Sequence[str] | None = None) -> None:
    """``python -m labelwise.cost --configfile config/config.yaml``: an estimate a run."""
    parser = argparse.ArgumentParser(prog="python -m labelwise.cost", description=__doc__)
    parser.add_argument("--configfile", default="config/config.yaml")
    args = parser.parse_args(argv)
    planned = config.load(args.configfile)
    served = {
        name: copy.deepcopy(entry)
        for name, entry in planned["models"].items()
        if entry["engine"] == "openai"
    }
    for entry in planned["models"].values():
        if entry["engine"] == "openai" and servers.is_paid(entry):
            entry.setdefault("max_cost_usd", 0)  # the limit is what this command helps to choose
    grid = Grid(planned, records.read_yaml(weights.LOCK))
    runs = sorted({point.run for point in grid.points if point.run.model in served})
    paid = [run for run in runs if servers.is_paid(served[run.model])]
    if free := sorted({run.model for run in runs} - {run.model for run in paid}):
        print(f"no price, so nothing to pay: {', '.join(free)}")
    if not paid:
        print("no run asks a paid server")
        return
    write_requests(planned, paid)
    estimates = [estimate(run, served[run.model]) for run in paid]
    print(table(estimates))
    for name in sorted({run.model for run in paid}):
        entry = served[name]
        price = entry["price"]
        rates = ", ".join(f"{key} {price[key]:g}" for key in price if key != "date")
        half = f" times {money.BATCH:g} (Batch API)" if entry.get("batch") else ""
        print(f"{name}: USD per million tokens: {rates}{half}, of {price['date']}")
    if any(e.limit is None for e in estimates):
        print("set max_cost_usd (of one run) in the model's entry; without it nothing is sent")


if __name__ == "__main__":
    main()
