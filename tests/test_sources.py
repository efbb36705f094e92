"""Which files a stage depends on, and that planning stays light."""

import re
import subprocess
import sys

import pytest
from labelwise.errors import LabelwiseError
from labelwise.planning.sources import LIB, code


def names(*stages):
    return {path.removeprefix("workflow/lib/labelwise/") for path in code(*stages)}


def test_imports_are_followed_to_the_end():
    found = names("infer")
    assert {"infer.py", "asking/journal.py", "asking/prompts.py", "records.py"} <= found


def test_imports_inside_functions_count():
    assert "reading/encoders.py" in names("mapping")


def test_an_engine_is_a_file_of_its_own():
    assert "engines/composed.py" not in names("infer", "engines.oracle")
    assert "engines/decode.py" in names("infer", "engines.composed")


def test_a_figure_does_not_depend_on_another():
    assert "figures/encoders.py" not in names("figures.label_gain")
    assert "figures/style.py" in names("figures.label_gain")


def test_no_stage_depends_on_how_a_study_is_planned():
    texts = "".join(path.read_text() for path in (LIB.parents[1] / "workflow/rules").glob("*.smk"))
    stages = set(re.findall(r'code\("([\w.]+)"\)', texts)) | {
        "infer",
        "classify",
        "classifiers.references",
    }
    assert len(stages) > 30
    for stage in stages:
        found = {file for file in names(stage) if file.startswith("planning/")}
        if not stage.startswith("annotation."):  # its plan is a part of what is asked of people
            assert not found, stage


def test_all_files_exist():
    for path in code("infer", "mapping", "score", "figures.label_gain"):
        assert (LIB.parents[1] / path).is_file()


def test_an_unknown_stage_is_an_error():
    with pytest.raises(LabelwiseError, match=r"figures/nothing\.py"):
        code("figures.nothing")


def test_planning_imports_nothing_heavy():
    script = (
        "import sys, labelwise.config, labelwise.planning.annotations, labelwise.planning.chapters,"
        "labelwise.planning.grid, labelwise.planning.restricted, labelwise.planning.shown,"
        "labelwise.planning.sources, labelwise.planning.typeset;"
        "heavy = {'torch', 'pandas', 'numpy', 'transformers', 'PIL', 'yaml'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": str(LIB)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
