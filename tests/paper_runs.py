"""Experiments that hold just what the paper prints: a table made of them must equal its own."""

from labelwise.evaluation.selection import AXES, MEASURES, Run
from labelwise.records import OUTCOMES, read_csv
from labelwise.tables.published import REPORTED

NAMES = {
    "models": {},
    "images": {
        "full": "full",
        "ten": "ten-per-class",
        "one": "one-per-class",
        "weasels": "weasels",
    },
    "labels": {"corrected": "corrected", "expert": "expert"},
    "encoders": {},
}
HALF = 0.01
"""Half of the interval that every number is given."""

SUPERVISED = ("EVA-02", "EfficientNet-L2", "EfficientNetV2-XL")
SETS = {**dict.fromkeys((2, 4, 5, 6, 15, 16, 18), "full"), 12: "ten"}
"""Image set by table; all others are about one image a class."""


def reported(number: int) -> list[dict[str, str]]:
    return read_csv(REPORTED / f"table{number:02d}.csv")


def ident(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in name.lower())


class Paper:
    """The runs and details of one table, and the names that declare them to be the paper's."""

    def __init__(self, number: int):
        self.number, self.runs, self.details = number, {}, []
        self.names = {kind: dict(entry) for kind, entry in NAMES.items()}
        for row in reported(number):
            getattr(self, f"_table{number}", self._row)(row)

    @property
    def built(self) -> tuple:
        runs = [Run(**run) for run in self.runs.values()]
        return (runs, self.details) if self.details else (runs,)

    def run(self, row, **axes) -> dict:
        """The run of a row, made where it is new."""
        name = row.get("model", "GPT-4o")
        kind = "control" if name == "original labels" else "mllm"
        kind = "supervised" if name in SUPERVISED else kind
        self.names["models"][ident(name)] = name
        run = {
            "experiment": "paper",
            "images": SETS.get(self.number, "one"),
            "model": ident(name),
            "model_name": name,
            "model_kind": kind,
            "protocol": "closed",
            "kind": "closed",
            "order": "",
            "batching": "b1",
            "mapper": "exact",
            "encoder": "",
            "templates": "",
            "labels": "corrected",
            "voids": "correct",
            "rules": "void=correct",
            "choice_true": "",
            "choice_from": "",
            "answer": "name",
            "images_per_prompt": 1,
            "repeats": 1,
        } | axes
        key = tuple(run.values())
        return self.runs.setdefault(key, run | {"categories": {}})["categories"]

    def _row(self, row, **axes) -> None:
        """Write a row's numbers into its run."""
        categories = self.run(row, **self._axes(row) | axes)
        here = categories.setdefault(row.get("category", "A"), dict.fromkeys(MEASURES))
        here["n"] = float(row.get("n") or 100)
        here |= {f"n_{outcome}": 0.0 for outcome in OUTCOMES}
        if "A" in categories:  # S+ is smaller than A, or the labels are the original ones
            same = axes.get("labels") == "original"
            categories.setdefault("S+", dict.fromkeys(MEASURES))
            categories["S+"]["n"] = categories["A"]["n"] if same else categories["S+"]["n"] or 1.0
        for measure in ("accuracy", "original", "gain", "both", "oop"):
            if row.get(measure):
                number(here, measure, float(row[measure]))
        if row.get("oop_count") and not row.get("oop"):
            number(here, "oop", 100 * float(row["oop_count"]) / here["n"])

    def _axes(self, row) -> dict:
        protocol = row.get("protocol", "")
        axes = {}
        if protocol == "closed-mapped":
            axes = {"mapper": "nearest", "encoder": "nearest"}
        if protocol == "open":
            axes = {"protocol": "open", "kind": "open", "mapper": "nearest", "encoder": "nearest"}
        if protocol == "closed" and row["model"] in SUPERVISED:
            axes = {"protocol": "classify", "kind": "classify", "mapper": "argmax"}
        if row.get("images_per_prompt", "1") != "1":
            size = row["images_per_prompt"]
            axes |= {"batching": f"b{size}-shuffled-s0", "order": "shuffled-s0"}
            axes["images_per_prompt"] = int(size)
        if row.get("repeats"):
            axes["repeats"] = int(row["repeats"])
        if row.get("answer"):
            axes |= {"answer": row["answer"], "protocol": f"closed-{row['answer']}"}
        if row.get("encoder"):
            self.names["encoders"][ident(row["encoder"])] = row["encoder"]
            templates = "clip-80" if row["templates"] == "1" else "none"
            axes = {"protocol": "open", "kind": "open", "templates": templates}
            axes["encoder"] = ident(row["encoder"])
            axes["mapper"] = f"{axes['encoder']}-{templates}"
        if row.get("options") and row["options"] != "original+999":
            true, source = row["options"].split("+")
            axes = {"protocol": ident(row["options"]), "kind": "choice", "mapper": "options"}
            axes["choice_true"] = {"both": "original+corrected"}.get(true, true)
            axes |= {"choice_from": source, "answer": "letter", "repeats": 31}
        return axes

    def _table9(self, row) -> None:
        images = {"one-per-class": "one"}.get(row["images"], row["images"])
        labels = row["labels"]
        if labels == "original":
            labels = "expert" if images == "weasels" else "corrected"
            row = row | {"original": row["accuracy"], "accuracy": "", "gain": ""}
        axes = {"images": images, "labels": labels}
        if row["protocol"] == "choice":
            axes |= {"protocol": "choice", "kind": "choice", "mapper": "options"}
            axes |= {"choice_true": "original+corrected", "choice_from": "confusions"}
        self._row(row, **axes)

    def _table10(self, row) -> None:
        for labels, n, value in (
            ("original", "50", row["original"]),
            ("expert", row["n"], row["accuracy"]),
        ):
            numbers = {"model": row["model"], "n": n, "accuracy": value}
            self._row(numbers, labels=labels, images="weasels")
            axes = ("weasels", ident(row["model"]), "closed", "b1", "exact", labels)
            named = {"class": row["class"], "name": row["name"], "n": n}
            right = str(float(value) * int(n) / 100)
            self.details.append(dict(zip(AXES, axes, strict=True)) | named | {"right": right})

    def _table12(self, row) -> None:
        order = {"shuffled": "shuffled-s0", "grouped": "same-class-s0"}[row["order"]]
        self._row(row, batching=f"b10-{order}", order=order, images_per_prompt=10)

    def _table13(self, row) -> None:
        self._row(row)
        size = row["images_per_prompt"]
        here = dict.fromkeys(MEASURES, "")
        here["n"] = row["n"]
        for measure in ("accuracy", "original"):
            number(here, measure, float(row[measure]))
        number(here, "oop", 100 * float(row["oop_count"]) / float(row["n"]))
        batching = "b1" if size == "1" else f"b{size}-shuffled-s0"
        axes = ("one", ident(row["model"]), "closed", batching, "exact", "corrected")
        place = {"category": "A", "position": row["position"]}
        numbers = {name: str(value) for name, value in here.items()}
        self.details.append(dict(zip(AXES, axes, strict=True)) | place | numbers)

    def _table15(self, row) -> None:
        count = float(row["oop_count"])
        self._row(row | {"oop": str(100 * count / float(row["n"]))})
        self._row(row, mapper="nearest", encoder="nearest")
        for run in list(self.runs.values())[-2:]:
            here = run["categories"][row["category"]]
            here |= {"n_out_of_list": count, "accuracy": 50.0}
            here["mapped_right"] = float(row["mapped_right"] or count)

    def _table16(self, row) -> None:
        self._row(row)
        self._row(row, mapper="nearest", encoder="nearest")
        for run in self.runs.values():
            run["categories"]["A"]["accuracy"] = 50.0
        kind = {"openai-name": "other_names"}.get(row["kind"], row["kind"])
        axes = ("full", ident(row["model"]), "closed", "b1", "nearest", "corrected")
        found = next((d for d in self.details if d["model"] == axes[1]), None)
        if found is None:
            found = dict(zip(AXES, axes, strict=True)) | {"category": "A", "oop": "10000"}
            found["no_text"] = "0"
            self.details.append(found)
        found[kind] = str(round(100 * float(row["percent"])))

    def _table2(self, row) -> None:
        self._row({"model": "GPT-4o", **row})


def number(here: dict, measure: str, value: float) -> None:
    """A number with a narrow interval around it."""
    prefix = "" if measure == "accuracy" else f"{measure}_"
    here |= {measure: value, f"{prefix}low": value - HALF, f"{prefix}high": value + HALF}
