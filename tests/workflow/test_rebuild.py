"""The promise of the workflow: what an edit reruns, and what it leaves alone."""

import re
import shutil

TABLES = {"typeset_table", "compare_table", "gather_recall", "score_positions"}
PAGES = {"list_runs", "browse", "leaderboard"}
BELOW_SCORE = TABLES | PAGES | {"score", "gather", "draw_figure", "state_findings"}
BELOW_MAP = BELOW_SCORE | {"map_responses"}
BELOW_INFER = BELOW_MAP | {"infer", "tell_provenance"}


def test_nothing_is_left_after_a_build(study):
    assert study.planned() == {}


def test_touching_every_file_reruns_nothing(study):
    for path in study.root.rglob("*"):
        if path.is_file() and "results" not in path.parts and ".snakemake" not in path.parts:
            path.touch()
    assert study.planned() == {}


def test_a_model_that_nobody_runs_reruns_nothing(study):
    study.edit(
        "config/config.yaml",
        "models:\n",
        "models:\n  spare: {kind: control, engine: chance, seed: 9}\n",
    )
    assert study.planned() == {}


def test_a_figure_module_redraws_that_figure(study):
    study.edit("workflow/lib/labelwise/figures/label_gain.py", '"""', '"""Edited. ')
    assert study.planned() == {"draw_figure": 1}


def test_one_job_draws_all_formats_of_a_figure(study):
    for suffix in ("pdf", "svg", "png"):
        (study.root / f"results/figures/label_gain.{suffix}").unlink()
    for suffix in ("pdf", "svg", "png"):
        assert study.planned(f"results/figures/label_gain.{suffix}") == {"draw_figure": 1}


def test_the_style_redraws_all_figures(study):
    study.edit("workflow/lib/labelwise/figures/style.py", '"""', '"""Edited. ')
    assert study.planned() == {"draw_figure": 2}


def test_scoring_reruns_no_inference(study):
    study.edit("workflow/lib/labelwise/scoring.py", '"""', '"""Edited. ')
    planned = study.planned()
    assert set(planned) == BELOW_SCORE


def test_an_edited_label_scores_anew(study):
    study.edit("data/demo/labels/multi.csv", "agidaiko,", "agidaiko,999 ")
    planned = study.planned("results/figures/label_gain.pdf")
    assert set(planned) == {"read_labels", "score", "gather", "draw_figure"}
    assert planned["score"] == 7


def test_a_new_label_set_asks_nothing(study):
    study.edit(
        "config/config.yaml", "    labels: [single, multi]", "    labels: [single, multi, more]"
    )
    study.edit(
        "config/config.yaml",
        "models:\n",
        "  more: {format: csv, file: data/demo/labels/multi.csv, void: exclude}\nmodels:\n",
    )
    planned = study.planned()
    assert set(planned) == BELOW_SCORE | {"read_labels", "tell_provenance"}
    assert planned["score"] == 7


def test_a_new_encoder_asks_nothing(study):
    study.edit("config/config.yaml", "mappers: [exact]}", "mappers: [exact, glove]}")
    planned = study.planned()
    assert set(planned) == BELOW_MAP | {
        "embed_classes",
        "fetch_weights",
        "analyse_oop",
        "tell_provenance",
    }
    assert planned["map_responses"] == 6


def test_mapping_code_maps_anew(study):
    study.edit("workflow/lib/labelwise/mapping.py", '"""', '"""Edited. ')
    assert set(study.planned()) == BELOW_MAP


def test_a_prompt_reruns_its_protocol_only(study):
    study.edit("config/prompts/open-plain.yaml", "What is", "Which is")
    planned = study.planned()
    assert set(planned) == BELOW_INFER | {"write_requests"}
    assert planned["infer"] == planned["write_requests"] == 1


def test_a_model_reruns_alone(study):
    study.edit("config/config.yaml", "engine: chance, seed: 1", "engine: chance, seed: 7")
    planned = study.planned()
    assert set(planned) == BELOW_INFER
    assert planned["infer"] == 2


def test_a_new_protocol_is_asked_alone(study):
    study.edit(
        "config/config.yaml",
        "  choice:\n    kind: choice",
        "  open-json:\n    kind: open\n    prompt: config/prompts/open-json.yaml\n"
        "    classes: curated\n    format: json\n  choice:\n    kind: choice",
    )
    study.edit("config/config.yaml", "protocols: [open]", "protocols: [open, open-json]")
    planned = study.planned()
    assert set(planned) == BELOW_INFER | {"write_requests"}
    assert planned["infer"] == planned["write_requests"] == 1


def test_a_model_that_joins_is_asked_alone(study):
    study.edit(
        "config/config.yaml",
        "models:\n",
        "models:\n  spare: {kind: control, engine: chance, seed: 9}\n",
    )
    study.edit("config/config.yaml", "[oracle, chance, guess]", "[oracle, chance, guess, spare]")
    planned = study.planned()
    assert set(planned) == BELOW_INFER
    assert planned["infer"] == 2


def test_a_display_name_asks_nothing(study):
    study.edit("config/config.yaml", "name: Guess", "name: A guess")
    assert set(study.planned()) == BELOW_SCORE - {"score", "gather_recall"} | {"tell_provenance"}


def test_a_table_module_typesets_that_table(study):
    study.edit("workflow/lib/labelwise/tables/main.py", '"""', '"""Edited. ')
    assert study.planned() == {"typeset_table": 1, "compare_table": 1}


def test_a_number_of_the_paper_is_set_beside_anew(study):
    study.edit("workflow/reported/table04.csv", "90.04", "90.05")
    assert set(study.planned()) == {"compare_table"}


def test_a_model_that_is_declared_to_be_the_papers_asks_nothing(study):
    study.edit("config/config.yaml", "name: Guess", "name: Guess, paper: GPT-4o")
    assert set(study.planned()) == {"compare_table", "state_findings", "tell_provenance"}


def test_a_claim_is_tested_anew_and_nothing_else(study):
    study.edit("workflow/lib/labelwise/claims/labels.py", '"""', '"""Edited. ')
    assert study.planned() == {"state_findings": 1}


def test_one_figure_needs_only_its_experiment(study):
    for stage in ("scores", "experiments", "tables"):
        shutil.rmtree(study.root / "results" / stage)
    planned = study.planned("results/tables/multiple_choice.tex")
    assert planned["score"] == 2


def test_prompts_are_written_without_a_model(study):
    shutil.rmtree(study.root / "results/requests")
    assert study.planned("results/requests/small/open/b1.jsonl") == {"write_requests": 1}


def test_two_builds_give_equal_bytes(built, study):
    shutil.rmtree(study.root / "results")
    shutil.rmtree(study.root / ".snakemake")
    study.build()
    for path in sorted((built.root / "results").rglob("*")):
        name = path.relative_to(built.root)
        timed = {"logs", "benchmarks", "journal"} & set(name.parts) or ".meta." in name.name
        timed = timed or name.name == ".gitkeep" or name.stem in ("provenance", "leaderboard")
        if path.is_file() and not timed:
            assert undated(study.root / name) == undated(path), name


def undated(path):
    """The bytes of a file; captions of tables hold the day of the run."""
    data = path.read_bytes()
    caption = "tables" in path.parts and path.suffix in (".tex", ".html")
    return re.sub(rb"Run on \d{4}-\d\d-\d\d", b"", data) if caption else data
