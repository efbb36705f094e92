"""Scoring once more, image by image and in plain Python: the second opinion of the tests.

Written from the paper's definitions (Eq. 1 and 2, Table 1) and shares no code with the package.
"""


def is_equivalent(a, b, pairs):
    return a == b or (a, b) in pairs or (b, a) in pairs


def matches(answer, labels, pairs):
    return any(is_equivalent(p, label, pairs) for p in answer for label in labels)


def is_void(labels, uncertain, rule):
    return len(labels) == 0 or (uncertain and rule == "void")


def collapsed(labels, pairs):
    kept = []
    for label in sorted(labels):
        if not any(is_equivalent(label, other, pairs) for other in kept):
            kept.append(label)
    return kept


def categories_of(labels, uncertain, original, rules, pairs):
    if is_void(labels, uncertain, rules["uncertain"]):
        return {"A", "N"}
    plain = rules["sign"] == "plain"
    size = len(labels) if plain else len(collapsed(labels, pairs))
    name = "S" if size == 1 else "M"
    agrees = any(c in labels for c in original) if plain else matches(original, labels, pairs)
    return {"A", name, name + ("+" if agrees else "-")}


def score(images, labels, original, runs, rules, pairs):
    """``labels``: image -> (ids, uncertain); ``original``: image -> ids; ``runs``: image -> ids."""
    left_out = {}
    asked = []
    for image in images:
        if image not in labels:
            reason = "no_label"
        elif image not in original:
            reason = "no_original"
        elif rules["void"] == "exclude" and is_void(*labels[image], rules["uncertain"]):
            reason = "void"
        elif any(image not in run for run in runs):
            reason = "no_prediction"
        else:
            asked.append(image)
            continue
        left_out[reason] = left_out.get(reason, 0) + 1
    unknown = {image for run in runs for image in run if image not in images}
    if unknown:
        left_out["unknown_image"] = len(unknown)
    table = {
        c: {"n": 0, "correct": 0, "original": 0, "both": 0, "gain_void": 0}
        for c in ("A", "S", "S+", "S-", "M", "M+", "M-", "N")
    }
    recall = {}
    for image in asked:
        ids, uncertain = labels[image]
        void = is_void(ids, uncertain, rules["uncertain"])
        for name in categories_of(ids, uncertain, original[image], rules, pairs):
            table[name]["n"] += 1
        for run in runs:
            first = matches(run[image], original[image], pairs)
            right = rules["void"] == "correct" if void else matches(run[image], ids, pairs)
            for name in categories_of(ids, uncertain, original[image], rules, pairs):
                row = table[name]
                row["correct"] += right / len(runs)
                row["original"] += first / len(runs)
                row["both"] += (right and first) / len(runs)
                row["gain_void"] += void * (right - first) / len(runs)
            if len(ids) == 1 and not void:
                n, hits = recall.get(ids[0], (0, 0))
                recall[ids[0]] = (n, hits + right / len(runs))
        if len(ids) == 1 and not void:
            n, hits = recall[ids[0]]
            recall[ids[0]] = (n + 1, hits)
    return {"categories": table, "recall": recall, "left_out": left_out}
