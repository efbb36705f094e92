"""Servers that speak OpenAI's chat completions: which one an entry means, what it allows.

Stdlib only: the grid checks entries with it. The key of a server is in the environment alone, in
the variable that ``key_env`` names (``OPENAI_API_KEY``); no message, record or file repeats it.
"""

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from labelwise.errors import LabelwiseError

PROVIDER = "https://api.openai.com/v1"
CONCURRENCY = 64
ATTEMPT_TIMEOUT = 120.0
TOTAL_TIMEOUT = 900.0
LEAST_PRICE = 0.001
"""USD per million tokens below which a price is taken for that of one token."""


def base_url(spec: Mapping[str, Any]) -> str:
    """Where a model is served: its entry, else ``OPENAI_BASE_URL``, else the provider.

    Environment variables in the entry (``$SERVER``) are filled in.
    """
    given = os.path.expandvars(spec.get("base_url", ""))
    return given or os.environ.get("OPENAI_BASE_URL") or PROVIDER


def is_provider(spec: Mapping[str, Any]) -> bool:
    """Whether a model is served by OpenAI itself."""
    host = urlsplit(base_url(spec)).hostname or ""
    return host == "openai.com" or host.endswith(".openai.com")


def is_paid(spec: Mapping[str, Any]) -> bool:
    """Whether asking costs money: at the provider, and wherever the entry has a price."""
    return is_provider(spec) or "price" in spec


def key_variable(spec: Mapping[str, Any]) -> str:
    """The environment variable that holds the server's key."""
    return spec.get("key_env", "OPENAI_API_KEY")


def check(spec: Mapping[str, Any], where: str) -> None:
    """Refuse an entry that would drift, leak or spend without limit.

    Raises:
        LabelwiseError: an alias instead of a dated snapshot at the provider; a password in the URL;
            a paid model without ``max_cost_usd`` or without price, or a price of single tokens.
    """
    url = base_url(spec)
    if url.startswith("$"):
        raise LabelwiseError(
            f"{where}: base_url: {url} is not set; export it as the server's address"
        )
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise LabelwiseError(f"{where}: base_url: not an http address, such as {PROVIDER}")
    if parts.username or parts.password or parts.query:
        raise LabelwiseError(
            f"{where}: base_url: holds a user, password or query; put the key into the environment"
            f" variable {key_variable(spec)}"
        )
    if is_provider(spec) and not re.search(r"-\d{4}-\d{2}-\d{2}(:|$)", spec["model"]):
        raise LabelwiseError(
            f"{where}: model: {spec['model']!r} is an alias, which OpenAI moves; name a dated"
            " snapshot, such as gpt-4o-2024-08-06 (or base_url, if another server has it)"
        )
    for key, why in (
        ("price", "{input, cached, output} in USD per million tokens, and its date"),
        ("max_cost_usd", "the most that one run may cost"),
    ):
        if is_paid(spec) and key not in spec:
            raise LabelwiseError(
                f"{where}: {key} is missing: {parts.hostname} is paid, so give {why};"
                " `python -m labelwise.cost` estimates it"
            )
    for key, usd in spec.get("price", {}).items():
        if key != "date" and 0 < usd < LEAST_PRICE:
            raise LabelwiseError(
                f"{where}: price: {key}: {usd} looks like USD a token; give USD per million tokens"
            )


def api_key(spec: Mapping[str, Any]) -> str:
    """The key, from the environment; other servers than the provider may need none.

    Raises:
        LabelwiseError: it is not set where it is needed, or is no key.
    """
    variable = key_variable(spec)
    key = os.environ.get(variable, "").strip()
    if not key and (is_provider(spec) or "key_env" in spec):
        raise LabelwiseError(f"{base_url(spec)}: no key; set the environment variable {variable}")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise LabelwiseError(f"environment variable {variable}: not a key: copy it once more")
    return key or "none"
