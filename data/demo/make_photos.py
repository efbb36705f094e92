#!/usr/bin/env python3
"""Make the photographs of the demo set.

The photographs come from Debian's package gcompris-qt-data 3.1-2, which keeps
them as WebP files inside Qt resource files (.rcc). `photos.csv` lists which
ones are used: for every row with a `package_file`, this script writes the
JPEG named in `file`. Rows without a `package_file` (the photographs of the
foolbox wheel) are left alone.

    make_photos.py --fetch            # download and unpack the Debian package
    make_photos.py --source FOLDER    # use an already extracted tree

FOLDER is the package's activities tree, with files such as
FOLDER/erase/resource/red_panda.webp.

The result depends on nothing but the input and the versions of Pillow and of
the libraries it is built with: a second run writes the same bytes.
"""

import argparse
import csv
import hashlib
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

from PIL import Image

HERE = Path(__file__).resolve().parent

PACKAGE = "gcompris-qt-data"
VERSION = "3.1-2"
SHA256 = "e9cf06ab2105529068df73085784e835d2ff03f870d2a8091f09125d40abac9f"
RCC_FOLDER = "usr/share/gcompris-qt/rcc"
ACTIVITIES = "gcompris/src/activities/"

LONG_SIDE = 500
QUALITY = 85

# Flags of a node in a Qt resource file.
RCC_ZLIB, RCC_IS_FOLDER, RCC_ZSTD = 1, 2, 4


def read_rcc(path):
    """Yield (path inside the resource file, content) for each file in a .rcc.

    Layout, all numbers big-endian: the magic `qres`, then the version and the
    offsets of the tree, the data and the names. A tree node holds the offset
    of its name and flags, then for a folder the number of its children and
    the index of the first one, for a file its locale and the offset of its
    data. Data are preceded by their length; compressed data then begin with
    the length they unpack to. A name is its length in UTF-16 units, a hash
    and the characters.
    """
    blob = path.read_bytes()
    if blob[:4] != b"qres":
        raise ValueError(f"{path}: not a Qt resource file")
    version, tree, data, names = struct.unpack_from(">4I", blob, 4)
    node_size = 14 if version < 2 else 22

    def name(offset):
        (length,) = struct.unpack_from(">H", blob, names + offset)
        start = names + offset + 6
        return blob[start : start + 2 * length].decode("utf-16-be")

    def content(offset, flags):
        if flags & RCC_ZSTD:
            raise ValueError(f"{path}: zstd-compressed entries are not supported")
        (length,) = struct.unpack_from(">I", blob, data + offset)
        start = data + offset + 4
        raw = blob[start : start + length]
        return zlib.decompress(raw[4:]) if flags & RCC_ZLIB else raw

    def walk(index, folder):
        node = tree + index * node_size
        name_offset, flags = struct.unpack_from(">IH", blob, node)
        # The root node has no name.
        inner = folder + name(name_offset) if index else ""
        if flags & RCC_IS_FOLDER:
            count, first = struct.unpack_from(">II", blob, node + 6)
            for child in range(first, first + count):
                yield from walk(child, inner + "/" if inner else "")
        else:
            (offset,) = struct.unpack_from(">I", blob, node + 10)
            yield inner, content(offset, flags)

    yield from walk(0, "")


def fetch(wanted, folder):
    """Download the Debian package and extract the wanted files to `folder`.

    `wanted` are paths inside the activities tree; the first part of such a
    path is also the name of the .rcc file that holds it.
    """
    with tempfile.TemporaryDirectory() as tmp:
        tmp = Path(tmp)
        subprocess.run(["apt-get", "download", f"{PACKAGE}={VERSION}"], cwd=tmp, check=True)
        (deb,) = tmp.glob("*.deb")
        digest = hashlib.sha256(deb.read_bytes()).hexdigest()
        if digest != SHA256:
            sys.exit(f"{deb.name}: sha256 is {digest}, expected {SHA256}")
        subprocess.run(["dpkg-deb", "-x", deb, tmp / "package"], check=True)
        for activity in sorted({path.split("/")[0] for path in wanted}):
            for inner, content in read_rcc(tmp / "package" / RCC_FOLDER / f"{activity}.rcc"):
                path = inner.removeprefix(ACTIVITIES)
                if path in wanted:
                    target = folder / path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(content)


def convert(source, target):
    """Write the image `source` as the JPEG `target`; see LONG_SIDE, QUALITY."""
    with Image.open(source) as image:
        image.load()
        if image.mode != "RGB":
            # Transparent parts become white.
            image = image.convert("RGBA")
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image).convert("RGB")
        scale = LONG_SIDE / max(image.size)
        if scale < 1:
            size = tuple(max(1, round(side * scale)) for side in image.size)
            image = image.resize(size, Image.Resampling.LANCZOS)
        # A fresh image carries no metadata (EXIF, XMP, ICC profile, comment).
        clean = Image.new("RGB", image.size)
        clean.paste(image)
    target.parent.mkdir(parents=True, exist_ok=True)
    clean.save(target, "JPEG", quality=QUALITY, optimize=True)


def main():
    """Make the photographs that ``photos.csv`` lists."""
    parser = argparse.ArgumentParser(
        description=f"Make the demo photographs from Debian's {PACKAGE} {VERSION}."
    )
    origin = parser.add_mutually_exclusive_group(required=True)
    origin.add_argument(
        "--source", type=Path, metavar="FOLDER", help="extracted activities tree of the package"
    )
    origin.add_argument(
        "--fetch",
        action="store_true",
        help="download and unpack the package (needs apt-get and dpkg-deb)",
    )
    parser.add_argument(
        "--csv", type=Path, default=HERE / "photos.csv", help="list of the photographs"
    )
    parser.add_argument(
        "--out", type=Path, default=HERE, help="folder that the paths in the list start from"
    )
    args = parser.parse_args()

    with args.csv.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["package_file"]]

    with tempfile.TemporaryDirectory() as tmp:
        source = args.source
        if args.fetch:
            source = Path(tmp)
            fetch({row["package_file"] for row in rows}, source)
        needed = [row["package_file"] for row in rows]
        missing = [path for path in needed if not (source / path).is_file()]
        if missing:
            sys.exit(f"{len(missing)} files are missing in {source}, first: {missing[0]}")
        for row in rows:
            convert(source / row["package_file"], args.out / row["file"])
    print(f"{len(rows)} photographs written to {args.out}")


if __name__ == "__main__":
    main()
