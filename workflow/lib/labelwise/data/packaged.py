"""Files that come inside installed packages, found without importing them (stdlib only)."""

import importlib.util
from pathlib import Path

from labelwise.errors import LabelwiseError


def file(package: str, inside: str) -> Path:
    """Where a file of an installed package lies.

    Args:
        package: the name by which it is imported.
        inside: the file's path in it.

    Raises:
        LabelwiseError: no such package, or no such file in it.
    """
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise LabelwiseError(f"package {package} is not installed: it holds {Path(inside).name}")
    path = Path(found.submodule_search_locations[0]) / inside
    if not path.is_file():
        raise LabelwiseError(f"{path}: no such file in the installed {package}; give file: instead")
    return path
