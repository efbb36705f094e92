"""The benchmarks of looking and of exact search, small: both sides answer alike."""

import os

import pytest
from labelwise.bench import classify, knn


@pytest.mark.parametrize("library", ["timm", pytest.param("open_clip", marks=pytest.mark.slow)])
def test_classify_says_what_the_plain_loop_says(tmp_path, library, monkeypatch):
    monkeypatch.setattr(classify, "LIBRARIES", {"timm": "resnet18", "open_clip": "ViT-S-32-alt"})
    monkeypatch.setattr(classify, "BATCHES", (4,))
    core = sorted(os.sched_getaffinity(0))[:1]
    m = classify.measure(library, tmp_path, 8, core, 1)
    assert m["same_top1"] == m["images"] == 8 and m["cores"] == 1 and m["ratio_cpu"] > 0


def test_search_is_exact_and_holds_few_blocks(tmp_path):
    m = knn.measure(20_000, 64, 50, tmp_path)
    assert m["exact"] == m["checked"] == 5 and m["references"] == 20_000
    assert m["memory_mb"] < 100
