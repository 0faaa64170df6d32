"""docs/reference.md, made from the sources' docstrings and signatures and from the service's OpenAPI document.

python -m tests.reference > docs/reference.md
"""

from __future__ import annotations

from .http_api import http_sections
from .python_api import python_sections

__all__ = ["reference"]

HEAD = """# Reference

What the library's docstrings and the service's OpenAPI document say; `python -m tests.reference > docs/reference.md`
writes it. Words are those of the [glossary](glossary.md); the command line has [a page of its own](cli.md). Steps are
optimizer updates, lengths of schedules are fractions of the horizon, durations are seconds, times are in UTC.

[The Python library](#the-python-library) · [HTTP](#http) · [Problems](#problems) · [Models](#models)
"""


def reference() -> str:
    """Return the whole page."""
    return "\n\n".join([HEAD.strip(), *python_sections(), *http_sections()]) + "\n"
