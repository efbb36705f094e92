"""How pixels are read, and how image sets are listed, on files made on the fly."""

import csv
import io
import json
import struct
import zlib

import numpy as np
import pytest
from labelwise import images
from labelwise.errors import LabelwiseError
from PIL import Image


def noise(size=(24, 16), seed=0):
    shape = (size[1], size[0], 3)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def pixels(image):
    return np.asarray(image)


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "CMYK", "YCbCr"])
def test_opaque_images_read_as_pillow_converts_them(tmp_path, mode):
    suffix = "jpg" if mode in ("CMYK", "YCbCr") else "png"
    noise().convert(mode).save(tmp_path / f"x.{suffix}")
    got = images.read(tmp_path / f"x.{suffix}")
    assert got.mode == "RGB"
    reference = Image.open(tmp_path / f"x.{suffix}").convert("RGB")
    assert (pixels(got) == pixels(reference)).all()


def test_transparency_is_laid_on_white(tmp_path):
    picture = noise().convert("RGBA")
    picture.putalpha(Image.new("L", picture.size, 0))
    picture.save(tmp_path / "clear.png")
    assert (pixels(images.read(tmp_path / "clear.png")) == 255).all()

    palette = Image.new("P", (2, 1))
    palette.putpalette([9, 9, 9, 200, 0, 0])
    palette.putpixel((1, 0), 1)
    palette.save(tmp_path / "palette.png", transparency=0)
    assert pixels(images.read(tmp_path / "palette.png")).tolist() == [[[255] * 3, [200, 0, 0]]]


def test_sixteen_bit_grey_is_scaled(tmp_path):
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    for suffix in ("png", "tiff"):
        Image.fromarray(ramp).save(tmp_path / f"deep.{suffix}")
        got = pixels(images.read(tmp_path / f"deep.{suffix}"))[..., 0]
        assert np.abs(got - ramp / 257).max() <= 0.5


def test_orientation_is_ignored_and_suffix_does_not_matter(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    noise().save(tmp_path / "turned.jpg", exif=exif)
    assert images.read(tmp_path / "turned.jpg").size == (24, 16)
    noise().save(tmp_path / "x.webp", lossless=True)
    (tmp_path / "x.webp").rename(tmp_path / "wrong.jpg")
    assert (pixels(images.read(tmp_path / "wrong.jpg")) == pixels(noise())).all()
    Image.new("RGB", (1, 1), (1, 2, 3)).save(tmp_path / "one.png")
    assert pixels(images.read(tmp_path / "one.png")).tolist() == [[[1, 2, 3]]]


def png_header(width, height):
    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    data = zlib.compress(b"\0" * ((width // 8 + 1) * height))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def bad_files():
    whole = io.BytesIO()
    noise((200, 200)).save(whole, "jpeg")
    png = io.BytesIO()
    noise((200, 200)).save(png, "png")
    thin = io.BytesIO()
    noise((1000, 2)).save(thin, "png")
    return {
        "thin.png": (thin.getvalue(), "more than 200 times the other"),
        "zero.jpg": (b"", "the file is empty"),
        "half.jpg": (whole.getvalue()[: len(whole.getvalue()) // 2], "truncated"),
        "half.png": (png.getvalue()[: len(png.getvalue()) // 2], "truncated"),
        "page.jpg": (b"<html>not found</html>", "no format"),
        "bomb.png": (png_header(20000, 20000), "more than 200 million"),
        "headless.jpg": (b"\xff\xd8\xff\xe0" + b"\0" * 30, "unreadable image"),
    }


@pytest.mark.parametrize("name", bad_files())
def test_a_bad_image_is_one_line_that_names_it(tmp_path, name):
    data, why = bad_files()[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(LabelwiseError) as caught:
        images.read(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert why in str(caught.value) and "\n" not in str(caught.value)


def test_a_hundred_megapixels_are_fine(tmp_path):
    (tmp_path / "large.png").write_bytes(png_header(10400, 10000))
    assert images.read(tmp_path / "large.png").size == (10400, 10000)


def run(spec, tmp_path, labels=None, name="mine"):
    out = tmp_path / "out.csv"
    argv = ["--name", name, "--spec", json.dumps(spec), "--out", str(out)]
    images.main(argv + (["--labels", str(labels)] if labels else []))
    with open(out, newline="") as file:
        return list(csv.DictReader(file))


def folder_of(tmp_path, *names):
    for number, name in enumerate(names):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        noise(seed=number).save(tmp_path / name)
    return tmp_path


def test_a_folder_is_searched_to_any_depth(tmp_path):
    root = folder_of(tmp_path / "set", "b.png", "n01440764/a.JPEG", "n01440764/deep/c.webp")
    (root / ".hidden.png").write_bytes(b"")
    (root / "notes.txt").write_text("no image")
    rows = run({"source": "folder", "folder": str(root)}, tmp_path)
    assert [r["image"] for r in rows] == ["a", "b", "c"]
    assert rows[0]["file"] == f"{root}/n01440764/a.JPEG"
    assert {(r["width"], r["height"], r["status"]) for r in rows} == {("24", "16", "ok")}
    assert rows == run({"source": "folder", "folder": str(root)}, tmp_path)


def test_worker_processes_change_nothing(tmp_path, monkeypatch):
    root = folder_of(tmp_path / "set", *(f"{i}.png" for i in range(20)))
    alone = run({"source": "folder", "folder": str(root)}, tmp_path)
    monkeypatch.setattr(images, "WORKERS_FROM", 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert run({"source": "folder", "folder": str(root)}, tmp_path) == alone


@pytest.mark.parametrize(
    ("files", "spec", "said"),
    [
        ([], {"folder": "none"}, "none: no such folder (images: mine: folder)"),
        (["set/x.txt"], {"folder": "set"}, "set: no image in this folder (images: mine: folder)"),
        (
            ["set/a.png", "set/k/a.jpg"],
            {"folder": "set"},
            "two files bear the id 'a': set/a.png and",
        ),
        (["set/a.png", "set/a.jpg"], {"folder": "set"}, "rename one"),
        (["set/a.png"], {"folder": "set", "class_ids": [1]}, "left after class_ids with the wnids"),
    ],
)
def test_bad_sets_are_one_line(tmp_path, monkeypatch, capsys, files, spec, said):
    monkeypatch.chdir(tmp_path)
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        if file.endswith("txt"):
            (tmp_path / file).write_text("x")
        else:
            noise().save(tmp_path / file)
    with pytest.raises(SystemExit):
        run({"source": "folder", **spec}, tmp_path)
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and said in error


def test_an_unreadable_image_stops_or_counts(tmp_path, capsys):
    root = folder_of(tmp_path / "set", "a.png")
    (root / "b.jpg").write_bytes(b"")
    spec = {"source": "folder", "folder": str(root)}
    with pytest.raises(SystemExit):
        run(spec, tmp_path)
    said = capsys.readouterr().err
    assert f"{root}/b.jpg: unreadable image" in said and "images: mine" in said
    rows = run(spec | {"unreadable": "count"}, tmp_path)
    assert [(r["image"], r["status"], r["width"]) for r in rows] == [
        ("a", "ok", "24"),
        ("b", "unreadable", ""),
    ]


def test_a_table_gives_files_from_its_own_folder(tmp_path, capsys):
    folder_of(tmp_path / "set", "photos/a.png")
    table = tmp_path / "set" / "list.csv"
    table.write_text("image,file\nfirst,photos/a.png\n")
    rows = run({"source": "csv", "file": str(table)}, tmp_path)
    assert [(r["image"], r["file"]) for r in rows] == [("first", f"{tmp_path}/set/photos/a.png")]
    table.write_text("image,file\nfirst,photos/a.png\nsecond,photos/none.png\n")
    with pytest.raises(SystemExit):
        run({"source": "csv", "file": str(table)}, tmp_path)
    assert "photos/none.png (image 'second')" in capsys.readouterr().err


def test_restrictions_draw_by_image_id(tmp_path):
    names = [f"{i:02d}" for i in range(30)]
    root = folder_of(tmp_path / "set", *(f"{n}.png" for n in names))
    labels = tmp_path / "labels.csv"
    lines = [f"{n},{int(n) % 3}" for n in names[:27]]
    labels.write_text("image,labels\n" + "\n".join(lines) + "\n")
    base = {"source": "folder", "folder": str(root)}

    def ids(**spec):
        return [r["image"] for r in run(base | spec, tmp_path, labels)]

    assert ids(labelled=True) == names[:27]
    assert ids(class_ids=[1]) == names[1:27:3]
    two, three = ids(per_class=2, class_ids=[0, 1]), ids(per_class=2)
    assert len(two) == 4 and len(three) == 6 and set(two) < set(three)
    assert ids(per_class=2, seed=1) != three
    assert set(three) < set(ids(per_class=3))


def test_demo_reads_the_photographs_of_the_wheel():
    from support import ready

    ready("foolbox")
    found = images.find("demo", {"source": "demo"})
    assert found["foolbox-00"] == "weights:foolbox/foolbox/data/imagenet_00_243.jpg"
    assert images.read(images.path(found["foolbox-10"])).size == (1024, 683)


def test_a_class_list_may_be_a_file(tmp_path):
    file = tmp_path / "classes.txt"
    file.write_text("# kept\n1\n\n3  # three\n")
    found = {"a": "a.jpg", "b": "b.jpg", "c": "c.jpg"}
    labels = {"a": [1], "b": [2], "c": [3, 2]}
    assert images.choose(found, {"class_ids": str(file)}, labels) == ["a", "c"]
    assert images.choose(found, {"class_ids": [1, 3]}, labels) == ["a", "c"]
    file.write_text("1\nx2\n")
    with pytest.raises(LabelwiseError, match=r"line 2: 'x2' is no class id"):
        images.choose(found, {"class_ids": str(file)}, labels)


def test_wnid_folders_choose_a_part_of_each_class_before_anything_is_decoded(tmp_path):
    for wnid in ("n01440764", "n01443537", "others"):
        (tmp_path / wnid).mkdir()
        for i in range(4):
            Image.new("RGB", (8, 8)).save(tmp_path / wnid / f"{wnid}_{i}.png")
    (tmp_path / "n01443537/n01443537_9.png").write_bytes(b"broken, and drawn by no seed below")
    spec = {"source": "folder", "folder": str(tmp_path), "per_class": 2, "unreadable": "count"}
    rows = images.table("train", spec, None)
    assert [row["image"][:9] for row in rows] == ["n01440764"] * 2 + ["n01443537"] * 2
    only = images.table("train", spec | {"class_ids": [1]}, None)
    assert [row["image"] for row in only] == [row["image"] for row in rows][2:]
    with pytest.raises(LabelwiseError, match="with the wnids of its folders"):
        images.table("train", spec | {"class_ids": [7]}, None)
