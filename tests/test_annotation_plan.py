"""What a config may say of annotations; each mistake is told in one line."""

import pytest
import yaml
from annotation_cases import LOOK, ROOT
from labelwise.config import check
from labelwise.errors import LabelwiseError
from labelwise.planning.annotations import Annotations
from labelwise.planning.grid import Grid

SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())


def plan(**changes):
    """The annotations of the study of controls with one that has these changes."""
    config = yaml.safe_load((ROOT / "tests/workflow/study.yaml").read_text())
    config["images"]["small"]["file"] = "data/demo/small.csv"
    config["annotations"] = {"look": {**LOOK, **changes}}
    if "decisions" in changes:
        config["labels"]["revised"] = {"format": "annotations", "annotation": "look"}
    check(config, SCHEMA, "mine.yaml")
    return Annotations(Grid(config, {"glove"}))


def test_what_selection_reads(monkeypatch):
    monkeypatch.chdir(ROOT)
    found = plan()
    inputs = found.select_inputs("look")
    assert inputs["original"] == "results/labels/single.csv"
    assert inputs["predictions"] == [
        "results/predictions/small/guess/closed/b1/exact.csv",
        "results/predictions/small/oracle/closed/b1/exact.csv",
    ]
    assert found.targets == ["results/annotation/look/cases.jsonl"] and not found.label_sets()
    done = plan(decisions="data/demo/annotation/decisions.csv")
    assert done.targets == ["results/annotation/look/tally.csv"]
    assert done.label_sets() == ["revised"]
    assert done.relabel_inputs("revised")["base"] == "results/labels/multi.csv"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"corrected": "mutli"}, "annotations: look: corrected: 'mutli' is not defined; did you"),
        ({"show": ["gess"]}, "annotations: look: show: 'gess' is none of its predictions"),
        ({"helper": "chance"}, "annotations: look: helper: 'chance' is none of its predictions"),
        (
            {"predictions": {"guess": {"model": "guess"}}, "show": ["guess"]},
            "predictions: guess: protocol: say which",
        ),
        (
            {"select": [{"by": "label-errors", "model": "guess"}]},
            "select 1: model: guess gives no probabilities",
        ),
        ({"select": [{"by": "category"}]}, "key 'categories' is missing"),
        ({"decisions": "nowhere.csv"}, "decisions: no such file: nowhere.csv"),
        ({"annotators": {"ann": "human"}}, "'human' is none of 'person', 'system'"),
        ({"overlap": 2}, "2 is greater than the maximum of 1"),
    ],
)
def test_a_mistake_is_told_in_one_line(change, said, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(LabelwiseError) as error:
        plan(**change)
    assert said in str(error.value) and "\n" not in str(error.value)
