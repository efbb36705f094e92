"""The exact search for neighbours, and their votes, against scikit-learn and by hand."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelwise import arrays, predict, records
from labelwise.classifiers import neighbours, references
from labelwise.classifiers.votes import vote
from labelwise.errors import LabelwiseError
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

RNG = np.random.default_rng(0)


def unit(rows):
    return references.unit(np.asarray(rows, np.float64))


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(neighbours, "QUERIES", 7)
    monkeypatch.setattr(neighbours, "BLOCK", 5)


def found_of(features, labels, k, votes="uniform"):
    """Predictions of leave one out, as the stages make them."""
    digests = [str(i) for i in range(len(features))]
    own = [bool(label) for label in labels]
    rows, cosines = neighbours.find(features, digests, [unit(features)], digests, own)
    near = [
        (str(i), [str(r) for r in row if r >= 0], line[row >= 0].tolist())
        for i, (row, line) in enumerate(zip(rows, cosines, strict=True))
    ]
    return list(predict.knn(near, dict(zip(digests, labels, strict=True)), k, votes))


@pytest.mark.parametrize("k", [1, 3, 11, 51])
def test_leave_one_out_is_that_of_scikit_learn(k, small_blocks):
    features, labels = RNG.normal(size=(60, 16)), RNG.integers(0, 5, 60)
    found = found_of(features, [(int(c),) for c in labels], k)
    search = NearestNeighbors(n_neighbors=k, metric="cosine").fit(features)
    for near, ranked in zip(search.kneighbors()[1], found, strict=True):
        votes = [int(labels[i]) for i in near]
        best = sorted(set(votes), key=lambda c: (-votes.count(c), votes.index(c)))
        assert [cell for cell, _ in ranked] == [str(c) for c in best]
        assert [score for _, score in ranked] == pytest.approx([votes.count(c) / k for c in best])


@pytest.mark.parametrize("k", [1, 5, 25])
def test_weighted_votes_are_those_of_scikit_learn(k):
    known, labels = unit(RNG.normal(size=(200, 8))), RNG.integers(0, 6, 200)
    asked = unit(RNG.normal(size=(40, 8)))
    rows, cosines = neighbours.search(asked, [known], len(known), k)
    model = KNeighborsClassifier(k, metric="cosine", weights=lambda d: np.exp((1 - d) / 0.07))
    model.fit(known, labels)
    expected = model.predict_proba(asked)
    for row, line, shares in zip(rows, cosines, expected, strict=True):
        ranked = vote([(int(labels[i]),) for i in row], line.tolist(), "weighted")
        assert {int(c): s for c, s in ranked} == pytest.approx(
            {c: s for c, s in enumerate(shares) if s > 0}, abs=1e-4
        )
        assert int(ranked[0][0]) == shares.argmax()


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_search_in_blocks_is_one_stable_sort(data):
    n, m = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 40))
    k = data.draw(st.integers(1, 12))
    values = st.integers(-2, 2)  # many ties
    asked = np.array([[data.draw(values), data.draw(values)] for _ in range(n)], np.float32)
    known = np.array([[data.draw(values), data.draw(values)] for _ in range(m)], np.float32)
    cuts = sorted(data.draw(st.lists(st.integers(0, m), max_size=4)))
    skip = {i: [data.draw(st.integers(0, m - 1))] for i in range(0, n, 2)}
    rows, cosines = neighbours.search(asked, np.split(known, cuts), m, k, skip)
    whole = asked @ known.T
    for i, own in skip.items():
        whole[i, own] = -np.inf
    for i in range(n):
        order = [j for j in np.argsort(-whole[i], kind="stable") if np.isfinite(whole[i, j])][:k]
        assert rows[i].tolist() == order + [-1] * (k - len(order))
        assert cosines[i, : len(order)].tolist() == whole[i, order].tolist()


def test_rules_on_ties_missing_labels_and_itself():
    line = np.array([[1, 0], [1, 0.1], [1, 0.2], [1, 0.3]])

    def first(labels, k):
        return [ranked and ranked[0][0] for ranked in found_of(line, labels, k)]

    assert first([(7,), (8,), (9,), (9,)], 3) == ["9", "9", "9", "9"]
    assert first([(7,), (8,), (9,), (6,)], 3)[0] == "8"  # all have one vote: the first seen wins
    assert first([(7,), (), (9,), (9,)], 1)[0] == "9"  # without a label there is no vote
    assert first([(7,), (5, 8), (), ()], 1)[0] == "5"
    assert first([(7,), (), (), ()], 3)[:2] == [[], "7"]


def test_the_image_itself_is_known_by_its_bytes_not_by_its_name():
    features = np.array([[1, 0], [1, 0.1]])
    rows, _ = neighbours.find(features, ["aa", "bb"], [unit(features)], ["bb", "cc"], [True, True])
    assert rows[:, 0].tolist() == [0, 1] and rows[:, 1].tolist() == [1, -1]


def table_of(path, images, columns, rows):
    records.write_csv(path, columns, [dict(zip(columns, row, strict=True)) for row in rows])
    return str(path)


def test_stage_searches_stored_shards_and_writes_votes_for_many_k(tmp_path, monkeypatch):
    monkeypatch.setattr(references, "ROWS", 16)
    known = RNG.normal(size=(60, 8))
    shards = []
    for start in range(0, 60, 16):
        shards.append(tmp_path / f"{start}.npy")
        np.save(shards[-1], unit(known[start : start + 16]).astype(np.float16))
    names = [f"ref-{i}" for i in range(60)]
    references.publish(shards, names, tmp_path / "references")
    labels = {name: str(i % 4) for i, name in enumerate(names)}
    del labels["ref-3"]
    asked = np.concatenate([known[:1], RNG.normal(size=(3, 8))]).astype(np.float32)
    images = ["same", "b", "c", "d"]
    logits = np.zeros((4, 0), np.float32)
    arrays.write(tmp_path / "q.npz", image=np.array(images), logits=logits, features=asked)

    def pictures(file, images, digests):
        rows = [
            {"image": i, "sha256": d, "status": "ok"} for i, d in zip(images, digests, strict=True)
        ]
        records.write_csv(tmp_path / file, records.IMAGES, rows)
        return str(tmp_path / file)

    own = pictures("images.csv", images, ["digest-0", "x", "y", "z"])
    theirs = pictures("theirs.csv", names, [f"digest-{i}" for i in range(60)])
    rows = [{"image": i, "labels": c} for i, c in labels.items()]
    records.write_csv(tmp_path / "labels.csv", records.LABELS, rows)
    neighbours.main(
        [
            *(str(tmp_path / "q.npz"), "--images", own, "--reference-images", theirs),
            *("--references", str(tmp_path / "references")),
            *("--labels", str(tmp_path / "labels.csv")),
            *("--out", str(tmp_path / "n.npz"), "--table", str(tmp_path / "votes.csv")),
        ]
    )
    stored = np.concatenate([np.load(s) for s in shards]).astype(np.float32)
    cosines = unit(asked) @ stored.T
    cosines[:, 3] = -np.inf
    cosines[0, 0] = -np.inf
    read = neighbours.read(str(tmp_path / "n.npz"))
    assert [image for image, *_ in read] == images
    for row, (_, near, line) in zip(cosines, read, strict=True):
        order = np.argsort(-row, kind="stable")[:51]
        assert near == [names[i] for i in order]
        assert line == pytest.approx(row[order].tolist(), abs=1e-6)
    votes = records.read_csv(tmp_path / "votes.csv")
    assert [c for c in votes[0] if c.endswith("_pred")] == [
        f"k_{k}_pred" for k in (1, 3, 5, 7, 9, 11, 13, 21, 51)
    ]
    for k in (1, 11, 51):
        found = predict.knn(read, {i: records.ids(c) for i, c in labels.items()}, k)
        assert [r[f"k_{k}_pred"] for r in votes] == [ranked[0][0] for ranked in found]
    before = [(tmp_path / name).read_bytes() for name in ("n.npz", "votes.csv")]
    assert json.dumps(read)
    neighbours.write(
        str(tmp_path / "n.npz"),
        np.array(images),
        *neighbours.find(
            asked,
            ["digest-0", "x", "y", "z"],
            references.References(tmp_path / "references").blocks(),
            [f"digest-{i}" for i in range(60)],
            [name in labels for name in names],
        ),
        names,
    )
    assert (tmp_path / "n.npz").read_bytes() == before[0]


def test_broken_files_are_one_line(tmp_path):
    references.publish([], ["a"], tmp_path / "empty")
    with pytest.raises(LabelwiseError, match="0 rows of 1 images"):
        list(references.References(tmp_path / "empty").blocks())
    (tmp_path / "bad.npz").write_bytes(b"x")
    with pytest.raises(LabelwiseError, match="no file of image, neighbour"):
        neighbours.read(str(tmp_path / "bad.npz"))
    with pytest.raises(LabelwiseError, match="not finite"):
        references.unit(np.array([[np.nan, 1]]))
