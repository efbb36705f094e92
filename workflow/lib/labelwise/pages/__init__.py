"""Pages of text and tables that go into the report; ``page.html`` is their one look."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def page(title: str, lead: Sequence[str], sections: Sequence[Mapping[str, Any]]) -> str:
    """One HTML page that needs nothing else; every text is escaped.

    Args:
        title: of the page.
        lead: paragraphs before the sections.
        sections: each with ``title`` and any of ``lines`` (paragraphs), ``columns`` (name and
            whether it holds numbers) with ``rows`` (cells), and ``text`` (as it stands).
    """
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")
    text = environment.from_string(template).render(title=title, lead=lead, sections=sections)
    return text + "\n"
