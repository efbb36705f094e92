"""What the sources of variance of a sensitivity experiment are called in words (stdlib only)."""

WORDS = {
    "list_format": "list format",
    "list_order": "list order",
    "prompt": "wording",
    "residual": "the rest",
}


def said(factor: str) -> str:
    """A source of variance in words: ``layout x list_order`` is "layout × list order"."""
    return " × ".join(WORDS.get(part, part) for part in factor.split(" x "))
