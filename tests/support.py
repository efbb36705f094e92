"""What tests share."""

import os
from pathlib import Path

import pytest
from labelwise import weights
from labelwise.errors import LabelwiseError


def ready(name: str) -> Path:
    """The folder of embedded weights, fetched where needed; without network the test is skipped."""
    try:
        weights.fetch(name)
    except LabelwiseError as error:
        pytest.skip(f"weights cannot be had here: {error}")
    return weights.folder(name)


def published(name: str, source: str) -> Path:
    """A published file of the folder ``$LABELWISE_TEST_DATA``; without it the test is skipped.

    Args:
        name: of the file.
        source: where it is from.
    """
    path = Path(os.environ.get("LABELWISE_TEST_DATA", "")) / name
    if not path.is_file():
        pytest.skip(f"set LABELWISE_TEST_DATA to a folder with {name} of {source}")
    return path
