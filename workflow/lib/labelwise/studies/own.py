"""A study of your own images: from a folder and a list of classes to a ready configuration.

``labelwise init NAME --images FOLDER --classes FILE [--labels CSV]`` reads everything once, says
what does not fit, and writes a folder NAME: ``config.yaml``, ``classes.csv`` and ``labels.csv``.

- FILE: one class name a line, or a CSV with columns class,name (ids 0..n-1); 2 to 20,000 classes.
- CSV: columns image and label (or labels). A cell holds one name or id, or several separated by
  ``;`` (ids also by spaces); an empty one says that no class is there. Images are named by their
  path in the folder or, where no other has it, by their file name, with or without suffix. Without
  --labels the folder of an image names its class.

Where two files in different folders have one name, images are known by their paths (``ids: path``).
"""

import argparse
import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import jinja2
import yaml

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
STOPS = ("\n", ".", ",")
"""What ends a free answer, unless a class name holds it."""
SCHEMA = Path("workflow/schemas/config.schema.yaml")
"""Of the workflow, in whose folder a study is made and run."""

TEMPLATE = Path(__file__).resolve().parents[4] / "config" / "own.yaml.j2"
"""What ``config.yaml`` is made from."""


def parts(cell: str) -> list[str]:
    """The names or ids in a cell of a label file."""
    if re.fullmatch(r"\s*\d+(\s+\d+)+\s*", cell):
        return cell.split()
    return [part.strip() for part in cell.split(";") if part.strip()]


class Images:
    """The images of a folder: id to file, and which of them a label file means.

    Ids are file names without suffix, or paths within the folder where two files have one name.
    """

    def __init__(self, name: str, folder: Path) -> None:
        if not folder.is_dir():
            raise LabelwiseError(f"--images {folder}: no such folder")
        spec = {"source": "folder", "folder": str(folder), "ids": "path"}
        by_path = images.find(name, spec)
        stems = Counter(PurePosixPath(path).name for path in by_path)
        self.folder = folder
        self.ids = "path" if max(stems.values()) > 1 else "name"
        found: dict[str, str] = {}
        self._known: dict[str, list[str]] = {}
        for path, file in by_path.items():
            stem = PurePosixPath(path).name
            image = path if self.ids == "path" else stem
            found[image] = file
            for called in {path, stem, records.image_id(file)}:
                self._known.setdefault(called, []).append(image)
        self.files = dict(sorted(found.items()))

    def find(self, cell: str) -> str | None:
        """The image that a cell means; None where it is not in the folder.

        Raises:
            LabelwiseError: several files bear the name.
        """
        called = records.image_id(PurePosixPath(cell.strip().replace("\\", "/")).as_posix())
        found = self._known.get(called, [])
        if called not in self.files and len(found) > 1:
            raise LabelwiseError(
                f"{called!r} is the name of {len(found)} images, {found[0]} and {found[1]} among"
                " them; give the path in the folder"
            )
        return called if called in self.files else next(iter(found), None)


def read_labels(
    path: Path, names: Sequence[str], files: Images
) -> tuple[dict[str, list[int]], list[str]]:
    """Class ids by image id, from a CSV with columns image and label or labels.

    Args:
        path: the CSV.
        names: class names by id.
        files: the images.

    Returns:
        The labels, and what the file calls the images that are not in the folder.

    Raises:
        LabelwiseError: no lines, a column, name or id that is not known, a line with more cells
            than columns, or an image that occurs twice.
    """
    known = Names(names)
    found: dict[str, list[int]] = {}
    elsewhere: list[str] = []
    for number, row in records.csv_lines(path, ("image",)):
        heading = next((name for name in HEADINGS if name in row), None)
        if heading is None:
            raise LabelwiseError(
                f"{path}: no column label or labels; it has {', '.join(map(str, row))}"
            )
        where, cell = f"{path}: line {number}", (row["image"] or "").strip()
        if None in row:
            raise LabelwiseError(
                f"{where}: more cells than columns; put a name with commas in quotes"
            )
        if not cell:
            raise LabelwiseError(f"{where}: the image is empty")
        try:
            image = files.find(cell)
        except LabelwiseError as error:
            raise LabelwiseError(f"{where}: {error}") from None
        if image in found:
            raise LabelwiseError(f"{where}: image {image} is there twice; give it one line")
        ids = class_ids(row[heading] or "", known, where)
        if image is None:
            elsewhere.append(cell)
        else:
            found[image] = ids
    if not found and not elsewhere:
        raise LabelwiseError(f"{path}: no line with an image")
    return found, elsewhere


def class_ids(cell: str, names: Names, where: str) -> list[int]:
    """Class ids of a cell of a label file, ascending; a cell that is one name is taken whole.

    Args:
        cell: names or ids.
        names: what they may be.
        where: what errors call the cell's place.

    Raises:
        LabelwiseError: a part is neither a name nor an id.
    """
    ids: set[int] = set()
    for part in [cell] if names.find(cell) else parts(cell):
        named = names.find(part)
        if not named and re.fullmatch("[0-9]{1,9}", part) and int(part) < len(names):
            named = (int(part),)
        if not named:
            raise LabelwiseError(
                f"{where}: {part!r} is neither a class name nor an id of 0..{len(names) - 1}"
            )
        ids.update(named)
    return sorted(ids)


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


def configuration(name: str, out: Path, files: Images, names: Sequence[str]) -> tuple[str, bool]:
    """The text of ``config.yaml``, and whether the whole class list is put into prompts.

    Args:
        name: of the study.
        out: its folder.
        files: the images.
        names: class names by id.
    """
    distinct = [text for text, _ in Names(names).distinct()]
    listed = len(", ".join(distinct)) / LETTERS <= LISTED
    template = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    ).from_string(records.read_text(TEMPLATE))
    text = template.render(
        name=name,
        run=command(out),
        classes=(out / "classes.csv").as_posix(),
        labels=(out / "labels.csv").as_posix(),
        folder=files.folder.as_posix(),
        ids=files.ids,
        schema=SCHEMA.resolve().as_posix(),
        n_images=len(files.files),
        n_classes=len(names),
        listed=listed,
        imagenet="imagenet" if name != "imagenet" else "imagenet-1k",
        stop=[text for text in STOPS if not any(text in name for name in distinct)],
        offered=min(OFFERED, len(distinct)),
        options=min(4, len(distinct)),
        max_tokens=max(12, 2 + max(map(len, distinct)) // LETTERS),
    )
    return text, listed


def command(out: Path) -> str:
    """What runs a study."""
    config = shlex.quote((out / "config.yaml").as_posix())
    return f"snakemake --cores 2 --configfile {config} --replace-workflow-config"


def check_name(name: str) -> None:
    """Refuse what cannot be the name of a study.

    Raises:
        LabelwiseError: a path, other letters, or what YAML does not read as text.
    """
    rule = "lower-case letters, digits, '.' and '-'"
    if "/" in name or "\\" in name:
        own = re.sub(r"[^a-z0-9.-]+", "-", re.split(r"[/\\]", name.rstrip("/\\"))[-1].lower())
        raise LabelwiseError(
            f"{name!r}: give the study a name of {rule}, not a path: labelwise init"
            f" {own.strip('-.') or 'my-study'} --out {shlex.quote(name)} ..."
        )
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", name):
        raise LabelwiseError(f"{name!r}: a study's name is of {rule}")
    if not isinstance(yaml.safe_load(name), str):
        raise LabelwiseError(
            f"{name!r}: YAML takes this for a number, a date or a truth value; choose a name like"
            f" my-{name}"
        )


def counted(n: int, one: str, many: str) -> str:
    """A number and what it counts."""
    return f"{n:,} {one if n == 1 else many}"


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
    check_name(name)
    if not SCHEMA.is_file():
        raise LabelwiseError(f"no {SCHEMA} here: run this in the folder of the workflow")
    if (out / "config.yaml").exists():
        raise LabelwiseError(f"{out}/config.yaml: exists already; choose another name or --out")
    names = classnames.read_names(classes)
    if len(Names(names).distinct()) < 2 or len(names) > MOST:
        raise LabelwiseError(
            f"{classes}: {counted(len(names), 'class', 'classes')}; a study has 2 to {MOST:,}, one"
            " name a line"
        )
    files = Images(name, folder)
    found, elsewhere = (
        read_labels(labels, names, files) if labels else (folder_labels(files.files, names), [])
    )
    if not found:
        raise LabelwiseError(
            f"{labels}: none of its images (first: {elsewhere[0]}) is in {folder}"
            f" (first: {next(iter(files.files))})"
        )
    text, listed = configuration(name, out, files, names)
    records.write_csv(
        out / "classes.csv", records.CLASSES, ({"class": i, "name": n} for i, n in enumerate(names))
    )
    rows = (
        {"image": image + Path(files.files[image]).suffix, "labels": " ".join(map(str, ids))}
        for image, ids in found.items()
    )
    records.write_csv(out / "labels.csv", ("image", "labels"), rows)
    records.write_text(out / "config.yaml", text)
    return [*said(out, files, names, found, elsewhere, listed), f"run: {command(out)}"]


def said(
    out: Path,
    files: Images,
    names: Sequence[str],
    found: Mapping[str, Sequence[int]],
    elsewhere: Sequence[str],
    listed: bool,
) -> list[str]:
    """What was found, a line each.

    Args:
        out: the study's folder.
        files: the images.
        names: class names by id.
        found: class ids by image id.
        elsewhere: what the label file calls images that are not in the folder.
        listed: whether the whole class list is put into prompts.
    """
    n, here = len(files.files), counted(len(files.files), "image", "images")
    lines = [f"{out}/config.yaml: {here}, {len(names):,} classes, {len(found):,} labelled"]
    if files.ids == "path":
        lines.append("files in different folders have one name: images are known by their paths")
    if len(found) < n:
        what = counted(n - len(found), "image has", "images have")
        lines.append(f"{what} no label: asked, not scored")
    if void := sum(not ids for ids in found.values()):
        what = counted(void, "image has", "images have")
        lines.append(f"{what} an empty label, for no class: every answer counts as right")
    if elsewhere:
        what = counted(len(elsewhere), "label is of an image", "labels are of images")
        lines.append(f"{what} not in {files.folder} (first: {elsewhere[0]})")
    shared = [(text, classes) for text, classes in Names(names).distinct() if len(classes) > 1]
    if shared:
        what = counted(len(shared), "name is", "names are")
        text, classes = shared[0]
        ids = ", ".join(map(str, classes))
        lines.append(f"{what} that of several classes (first: {text!r} of {ids}) and means each")
    if not listed:
        lines.append(
            f"the list of {len(names):,} names is too long for a prompt: protocol narrowed offers"
            f" {min(OFFERED, len(names))} names an image instead of closed"
        )
    return lines


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
