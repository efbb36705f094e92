"""The client's own speed: loose bounds here, the figures in the README."""

from labelwise.bench import api


def test_requests_are_fast_and_memory_does_not_grow_with_them(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    few = api.measure(60, 200_000, 16)
    many = api.measure(600, 200_000, 16)
    assert (few["requests"], many["requests"]) == (60, 600)
    assert many["per_second"] > 50
    assert many["peak_mb"] - few["peak_mb"] < 40  # the requests are 160 MB
