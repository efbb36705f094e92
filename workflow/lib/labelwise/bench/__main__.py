"""Run one benchmark by name: ``labelwise.bench.NAME`` with its ``main(argv)``."""

import importlib
import pkgutil
import sys

from labelwise import bench
from labelwise.errors import LabelwiseError, cli


@cli
def main(argv: list[str]) -> None:
    """Hand the rest of the command line to the benchmark."""
    names = sorted(
        m.name.replace("_", "-")
        for m in pkgutil.iter_modules(bench.__path__)
        if m.name not in ("__main__", "tiny")
    )
    if not argv or argv[0] not in names:
        raise LabelwiseError(f"usage: python -m labelwise.bench {{{','.join(names)}}} [options]")
    module = argv[0].replace("-", "_")
    importlib.import_module(f"labelwise.bench.{module}").main(argv[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
