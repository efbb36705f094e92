"""One line of the responses as answers: ``request``, ``text``, ``finish``, and what else it has.

``refused`` has the numbers of images that the model could not be shown, from 1: each is an
``image_error``, whatever the text says of it. Where that are all images of the prompt, ``finish``
is ``image_error`` too. ``scored`` is of kind ``likelihood``.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from labelwise.classnames import Names
from labelwise.parsing import Answer, parse


def answers(response: Mapping[str, Any], header: dict, request: dict, names: Names) -> list[Answer]:
    """One answer per image of the request, in the prompt's order; see ``parsing.parse``."""
    refused = response.get("refused", ())
    found = parse(response["text"], response["finish"], header, request, names)
    return [
        replace(a, outcome="image_error", answer="", classes=()) if a.position in refused else a
        for a in found
    ]
