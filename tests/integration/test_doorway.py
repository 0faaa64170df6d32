"""The dashboard behind the service's tokens: the same form, the same cookie, and read-only throughout."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from search_spaces.tokens import TokenRequest
from service.dashboard import read_only
from service.doorway import Doorway
from service.keyring import Keyring
from service.limits import Rates
from store import Store, open_store
from store.tokens import create_token, revoke_token


@pytest.fixture
def bare(tmp_path: Path, sqlite_template: Path) -> Iterator[Store]:
    """A store without tokens."""
    opened = open_store(f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'etude.db')}", upgrade=False)
    yield opened
    opened.close()


class Visitor:
    """Asks a WSGI application, and keeps the cookie that it gives."""

    def __init__(self, application: Any) -> None:
        self.application = application
        self.cookie = ""
        self.headers: dict[str, str] = {}

    def ask(self, method: str, path: str, form: dict[str, str] | None = None, **named: str) -> tuple[int, str]:
        """Send one request; return the status and the text."""
        body = urlencode(form or {}).encode()
        environ = {
            "REQUEST_METHOD": method, "PATH_INFO": path, "HTTP_HOST": "127.0.0.1:8080", "QUERY_STRING": "",
            "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body), "wsgi.url_scheme": "http",
            "HTTP_COOKIE": self.cookie, **named,
        }  # fmt: skip
        told: list[str] = []

        def start(status: str, headers: list[tuple[str, str]], *_more: Any) -> None:
            told.append(status)
            self.headers = {name.lower(): value for name, value in headers}

        text = b"".join(self.application(environ, start)).decode()
        if "set-cookie" in self.headers:
            self.cookie = self.headers["set-cookie"].partition(";")[0]
        return int(told[0].split()[0]), text


def behind(store: Store, rates: Rates | None = None) -> Visitor:
    """A visitor of a page that says what it is asked for, behind the doorway."""

    def inside(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        start("200 OK", [("Content-Type", "text/plain")])
        return [environ["PATH_INFO"].encode()]

    return Visitor(Doorway(read_only(inside), Keyring(store), 60.0, rates or Rates(1e6)))  # type: ignore[arg-type]


def test_without_tokens_the_dashboard_is_open_to_this_machine(bare: Store) -> None:
    """To its own names only; each answer has the security headers."""
    visitor = behind(bare)

    assert visitor.ask("GET", "/dashboard/") == (200, "/dashboard/")
    assert (visitor.headers["x-frame-options"], visitor.headers["x-content-type-options"]) == ("DENY", "nosniff")
    assert visitor.ask("GET", "/api/studies", HTTP_HOST="evil.example")[0] == 403


def test_with_tokens_a_person_logs_in_and_reads(bare: Store) -> None:
    """The page leads to the form, a token to the cookie, the cookie to the page; nothing can be changed with it."""
    token = create_token(bare, TokenRequest(name="root", scopes=["admin"])).token
    visitor = behind(bare)
    refused = visitor.ask("GET", "/api/studies")[0]
    sent = visitor.ask("GET", "/dashboard/", HTTP_ACCEPT="text/html")[0], visitor.headers["location"]
    form = visitor.ask("GET", "/login", QUERY_STRING="next=/dashboard/studies/1")
    wrong = visitor.ask("POST", "/login", {"token": "etude_wrong", "next": "/dashboard/"})
    foreign = visitor.ask("POST", "/login", {"token": token}, HTTP_ORIGIN="http://evil.example")[0]
    entered = visitor.ask("POST", "/login", {"token": token, "next": "/dashboard/studies/1"})[0]

    assert (refused, sent) == (401, (303, "/login?next=/dashboard/"))
    assert form[0] == 200
    assert 'value="/dashboard/studies/1"' in form[1]
    assert (wrong[0], foreign, entered) == (401, 403, 303)
    assert visitor.headers["location"] == "/dashboard/studies/1"
    assert visitor.ask("GET", "/api/studies") == (200, "/api/studies")
    assert visitor.ask("POST", "/api/studies")[0] == 405
    visitor.ask("POST", "/logout")
    assert visitor.ask("GET", "/api/studies")[0] == 401


def test_a_token_in_the_header_does_too(bare: Store) -> None:
    """With the scope read; revoked it opens nothing a second later."""
    create_token(bare, TokenRequest(name="root", scopes=["admin"]))
    tokens = {name: create_token(bare, TokenRequest(name=name, scopes=[name])).token for name in ("read", "work")}  # type: ignore[list-item]
    visitor = behind(bare)

    statuses = [visitor.ask("GET", "/", HTTP_AUTHORIZATION=f"Bearer {token}")[0] for token in tokens.values()]
    revoke_token(bare, "read")
    visitor.application.keyring.clock = lambda: 1e12

    assert statuses == [200, 403]
    assert visitor.ask("GET", "/", HTTP_AUTHORIZATION=f"Bearer {tokens['read']}")[0] == 401


def test_a_token_may_ask_so_often_of_the_dashboard_too(bare: Store) -> None:
    """429 with the seconds to wait, for each token by itself."""
    shown = [
        {"HTTP_AUTHORIZATION": f"Bearer {create_token(bare, TokenRequest(name=name, scopes=['admin'])).token}"}
        for name in ("one", "other")
    ]
    visitor = behind(bare, Rates(1.0, clock=lambda: 0.0))

    statuses = [visitor.ask("GET", "/api/studies", **shown[0])[0] for _ in range(3)]
    wait = visitor.headers["retry-after"]

    assert (statuses, wait) == ([200, 200, 429], "1")
    assert visitor.ask("GET", "/api/studies", **shown[1])[0] == 200


def test_odd_requests_are_refused_and_no_defect(bare: Store) -> None:
    """A cookie that is none, a form too large, a form that is none."""
    create_token(bare, TokenRequest(name="root", scopes=["admin"]))
    visitor = behind(bare)

    assert visitor.ask("GET", "/", HTTP_COOKIE="etude_session=\x01; =; a")[0] == 401
    assert visitor.ask("POST", "/login", {"token": "x" * 20_000})[0] == 413
    assert visitor.ask("POST", "/login", CONTENT_LENGTH="-1")[0] == 413
    assert visitor.ask("POST", "/login", {"token": "\u00e9%"})[0] == 401
