"""Benchmarks: ``python -m labelwise.bench NAME [options]``, one module each."""

import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

from labelwise import provenance
from labelwise.records import write_json


def machine() -> dict[str, Any]:
    """What numbers are measured on: processor, cores, Python; torch and GPU where it is loaded.

    ``load`` (the average of the last minute) tells whether something else was running.
    """
    found = {
        "processor": provenance.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
    }
    if torch := sys.modules.get("torch"):
        gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
        found |= {"torch": torch.__version__, "threads": torch.get_num_threads(), "gpu": gpu}
    return found


def finish(results: Any, out: Path | None) -> None:
    """Name the machine, and write results with it as JSON."""
    on = machine()
    print(f"on {json.dumps(on)}")
    if out:
        write_json(out, {"machine": on, "results": results})
