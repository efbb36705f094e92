"""Stage ``pack``: the study as one archive for publication.

It holds what lies under ``results/`` but for what the configuration restricts (see
``labelwise.planning.restricted``), Snakemake's records of how each file was made, the
configurations, ``CITATION.cff`` and Croissant metadata. Unpacked over a fresh clone, the records
make Snakemake see that nothing is to be done.

Files are stored in the order in which they were made and with that time, so that unpacking leaves
no result older than what it was made from, whether or not the times are restored.
"""

import argparse
import json
import struct
import time
import zipfile
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path

from labelwise import records
from labelwise.errors import LabelwiseError, brief, cli
from labelwise.publishing import croissant

RESULTS = Path("results")
METADATA = Path(".snakemake/metadata")
CITATION = Path("CITATION.cff")


def chosen(results: Path, left_out: Sequence[str]) -> list[str]:
    """Paths of the results that are packed, from the folder of the results."""
    names = (path.relative_to(results).as_posix() for path in results.rglob("*") if path.is_file())
    return sorted(
        name
        for name in names
        if not Path(name).name.startswith(".") and not any(fnmatch(name, p) for p in left_out)
    )


def entry(path: Path) -> zipfile.ZipInfo:
    """The header of a file: its path and the time at which it was made, in seconds of UTC."""
    made = int(path.stat().st_mtime)
    info = zipfile.ZipInfo(path.as_posix(), time.localtime(made)[:6])
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    info.extra = struct.pack("<HHBl", 0x5455, 5, 1, made)  # DOS times have no zone and are even
    return info


def pack(
    out: Path, left_out: Sequence[str], configs: Iterable[Path], results: Path = RESULTS
) -> tuple[int, int]:
    """Write the archive; the number of results in it, and of those left out.

    Args:
        out: its path.
        left_out: patterns of results that it does not hold.
        configs: configuration files; one outside the working directory is not packed.
        results: folder of the results.

    Raises:
        LabelwiseError: no records of Snakemake, or no ``CITATION.cff`` that can be read.
    """
    import yaml

    if not METADATA.is_dir():
        raise LabelwiseError(f"{METADATA}: no such folder; run snakemake here first")
    try:
        cff = yaml.safe_load(records.read_text(CITATION))
    except yaml.YAMLError as error:
        raise LabelwiseError(f"{CITATION}: not YAML: {brief(error)}") from None
    names = chosen(results, left_out)
    total = sum(path.is_file() for path in results.rglob("*"))
    about = results / "croissant.json"
    names = [name for name in names if results / name not in (out, about)]
    records.write_json(about, croissant.describe(cff, results, names))
    here = Path.cwd().resolve()
    files = [results / name for name in names]
    files += [path for path in METADATA.rglob("*") if path.is_file()]
    files += [p for p in configs if p.resolve().is_relative_to(here) and not p.is_absolute()]
    files += [CITATION, about]
    with records.atomic(out, "wb") as file, zipfile.ZipFile(file, "w") as archive:
        for path in sorted(set(files), key=lambda p: (p.stat().st_mtime_ns, p.as_posix())):
            archive.writestr(entry(path), path.read_bytes())
    return len(names), total - len(names)


@cli
def main(argv: Sequence[str] | None = None) -> None:
    """Pack a study for publication."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.publishing.archive", description=main.__doc__
    )
    parser.add_argument("--left-out", type=json.loads, required=True, help="patterns, JSON")
    parser.add_argument("--configs", type=Path, nargs="*", default=[], help="configuration files")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    packed, left = pack(args.out, args.left_out, args.configs)
    size = args.out.stat().st_size / 1e6
    print(f"{args.out}: {packed} results, {size:.1f} MB; {left} files of results/ are left out")


if __name__ == "__main__":
    main()
