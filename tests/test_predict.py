"""From logits, features and foreign files to predictions and confusions."""

import json

import numpy as np
import pytest
from labelwise import arrays, confuse, embed_classes, predict, records
from labelwise.classifiers import neighbours
from labelwise.errors import LabelwiseError
from labelwise.predict import conse, dual, points, supervised

RNG = np.random.default_rng(0)


def test_supervised_gives_the_five_best_with_their_probabilities():
    shares = np.array([[0.1, 0.5, 0.3, 0.06, 0.04, 0], [0.3, 0.3, 0.2, 0.2, 0, 0]], np.float32)
    first, second = supervised(np.log(shares + 1e-12))
    assert [cell for cell, _ in first] == ["1", "2", "0", "3", "4"]
    assert [score for _, score in first] == pytest.approx([0.5, 0.3, 0.1, 0.06, 0.04], abs=1e-6)
    assert [cell for cell, _ in second][:4] == ["0", "1", "2", "3"]


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_conse_is_the_mean_of_the_names_it_believes_in():
    embeddings, logits = unit(RNG.normal(size=(30, 8))), RNG.normal(size=(6, 30)) * 3
    names = [f"name {i}" for i in range(30)]
    found = list(conse(points(logits.astype(np.float32), embeddings, 4), embeddings, names))
    for row, [(cell, score), *_] in zip(logits, found, strict=True):
        top = np.argsort(-row)[:4]
        mean = (np.exp(row[top])[:, None] * embeddings[top]).sum(0)
        cosines = embeddings @ mean / np.linalg.norm(mean)
        assert int(cell) == cosines.argmax() and score == pytest.approx(cosines.max(), abs=1e-5)
    assert [f[0][0] for f in conse(points(logits, embeddings, 1), embeddings, names)] == [
        str(i) for i in logits.argmax(1)
    ]


def test_conse_gives_all_classes_of_one_name():
    embeddings = unit(np.array([[1, 0], [0, 1], [1, 0]]))
    found = list(
        conse(
            points(np.array([[5.0, 0, 0]]), embeddings, 1), embeddings, ["crane", "heron", "crane"]
        )
    )
    assert found[0][0][0] == "0 2"


def test_a_dual_encoder_has_softmax_or_sigmoid_probabilities():
    features, names = unit(RNG.normal(size=(4, 8))), unit(RNG.normal(size=(5, 8)))
    clip = {"features": features, "scale": np.float32(50), "bias": np.float32("nan")}
    logits, shares = dual(clip, names)
    assert np.abs(logits - 50 * features @ names.T).max() < 1e-4
    assert shares.sum(1) == pytest.approx(1) and (shares.argmax(1) == logits.argmax(1)).all()
    logits, shares = dual(clip | {"bias": np.float32(-10)}, names)
    assert np.abs(logits - (50 * features @ names.T - 10)).max() < 1e-4
    assert shares == pytest.approx(1 / (1 + np.exp(-logits.astype(float))))
    with pytest.raises(LabelwiseError, match="no dual encoder"):
        dual({"features": features}, names)


def files(tmp_path, images, status="ok", **found):
    rows = [{"image": i, "file": f"{i}.jpg", "sha256": i, "status": status} for i in images]
    records.write_csv(tmp_path / "images.csv", records.IMAGES, rows)
    if found:
        arrays.write(tmp_path / "logits.npz", image=np.array(images), **found)
    return tmp_path / "images.csv"


def run(tmp_path, spec, *more, logits=True):
    place = ["--logits", str(tmp_path / "logits.npz")] if logits else []
    place += ["--images", str(tmp_path / "images.csv"), "--top5", str(tmp_path / "top5.csv")]
    out = str(tmp_path / "out.csv")
    predict.main([*place, "--model", json.dumps(spec), "--out", out, *more])
    return records.read_csv(tmp_path / "out.csv", records.PREDICTIONS)


def near(tmp_path):
    out, votes = tmp_path / "near.npz", tmp_path / "near.csv"
    given = ["--images", str(tmp_path / "images.csv"), "--labels", str(tmp_path / "labels.csv")]
    neighbours.main(
        [str(tmp_path / "logits.npz"), *given, "--out", str(out), "--table", str(votes)]
    )
    return out


def test_all_engines_write_one_schema(tmp_path):
    logits = np.eye(4, 1000, dtype=np.float32) * 9
    features = unit(RNG.normal(size=(4, 8)))
    scale = {"scale": np.float32(10), "bias": np.float32("nan")}
    files(tmp_path, "abcd", logits=logits, features=features, **scale)
    names = [{"class": i, "name": f"n{i}"} for i in range(1000)]
    records.write_csv(tmp_path / "classes.csv", records.CLASSES, names)
    labels = [{"image": i, "labels": "5", "uncertain": 0, "void": 0} for i in "abc"]
    records.write_csv(tmp_path / "labels.csv", records.LABELS, labels)

    rows = run(tmp_path, {"engine": "timm"})
    assert [r["class"] for r in rows] == ["0", "1", "2", "3"]
    assert {(r["repeat"], r["position"], r["outcome"], r["mapped"]) for r in rows} == {
        ("0", "1", "ok", "0")
    }
    (best, *_) = records.read_csv(tmp_path / "top5.csv")
    assert list(best)[:3] == ["img_id", "top_1_pred", "top_1_prob"] and best["img_id"] == "a"
    assert [best[f"top_{i}_pred"] for i in range(1, 6)] == ["0", "1", "2", "3", "4"]
    assert float(best["top_1_prob"]) == pytest.approx(np.exp(9) / (np.exp(9) + 999), abs=1e-5)

    vectors = unit(RNG.normal(size=(1000, 8)))
    vectors[[40, 41, 42, 43]] = features
    embed_classes.write(tmp_path / "e.npz", ["n"] * 1000, vectors)
    more = ["--embeddings", str(tmp_path / "e.npz"), "--classes", str(tmp_path / "classes.csv")]
    assert [r["class"] for r in run(tmp_path, {"engine": "conse", "top": 1}, *more)] == list("0123")
    rows = run(tmp_path, {"engine": "open_clip"}, *more)
    assert [r["class"] for r in rows] == ["40", "41", "42", "43"]

    more = ["--neighbours", str(near(tmp_path)), "--labels", str(tmp_path / "labels.csv")]
    rows = run(tmp_path, {"engine": "knn", "k": 2}, *more, logits=False)
    assert [(r["class"], r["score"]) for r in rows] == [("5", "1")] * 4
    before = (tmp_path / "out.csv").read_bytes()
    run(tmp_path, {"engine": "knn", "k": 2}, *more, logits=False)
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
        ({"engine": "open_clip"}, "needs --embeddings"),
        ({"engine": "knn"}, "needs --neighbours"),
        ({"engine": "timm"}, "features and no classes"),
        ({"engine": "svm"}, "none of timm, open_clip, conse, knn, file"),
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
        {"b": [("3", 0.5), ("4", 0.25)]},
    )
    assert rows[1]["margin"] == "0.25"
    assert [(r["image"], r["outcome"]) for r in rows] == [("a", "image_error"), ("b", "ok")]
    with pytest.raises(LabelwiseError, match="image c has no logits"):
        predict.rows([{"image": "c", "status": "ok"}], {"b": [("3", 0.5)]})


def confused(tmp_path, scored, labels, *more):
    rows = [
        {"image": i, "labels": own, "uncertain": 0, "void": 0 if own else 1}
        for i, own in labels.items()
    ]
    records.write_csv(tmp_path / "labels.csv", records.LABELS, rows)
    axes = {"images": "demo", "model": "m", "labels": "single"}
    given = ["--logits" if scored.suffix == ".npz" else "--predictions", str(scored), *more]
    given += ["--labels", str(tmp_path / "labels.csv"), "--axes", json.dumps(axes)]
    confuse.main([*given, "--out", str(tmp_path / "c.csv")])
    assert all(
        axes.items() <= row.items() for row in records.read_csv(tmp_path / "c.csv", confuse.AXES)
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


def test_confusions_of_a_dual_encoder_are_probabilities_of_its_names(tmp_path):
    features, names = unit(RNG.normal(size=(1, 8))), unit(RNG.normal(size=(4, 8)))
    names[3] = names[1]
    scale = {"scale": np.float32(10), "bias": np.float32("nan")}
    files(tmp_path, "x", logits=np.zeros((1, 0), np.float32), features=features, **scale)
    rows = [{"class": i, "name": name} for i, name in enumerate(["a", "crane", "b", "crane"])]
    records.write_csv(tmp_path / "classes.csv", records.CLASSES, rows)
    embed_classes.write(tmp_path / "e.npz", [row["name"] for row in rows], names)
    more = ["--embeddings", str(tmp_path / "e.npz"), "--classes", str(tmp_path / "classes.csv")]
    found = confused(tmp_path, tmp_path / "logits.npz", {"x": "0"}, *more)
    shares = np.exp(10 * (names[:3] @ features[0]))
    shares /= shares.sum()
    expected = {0: shares[0], 1: shares[1] / 2, 2: shares[2], 3: shares[1] / 2}
    assert {int(predicted): weight for _, predicted, _, weight in found} == pytest.approx(
        expected, abs=1e-5
    )
