"""A study of your own images: from a folder and a list of classes to a ready configuration.

``labelwise init NAME --images FOLDER --classes FILE [--labels CSV]`` reads everything once, says
what does not fit, and writes a folder NAME: ``config.yaml``, ``classes.csv`` and ``labels.csv``.

- FILE: one class name a line, or a CSV with columns class,name (ids 0..n-1); 2 to 20,000 classes.
- CSV: columns image and label (or labels). A cell holds one name or id, or several separated by
  ``;`` (ids also by spaces); an empty one says that no class is there. Images are named by their
  file, with or without suffix. Without --labels the folder of an image names its class.
"""

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2

from labelwise import classnames, images, records
from labelwise.classnames import Names
from labelwise.errors import LabelwiseError

MOST = 20_000
LISTED = 7_000
"""Tokens of a class list that are left to the closed world: SmolLM2 takes 8,192 in all."""
LETTERS = 3
"""Letters of a list that make up a token, on the safe side."""
OFFERED = 50
"""Names that a narrowed list offers."""
HEADINGS = ("label", "labels")

TEMPLATE = Path(__file__).resolve().parents[3] / "config" / "own.yaml.j2"
"""What ``config.yaml`` is made from."""


def parts(cell: str) -> list[str]:
    """The names or ids in a cell of a label file."""
    if re.fullmatch(r"\s*\d+(\s+\d+)+\s*", cell):
        return cell.split()
    return [part.strip() for part in cell.split(";") if part.strip()]


def read_labels(path: Path, names: Sequence[str]) -> dict[str, list[int]]:
    """Class ids by image id, from a CSV with columns image and label or labels.

    Raises:
        LabelwiseError: a column, name or id that is not known, or an image that occurs twice.
    """
    known = Names(names)
    found: dict[str, list[int]] = {}
    for number, row in records.csv_lines(path, ("image",)):
        heading = next((name for name in HEADINGS if name in row), None)
        if heading is None:
            raise LabelwiseError(
                f"{path}: no column label or labels; it has {', '.join(map(str, row))}"
            )
        where, image = f"{path}: line {number}", records.image_id((row["image"] or "").strip())
        if image in found:
            raise LabelwiseError(f"{where}: image {image} is there twice; give it one line")
        ids: list[int] = []
        for part in parts(row[heading] or ""):
            named = known.find(part)
            if not named and part.isascii() and part.isdigit() and int(part) < len(names):
                named = (int(part),)
            if not named:
                raise LabelwiseError(
                    f"{where}: {part!r} is neither a class name nor an id of 0..{len(names) - 1}"
                )
            ids += named
        found[image] = sorted(set(ids))
    return found


def folder_labels(files: Mapping[str, str], names: Sequence[str]) -> dict[str, list[int]]:
    """Class ids by image id, from the name of each image's folder.

    Raises:
        LabelwiseError: a folder that bears no class name.
    """
    known, found = Names(names), {}
    for image, file in files.items():
        folder = Path(file).parent.name
        ids = known.find(folder) or known.find(folder.replace("_", " "))
        if not ids:
            raise LabelwiseError(
                f"{file}: its folder {folder!r} is no class name; name folders as classes, or give"
                " --labels CSV"
            )
        found[image] = sorted(ids)
    return found


def configuration(
    name: str, out: Path, folder: Path, names: Sequence[str], n_images: int
) -> tuple[str, bool]:
    """The text of ``config.yaml``, and whether the whole class list is put into prompts.

    Args:
        name: of the study.
        out: its folder.
        folder: that of the images.
        names: class names by id.
        n_images: how many images there are.
    """
    distinct = [text for text, _ in Names(names).distinct()]
    listed = len(", ".join(distinct)) / LETTERS <= LISTED
    template = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    ).from_string(records.read_text(TEMPLATE))
    text = template.render(
        name=name,
        out=out.as_posix(),
        folder=folder.as_posix(),
        schema=Path("workflow/schemas/config.schema.yaml").resolve().as_posix(),
        n_images=n_images,
        n_classes=len(names),
        listed=listed,
        offered=min(OFFERED, len(distinct)),
        options=min(4, len(distinct)),
        max_tokens=max(12, 2 + max(map(len, distinct)) // LETTERS),
    )
    return text, listed


def init(name: str, folder: Path, classes: Path, labels: Path | None, out: Path) -> list[str]:
    """Write the study's folder; the lines to print say what was found and what to run.

    Args:
        name: of the study.
        folder: with the images.
        classes: file of the class names.
        labels: CSV with the labels; None where folders name the classes.
        out: the folder to write.

    Raises:
        LabelwiseError: anything that does not fit, in one line; nothing is written then.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", name):
        raise LabelwiseError(
            f"{name!r}: a study's name is of lower-case letters, digits, '.' and '-'"
        )
    if (out / "config.yaml").exists():
        raise LabelwiseError(f"{out}/config.yaml: exists already; choose another name or --out")
    names = classnames.read_names(classes)
    if len(Names(names).distinct()) < 2 or len(names) > MOST:
        raise LabelwiseError(f"{classes}: {len(names)} classes; a study has 2 to {MOST:,}")
    files = images.find(name, {"source": "folder", "folder": str(folder)})
    found = read_labels(labels, names) if labels else folder_labels(files, names)
    used = {image: ids for image, ids in found.items() if image in files}
    if not used:
        first = next(iter(found), "none")
        raise LabelwiseError(
            f"{labels}: none of its images (first: {first}) is in {folder}"
            f" (first: {next(iter(files))})"
        )
    text, listed = configuration(name, out, folder, names, len(files))
    records.write_csv(
        out / "classes.csv", records.CLASSES, ({"class": i, "name": n} for i, n in enumerate(names))
    )
    rows = ({"image": image, "labels": " ".join(map(str, ids))} for image, ids in used.items())
    records.write_csv(out / "labels.csv", ("image", "labels"), rows)
    records.write_text(out / "config.yaml", text)
    said = [f"{out}/config.yaml: {len(files)} images, {len(names)} classes, {len(used)} labelled"]
    if len(used) < len(files):
        said.append(f"{len(files) - len(used)} images have no label: they are asked, not scored")
    if len(used) < len(found):
        said.append(f"{len(found) - len(used)} labels are of images that are not in {folder}")
    if not listed:
        said.append(
            f"the list of {len(names)} names is too long for a prompt: protocol narrowed offers"
            f" {min(OFFERED, len(names))} names an image instead of closed"
        )
    return [
        *said,
        f"run: snakemake --cores 2 --configfile {out}/config.yaml --replace-workflow-config",
    ]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of ``labelwise init``."""
    parser.add_argument("name", help="of the study: lower-case letters, digits, '.' and '-'")
    parser.add_argument("--images", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--classes", type=Path, required=True, metavar="FILE")
    parser.add_argument("--labels", type=Path, metavar="CSV")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="instead of a folder NAME here")


def run(args: argparse.Namespace) -> None:
    """Run ``labelwise init``."""
    out = args.out or Path(args.name)
    print("\n".join(init(args.name, args.images, args.classes, args.labels, out)))
