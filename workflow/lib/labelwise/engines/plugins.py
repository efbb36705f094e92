"""Engines of installed packages: models that this package knows nothing of (stdlib only).

A package that declares an entry point of the group ``labelwise.engines`` adds an engine of that
name; its object is a class as ``labelwise.engines.base.Engine`` describes (docs/engine.md). Engines
that are built in go first. The name and version of the package are part of what a model is: another
version is another model, whose answers are asked for anew.
"""

import importlib
from importlib.metadata import EntryPoint, entry_points

from labelwise.classifiers import CLASSIFIERS
from labelwise.errors import LabelwiseError

GROUP = "labelwise.engines"
BUILT_IN = ("transformers", "composed", "openai", "oracle", "chance")
"""Engines that write text; ``CLASSIFIERS`` are the others."""


def installed() -> dict[str, EntryPoint]:
    """Engines of installed packages by name, those with a built-in name left out.

    Raises:
        LabelwiseError: two packages have an engine of one name.
    """
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        other = found.setdefault(point.name, point)
        if package(other) != package(point):
            raise LabelwiseError(
                f"{package(other)} and {package(point)} both have an engine {point.name!r}; remove"
                " one of them"
            )
    return {name: p for name, p in found.items() if name not in (*BUILT_IN, *CLASSIFIERS)}


def package(point: EntryPoint) -> str:
    """The package that an engine is from: ``name==version``."""
    return f"{point.dist.name}=={point.dist.version}" if point.dist else point.value


def is_plugin(engine: str) -> bool:
    """Whether an engine is not built in."""
    return engine not in (*BUILT_IN, *CLASSIFIERS)


def find(engine: str, where: str) -> EntryPoint:
    """The entry point of an engine; an unknown name is an error that lists the known ones.

    Args:
        engine: its name, which is not built in.
        where: what messages call its place.
    """
    plugins = installed()
    if engine not in plugins:
        more = ", ".join(f"{name} ({package(point)})" for name, point in sorted(plugins.items()))
        raise LabelwiseError(
            f"{where}: {engine!r} is none of {', '.join((*BUILT_IN, *CLASSIFIERS))}, nor of the"
            f" engines of installed packages: {more or 'there is none'} (docs/engine.md)"
        )
    return plugins[engine]


def load(engine: str) -> type:
    """The class of an engine.

    Raises:
        LabelwiseError: no such engine, or its package cannot be imported.
    """
    if not is_plugin(engine):
        return importlib.import_module(f"labelwise.engines.{engine}").Model
    point = find(engine, "models: engine")
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        raise LabelwiseError(
            f"models: engine: {engine}: {package(point)} cannot be loaded: {error}"
        ) from None
