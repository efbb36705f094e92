"""What tests share."""

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
