"""The load on the annotation page: nothing lost; the limit at full size in the slow test."""

import pytest
from labelwise.bench import annotation


def test_a_small_team_loses_nothing(tmp_path):
    found = annotation.measure(tmp_path, 40, 6, 5, 0.0)
    assert found["acknowledged"] == 30 and found["lost"] == 0
    assert found["decide_ms_p95"] < 2000


@pytest.mark.slow
def test_fifty_annotators_on_three_thousand_cases(tmp_path):
    found = annotation.measure(tmp_path, 3000, 50, 20, 2.0)
    assert found["acknowledged"] == 1000 and found["lost"] == 0
    assert found["decide_ms_p95"] < annotation.LIMIT_MS
