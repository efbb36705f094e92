"""Croissant 1.0 metadata of published results: what each file is, its digest, and its columns.

Every packed file under ``results/`` is a ``cr:FileObject``; every experiment, image set and label
set is also a ``cr:RecordSet``, so that ``mlcroissant`` reads its rows with their types.
"""

import mimetypes
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from labelwise import gather
from labelwise.records import IMAGES, LABELS, NUMBERS, sha256

CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The context that the Croissant 1.0 specification recommends."""

TYPES = {
    ".csv": "text/csv",
    ".json": "application/json",
    ".jsonl": "application/jsonlines",
    ".md": "text/markdown",
    ".tex": "application/x-tex",
}

WHOLE = {"bytes", "width", "height", "n", "repeats", "images_per_prompt"}
TEXTS = {"image", "file", "sha256", "status", "labels", "source", "uncertain", "void"}
"""Columns that are whole numbers, and columns of image and label sets that are texts."""

KINDS = {
    "experiments": ("Scores of one experiment, a row a score and category", gather.COLUMNS),
    "images": ("An image set: ids, checksums and sizes, without pixels", IMAGES),
    "labels": ("A label set: class ids of each image", LABELS),
}
"""Folders whose CSV files are record sets: what one is, and its columns."""


def describe(cff: Mapping[str, Any], results: Path, files: Iterable[str]) -> dict[str, Any]:
    """The metadata, to be written as ``croissant.json`` in the folder of the results.

    Args:
        cff: what ``CITATION.cff`` says.
        results: folder of the results.
        files: paths in it, as they are published.
    """
    files = sorted(files)
    article: dict[str, Any] = next(
        (r for r in cff.get("references", ()) if r.get("type") == "article"), {}
    )
    paper = [i["value"].partition(":")[2] for i in article.get("identifiers", ())]
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": f"{cff['title']}-results",
        "description": f"Results of {cff['title']}. {cff['abstract']}",
        "license": cff["license"],
        "version": cff["version"],
        "datePublished": str(cff["date-released"]),
        "url": cff.get(
            "url", f"https://arxiv.org/abs/{paper[0]}" if paper else "https://arxiv.org"
        ),
        "creator": [{"@type": "sc:Organization", "name": _name(a)} for a in cff["authors"]],
        "citeAs": f"{', '.join(map(_name, cff['authors']))}: {cff['title']} {cff['version']}",
        "distribution": [_file(results / name, name) for name in files],
        "recordSet": [
            _records(name, *KINDS[folder])
            for name in files
            for folder in [name.split("/")[0]]
            if folder in KINDS and name.endswith(".csv")
        ],
    }


def _name(author: Mapping[str, str]) -> str:
    given = f"{author.get('given-names', '')} {author.get('family-names', '')}".strip()
    return author.get("name", given)


def _file(path: Path, name: str) -> dict[str, str]:
    kind = TYPES.get(path.suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "encodingFormat": kind,
        "sha256": sha256(path),
    }


def _records(name: str, text: str, columns: Iterable[str]) -> dict[str, Any]:
    stem = name.removesuffix(".csv")
    return {
        "@type": "cr:RecordSet",
        "@id": stem,
        "name": stem,
        "description": f"{text}.",
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{stem}/{column}",
                "name": column,
                "dataType": _type(column),
                "source": {"fileObject": {"@id": name}, "extract": {"column": column}},
            }
            for column in columns
        ],
    }


def _type(column: str) -> str:
    if column in WHOLE:
        return "sc:Integer"
    number = column in NUMBERS or column.startswith("n_")
    return "sc:Float" if number and column not in TEXTS else "sc:Text"
