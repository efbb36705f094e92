"""From logits, features and foreign files to predictions and confusions."""

import json

import numpy as np
import pytest
from labelwise import classify, confuse, embed_classes, predict, records
from labelwise.errors import LabelwiseError
from labelwise.predict import argmax, conse, knn

RNG = np.random.default_rng(0)


def test_argmax_gives_probability_and_lead():
    rows = list(argmax(np.log(np.array([[0.1, 0.6, 0.3], [0.4, 0.4, 0.2]], np.float32))))
    assert rows[0][0] == "1" and rows[0][1:] == pytest.approx((0.6, 0.3), abs=1e-6)
    assert rows[1][0] == "0" and rows[1][1:] == pytest.approx((0.4, 0.0), abs=1e-6)


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_conse_is_the_mean_of_the_names_it_believes_in():
    embeddings, logits = unit(RNG.normal(size=(30, 8))), RNG.normal(size=(6, 30)) * 3
    names = [f"name {i}" for i in range(30)]
    found = list(conse(logits.astype(np.float32), embeddings, names, top=4))
    for row, (cell, score, _) in zip(logits, found, strict=True):
        top = np.argsort(-row)[:4]
        mean = (np.exp(row[top])[:, None] * embeddings[top]).sum(0)
        cosines = embeddings @ mean / np.linalg.norm(mean)
        assert int(cell) == cosines.argmax() and score == pytest.approx(cosines.max(), abs=1e-5)
    assert [f[0] for f in conse(logits, embeddings, names, top=1)] == [
        str(i) for i in logits.argmax(1)
    ]


def test_conse_gives_all_classes_of_one_name():
    embeddings = unit(np.array([[1, 0], [0, 1], [1, 0]]))
    found = list(conse(np.array([[5.0, 0, 0]]), embeddings, ["crane", "heron", "crane"], top=1))
    assert found[0][0] == "0 2"


@pytest.mark.parametrize("k", [1, 3, 11])
def test_knn_is_that_of_scikit_learn(k, monkeypatch):
    from sklearn.neighbors import NearestNeighbors

    monkeypatch.setattr(predict, "BLOCK", 7)
    features, labels = RNG.normal(size=(60, 16)), RNG.integers(0, 5, 60)
    found = list(knn(features, [(int(c),) for c in labels], k))
    search = NearestNeighbors(n_neighbors=k, metric="cosine").fit(features)
    for near, (cell, score, margin) in zip(search.kneighbors()[1], found, strict=True):
        votes = [int(labels[i]) for i in near]
        ranked = sorted(set(votes), key=lambda c: (-votes.count(c), votes.index(c)))
        assert int(cell) == ranked[0] and score == votes.count(ranked[0]) / k
        second = votes.count(ranked[1]) if len(ranked) > 1 else 0
        assert margin == pytest.approx((votes.count(ranked[0]) - second) / k)


def test_knn_rules_on_ties_missing_labels_and_itself():
    line = np.array([[1, 0], [1, 0.1], [1, 0.2], [1, 0.3]])
    assert [f[0] for f in knn(line, [(7,), (8,), (9,), (9,)], k=3)] == ["9", "9", "9", "9"]
    assert next(knn(line, [(7,), (8,), (9,), (6,)], k=3))[0] == "8"
    assert next(knn(line, [(7,), (), (9,), (9,)], k=1))[0] == "9"
    assert next(knn(line, [(7,), (8, 5), (), ()], k=1))[:1] == ("8",)
    assert [f and f[0] for f in knn(line[:2], [(7,), ()], k=3)] == [None, "7"]


def files(tmp_path, images, status="ok", **arrays):
    rows = [{"image": image, "file": f"{image}.jpg", "status": status} for image in images]
    records.write_csv(tmp_path / "images.csv", records.IMAGES, rows)
    if arrays:
        classify.write(tmp_path / "logits.npz", image=np.array(images), **arrays)
    return tmp_path / "images.csv"


def run(tmp_path, spec, *more, logits=True):
    place = [str(tmp_path / "logits.npz")] if logits else []
    images, out = str(tmp_path / "images.csv"), str(tmp_path / "out.csv")
    predict.main([*place, "--model", json.dumps(spec), "--images", images, "--out", out, *more])
    return records.read_csv(tmp_path / "out.csv", records.PREDICTIONS)


def test_all_engines_write_one_schema(tmp_path):
    logits, features = np.eye(4, 1000, dtype=np.float32) * 9, RNG.normal(size=(4, 8))
    files(tmp_path, "abcd", logits=logits, features=features.astype(np.float32))
    embed_classes.write(tmp_path / "e.npz", ["n"] * 1000, unit(RNG.normal(size=(1000, 8))))
    names = [{"class": i, "name": f"n{i}"} for i in range(1000)]
    records.write_csv(tmp_path / "classes.csv", records.CLASSES, names)
    labels = [{"image": i, "labels": "5", "uncertain": 0, "void": 0} for i in "abc"]
    records.write_csv(tmp_path / "labels.csv", records.LABELS, labels)

    rows = run(tmp_path, {"engine": "timm"})
    assert [r["class"] for r in rows] == ["0", "1", "2", "3"]
    assert {(r["repeat"], r["position"], r["outcome"], r["mapped"]) for r in rows} == {
        ("0", "1", "ok", "0")
    }
    more = ["--embeddings", str(tmp_path / "e.npz"), "--classes", str(tmp_path / "classes.csv")]
    assert [r["class"] for r in run(tmp_path, {"engine": "conse", "top": 1}, *more)] == list("0123")
    rows = run(tmp_path, {"engine": "knn", "k": 2}, "--labels", str(tmp_path / "labels.csv"))
    assert [(r["class"], r["score"]) for r in rows] == [("5", "1")] * 4
    before = (tmp_path / "out.csv").read_bytes()
    run(tmp_path, {"engine": "knn", "k": 2}, "--labels", str(tmp_path / "labels.csv"))
    assert (tmp_path / "out.csv").read_bytes() == before


def test_foreign_predictions_enter_by_id_or_file_name(tmp_path):
    files(tmp_path, ["val_1", "val_2", "val_3"])
    (tmp_path / "theirs.csv").write_text(
        "original_label,img_id,top_1_pred,top_1_prob\n5,val_2.JPEG,7,0.9\n5,val_1.JPEG,5,0.8\n"
    )
    rows = run(tmp_path, {"engine": "file", "file": str(tmp_path / "theirs.csv")}, logits=False)
    assert [(r["image"], r["class"], r["outcome"]) for r in rows] == [
        ("val_1", "5", "ok"),
        ("val_2", "7", "ok"),
    ]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"engine": "conse"}, "needs --embeddings"),
        ({"engine": "knn"}, "needs --labels"),
        ({"engine": "timm"}, "features and no classes"),
        ({"engine": "svm"}, "none of timm, conse, knn, file"),
    ],
)
def test_what_is_missing_is_one_line(tmp_path, capsys, spec, said):
    files(tmp_path, "ab", logits=np.zeros((2, 0), np.float32), features=np.ones((2, 3), np.float32))
    with pytest.raises(SystemExit):
        run(tmp_path, spec)
    error = capsys.readouterr().err
    assert error.startswith("error: ") and said in error and error.count("\n") == 1


def test_unreadable_images_are_counted_and_unknown_ones_stop(tmp_path, capsys):
    rows = predict.rows(
        [{"image": "a", "status": "unreadable"}, {"image": "b", "status": "ok"}],
        ["b"],
        iter([("3", 0.5, 0.25)]),
    )
    assert [(r["image"], r["outcome"]) for r in rows] == [("a", "image_error"), ("b", "ok")]
    with pytest.raises(LabelwiseError, match="image c has no logits"):
        predict.rows([{"image": "c", "status": "ok"}], ["b"], iter([("3", 0.5, 0.25)]))


def confused(tmp_path, scored, labels):
    rows = [
        {"image": i, "labels": own, "uncertain": 0, "void": 0 if own else 1}
        for i, own in labels.items()
    ]
    records.write_csv(tmp_path / "labels.csv", records.LABELS, rows)
    confuse.main(
        [str(scored), "--labels", str(tmp_path / "labels.csv"), "--out", str(tmp_path / "c.csv")]
    )
    table = records.read_csv(tmp_path / "c.csv", records.CONFUSIONS)
    return [tuple(float(row[c]) for c in records.CONFUSIONS) for row in table]


def test_confusions_count_and_weigh(tmp_path):
    shares = np.array([[0.1, 0.6, 0.3, 0], [0.7, 0.2, 0.1, 0], [0.1, 0.2, 0.3, 0.4]])
    logits = np.log(shares + 1e-12).astype(np.float32)
    files(tmp_path, "xyz", logits=logits, features=np.ones((3, 2), np.float32))
    found = confused(tmp_path, tmp_path / "logits.npz", {"x": "0", "y": "0", "z": "2 3", "v": ""})
    assert found == [
        pytest.approx(row, abs=1e-6)
        for row in [
            (0, 0, 1, 0.4),
            (0, 1, 1, 0.4),
            (0, 2, 0, 0.2),
            (2, 2, 0, 0.3),
            (2, 1, 0, 0.2),
            (2, 0, 0, 0.1),
            (3, 3, 1, 0.4),
            (3, 1, 0, 0.2),
            (3, 0, 0, 0.1),
        ]
    ]
    rows = run(tmp_path, {"engine": "timm"})
    assert [r["class"] for r in rows] == ["1", "0", "3"]
    found = confused(tmp_path, tmp_path / "out.csv", {"x": "0", "y": "0", "z": "2"})
    assert found == [(0, 0, 1, 0.5), (0, 1, 1, 0.5), (2, 2, 0, 0), (2, 3, 1, 1)]


def test_confusions_keep_twenty_a_class(tmp_path):
    logits = RNG.normal(size=(2, 50)).astype(np.float32)
    files(tmp_path, "xy", logits=logits, features=np.ones((2, 2), np.float32))
    found = confused(tmp_path, tmp_path / "logits.npz", {"x": "1", "y": "1"})
    assert len(found) == 21 and found[0][:2] == (1, 1)
    keys = [(-count, -weight) for _, _, count, weight in found[1:]]
    assert keys == sorted(keys)


def test_confusions_need_a_labelled_image(tmp_path, capsys):
    files(tmp_path, "x", logits=np.zeros((1, 5), np.float32), features=np.ones((1, 2), np.float32))
    with pytest.raises(SystemExit):
        confused(tmp_path, tmp_path / "logits.npz", {"v": "", "w": "3"})
    assert "none of its images has a label" in capsys.readouterr().err
