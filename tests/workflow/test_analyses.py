"""Ranks, numerics and sensitivity of a small study, from its configuration to the tables."""

import yaml
from labelwise.records import read_csv

PROMPT = "config/prompts/closed-json.yaml"


def test_analyses_are_made_from_a_configuration(study):
    path = study.root / "config/config.yaml"
    config = yaml.safe_load(path.read_text())
    config["models"]["guess-again"] = {**config["models"]["guess"], "numerics": {"repeat": 1}}
    varied = {"layout": ["list-first", "image-first"], "list_order": ["fixed", "shuffled"]}
    config["protocols"]["varied"] = {**config["protocols"]["closed"], "vary": varied}
    for name, models, protocol in (
        ("numerics", ["guess", "guess-again"], "closed"),
        ("sensitivity", ["guess", "oracle"], "varied"),
    ):
        run = {"models": models, "protocols": [protocol], "mappers": ["exact"]}
        config["experiments"][name] = {"images": ["small"], "labels": ["multi"], "runs": [run]}
    names = {"numerics": "numerics", "sensitivity": "sensitivity", "ranks": "main"}
    for kind in ("figures", "tables"):
        config[kind] |= {name: {"experiment": own} for name, own in names.items()}
    path.write_text(yaml.safe_dump(config))
    study.build(
        *(f"results/figures/{name}.pdf" for name in names),
        *(f"results/tables/{name}.csv" for name in names),
    )
    found = {
        name: read_csv(study.root / f"results/{name}/{own}.csv") for name, own in names.items()
    }
    (flips,) = found["numerics"]
    assert (flips["variant"], flips["flips"], flips["n"]) == ("guess-again", "0", "30")
    shares = {
        row["factor"]: float(row["share"])
        for row in found["sensitivity"]
        if row["model"] == "oracle" and row["row"] == "source"
    }
    assert shares["layout"] + shares["list_order"] < 1e-9
    best = [row for row in found["ranks"] if row["measure"] == "p_best"]
    assert {row["model"] for row in best} == {"guess"} and {row["value"] for row in best} == {
        "100.0"
    }
