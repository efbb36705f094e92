"""Which of this package's files a stage's results depend on (stdlib only).

Declared as inputs of a rule they are tracked by content: an edit reruns the stages that import the
file, and a checkout, which only touches files, reruns nothing.
"""

import ast
from functools import cache
from pathlib import Path

from labelwise.errors import LabelwiseError

LIB = Path(__file__).parents[2]


def _file(module: str) -> Path | None:
    """The file of a module or package of ours, relative to ``LIB``; None where it is not ours."""
    stem = Path(*module.split("."))
    for file in (stem.with_suffix(".py"), stem / "__init__.py"):
        if (LIB / file).is_file():
            return file
    return None


@cache
def _imports(module: str) -> frozenset[str]:
    """Modules of ours that a module imports, at its top or inside functions."""
    file = _file(module)
    assert file is not None, module
    tree = ast.parse((LIB / file).read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return frozenset(name for name in found if name.startswith("labelwise") and _file(name))


@cache
def code(*stages: str) -> list[str]:
    """Files of ``labelwise.<stage>`` and of all modules of ours that they import, however deep.

    Raises:
        LabelwiseError: no such module.
    """
    todo, seen = {f"labelwise.{stage}" for stage in stages}, set()
    for module in todo:
        if _file(module) is None:
            place = module.replace(".", "/")
            raise LabelwiseError(f"no module workflow/lib/{place}.py")
    while todo:
        module = todo.pop()
        seen.add(module)
        todo |= _imports(module) - seen
    files = {_file(module) for module in seen}
    return sorted(f"workflow/lib/{file.as_posix()}" for file in files if file)
