"""From cases to decisions to labels to scores, by the rules, on the study of controls."""

import yaml
from annotation_cases import LOOK
from labelwise import records
from labelwise.annotation import cases as case_files
from labelwise.annotation import interchange
from labelwise.annotation.decisions import Decision
from study import copy


def configure(study, **changes):
    """The study of controls cut to one run a model, with an annotation."""
    path = study.root / "config/config.yaml"
    config = yaml.safe_load(path.read_text())
    config["annotations"] = {"look": {**LOOK, **changes}}
    runs = [{"models": ["oracle", "guess"], "protocols": ["closed"], "mappers": ["exact"]}]
    config["experiments"] = {"main": {"images": ["small"], "labels": ["single"], "runs": runs}}
    config["tables"] = config["figures"] = {}
    if "decisions" in changes:
        config["labels"]["revised"] = {"format": "annotations", "annotation": "look"}
        config["experiments"]["main"]["labels"] = ["single", "multi", "revised"]
        config["tables"] = {"decisions": {"annotation": "look"}}
        config["tables"]["revised_labels"] = {"experiment": "main"}
        config["figures"] = {"decisions": {"annotation": "look"}}
    path.write_text(yaml.safe_dump(config, sort_keys=False))


def decide(study, name="decisions.csv"):
    """Both annotators on every case: the helper's labels on the first, else as before."""
    cases = case_files.read(study.root / "results/annotation/look/cases.jsonl")
    sealed = case_files.read_key(study.root / "results/annotation/look/key.csv")
    made = []
    for i, case in enumerate(cases.cases):
        sources = {s.name: s.labels for s in sealed[case.case].sources}
        labels = sources["guess"] if i == 0 else sources["multi"]
        ids, unsure = tuple(i for i in labels if i >= 0), -1 in labels
        for who in LOOK["annotators"]:
            made.append(Decision(case.case, case.image, who, ids, unsure, seconds=3.0))
    interchange.write_csv(study.root / name, made, cases)
    return cases.cases


def test_decisions_become_labels_and_reach_the_scores(tmp_path):
    study = copy(tmp_path)
    configure(study)
    study.build("results/annotation/look/cases.jsonl")
    cases = decide(study)
    configure(study, decisions="decisions.csv")
    targets = ["results/tables/decisions.csv", "results/tables/revised_labels.csv"]
    targets += ["results/figures/decisions.png"]
    planned = study.planned(*targets)
    assert planned["relabel"] == planned["tally_cases"] == 1 and "infer" not in planned
    assert "map_responses" not in planned and "read_labels" not in planned
    study.build(*targets)
    rows = records.read_csv(study.root / "results/annotation/look/tally.csv")
    stands = {r["measure"]: r for r in rows if (r["annotator"], r["category"]) == ("settled", "A")}
    assert stands["cases"]["value"] == str(len(cases))
    assert stands["cases"]["annotator_kind"] == "mixed" and stands["preferred"]["count"] == "1"
    assert {r["annotator_kind"] for r in rows if r["annotator"] == "bot"} == {"system"}
    new = {r["image"]: r for r in records.read_csv(study.root / "results/labels/revised.csv")}
    old = {r["image"]: r for r in records.read_csv(study.root / "results/labels/multi.csv")}
    changed = [image for image in old if new[image]["labels"] != old[image]["labels"]]
    assert changed == [cases[0].image]
    assert new[cases[0].image]["source"] == "look: ann (person)"
    shown = records.read_csv(study.root / "results/tables/revised_labels.csv")
    assert {r["measure"] for r in shown} == {
        "accuracy of single",
        "accuracy of multi",
        "accuracy of revised",
    }
    assert study.planned(*targets) == {}

    # One decision changes: what is made of it, and no model, runs again.
    text = (study.root / "decisions.csv").read_text()
    (study.root / "decisions.csv").write_text(text.replace(",3.0,", ",4.0,", 1))
    planned = study.planned(*targets)
    assert {"relabel", "tally_cases", "score"} <= planned.keys()
    assert not {"select_cases", "infer", "map_responses", "read_labels"} & planned.keys()
