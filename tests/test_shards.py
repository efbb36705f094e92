"""Image sets inside WebDataset archives and parquet files, on shards made on the fly."""

import csv
import io
import json
import tarfile

import httpx2
import numpy as np
import pyarrow
import pytest
from labelwise import classify, images, labels
from labelwise.data import hub, shards
from labelwise.errors import LabelwiseError
from labelwise.servers.chat import data_url
from labelwise.servers.money import size
from PIL import Image
from pyarrow import parquet
from support import ready

REVISION = "0123456789abcdef0123456789abcdef01234567"


def jpeg(seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "jpeg")
    return data.getvalue()


def tar_of(path, members):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def parquet_of(path, rows=2, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.table(columns), path, row_group_size=rows)
    return path


def run(spec, tmp_path, name="mine"):
    out = tmp_path / "out.csv"
    images.main(["--name", name, "--spec", json.dumps(spec), "--out", str(out)])
    with open(out, newline="") as file:
        return list(csv.DictReader(file))


def said(spec, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run(spec, tmp_path)
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    return error


def test_an_archive_is_read_where_it_lies(tmp_path):
    root = tmp_path / "a:b"
    members = [("b.jpg", jpeg(1)), ("b.cls", b"7\n"), ("./c/a.JPEG", jpeg(2)), ("c/a.cls", b"3 4")]
    tar_of(root / "x-0.tar", [("__meta__.json", b"{}"), *members, (".hidden", b"")])
    tar_of(root / "deep" / "x-1.tar", [("d.x.png", jpeg(3)), ("d.json", b"{}")])
    rows = run({"source": "shards", "folder": str(root)}, tmp_path)
    assert [row["image"] for row in rows] == ["b", "c/a", "d"]
    assert rows[0]["file"].startswith(f"tar:{root}/x-0.tar:")
    assert [images.data(row["file"]) for row in rows] == [jpeg(1), jpeg(2), jpeg(3)]
    assert images.read(rows[0]["file"]).size == size(rows[0]["file"]) == (24, 16)
    assert data_url(rows[0]["file"]).startswith("data:image/jpeg;base64,")
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == [
        "out.csv",
        "x-0.tar",
        "x-1.tar",
    ]
    found = labels.load({"format": "shards", "images": "mine"}, images=first_two(tmp_path, rows))
    assert {image: label.ids for image, label in found.items()} == {"b": (7,), "c/a": (3, 4)}


def first_two(tmp_path, rows):
    table = tmp_path / "two.csv"
    table.write_text("image,file\n" + "".join(f"{r['image']},{r['file']}\n" for r in rows[:2]))
    return table


def test_parquet_has_structs_or_bytes(tmp_path):
    data = [jpeg(n) for n in range(5)]
    structs = [{"bytes": d, "path": f"in/{n}.JPEG"} for n, d in enumerate(data)]
    structs[4]["path"] = None
    parquet_of(tmp_path / "s" / "val.parquet", image=structs, label=[5, 6, 7, 8, -1])
    rows = run({"source": "shards", "folder": str(tmp_path / "s")}, tmp_path)
    assert [row["image"] for row in rows] == ["0", "1", "2", "3", "val-000004"]
    assert rows[3]["file"] == f"parquet:{tmp_path}/s/val.parquet:1:1:image"
    assert [images.data(row["file"]) for row in rows] == data
    table = tmp_path / "out.csv"
    found = labels.load({"format": "shards", "images": "mine"}, images=table)
    assert [label.ids for label in found.values()] == [(5,), (6,), (7,), (8,), ()]
    with pytest.raises(LabelwiseError, match=r"val\.parquet: no column 'klass'"):
        labels.load({"format": "shards", "images": "mine", "column": "klass"}, images=table)

    parquet_of(tmp_path / "p" / "part.parquet", jpg=data, key=list(range(10, 15)))
    spec = {"source": "shards", "folder": str(tmp_path / "p"), "image_column": "jpg"}
    rows = run(spec, tmp_path)
    assert [row["image"] for row in rows] == [f"part-{n:06d}" for n in range(5)]
    rows = run(spec | {"id_column": "key"}, tmp_path)
    assert [row["image"] for row in rows] == ["10", "11", "12", "13", "14"]
    assert [images.data(row["file"]) for row in rows] == data


def test_row_groups_are_read_once(tmp_path, monkeypatch):
    parquet_of(tmp_path / "s" / "x.parquet", image=[jpeg(n) for n in range(6)])
    rows = run({"source": "shards", "folder": str(tmp_path / "s")}, tmp_path)
    shards._group.cache_clear()
    for row in rows:
        images.data(row["file"])
    assert shards._group.cache_info().misses == 3
    assert shards._group.cache_info().currsize == shards.CACHED_GROUPS


def test_faults_of_shards_are_one_line(tmp_path, capsys):
    root = tmp_path / "s"
    spec = {"source": "shards", "folder": str(root)}
    root.mkdir()
    assert f"{root}: no .tar or .parquet file in this folder (images: mine" in said(
        spec, tmp_path, capsys
    )
    shard = tar_of(root / "x.tar", [("a.jpg", jpeg()), ("b.jpg", b"no image")])
    error = said(spec, tmp_path, capsys)
    assert f"error: tar:{shard}:" in error and "unreadable image: no format" in error
    rows = run(spec | {"unreadable": "count"}, tmp_path)
    assert [row["status"] for row in rows] == ["ok", "unreadable"]

    other = tar_of(root / "y.tar", [("a.jpg", jpeg())])
    assert "two files bear the id 'a'" in said(spec, tmp_path, capsys)
    assert len(run(spec | {"pattern": "y*"}, tmp_path)) == 1
    tar_of(other, [("a.txt", b"")])
    assert f"{other}: sample 'a' (txt) has no image" in said(spec, tmp_path, capsys)
    tar_of(other, [("c.jpg", jpeg()), ("c.seg.png", jpeg())])
    assert "has 2 images; set `image_column`" in said(spec, tmp_path, capsys)
    assert len(run(spec | {"pattern": "y*", "image_column": "seg.png"}, tmp_path)) == 1
    tar_of(other, [("c.jpg", jpeg()), ("c.jpg", jpeg(1))])
    assert "it holds c.jpg twice" in said(spec, tmp_path, capsys)
    other.unlink()

    whole = tar_of(shard, [("a.jpg", jpeg()), ("b.jpg", jpeg(1))]).read_bytes()
    pointer = run(spec, tmp_path)[1]["file"]
    header = int(pointer.split(":")[-2]) - 512
    for cut in (whole[: header + 700], whole[: header + 100]):
        shard.write_bytes(cut)
        assert f"{shard}: unreadable archive" in said(spec, tmp_path, capsys)
    with pytest.raises(LabelwiseError, match="unreadable image: the archive ends before"):
        images.data(pointer)
    shard.write_bytes(whole[:header] + b"\xff" * 512 + whole[header + 512 :])
    assert f"{shard}: unreadable archive: broken header" in said(spec, tmp_path, capsys)
    shard.unlink()
    with pytest.raises(LabelwiseError, match="No such file"):
        images.data(pointer)

    table = parquet_of(root / "x.parquet", image=["text"], n=[None])
    assert f"{table}: column 'image' holds string" in said(spec, tmp_path, capsys)
    assert "set `image_column` to one of image, n" in said(
        spec | {"image_column": "jpg"}, tmp_path, capsys
    )
    parquet_of(table, image=[b"", None], n=["1", None])
    assert "row 1 has no 'n'" in said(spec | {"id_column": "n"}, tmp_path, capsys)
    assert "the file is empty (2 such of 2" in said(spec, tmp_path, capsys)
    with pytest.raises(LabelwiseError, match="the row has no bytes"):
        images.data(f"parquet:{table}:0:1:image")
    table.write_bytes(b"PAR1 no PAR1")
    assert f"{table}: unreadable parquet file" in said(spec, tmp_path, capsys)
    table.rename(root / "v-00001-of-00003.parquet")
    assert "1 of 3 shards are there" in said(spec, tmp_path, capsys)


def hub_of(monkeypatch, root):
    """A hub with one repository, as huggingface_hub shows it; returns what is asked of it."""
    import huggingface_hub

    asked = []

    def snapshot(repo, *, repo_type, revision, allow_patterns):
        asked.append((repo, repo_type, revision, allow_patterns))
        return str(root)

    def one(repo, name, *, repo_type, revision, local_files_only):
        assert local_files_only
        return str(root / name)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", one)
    hub.path.cache_clear()
    return asked


def test_a_split_of_the_hub_is_fetched_and_read(tmp_path, monkeypatch, capsys):
    asked = hub_of(monkeypatch, tmp_path / "hub")
    spec = {"source": "hub", "dataset": "some/set", "revision": REVISION}
    assert "has no .parquet or .tar file that fits" in said(spec, tmp_path, capsys)
    image = [{"bytes": jpeg(), "path": "a.jpg"}]
    for name in ("validation-00000-of-00001", "train-00000-of-00001", "revalidation"):
        parquet_of(tmp_path / "hub" / "data" / f"{name}.parquet", image=image, label=[3])
    rows = run(spec, tmp_path)
    inside = f"hub:some/set@{REVISION}/data/validation-00000-of-00001.parquet"
    assert [row["file"] for row in rows] == [f"parquet:{inside}:0:0:image"]
    assert images.data(rows[0]["file"]) == jpeg()
    found = labels.load({"format": "shards", "images": "mine"}, images=tmp_path / "out.csv")
    assert found["a"].ids == (3,)
    run(spec | {"pattern": "data/train*"}, tmp_path)
    (row,) = run(spec | {"split": "train"}, tmp_path)
    assert "/data/train-00000-of-00001.parquet:" in row["file"]
    assert [patterns for *_, patterns in asked[1:]] == [
        ["*validation*.parquet", "*validation*.tar"],
        ["data/train*"],
        ["*train*.parquet", "*train*.tar"],
    ]
    assert asked[0][:3] == ("some/set", "dataset", REVISION)
    assert "no full commit" in said(spec | {"revision": "main"}, tmp_path, capsys)


@pytest.mark.parametrize(("status", "wanted"), [(401, "HF_TOKEN"), (403, "HF_TOKEN"), (404, "404")])
def test_no_access_names_the_page(tmp_path, monkeypatch, capsys, status, wanted):
    import huggingface_hub
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError

    def refuse(*_, **__):
        kind = GatedRepoError if status == 403 else HfHubHTTPError
        request = httpx2.Request("GET", "https://huggingface.co")
        raise kind("refused\ntwice", response=httpx2.Response(status, request=request))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    spec = {"source": "hub", "dataset": "some/set", "revision": REVISION}
    error = said(spec, tmp_path, capsys)
    assert "https://huggingface.co/datasets/some/set" in error and wanted in error


def test_without_network_it_says_how_to_fetch(tmp_path, monkeypatch, capsys):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    spec = {"source": "hub", "dataset": "some/set", "revision": REVISION}
    error = said(spec, tmp_path, capsys)
    assert f"some/set at revision {REVISION}" in error
    assert f"hf download some/set --repo-type dataset --revision {REVISION}" in error
    hub.path.cache_clear()
    with pytest.raises(LabelwiseError, match=r"not in the cache of the hub; fetch it with `hf"):
        images.data(f"tar:hub:some/set@{REVISION}/x.tar:0:1")
    place = tmp_path / "cache" / "datasets--some--set" / "snapshots" / REVISION / "validation.tar"
    tar_of(place, [("a.jpg", jpeg())])
    (row,) = run(spec, tmp_path)
    assert row["file"].startswith(f"tar:hub:some/set@{REVISION}/validation.tar:")
    assert images.data(row["file"]) == jpeg()


def test_a_classifier_sees_in_an_archive_what_it_sees_in_files(tmp_path):
    photos = ready("foolbox") / "foolbox" / "data"
    ready("efficientnet-lite0")
    chosen = sorted(photos.glob("imagenet_0[0-3]*.jpg"))
    (tmp_path / "plain").mkdir()
    for photo in chosen:
        (tmp_path / "plain" / photo.name).write_bytes(photo.read_bytes())
    tar_of(tmp_path / "s" / "x.tar", [(photo.name, photo.read_bytes()) for photo in chosen])
    logits = {}
    for source, folder in (("folder", "plain"), ("shards", "s")):
        run({"source": source, "folder": str(tmp_path / folder)}, tmp_path)
        arguments = ["--model", '{"engine": "timm", "weights": "efficientnet-lite0"}']
        arguments += ["--images", str(tmp_path / "out.csv"), "--out", str(tmp_path / "out.npz")]
        classify.main([*arguments, "--meta", str(tmp_path / "meta.json")])
        logits[source] = classify.read(tmp_path / "out.npz")
    assert logits["folder"]["image"].tolist() == logits["shards"]["image"].tolist()
    assert len(logits["shards"]["image"]) == len(chosen) > 0
    assert (logits["folder"]["logits"] == logits["shards"]["logits"]).all()
