"""Nothing that data says is run, unpickled, followed out of its folder or put into a shell."""

import ast
import io
import json
import re
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from labelwise import arrays, classify, images, infer, weights
from labelwise.asking import prompts
from labelwise.bench import tiny
from labelwise.data import shards
from labelwise.engines.base import Run
from labelwise.errors import LabelwiseError
from labelwise.reading import encoders
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [
    *sorted((ROOT / "workflow/lib/labelwise").rglob("*.py")),
    ROOT / "data/demo/make_photos.py",
]
RULES = [ROOT / "Snakefile", *sorted((ROOT / "workflow/rules").glob("*.smk"))]

UNPICKLING = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
FORBIDDEN = {
    "eval", "exec", "__import__",
    "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput",
    "tempfile.mktemp", "torch.hub.load", "pd.read_pickle", "pandas.read_pickle",
    "yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load",
}  # fmt: skip
ALLOWED = {
    ("classnames.py", "spec.loader.exec_module"): "one module of the installed open_clip package",
    ("encoders.py", "sys.path.append"): "the numpy code of a wheel whose SHA-256 is checked",
}
"""Where code that is no part of the package is run; docs/security.md says why."""


def calls(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield node, ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_module_unpickles_evaluates_or_calls_a_shell(path):
    text = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            named = {alias.name for alias in node.names} | {getattr(node, "module", "")}
            assert not UNPICKLING & {str(name).split(".")[0] for name in named}, named
    for node, name, options in calls(path):
        where = f"{path.name}:{node.lineno}: {name}"
        last = name.rpartition(".")[2]
        assert name not in FORBIDDEN, where
        assert options.get("shell", "False") == "False", where
        assert options.get("trust_remote_code", "False") == "False", where
        if name in ("np.load", "numpy.load"):
            assert options.get("allow_pickle") == "False", where
        if name == "torch.load":
            assert options.get("weights_only") == "True", where
        if last in ("exec_module", "import_module") or name.startswith("sys.path."):
            ours = ast.unparse(node.args[0]).lstrip("f'\"").startswith("labelwise.")
            assert ours or (path.name, name) in ALLOWED, where
        if last in ("extractall", "extract"):
            assert path.name == "weights.py", f"{where}: unpack with weights.unpack, which looks"
        if (name.startswith("Auto") and last == "from_pretrained") or last == "SentenceTransformer":
            assert options.get("trust_remote_code") == "False", where


def test_every_exception_is_still_needed():
    found = {(path.name, name) for path in SOURCES for _, name, _ in calls(path)}
    assert set(ALLOWED) <= found


# the shell

QUOTED = r"\{params\.\w+:q\}"
SAFE = r"\{(?:input|output|log|threads|resources|wildcards)(?:[.\[]\w+\]?)?\}"


def shells(path):
    """The text of each rule's ``shell:``, with the rule's name."""
    for rule in re.split(r"\n(?=rule )", path.read_text())[1:]:
        found = re.search(r"\n    shell:\n((?: {8}.*\n?)+)", rule)
        if found:
            text = "".join(
                ast.literal_eval(line.strip()) for line in found[1].splitlines() if line.strip()
            )
            yield re.match(r"rule (\w+)", rule)[1], text


COMPOSED = {
    "cache",
    "batching",
    "encoder",
    "files",
    "journal",
    "logits",
    "more",
    "n",
    "shard",
    "spec",
    "stem",
}
"""Params that are options, each quoted where it is made, a path of results/, or a number."""


def test_rules_put_nothing_unquoted_into_the_shell():
    seen = 0
    for path in RULES:
        for rule, text in shells(path):
            for field in re.findall(r"\{[^}]*\}", text):
                seen += 1
                named = re.fullmatch(r"\{params\.(\w+)\}", field)
                assert (
                    re.fullmatch(QUOTED, field)
                    or re.fullmatch(SAFE, field)
                    or (named and named[1] in COMPOSED)
                ), f"{path.name}: {rule}: {field}"
    assert seen > 50


def test_all_wildcards_are_constrained_to_words():
    text = "".join(path.read_text() for path in RULES)
    used = set(re.findall(r'(?<!f)"results/[^"]*"', text))
    names = {name for path in used for name in re.findall(r"\{(\w+)\}", path)}
    constrained = re.search(r"\nwildcard_constraints:\n((?:    .*\n)+)", text)[1]
    assert names <= set(re.findall(r"^    (\w+)=", constrained, re.M))
    ids = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())["$defs"]
    for kind in ("id", "module"):
        for hostile in ("a b", "a;b", "$(id)", "a'b", 'a"b', "../a", "a/b", "a\nb", "-a", "é"):
            assert not re.search(ids[kind]["pattern"].removesuffix("$") + r"\Z", hostile), hostile


# files that hold code


class Evil:
    """An object that, unpickled, leaves a mark."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.fixture
def mark(tmp_path):
    """A file that must not come to be."""
    mark = tmp_path / "unpickled"
    yield mark
    assert not mark.exists(), "what a file holds was run"


def pickled(mark):
    """Bytes that leave the mark when they are unpickled, as they would be here."""
    import pickle

    found = pickle.dumps(Evil(mark))
    pickle.loads(found)
    assert mark.exists()
    mark.unlink()
    return found


def hostile_array(path, mark, name):
    """An .npz whose array ``name`` is a pickled object."""
    pickled(mark)
    np.savez(path, **{name: np.array([Evil(mark)], dtype=object)}, image=np.array(["a"]))


def test_arrays_that_hold_objects_are_refused_unread(tmp_path, mark):
    hostile_array(tmp_path / "x.npz", mark, "logits")
    with pytest.raises(LabelwiseError, match=r"x\.npz: no file of arrays"):
        classify.read(tmp_path / "x.npz")
    hostile_array(tmp_path / "y.npz", mark, "embedding")
    with pytest.raises(LabelwiseError, match=r"y\.npz"):
        arrays.read(tmp_path / "y.npz", "embedding")


def test_vectors_that_hold_objects_are_refused_unread(tmp_path, mark, monkeypatch):
    np.save(tmp_path / "glove_6B_50d_emb.npy", np.array([Evil(mark)], dtype=object))
    monkeypatch.setattr(weights, "folder", lambda spec: tmp_path)
    with pytest.raises(ValueError, match=r"Array can't be memory-mapped|allow_pickle"):
        encoders._glove({"weights": "glove"})


NAMES = ["tench", "goldfish", "hammerhead shark"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return tiny.make("qwen3-vl", tmp_path_factory.mktemp("tiny") / "model", NAMES, 32, 2)


HEADER = {"protocol": "open", "kind": "open", "images_per_prompt": 1, "max_tokens": 2, "stop": []}


def load(folder):
    spec = {"engine": "transformers", "folder": str(folder), "dtype": "float32"}
    return infer.load(spec, Run(HEADER, NAMES))


def test_a_pickle_beside_safetensors_is_not_opened(checkpoint, tmp_path, mark):
    folder = shutil.copytree(checkpoint, tmp_path / "model")
    for name in ("pytorch_model.bin", "model.pt", "training_args.bin", "optimizer.pt"):
        (folder / name).write_bytes(pickled(mark))
    load(folder)


def test_weights_as_pickles_alone_are_refused(checkpoint, tmp_path, mark):
    folder = shutil.copytree(checkpoint, tmp_path / "model")
    for file in folder.glob("*.safetensors"):
        file.unlink()
    (folder / "pytorch_model.bin").write_bytes(pickled(mark))
    with pytest.raises(LabelwiseError, match="no folder with a safetensors file"):
        load(folder)


@pytest.mark.parametrize("part", ["config.json", "processor_config.json", "tokenizer_config.json"])
def test_code_of_a_checkpoint_is_not_run(checkpoint, tmp_path, mark, part):
    folder = shutil.copytree(checkpoint, tmp_path / "model")
    (folder / "evil.py").write_text(f"open({str(mark)!r}, 'w')\nclass Evil: pass\n")
    file = folder / part
    said = json.loads(file.read_text()) if file.exists() else {}
    kinds = ("AutoConfig", "AutoProcessor", "AutoTokenizer", "AutoModelForImageTextToText")
    said["auto_map"] = dict.fromkeys(kinds, "evil.Evil") | {"AutoTokenizer": ["evil.Evil"] * 2}
    if part == "config.json":
        said["model_type"] = "evil"
    file.write_text(json.dumps(said))
    try:
        load(folder)
    except LabelwiseError as error:
        assert "\n" not in str(error)


# paths


def listed(tmp_path, *files):
    """An image set of a table in ``tmp_path/set`` that names these files."""
    table = tmp_path / "set" / "list.csv"
    table.write_text("image,file\n" + "".join(f"i{n},{f}\n" for n, f in enumerate(files)))
    return images.find("mine", {"source": "csv", "file": str(table)})


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(path)
    return path


def test_members_of_archives_are_read_in_place_whatever_their_names(tmp_path):
    data = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(data, "png")
    (tmp_path / "in").mkdir()
    with tarfile.open(tmp_path / "in" / "x.tar", "w") as archive:
        for name in ("../../up.png", "/abs.png", "a/../../b.png"):
            member = tarfile.TarInfo(name)
            member.size = len(data.getvalue())
            archive.addfile(member, io.BytesIO(data.getvalue()))
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    before = sorted(tmp_path.rglob("*"))
    found = list(shards.samples(str(tmp_path / "in/x.tar"), {}, {".png"}))
    assert len(found) == 3
    for _, pointer in found:
        assert images.read(pointer).getpixel((0, 0)) == (255, 0, 0)
    assert sorted(tmp_path.rglob("*")) == before and not Path("/abs.png").exists()


def test_a_table_names_images_inside_its_folder_alone(tmp_path):
    picture(tmp_path / "out.png")
    picture(tmp_path / "set" / "in.png")
    assert list(listed(tmp_path, "in.png", "./in.png")) == ["i0", "i1"]
    inside = (tmp_path / "set" / "in.png").as_posix()
    assert listed(tmp_path, inside) == {"i0": inside}
    hostile = ["../out.png", (tmp_path / "out.png").as_posix(), "deep/../in.png", "/etc/passwd"]
    hostile += ["weights:foolbox/../../../out.png", "foolbox/../../out.png"]
    for file in hostile:
        with pytest.raises(
            LabelwiseError, match=r"list\.csv: image 'i0': .* is outside .*`folder`"
        ):
            listed(tmp_path, file)
    spec = {"source": "csv", "folder": str(tmp_path)}
    spec["file"] = str(tmp_path / "set" / "list.csv")
    Path(spec["file"]).write_text("image,file\na,out.png\nb,set/in.png\n")
    assert list(images.find("mine", spec)) == ["a", "b"]


def test_a_pointer_in_a_table_is_a_file_name(tmp_path, monkeypatch):
    picture(tmp_path / "x.png")
    monkeypatch.chdir(tmp_path)
    Path("list.csv").write_text("image,file\na,tar:x.png:0:60\n")
    with pytest.raises(LabelwiseError, match=r"no such file: tar:x\.png:0:60"):
        images.find("mine", {"source": "csv", "file": "list.csv"})


def test_no_other_decoder_is_started(tmp_path):
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(x) run\n%%EOF\n"
    for number, data in enumerate((eps, b"%PDF-1.4\n", b"SIMPLE  =", b"P6 1 1 255\n\0\0\0")):
        (tmp_path / f"{number}.jpg").write_bytes(data)
        with pytest.raises(LabelwiseError, match="no format that is read"):
            images.read(tmp_path / f"{number}.jpg")


def test_templates_of_prompts_reach_no_python(tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text("system: \"{{ ''.__class__.__mro__[1].__subclasses__() }}\"\n")
    with pytest.raises(LabelwiseError, match=r"p\.yaml: system: .*unsafe"):
        prompts.fill(file, prompts.load(file), "system")
