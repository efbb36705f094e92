"""Who made a result, from what, on which machine: the ``.meta.json`` beside it (stdlib only)."""

import os
import platform
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

PACKAGES = (
    "labelwise",
    "snakemake",
    "torch",
    "transformers",
    "timm",
    "open_clip_torch",
    "openai",
    "numpy",
)


def _git(*command: str) -> str:
    try:
        done = subprocess.run(["git", *command], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def meta(started: float, **facts: Any) -> dict[str, Any]:
    """Facts of a finished job with code version, packages, machine and times (seconds, UTC)."""
    form = "%Y-%m-%dT%H:%M:%SZ"
    return {
        **facts,
        "started": time.strftime(form, time.gmtime(started)),
        "ended": time.strftime(form, time.gmtime()),
        "seconds": round(time.time() - started, 1),
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "python": platform.python_version(),
        "machine": {
            "host": platform.node(),
            "system": platform.platform(),
            "processor": processor(),
            "cores": os.cpu_count(),
        },
    }


def processor() -> str:
    """Name of this machine's processor."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(
                line.split(":")[1].strip() for line in file if line.startswith("model name")
            )
    except (OSError, StopIteration):
        return platform.processor()
