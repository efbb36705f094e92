"""Image data sets of the Hugging Face hub: their shards, at one commit, in the hub's own cache.

A file is known as ``hub:OWNER/NAME@REVISION/PATH``, which holds on every machine.
"""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any

from labelwise.errors import LabelwiseError, brief

FILE = re.compile(r"hub:([^@]+)@([0-9a-f]{40})/(.+)")


def fetch(spec: Mapping[str, Any], where: str) -> list[str]:
    """Fetch the shards of one split, where they are not in the cache; all files, sorted by name.

    Args:
        spec: ``dataset`` (owner/name), ``revision``, and ``pattern`` of the data files, or
            ``split`` (validation), a word of their paths.
        where: the entry, for messages.

    Raises:
        LabelwiseError: no access, no network or no such file; one line that says what to do.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    dataset, revision = spec["dataset"], spec["revision"]
    page = f"https://huggingface.co/datasets/{dataset}"
    if not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise LabelwiseError(
            f"{where}: revision '{revision}' is no full commit (40 hex digits); copy it from"
            f" {page}/commits/main"
        )
    patterns = _patterns(spec)
    try:
        root = Path(
            snapshot_download(
                dataset, repo_type="dataset", revision=revision, allow_patterns=patterns
            )
        )
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        code = status(error) or status(error.__cause__)
        if code in (401, 403):
            raise LabelwiseError(
                f"{where}: {dataset} is gated, private or misspelt (HTTP {code}): accept its"
                f" terms at {page} and set HF_TOKEN to a token of that account"
            ) from None
        if code:
            raise LabelwiseError(
                f"{where}: {page} at revision {revision} gives HTTP {code}; check `dataset` and"
                " `revision`, or try again later"
            ) from None
        why = "" if isinstance(error, LocalEntryNotFoundError) else f" ({brief(error)})"
        include = " ".join(f"--include '{pattern}'" for pattern in patterns)
        raise LabelwiseError(
            f"{where}: {dataset} at revision {revision} is not whole in the cache and the hub is"
            f" out of reach{why}; where there is network run `hf download {dataset}"
            f" --repo-type dataset --revision {revision} {include}` (HF_HOME says where to)"
        ) from None
    names = sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())
    chosen = [name for name in names if _chosen(name, spec)]
    if not chosen:
        raise LabelwiseError(
            f"{where}: {dataset} at revision {revision} has no .parquet or .tar file that fits"
            f" {' or '.join(patterns)}; see {page}/tree/{revision} and set `pattern` or `split`"
        )
    return [f"hub:{dataset}@{revision}/{name}" for name in chosen]


@lru_cache
def path(file: str) -> Path:
    """Where a fetched file lies; no network is used.

    Raises:
        LabelwiseError: it is not in the cache.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    found = FILE.fullmatch(file)
    if found is None:
        raise LabelwiseError(f"{file}: not of the form hub:OWNER/NAME@COMMIT/PATH")
    dataset, revision, name = found.groups()
    try:
        place = hf_hub_download(
            dataset, name, repo_type="dataset", revision=revision, local_files_only=True
        )
    except LocalEntryNotFoundError:
        raise LabelwiseError(
            f"{file}: not in the cache of the hub; fetch it with `hf download {dataset} {name}"
            f" --repo-type dataset --revision {revision}` (HF_HOME says where to)"
        ) from None
    return Path(place)


def _patterns(spec: Mapping[str, Any]) -> list[str]:
    split = spec.get("split", "validation")
    return [spec["pattern"]] if "pattern" in spec else [f"*{split}*.parquet", f"*{split}*.tar"]


def _chosen(name: str, spec: Mapping[str, Any]) -> bool:
    """Whether a file is a shard of the split: ``val`` is a word of val-1.tar, not of interval."""
    if "pattern" in spec:
        return name.endswith((".parquet", ".tar")) and fnmatchcase(name, spec["pattern"])
    split = re.escape(spec.get("split", "validation"))
    word = rf"(?<![A-Za-z0-9]){split}(?![A-Za-z0-9])"
    return name.endswith((".parquet", ".tar")) and re.search(word, name) is not None


def status(error: BaseException | None) -> int | None:
    """The HTTP status that an error of the hub came with, if any."""
    return getattr(getattr(error, "response", None), "status_code", None)
