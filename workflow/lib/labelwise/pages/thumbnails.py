"""Stage ``thumbnails``: small versions of those images of a set that may be shown, with credits.

The image set's entry says which these are (``may_show``): ``show: true`` is all of them, a list of
licences those whose row in the table ``credits`` (columns image,author,licence,source) has one of
these. The archive holds ``index.json`` (image id to file, width, height and credit) and JPEGs.
"""

import argparse
import io
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labelwise import images, records
from labelwise.errors import LabelwiseError, brief, cli
from labelwise.progress import progress

SIDES = ((1000, 256), (10_000, 128))
"""Up to so many images the longer side is so many pixels; above all of them ``SMALLEST``."""
SMALLEST = 64
QUALITY = 80
UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError),
    *(KeyError, TypeError, ValueError, AttributeError),
)
"""What a broken archive, or an index of another form, ends in."""

CREDITS = ("image", "author", "licence", "source")


def may_show(spec: Mapping[str, Any]) -> dict[str, str] | None:
    """Image id to credit, of the images that may be shown; None where that is all of the set.

    Args:
        spec: ``show`` and ``credits`` of the image set's entry.

    Raises:
        LabelwiseError: licences are listed without a table of credits, or it lacks a column.
    """
    show, table = spec.get("show", False), spec.get("credits")
    if show is True and not table:
        return None
    if not show:
        return {}
    if not table:
        raise LabelwiseError("images: show: a list of licences needs `credits`, a table of them")
    return {
        row["image"]: f"{row['author']}, {row['licence']}, {row['source']}"
        for row in records.read_csv(table, CREDITS)
        if show is True or row["licence"] in show
    }


def side(count: int) -> int:
    """Longer side in pixels of the thumbnails of a set of so many images."""
    return next((pixels for most, pixels in SIDES if count <= most), SMALLEST)


def thumbnail(file: str, pixels: int) -> tuple[bytes, tuple[int, int]]:
    """A JPEG of an image whose longer side is at most ``pixels``, and its width and height."""
    picture = images.read(file)
    picture.thumbnail((pixels, pixels))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=QUALITY)
    return out.getvalue(), picture.size


def write(rows: Sequence[Mapping[str, str]], spec: Mapping[str, Any], out: Path) -> int:
    """Write thumbnails of the readable images that may be shown, and return their number."""
    allowed = may_show(spec)
    shown = [
        row
        for row in rows
        if row["status"] == "ok" and (allowed is None or row["image"] in allowed)
    ]
    pixels, index = side(len(shown)), {}
    with records.atomic(out, "wb") as file, zipfile.ZipFile(file, "w") as archive:
        for number, row in enumerate(progress(shown, len(shown), "thumbnails")):
            content, (width, height) = thumbnail(row["file"], pixels)
            name = f"{number:06d}.jpg"
            archive.writestr(zipfile.ZipInfo(name), content)
            credit = "" if allowed is None else allowed[row["image"]]
            index[row["image"]] = {"file": name, "size": [width, height], "credit": credit}
        archive.writestr(zipfile.ZipInfo("index.json"), json.dumps(index, sort_keys=True))
    return len(shown)


def read(path: str | Path) -> dict[str, tuple[bytes, str]]:
    """JPEG and credit by image id; a missing or broken archive is an error."""
    try:
        with zipfile.ZipFile(path) as archive:
            index = json.loads(archive.read("index.json"))
            return {
                image: (archive.read(entry["file"]), entry["credit"])
                for image, entry in index.items()
            }
    except FileNotFoundError:
        raise LabelwiseError(f"{path}: no such file") from None
    except UNREADABLE as error:
        raise LabelwiseError(f"{path}: no archive of thumbnails: {brief(error)}") from None


@cli
def main(argv: Sequence[str] | None = None) -> None:
    """Make thumbnails of the images of a set that may be shown."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.pages.thumbnails", description=__doc__
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("images", type=Path, help="results/images/*.csv")
    parser.add_argument("--spec", type=json.loads, required=True, help="JSON: show, credits")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    rows = records.read_csv(args.images, records.IMAGES)
    count = write(rows, args.spec, args.out)
    print(f"{args.images}: {count} of {len(rows)} images may be shown")


if __name__ == "__main__":
    main()
