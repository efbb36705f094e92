"""Names in a configuration are data to the shell: blanks, quotes, commands in them do nothing."""

import csv
import shutil

import yaml
from study import copy

NASTY = "a b;touch pwned $(touch pwned) `touch pwned` 'c' \"d\" & > pwned"


def test_file_names_are_never_commands(tmp_path):
    root = tmp_path / "it's a $HOME; repository"
    root.mkdir()
    study = copy(root)
    config = yaml.safe_load((root / "config/config.yaml").read_text())
    for kind in ("single", "multi"):
        file = root / f"{kind} {NASTY}.csv"
        shutil.copy(root / f"data/demo/labels/{kind}.csv", file)
        config["labels"][kind]["file"] = file.name
    table = root / f"images {NASTY}.csv"
    (root / "images.csv").rename(table)
    config["images"]["small"]["file"] = table.name
    prompt = root / f"prompt {NASTY}.yaml"
    shutil.copy(root / "config/prompts/open-plain.yaml", prompt)
    config["protocols"]["open"]["prompt"] = prompt.name
    predictions = root / f"predictions {NASTY}.csv"
    with open(table, newline="") as file:
        rows = "".join(f"{row['image']},1\n" for row in csv.DictReader(file))
    predictions.write_text(f"image,class\n{rows}")
    config["models"]["mine"] = {"kind": "supervised", "engine": "file", "file": predictions.name}
    config["experiments"]["main"]["runs"] += [{"models": ["mine"]}]
    (root / "config/config.yaml").write_text(yaml.safe_dump(config, allow_unicode=True))
    study.build(
        "results/scores/small/mine/classify/b1/argmax/multi.json",
        "results/requests/small/open/b1.jsonl",
    )
    assert not list(tmp_path.rglob("pwned"))
