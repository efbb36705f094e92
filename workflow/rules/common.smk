"""The grid, wildcard constraints and the shell prefix; no rules.

Everything that can be wrong with a config is found here, before any job starts.
"""

import json
import shlex
import sys
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError

LIB = Path(workflow.basedir) / "workflow" / "lib"
sys.path.insert(0, str(LIB))

from labelwise.planning.annotations import Annotations
from labelwise.config import check, check_keys
from labelwise.errors import LabelwiseError
from labelwise.planning.grid import Grid
from labelwise.planning import analyses, chapters, restricted
from labelwise.planning import shown as showing
from labelwise.planning import typeset as typesetting
from labelwise.planning.points import BATCHING, CLASSIFY, batch
from labelwise.planning.sources import code

PAGES = "workflow/lib/labelwise/pages"
CONFIGS = list(map(str, workflow.overwrite_configfiles)) or ["config/config.yaml"]

settings = workflow.config_settings
if workflow.is_main_process and settings.configfiles and not settings.replace_workflow_config:
    print(
        f"{', '.join(CONFIGS)}: added to config/config.yaml, which is run as well;"
        " --replace-workflow-config runs it alone",
        file=sys.stderr,
    )

try:
    for name in CONFIGS:
        check_keys(name)
    with open(Path(workflow.basedir) / "workflow" / "schemas" / "config.schema.yaml") as file:
        check(config, yaml.safe_load(file), CONFIGS[-1])
    with open(Path(workflow.basedir) / "config" / "weights.lock.yaml") as file:
        GRID = Grid(config, yaml.safe_load(file))
    ANNOTATIONS = Annotations(GRID)
except LabelwiseError as error:
    raise WorkflowError(str(error).replace("config:", f"{CONFIGS[-1]}:", 1)) from None

# A rule runs the package of this checkout, with the Python that runs Snakemake unless a conda
# environment has its own. Setting a prefix drops Snakemake's strict mode, so it is repeated.
# glibc gives large tensors back to the system at once; to keep them saves most of a run's system time.
shell.prefix(
    "set -euo pipefail; "
    '[ -n "${{CONDA_PREFIX:-}}" ] || '
    f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"; '
    f"export PYTHONPATH={shlex.quote(str(LIB))}" + '"${{PYTHONPATH:+:$PYTHONPATH}}"; '
    "export MALLOC_MMAP_THRESHOLD_=33554432 MALLOC_TRIM_THRESHOLD_=8589934592; "
)


wildcard_constraints:
    images=GRID.names("images"),
    classes=GRID.names("class_names"),
    weights=GRID.weights(),
    labels=GRID.names("labels"),
    model=GRID.names("models"),
    look=GRID.names("models", GRID.looks.names()),
    reference=GRID.names("images"),
    protocol=GRID.names("protocols"),
    batching=BATCHING,
    shard=r"\d+-of-\d+",
    mapper=GRID.names("mappers", [*config["mappers"], "options", "argmax"]),
    annotation=GRID.names("annotations"),
    experiment=GRID.names("experiments"),
    figure=GRID.names("figures"),
    table=GRID.names("tables"),
    analysis="|".join(analyses.ANALYSES),


def shown(kind):
    """All files of the figures or tables that the config names; tables also beside the paper's."""
    ext = {"figures": ("pdf", "png", "svg"), "tables": ("csv", "tex", "html")}[kind]
    stems = [f"results/{kind}/{name}" for name in config[kind]]
    if kind == "tables":
        stems += [
            f"results/tables/paper/{name}" for name in config[kind] if name in typesetting.PAPER
        ]
    return [f"{stem}.{suffix}" for stem in stems for suffix in ext]


def options(*names):
    """Command-line options for those named inputs that the job has."""

    def build(wildcards, input):
        words = []
        for name in names:
            paths = input.get(name, [])
            paths = [paths] if isinstance(paths, str) else list(paths)
            words += [f"--{name.replace('_', '-')}", *paths] if paths else []
        return shlex.join(words)

    return build


def look_code(stage, look):
    """Package files of a stage that looks at images, and of its engine."""
    engine = json.loads(GRID.looks.spec(look))["engine"]
    return code(stage, f"classifiers.{engine}")


def batching_options(batching):
    """Images per prompt and their order as command-line options."""
    size, order = batch(batching)
    return f"--batch {size} --order {order}" if order else f"--batch {size}"
