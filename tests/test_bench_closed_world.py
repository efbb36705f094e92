"""The benchmark's counters, which depend on no machine, and that both sides answer alike."""

import pytest
from labelwise.bench import closed_world


def test_counters(tmp_path):
    m = closed_world.measure("qwen3-vl", 6, 2, tmp_path)
    assert m["class_names"] == 1000
    assert m["identical"] == m["images_plain"] == 2
    assert m["prefix"] == "shared" and m["prefix_reuse"] >= 0.94
    assert m["encodes_per_image"] == 1
    assert m["bytes_per_answer"] <= 1024
    assert 0 <= m["template_per_image"] <= 16
    parts = m["visual_per_image"] + m["question_tokens"] + m["template_per_image"]
    assert parts == pytest.approx(m["prefilled_per_image"]) and m["visual_per_image"] > 50
