"""The system's Chromium for tests of pages: no window, a fresh profile, and a record of what every page asks for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser")
MISSING = (
    "these tests need Chromium, and none is on the PATH: `make browser` installs Debian's package as root; elsewhere"
    " install the system's chromium by hand"
)
ARGUMENTS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]  # fmt: skip
PHONE = {"width": 375, "height": 812}
DESKTOP = {"width": 1200, "height": 900}
WAIT_MS = 30_000


@contextmanager
def chromium() -> Iterator[Browser]:
    """Chromium while the block runs."""
    found = next((path for name in NAMES if (path := shutil.which(name)) is not None), None)
    if found is None:
        pytest.fail(MISSING, pytrace=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Seen:
    """An open page, what it has asked for and what it has said."""

    page: Page
    host: str
    requested: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    @property
    def elsewhere(self) -> list[str]:
        """Requests that went to another host; data in the page itself go nowhere."""
        return [url for url in self.requested if not url.startswith((self.host, "data:"))]


@contextmanager
def opened(browser: Browser, host: str, path: str = "/", **options: Any) -> Iterator[Seen]:
    """Open a page of `host` in a profile of its own; a request to anywhere else is recorded and finds nobody."""
    context = browser.new_context(**({"viewport": DESKTOP, "reduced_motion": "reduce"} | options))
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    seen = Seen(page, host)

    context.on("request", lambda request: seen.requested.append(request.url))
    page.on("console", lambda message: seen.said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: seen.said.append(str(error)))
    try:
        page.goto(f"{host}{path}")
        yield seen
    finally:
        context.close()


def overflows(page: Page) -> bool:
    """Tell whether the page is wider than what shows it."""
    return bool(page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))
