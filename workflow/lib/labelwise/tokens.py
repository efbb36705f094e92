"""Stage ``tokens``: what the answers of an experiment's runs cost in tokens, a row a run.

``python -m labelwise.tokens META... --out CSV`` reads records of runs (``*.meta.json``). Means over
prompts: ``shared`` tokens are those of the prefix, computed once a run, ``prefilled`` those of the
prompt after it, ``generated`` those computed for the answer. A server's records have none of these.
"""

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from labelwise import records
from labelwise.errors import cli

AXES = ("images", "model", "protocol", "batching")
KINDS = ("shared", "prefilled", "generated")
COLUMNS = (*AXES, "prompts", *KINDS)


def rows(metas: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """One row a run that asked prompts, in the order given; see ``COLUMNS``."""
    for path in metas:
        meta = records.read_json(path)
        axes = meta.get("axes", {})
        if "protocol" in axes:
            prompts = meta["asked"] + meta["replayed"]
            told = {k: meta["tokens"][k] / prompts for k in KINDS if k in meta["tokens"]}
            yield (
                {axis: axes[axis] for axis in AXES}
                | {"prompts": prompts}
                | {kind: f"{value:.6g}" for kind, value in told.items()}
            )


@cli
def main(argv: list[str] | None = None) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.tokens", description=__doc__, fromfile_prefix_chars="@"
    )
    parser.add_argument("metas", nargs="*", type=Path, help="*.meta.json, or @FILE that lists them")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    records.write_csv(args.out, COLUMNS, rows(args.metas))


if __name__ == "__main__":
    main()
