"""Statistics: against the libraries, and against what the numbers mean."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelwise import compare
from labelwise.data.rules import Rules
from labelwise.errors import LabelwiseError
from labelwise.evaluation import statistics
from labelwise.labels import Label
from labelwise.scoring import Answer, Key
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

RNG = np.random.default_rng(0)


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_statsmodels(pair):
    correct, n = pair
    expected = proportion_confint(correct, n, method="wilson")
    assert statistics.wilson(correct, n) == pytest.approx(expected, abs=1e-12)


def test_wilson_of_nothing():
    assert statistics.wilson(0, 0) == (0.0, 1.0)


def test_student_is_scipy():
    values = [74.2, 74.9, 75.3, 74.1]
    expected = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert statistics.student(values) == pytest.approx(expected)
    with pytest.raises(ValueError, match="at least two"):
        statistics.student([1.0])


def test_student_reproduces_the_papers_tiny_intervals():
    # paper, Table 19: 0.09 +-0.18 and 0.18 +-0.25 are one and two hits in 31 x 36 images
    for hits, mean, half in ((1, 0.09, 0.18), (2, 0.18, 0.25)):
        runs = np.zeros(31)
        runs[:hits] = 100 / 36
        low, high = statistics.student(runs)
        assert round(runs.mean(), 2) == mean
        assert round((high - low) / 2, 2) == half


def test_newcombe_of_his_own_example():
    # Newcombe 1998, Table II: e=36 f=12 g=2 h=0 gives 0.0569 .. 0.3404 (method 10)
    assert statistics.newcombe(36, 12, 2, 0) == pytest.approx((0.0569, 0.3404), abs=1e-4)


cells = st.integers(0, 50)


@given(cells, cells, cells, cells)
def test_newcombe_is_sane(both, first, second, neither):
    n = both + first + second + neither
    low, high = statistics.newcombe(both, first, second, neither)
    assert -1 - 1e-9 <= low <= high <= 1 + 1e-9
    if n:
        assert low - 1e-9 <= (first - second) / n <= high + 1e-9
    turned = statistics.newcombe(both, second, first, neither)
    assert turned == pytest.approx((-high, -low), abs=1e-12)


def test_newcombe_covers():
    p = np.array([0.5, 0.2, 0.1, 0.2])  # both, first, second, neither: true difference 0.1
    tables = RNG.multinomial(80, p, size=2000)
    inside = [low <= 0.1 <= high for low, high in (statistics.newcombe(*t) for t in tables)]
    assert 0.93 < np.mean(inside) < 0.98


def columns(n=400):
    first = RNG.random(n) < 0.7
    return np.stack([first, first ^ (RNG.random(n) < 0.2), RNG.random(n) < 0.5], axis=1)


def test_bootstrap_has_the_moments_of_resampling():
    right = columns()
    drawn = statistics.bootstrap(right, 20_000)
    assert drawn.shape == (20_000, 3)
    assert drawn.mean(axis=0) == pytest.approx(right.mean(axis=0), abs=1e-3)
    covariance = np.cov(right.T, bias=True) / len(right)
    assert np.cov(drawn.T) == pytest.approx(covariance, rel=0.1, abs=2e-5)


def test_bootstrap_is_the_naive_one():
    right = columns(60)
    naive = np.array([right[RNG.integers(60, size=60)].mean(axis=0) for _ in range(5000)])
    drawn = statistics.bootstrap(right, 5000)
    for ours, theirs in zip(drawn.T, naive.T, strict=True):
        assert stats.ks_2samp(ours, theirs).pvalue > 1e-4
    difference = stats.ks_2samp(drawn[:, 0] - drawn[:, 1], naive[:, 0] - naive[:, 1])
    assert difference.pvalue > 1e-4  # pairing is kept


def test_bootstrap_of_one_column_is_binomial():
    right = np.zeros((50, 1), bool)
    right[:20] = True
    hits = np.round(statistics.bootstrap(right, 20_000)[:, 0] * 50).astype(int)
    expected = stats.binom.pmf(np.arange(51), 50, 0.4)
    assert np.bincount(hits, minlength=51) / 20_000 == pytest.approx(expected, abs=0.015)


def test_bootstrap_keeps_its_draws(monkeypatch):
    right = columns()
    drawn = statistics.bootstrap(right, 500, seed=3)
    monkeypatch.setattr(statistics, "THREADS", 1)
    assert (statistics.bootstrap(right, 500, seed=3) == drawn).all()
    assert (statistics.bootstrap(right, 500, seed=4) != drawn).any()


def test_bootstrap_of_many_columns_and_small_blocks(monkeypatch):
    monkeypatch.setattr(statistics, "BLOCK", 1000)
    right = np.repeat(columns(200), 4, axis=1)
    drawn = statistics.bootstrap(right, 100)
    assert (drawn[:, 0] == drawn[:, 3]).all()
    assert drawn.shape == (100, 12)


def test_whole_classes_are_resampled():
    clusters = np.repeat(np.arange(40), 25)
    right = np.repeat(RNG.random(40) < 0.5, 25)[:, None]  # a class is right or wrong as a whole
    by_class = statistics.clustered(right, clusters, 4000).std()
    by_image = statistics.bootstrap(right, 4000).std()
    assert by_class == pytest.approx(5 * by_image, rel=0.1)  # 25 images count as one
    one = statistics.clustered(right, np.arange(1000), 4000).std()
    assert one == pytest.approx(by_image, rel=0.1)


def test_unequal_classes_keep_their_weight():
    clusters = ["a"] * 9 + ["b"]
    right = np.array([[True]] * 9 + [[False]])
    drawn = set(np.round(statistics.clustered(right, clusters, 200)[:, 0], 3))
    assert drawn == {0.0, 0.9, 1.0}


def test_percentile():
    low, high = statistics.percentile(np.arange(1001)[:, None] / 10)
    assert (low[0], high[0]) == pytest.approx((2.5, 97.5))


def test_mcnemar_is_the_binomial_test():
    first = np.array([True] * 12 + [False] * 3 + [True] * 20)
    second = np.array([False] * 12 + [True] * 3 + [True] * 20)
    found = statistics.mcnemar(first, second)
    assert (found.first, found.second) == (12, 3)
    assert found.p == pytest.approx(stats.binomtest(3, 15).pvalue)
    assert statistics.mcnemar(first, first).p == 1


def test_holm():
    assert statistics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert len(statistics.holm([])) == 0


def test_ranks_are_dense_and_follow_what_is_printed():
    assert statistics.ranks([41.74, 37.66, 37.6601, 37.29]).tolist() == [1, 2, 2, 3]
    assert statistics.ranks([1.001, 1.002], digits=None).tolist() == [2, 1]


def test_spearman_of_recall():
    first = {"1": [10, 9], "2": [5, 1], "3": [4, 2], "8": [1, 0]}
    second = {"1": [10, 5], "2": [5, 0], "3": [4, 1], "9": [1, 1]}
    expected = stats.spearmanr([0.9, 0.2, 0.5], [0.5, 0, 0.25]).statistic
    assert statistics.spearman(first, second) == pytest.approx(expected)
    assert statistics.spearman(first, {"1": [1, 1]}) is None
    assert statistics.spearman(first, {"1": [1, 1], "2": [1, 1]}) is None


@settings(max_examples=50)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_phi(pairs):
    first, second = np.array(pairs).T
    a, b = (first & second).sum(), (first & ~second).sum()
    c, d = (~first & second).sum(), (~first & ~second).sum()
    margins = float((a + b) * (c + d) * (a + c) * (b + d))
    expected = None if margins == 0 else pytest.approx((a * d - b * c) / margins**0.5)
    assert statistics.phi(first, second) == expected


def test_compare():
    truth = {f"i{n}": Label((n % 7,)) for n in range(70)}
    truth["void"] = Label(())
    good = {image: Answer(label.ids) for image, label in truth.items()}
    bad = {image: Answer((0,)) for image in truth if image != "i1"}
    key = Key(truth, {i: Label((0,)) for i in truth}, Rules(), frozenset())
    found = compare.compare(key, {"good": good, "bad": bad, "copy": bad}, replicates=500)
    assert found["n"] == 70  # without i1
    assert [m["rank"] for m in found["models"].values()] == [1, 2, 2]
    first, _, same = found["pairs"]
    assert (first["only_first"], first["only_second"]) == (59, 0)
    assert first["difference"] == pytest.approx(100 * 59 / 70)
    assert first["interval"][0] < first["difference"] < first["interval"][1]
    assert first["p"] < first["p_holm"] < 1e-15
    assert first["phi"] is None  # one of them is never wrong
    assert same["p"] == 1 and same["interval"] == [0, 0] and same["phi"] == pytest.approx(1)
    assert "only one right 59 : 0" in compare.text(found)
    with pytest.raises(LabelwiseError, match="two or more"):
        compare.compare(key, {"good": good})
    with pytest.raises(LabelwiseError, match="answered by all"):
        compare.compare(key, {"good": good, "none": {}})


def test_command_of_comparison(tmp_path, capsys):
    (tmp_path / "l.csv").write_text("image,labels\n" + "".join(f"i{n},{n}\n" for n in range(20)))
    for name, shift in (("one", 0), ("two", 1)):
        rows = "".join(f"i{n},{n + shift * (n % 2)}\n" for n in range(20))
        (tmp_path / f"{name}.csv").write_text("img_id,top_1_pred\n" + rows)
    files = [str(tmp_path / f"{name}.csv") for name in ("one", "two")]
    out = tmp_path / "o.json"
    options = ["--labels", str(tmp_path / "l.csv"), "--replicates", "200", "--json", str(out)]
    compare.main([*files, *options])
    found = json.loads(out.read_text())
    assert [m["accuracy"] for m in found["models"].values()] == [100, 50]
    assert found["pairs"][0]["difference"] == 50
    assert "rank 2" in capsys.readouterr().out
