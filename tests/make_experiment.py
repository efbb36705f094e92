"""Makes the synthetic experiments of tests/data, in the schema of results/experiments/*.csv.

Answers are drawn image by image, so every identity that real scores keep holds here too.
Run ``python tests/make_experiment.py`` to write the files again.
"""

from pathlib import Path

import numpy as np
from labelwise.draw import rng
from labelwise.evaluation.selection import COUNTS, MEASURES, TEXTS
from labelwise.evaluation.statistics import newcombe, student, wilson
from labelwise.records import CATEGORIES, OUTCOMES, write_csv

DATA = Path(__file__).parent / "data"
COLUMNS = ("engine", *TEXTS, *COUNTS, "category", *MEASURES)

SIZES = {"S+": 58, "S-": 12, "M+": 33, "M-": 10, "N": 22}
GROUP = np.repeat(list(SIZES), list(SIZES.values()))
N = len(GROUP)
MEMBERS = {
    "A": np.ones(N, bool),
    "S": np.isin(GROUP, ("S+", "S-")),
    "M": np.isin(GROUP, ("M+", "M-")),
    **{c: c == GROUP for c in SIZES},
}
RULES = "void=correct, uncertain=ignore, sign=equivalents, equivalents=paper (12 pairs)"

# right under the corrected labels, by category (N: under the original label)
SKILL = {
    "composed-lite0": ("composed", 0.62),
    "composed-lite2": ("composed", 0.70),
    "conse": ("dual-encoder", 0.74),
    "knn": ("knn", 0.80),
    "efficientnet-lite0": ("supervised", 0.82),
    "efficientnet-lite1": ("supervised", 0.85),
    "efficientnet-lite2": ("supervised", 0.88),
    "oracle": ("control", 1.0),
    "chance": ("control", 0.001),
}
NAMES = {
    "composed-lite0": "composed Lite0 + SmolLM2-135M",
    "composed-lite2": "composed Lite2 + SmolLM2-135M",
    "conse": "ConSE",
    "knn": "k-NN (k = 11)",
    "efficientnet-lite0": "EfficientNet-Lite0",
    "efficientnet-lite1": "EfficientNet-Lite1",
    "efficientnet-lite2": "EfficientNet-Lite2",
    "oracle": "oracle",
    "chance": "chance",
}
MAPPERS = {
    f"{encoder}{suffix}": (encoder, templates, shift + gain)
    for encoder, shift in (("minilm", 0.0), ("use", -0.05), ("glove", -0.15))
    for suffix, templates, gain in (("", "none", 0.0), ("-templated", "clip-7", 0.03))
}


def answers(model: str, skill: float, purpose: str) -> tuple[np.ndarray, np.ndarray]:
    """Right under the (corrected, original) labels, one flag an image."""
    kind = SKILL[model][0]
    draw = rng(0, "answers", model, purpose)
    if kind == "control" and skill == 1:
        return np.ones(N, bool), np.isin(GROUP, ("S+", "M+"))
    easy = skill * np.select([GROUP == "S+", GROUP == "M+"], [1.0, 1.05], 0.0)
    learnt = {"supervised": 0.45, "knn": 0.4}.get(kind, 0.15)  # agrees with a wrong label
    right = draw.random(N) < np.where(easy > 0, easy, skill * 0.45)
    under = np.where(
        GROUP == "S+",
        right,
        np.where(GROUP == "M+", right & (draw.random(N) < 0.8), ~right & (draw.random(N) < learnt)),
    )
    return right | (GROUP == "N"), under.astype(bool)


def rows(head: dict, runs: list[tuple[np.ndarray, np.ndarray, np.ndarray]], mapped: np.ndarray):
    """Rows of both label sets. ``runs``: (corrected, original, outcome) a repeat."""
    for labels in ("multi", "single"):
        for category in CATEGORIES:
            row = {**head, "labels": labels, "category": category, "repeats": len(runs)}
            if labels == "single":
                inside = MEMBERS["A"] if category in ("A", "S", "S+") else ~MEMBERS["A"]
            else:
                inside = MEMBERS[category]
            n = int(inside.sum())
            row |= {"n": n, **{f"n_{o}": 0 for o in OUTCOMES}}
            for outcome in OUTCOMES:
                row[f"n_{outcome}"] = sum((o == outcome)[inside].sum() for *_, o in runs) / len(
                    runs
                )
            right = [(o if labels == "single" else r)[inside] for r, o, _ in runs]
            under = [o[inside] for _, o, _ in runs]
            row["correct"] = sum(r.sum() for r in right) / len(runs)
            row["mapped_right"] = float((mapped[inside] & right[0]).sum())
            if n:
                gains = np.array([r.astype(int) - o for r, o in zip(right, under, strict=True)])
                gain = 100 * gains.mean()
                cells = (
                    int(pair.sum())
                    for r, o in [(right[0], under[0])]
                    for pair in (r & o, r & ~o, ~r & o, ~r & ~o)
                )
                ends = newcombe(*cells)
                if len(runs) > 1:
                    ends = student(gains.mean(axis=1))
                void = gains[:, GROUP[inside] == "N"] if labels == "multi" else gains[:, :0]
                row |= {
                    "accuracy": 100 * np.mean(right),
                    "original": 100 * np.mean(under),
                    "both": 100 * np.mean([r & o for r, o in zip(right, under, strict=True)]),
                    "gain": gain,
                    "gain_low": 100 * ends[0],
                    "gain_high": 100 * ends[1],
                    "gain_void": 100 * void.sum() / gains.size,
                    "oop": 100 * (1 - row["n_ok"] / n),
                }
                both = [r & o for r, o in zip(right, under, strict=True)]
                outside = [(o != "ok")[inside] for *_, o in runs]
                for name, flags in (
                    ("", right),
                    ("original_", under),
                    ("both_", both),
                    ("oop_", outside),
                ):
                    low, high = (
                        wilson(int(flags[0].sum()), n)
                        if len(runs) == 1
                        else student(np.mean(flags, axis=1))
                    )
                    row |= {f"{name}low": 100 * low, f"{name}high": 100 * high}
            yield {k: float(v) if isinstance(v, np.floating) else v for k, v in row.items()}


def experiment(models: list[str], prompted: bool = True) -> list[dict]:
    """All rows of one experiment over the given models."""
    table = []
    ok = np.full(N, "ok", dtype="<U16")
    nothing = np.zeros(N, bool)
    for model in models:
        kind, skill = SKILL[model]
        head = {
            "experiment": "main" if prompted else "classifiers",
            "images": "demo",
            "model": model,
            "model_name": NAMES[model],
            "model_kind": kind,
            "engine": {"composed": "composed", "control": model}.get(kind, "classifier"),
            "rules": RULES,
            "voids": "correct",
        }
        if kind != "composed":
            head |= {"protocol": "classify", "kind": "classify", "mapper": "argmax"}
            head |= {"batching": "b1", "images_per_prompt": 1, "order": ""}
            table += rows(head, [(*answers(model, skill, "classify"), ok)], nothing)
        if not prompted or kind not in ("composed", "control"):
            continue
        for true, source in (("original", "random"), ("original+corrected", "confusions")):
            for form in ("letter", "name"):
                short = {"random": "random", "confusions": "confusion"}[source]
                name = f"choice-{short}-{form}"
                hard = {"letter": 0.35, "name": 0.95}[form] * (1 if source == "random" else 0.85)
                repeats = []
                for repeat in range(3):
                    right, under = answers(model, min(1, skill * hard + 0.02), f"{name}-{repeat}")
                    if kind == "control" and skill < 1:
                        right = (rng(0, "chance", name, repeat).random(N) < 0.25) | (GROUP == "N")
                        under = right & np.isin(GROUP, ("S+", "M+"))
                    if kind == "control" and skill == 1:
                        right, under = answers(model, 1, name)
                    if true == "original":
                        right = np.where(np.isin(GROUP, ("S-", "M-")), False, right)
                    lost = rng(0, "lost", name, repeat).random(N) < (
                        0.04 if kind == "composed" else 0
                    )
                    repeats.append((right, under, np.where(lost, "parse_error", "ok")))
                choice = {"protocol": name, "kind": "choice", "mapper": "options", "answer": form}
                choice |= {"choice_true": true, "choice_from": source, "batching": "b1"}
                table += rows(head | choice | {"images_per_prompt": 1}, repeats, nothing)
        if kind == "control":
            continue
        table += _prompted(head, model, skill)
    return table


def _prompted(head: dict, model: str, skill: float):
    for size, order in ((1, "shuffled-s0"), (5, "shuffled-s0"), (5, "same-class-s0")):
        batching = "b1" if size == 1 else f"b{size}-{order}"
        batch = {
            "batching": batching,
            "images_per_prompt": size,
            "order": order if size > 1 else "",
        }
        factor = 1.0 if size == 1 else 0.8 if order == "shuffled-s0" else 1.1
        right, under = answers(model, min(1, skill * factor), f"closed-{batching}")
        spread = rng(0, "outcomes", model, batching).random(N)
        rate = np.select([GROUP == "N", np.isin(GROUP, ("S-", "M-"))], [0.6, 0.5], 0.3) / factor
        outcome = np.select(
            [spread < rate * 0.85, spread < rate * 0.93, spread < rate],
            ["out_of_list", "abstain", "truncated"],
            "ok",
        )
        listed = outcome == "ok"
        exact = ((right & listed) | (GROUP == "N"), under & listed, outcome)
        closed = head | batch | {"protocol": "closed", "kind": "closed", "answer": "name"}
        yield from rows(closed | {"mapper": "exact"}, [exact], np.zeros(N, bool))
        for mapper, (encoder, templates, shift) in MAPPERS.items():
            if size > 1 and mapper != "minilm":
                continue
            extra = {"mapper": mapper, "encoder": encoder, "templates": templates}
            able = np.isin(outcome, ("out_of_list", "abstain"))
            hit = rng(0, "hit", encoder).random(N) < 0.6 + shift
            done = able & hit
            full = (((right & (listed | done)) | (GROUP == "N")), under & (listed | done), outcome)
            yield from rows(closed | extra, [full], able)
            if size == 1:
                right_open, under_open = answers(model, skill * (1.02 + shift), "open")
                opened = head | batch | {"protocol": "open", "kind": "open", "answer": "name"}
                outcomes = np.full(N, "out_of_list")
                yield from rows(opened | extra, [(right_open, under_open, outcomes)], right_open)


def judged() -> list[dict]:
    """Rows as of results/judged/*.csv: single answers of the models, in some settings each."""
    table = []
    settings = {
        "classify": (("classify", "CW", "argmax", 1),),
        "prompted": (
            ("closed", "CW", "exact", 1),
            ("closed", "CW+", "minilm", 1),
            ("open", "OW", "minilm", 1),
            ("closed", "CW", "exact", 5),
        ),
    }
    for model, (kind, skill) in SKILL.items():
        for task_kind, task, mapper, size in settings[
            "prompted" if kind == "composed" else "classify"
        ]:
            right, _ = answers(model, skill, f"judged-{task}-{size}")
            draw = rng(0, "judged", model, task, size)
            mapped = (draw.random(N) < 0.4) & (task == "CW+")
            score, other = draw.random(N), draw.integers(1, 4, N)
            for i, group in enumerate(GROUP):
                label = i % 30
                void = group == "N"
                single = not void and group.startswith("S")
                table.append(
                    {
                        "experiment": "main",
                        "images": "demo",
                        "labels": "multi",
                        "model": model,
                        "model_name": NAMES[model],
                        "model_kind": kind,
                        "kind": task_kind,
                        "task": task,
                        "protocol": task_kind,
                        "batching": "b1" if size == 1 else "b5-shuffled-s0",
                        "images_per_prompt": size,
                        "order": "" if size == 1 else "shuffled-s0",
                        "mapper": mapper,
                        "stands": int(task in ("OW", "CW") and mapper != "exact"),
                        "image": f"image-{i:03d}",
                        "position": 1 + i % size,
                        "category": group,
                        "outcome": "out_of_list" if mapped[i] else "ok",
                        "answer": "an answer that is none of the listed names, $5"
                        if mapped[i]
                        else "",
                        "class": label if right[i] else (label + int(other[i])) % 30,
                        "said": f"a class with number {label + int(other[i]) * (not right[i])}",
                        "score": f"{score[i]:.4f}",
                        "mapped": int(mapped[i]),
                        "right": int(right[i]),
                        "label": "" if void else f"{label}" if single else f"{label} 40",
                        "labelled": "" if void else f"a class with number {label}",
                        "original": f"a class with number {(label + group.endswith('-')) % 30}",
                        "original_right": int(not group.endswith("-")),
                    }
                )
    return table


def write() -> None:
    write_csv(DATA / "experiment_main.csv", COLUMNS, experiment(list(SKILL)))
    write_csv(
        DATA / "experiment_classifiers.csv",
        COLUMNS,
        experiment(["knn", "efficientnet-lite0", "efficientnet-lite2"], prompted=False),
    )


if __name__ == "__main__":
    write()
