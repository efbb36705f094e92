"""Images inside shards: WebDataset archives (.tar) and parquet files, read where they lie.

No image becomes a file of its own. The column ``file`` of an images table points into the shard:

``tar:SHARD:OFFSET:SIZE``            SIZE bytes of an uncompressed archive, from byte OFFSET
``parquet:SHARD:GROUP:ROW:COLUMN``   row ROW of row group GROUP, both counted from 0; its image is
                                     in COLUMN: bytes, or a struct with a field ``bytes``

SHARD is a path, or ``hub:OWNER/NAME@REVISION/PATH`` of a data set on the Hugging Face hub. It may
hold colons, COLUMN may not.
"""

import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

from labelwise.data import hub
from labelwise.errors import LabelwiseError, brief

POINTER = re.compile(r"tar:(.+):(\d+):(\d+)|parquet:(.+):(\d+):(\d+):([^:]+)")
MEMBER = re.compile(r"((?:.*/)?[^./][^./]*)\.([^/]+)")
"""A sample's key (the path up to the first dot of its last part), and what the member is."""

META = re.compile(r"(?:^|/)__[^/]*__(?:$|[/.])")
"""Members that WebDataset keeps for itself."""

NUMBERED = re.compile(r"(.*\D|)(\d+)-of-(\d+)(.*)")
CACHED_GROUPS = 2
"""Row groups of parquet that are kept in memory, 10 to 100 MB each as they are published."""


def files(folder: str | Path, spec: Mapping[str, Any], where: str) -> list[str]:
    """Shards of a folder, searched to any depth, sorted; only those that fit ``pattern``.

    Raises:
        LabelwiseError: there is none.
    """
    root, pattern = Path(folder), spec.get("pattern", "*")
    found = sorted(
        file.as_posix()
        for file in root.rglob("*")
        if file.suffix in (".tar", ".parquet")
        and fnmatchcase(file.relative_to(root).as_posix(), pattern)
    )
    if not found:
        raise LabelwiseError(
            f"{root}: no .tar or .parquet file"
            + (f" that fits {pattern}" if "pattern" in spec else "")
            + f" in this folder ({where}: folder)"
        )
    return found


def whole(shards: Sequence[str], where: str) -> None:
    """Check that of shards named ``...-00003-of-00014...`` none is missing.

    Raises:
        LabelwiseError: fewer are there than their names say.
    """
    there: dict[tuple[str, str, str], int] = {}
    for shard in shards:
        if found := NUMBERED.fullmatch(shard):
            before, _, total, after = found.groups()
            there[before, total, after] = there.get((before, total, after), 0) + 1
    for (before, total, after), count in there.items():
        if count < int(total):
            raise LabelwiseError(
                f"{where}: {before}*-of-{total}{after}: {count} of {int(total)} shards are there;"
                " add the others, or set `pattern` to take these alone"
            )


def samples(
    shard: str, spec: Mapping[str, Any], suffixes: Iterable[str]
) -> Iterator[tuple[str, str]]:
    """Id and pointer of every image of a shard, in its order.

    Args:
        shard: a ``.tar`` or ``.parquet`` file, or a ``hub:`` file.
        spec: ``image_column``: parquet's column (image), or the extension of an archive's member
            where samples hold several images; ``id_column``: parquet's column with the ids.
            Without it an image's id is the stem of its ``path``, else shard and row number.
            The id of an archive's image is its sample's key.
        suffixes: what an image's name ends with.

    Raises:
        LabelwiseError: an unreadable shard, no such column, a sample without or with two images.
    """
    return _tar(shard, spec, set(suffixes)) if shard.endswith(".tar") else _parquet(shard, spec)


def data(file: str) -> bytes | None:
    """The bytes that a pointer points at; None where ``file`` is no pointer.

    Raises:
        LabelwiseError: the shard is missing, cut or damaged, or the row has no bytes; one line.
    """
    found = POINTER.fullmatch(file)
    if found is None:
        return None
    archive, offset, size, table, group, row, column = found.groups()
    if table:
        try:
            value = _group(table, int(group), column)[int(row)].as_py()
        except IndexError:
            raise LabelwiseError(f"{file}: unreadable image: no such row") from None
        value = value["bytes"] if isinstance(value, dict) else value
        if value is None:
            raise LabelwiseError(f"{file}: unreadable image: the row has no bytes")
        return value
    try:
        with open(place(archive), "rb") as opened:
            opened.seek(int(offset))
            read = opened.read(int(size))
    except OSError as error:
        raise LabelwiseError(f"{file}: unreadable image: {error.strerror or error}") from None
    if len(read) < int(size):
        raise LabelwiseError(f"{file}: unreadable image: the archive ends before")
    return read


def labels(pointers: Iterable[str], column: str) -> Iterator[tuple[str, Any]]:
    """Place and label of the images that pointers point at, as they stand in the shards.

    Args:
        pointers: ``file`` of images tables.
        column: parquet's column; the label of an archive's image is its sample's member ``.cls``.

    Yields:
        The pointer, and an integer, a list of integers, text, or None where there is no label.

    Raises:
        LabelwiseError: a file that is no pointer, or a shard without such a column.
    """
    texts: dict[str, dict[int, str | None]] = {}
    columns: dict[tuple[str, int], list[Any]] = {}
    for file in pointers:
        found = POINTER.fullmatch(file)
        if found is None:
            raise LabelwiseError(f"{file}: not inside a shard (labels: format shards)")
        archive, offset, _, table, group, row, _ = found.groups()
        if archive:
            if archive not in texts:
                texts[archive] = _classes(archive)
            yield file, texts[archive].get(int(offset))
        else:
            where = table, int(group)
            if where not in columns:
                columns[where] = _group.__wrapped__(*where, column).to_pylist()
            yield file, columns[where][int(row)]


def place(shard: str) -> Path:
    """Where a shard lies."""
    return hub.path(shard) if hub.FILE.fullmatch(shard) else Path(shard)


def _members(shard: str) -> Iterator[tuple[str, dict[str, tarfile.TarInfo]]]:
    """Key of each sample, and its members by extension; a sample is a run of members of one key."""
    try:
        with tarfile.open(place(shard), "r:") as archive:
            named = (
                (found.groups(), member)
                for member in archive
                if member.isreg()
                and not member.issparse()
                and not META.search(member.name)
                and (found := MEMBER.fullmatch(member.name.removeprefix("./")))
            )
            for key, run in groupby(named, lambda pair: pair[0][0]):
                members: dict[str, tarfile.TarInfo] = {}
                for (_, extension), member in run:
                    if members.setdefault(extension.lower(), member) is not member:
                        raise tarfile.ReadError(f"it holds {member.name} twice")
                yield key, members
            # tarfile takes a broken header for the end, which must be empty
            archive.fileobj.seek(archive.offset)
            end = archive.fileobj.read(tarfile.BLOCKSIZE)
            if end.strip(b"\0") or len(end) not in (0, tarfile.BLOCKSIZE):
                raise tarfile.ReadError(f"broken header at byte {archive.offset}")
    except (OSError, tarfile.TarError) as error:
        why = getattr(error, "strerror", None) or error
        raise LabelwiseError(f"{shard}: unreadable archive: {why}") from None


def _tar(shard: str, spec: Mapping[str, Any], suffixes: set[str]) -> Iterator[tuple[str, str]]:
    wanted = spec.get("image_column", "").lower()
    for key, members in _members(shard):
        if wanted:
            found = [wanted] if wanted in members else []
        else:
            found = [e for e in members if PurePosixPath(f"x.{e}").suffix in suffixes]
        if len(found) != 1:
            raise LabelwiseError(
                f"{shard}: sample '{key}' ({', '.join(members)}) has"
                + (
                    f" {len(found)} images; set `image_column` to the extension of one"
                    if found
                    else f" no image{f' .{wanted}' if wanted else ''}; known are"
                    f" {' '.join(sorted(suffixes))}"
                )
            )
        member = members[found[0]]
        yield key, f"tar:{shard}:{member.offset_data}:{member.size}"


def _classes(shard: str) -> dict[int, str | None]:
    """Text of the member ``.cls`` of each sample, by the offsets of its members."""
    found: dict[int, str | None] = {}
    for _, members in _members(shard):
        label = members.get("cls")
        text = None
        if label is not None:
            pointer = f"tar:{shard}:{label.offset_data}:{label.size}"
            text = (data(pointer) or b"").decode("utf-8", "replace")
        found |= {member.offset_data: text for member in members.values()}
    return found


def _parquet(shard: str, spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    from pyarrow import types

    column, ids = spec.get("image_column", "image"), spec.get("id_column")
    with _opened(shard) as file:
        schema = file.schema_arrow
        for key, name in (("image_column", column), ("id_column", ids)):
            if name is not None and (name not in schema.names or ":" in name):
                raise LabelwiseError(
                    f"{shard}: no column '{name}'; set `{key}` to one of {', '.join(schema.names)}"
                )
        kind = schema.field(column).type
        fields = [field.name for field in kind] if types.is_struct(kind) else []
        held = kind.field("bytes").type if "bytes" in fields else kind
        if not (types.is_binary(held) or types.is_large_binary(held)):
            raise LabelwiseError(
                f"{shard}: column '{column}' holds {kind}, neither bytes"
                " nor a struct with bytes; set `image_column`"
            )
        path = f"{column}.path" if "path" in fields else None
        start, stem = 0, PurePosixPath(shard).stem
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            names: list[Any] = [None] * rows
            if named := ids or path:
                table = _read(file, shard, group, named)
                names = table.column(0).to_pylist()
            for row, name in enumerate(names):
                if ids:
                    if name is None:
                        raise LabelwiseError(f"{shard}: row {start + row} has no '{ids}'")
                    image = str(name)
                else:
                    inside = PurePosixPath((name or {}).get("path") or "").stem
                    image = inside or f"{stem}-{start + row:06d}"
                yield image, f"parquet:{shard}:{group}:{row}:{column}"
            start += rows


def _opened(shard: str) -> Any:
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        return ParquetFile(place(shard))
    except (OSError, pyarrow.ArrowException) as error:
        why = getattr(error, "strerror", None) or brief(error, 200)
        raise LabelwiseError(f"{shard}: unreadable parquet file: {why}") from None


def _read(file: Any, shard: str, group: int, column: str) -> Any:
    """One column of one row group; threads are left to the callers, who may fork."""
    import pyarrow

    try:
        return file.read_row_group(group, columns=[column], use_threads=False)
    except (OSError, IndexError, pyarrow.ArrowException) as error:
        why = brief(error, 200)
        raise LabelwiseError(f"{shard}: unreadable parquet file: {why}") from None


@lru_cache(CACHED_GROUPS)
def _group(shard: str, group: int, column: str) -> Any:
    """A column of a row group, decoded."""
    with _opened(shard) as file:
        table = _read(file, shard, group, column)
    if not table.num_columns:
        raise LabelwiseError(f"{shard}: no column '{column}'")
    return table.column(0)
