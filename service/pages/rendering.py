"""Pages as text: templates that escape what they are given, and headers that let nothing else run or load."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from . import texts

TEMPLATES = Path(__file__).parent / "templates"
STYLE, SCRIPTS = "page.css", ("theme.js", "page.js", "report.js", "start.js")


@dataclass(frozen=True)
class Inlined:
    """What stands in a page itself: one style and its scripts, by file name."""

    style: Markup
    scripts: dict[str, Markup]

    @property
    def policy(self) -> str:
        """The Content-Security-Policy under which exactly these run, and nothing leaves the host."""
        scripts = " ".join(_hash(text) for text in self.scripts.values())
        return (
            f"default-src 'none'; style-src {_hash(self.style)}; script-src {scripts}; connect-src 'self'; "
            "img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def inlined() -> Inlined:
    """Read the style and the scripts that pages carry."""
    # They are ours, and hold nothing that was sent to us.
    read = {name: Markup((TEMPLATES / name).read_text(encoding="utf-8")) for name in (STYLE, *SCRIPTS)}  # noqa: S704
    return Inlined(read[STYLE], {name: read[name] for name in SCRIPTS})


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": texts.number, "interval": texts.interval, "duration": texts.duration, "when": texts.when,
    }  # fmt: skip
    environment.globals |= {"states": texts.STATE_WORDS, "verdicts": texts.VERDICT_WORDS}
    return environment


def page(template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """Fill a template in; every value is escaped unless it is `Markup`."""
    text = _environment().get_template(template).render(inlined=inlined(), **values)
    return HTMLResponse(text, status_code=status, headers=_headers())


def _headers() -> dict[str, str]:
    return {
        "Content-Security-Policy": inlined().policy,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
