"""GPUs of one machine: a job leases those that nobody has, so no two jobs share a device.

Snakemake counts GPUs but gives none to a job. Here each device has a lock file: a job that asks for
n takes n free ones before torch is imported, and hides all others from itself
(``CUDA_VISIBLE_DEVICES``). The operating system opens a lock when its process ends, however that
ends. Where a scheduler has assigned devices to the job, its assignment holds.
"""

import fcntl
import os
import re
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from labelwise.errors import LabelwiseError

HELP = "GPUs to lease; 0 hides all (default: none is leased, all stay visible)"

SHOWN = "CUDA_VISIBLE_DEVICES"
ASSIGNED = ("SLURM_STEP_GPUS", "SLURM_JOB_GPUS", "PBS_JOBID", "LSB_JOBID")
"""A scheduler has set ``SHOWN`` where one of these is set beside it."""
CONTAINER = "KUBERNETES_SERVICE_HOST"
"""Where this is set, the container holds just the devices of the job."""

SHARED = Path("/dev/shm")
LOCKS = (SHARED if SHARED.is_dir() else Path(tempfile.gettempdir())) / "labelwise-gpus"
POLL = 1.0
"""Seconds between two looks for free devices."""

_held: list[int] = []
"""Lock files of this process; they stay open as long as it lives."""


def devices(environment: Mapping[str, str], folder: Path = Path("/dev")) -> list[str]:
    """The devices that jobs may lease: those of ``CUDA_VISIBLE_DEVICES``, else the machine's."""
    if (shown := environment.get(SHOWN)) is not None:
        return [name.strip() for name in shown.split(",") if name.strip()]
    found = sum(1 for file in folder.glob("nvidia*") if re.fullmatch(r"nvidia\d+", file.name))
    return [str(number) for number in range(found)]


def assigned(environment: Mapping[str, str]) -> bool:
    """Whether a scheduler says which devices this process may use."""
    by_scheduler = SHOWN in environment and any(name in environment for name in ASSIGNED)
    return by_scheduler or CONTAINER in environment


def lease(n: int | None, locks: Path = LOCKS) -> list[str]:
    """Take n free devices for the rest of this process, waiting until there are so many.

    Args:
        n: how many; None changes nothing.
        locks: folder of the lock files, the same for all users of the machine.

    Returns:
        The devices that this process now sees.

    Raises:
        LabelwiseError: the machine has fewer.
    """
    known = devices(os.environ)
    if n is None or (n and assigned(os.environ)):
        return known
    if n > len(known):
        raise LabelwiseError(
            f"the job asks for {n} GPUs (gpus in the configuration) and this machine has"
            f" {len(known)}{f' ({SHOWN}={os.environ[SHOWN]})' if SHOWN in os.environ else ''}"
        )
    taken = _take(n, known, locks)
    if n and len(taken) < n:
        print(f"waiting for {n} of {len(known)} GPUs", file=sys.stderr, flush=True)
    while len(taken) < n:
        time.sleep(POLL)
        taken = _take(n, known, locks)
    _held.extend(taken.values())
    os.environ[SHOWN] = ",".join(taken)
    os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # the same numbers in every process
    return list(taken)


def _take(n: int, known: list[str], locks: Path) -> dict[str, int]:
    """The locks of n devices, by device, or none at all, so that no two jobs wait in a ring."""
    taken: dict[str, int] = {}
    for device in known:
        if len(taken) < n and (lock := _lock(locks, device)) is not None:
            taken[device] = lock
    if len(taken) < n:
        for lock in taken.values():
            os.close(lock)
        return {}
    return taken


def _lock(locks: Path, device: str) -> int | None:
    """The open lock file of a device; None where another process has it."""
    path = locks / re.sub(r"[^\w.-]", "_", device)
    if not path.exists():  # any user may make it, and every user may lock it
        before = os.umask(0)
        try:
            locks.mkdir(mode=0o1777, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_RDONLY, 0o444))
        finally:
            os.umask(before)
    file = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file
