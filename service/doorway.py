"""The dashboard behind the service's tokens: the same cookie, the same form, as WSGI."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote

from search_spaces.problems import Forbidden, Problem, TooLarge, TooManyRequests, Unauthorized
from store.tokens import Keys

from .dashboard_requests import ROUTE, TOKEN
from .guard import bearer_of, known, refuse_foreign_host, refuse_foreign_page, wants_page
from .keyring import Keyring, found
from .limits import Rates
from .sessions import COOKIE, LARGEST_FORM_BYTES, Form, form_of, log_in, log_out, values_of_page

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

Headers = list[tuple[str, str]]
SAFE_HEADERS: Headers = [
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Content-Security-Policy", "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"),
]
STATUS = {200: "200 OK", 303: "303 See Other", 401: "401 Unauthorized", 403: "403 Forbidden",
          413: "413 Content Too Large", 429: "429 Too Many Requests", 503: "503 Service Unavailable"}  # fmt: skip
HOME = "/dashboard/"


class Doorway:
    """Let through to `inside` who may read; the others are shown the form, or told 401."""

    def __init__(self, inside: WSGIApplication, keyring: Keyring, session_seconds: float, rates: Rates) -> None:
        self.inside = inside
        self.keyring = keyring
        self.session_seconds = session_seconds
        self.rates = rates

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        start = _safely(start_response)
        try:
            return self._serve(environ, start)
        except Problem as problem:
            return self._refuse(problem, environ, start)

    def _serve(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        bearer = bearer_of(environ.get("HTTP_AUTHORIZATION", ""))
        if bearer is None:
            named = {name: environ[f"HTTP_{name.upper().replace('-', '_')}"] for name in ("origin", "sec-fetch-site")
                     if f"HTTP_{name.upper().replace('-', '_')}" in environ}  # fmt: skip
            refuse_foreign_page(environ["REQUEST_METHOD"], environ.get("HTTP_HOST", ""), named)
        keys = self.keyring.current()
        if not keys.guarded:
            refuse_foreign_host(environ.get("HTTP_HOST", ""))
            return self.inside(environ, start)
        door = {"/login": self._form, "/logout": self._leave}.get(environ.get("PATH_INFO", ""))
        if door is not None:
            environ[ROUTE] = environ["PATH_INFO"]
            return door(environ, start, keys)
        key = known(keys, bearer, _cookie(environ))
        environ[TOKEN] = key.token
        self.rates.spend(key)
        if not key.allows("read"):
            raise Forbidden(f"the token {key.token} has not the scope read")
        if self.keyring.is_due(key):
            self.keyring.note(key)
        return self.inside(environ, start)

    def _form(self, environ: WSGIEnvironment, start: StartResponse, keys: Keys) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] != "POST":
            place = parse_qs(environ.get("QUERY_STRING", "")).get("next", [HOME])[0]
            logged_in = found(keys, _cookie(environ) or "", session=True) is not None
            return _page(start, 200, place, None, logged_in=logged_in)
        form = form_of(_body(environ))
        try:
            cookie = log_in(self.keyring, form, self.session_seconds, secure=_is_secure(environ))
        except (Unauthorized, Forbidden) as problem:
            return _page(start, problem.status, form.place, problem.detail, logged_in=False)
        return _go(start, _home_of(form), cookie)

    def _leave(self, environ: WSGIEnvironment, start: StartResponse, _keys: Keys) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] != "POST":
            return _go(start, "/login")
        return _go(start, "/login", log_out(self.keyring, _cookie(environ), secure=_is_secure(environ)))

    def _refuse(self, problem: Problem, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        reads = environ["REQUEST_METHOD"] == "GET" and wants_page(environ.get("HTTP_ACCEPT", ""))
        if isinstance(problem, Unauthorized) and reads:
            return _go(start, f"/login?next={quote(environ.get('PATH_INFO', HOME), safe='/')}")
        # The dashboard's own pages read `reason` from an error's JSON.
        body = json.dumps({"reason": problem.detail}).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        if isinstance(problem, Unauthorized):
            headers.append(("WWW-Authenticate", 'Bearer realm="etude"'))
        if isinstance(problem, TooManyRequests):
            headers.append(("Retry-After", str(problem.retry_after_seconds)))
        start(STATUS[problem.status], headers)
        return [body]


def _home_of(form: Form) -> str:
    return HOME if form.place == "/" else form.place


def _page(start: StartResponse, status: int, place: str, problem: str | None, *, logged_in: bool) -> list[bytes]:
    from .pages.rendering import page  # with the web framework, which the dashboard's own pages do not need

    answer = page("login.html", status=status, **values_of_page(place, problem, logged_in=logged_in))
    start(STATUS[status], [(name.decode(), value.decode()) for name, value in answer.raw_headers])
    return [bytes(answer.body)]


def _go(start: StartResponse, place: str, cookie: str | None = None) -> list[bytes]:
    headers = [("Location", place), ("Content-Length", "0"), ("Cache-Control", "no-store")]
    start(STATUS[303], headers + ([("Set-Cookie", cookie)] if cookie else []))
    return []


def _body(environ: WSGIEnvironment) -> bytes:
    written = environ.get("CONTENT_LENGTH") or "0"
    if not written.isdecimal() or int(written) > LARGEST_FORM_BYTES:
        raise TooLarge(f"this form may have {LARGEST_FORM_BYTES} bytes")
    return bytes(environ["wsgi.input"].read(int(written)))


def _cookie(environ: WSGIEnvironment) -> str | None:
    try:
        found_one = SimpleCookie(environ.get("HTTP_COOKIE", "")).get(COOKIE)
    except CookieError:
        return None
    return None if found_one is None else found_one.value


def _is_secure(environ: WSGIEnvironment) -> bool:
    # A proxy that ends TLS says so; whoever only pretends it gets a cookie that his browser does not send back.
    return str(environ.get("HTTP_X_FORWARDED_PROTO", environ.get("wsgi.url_scheme"))) == "https"


def _safely(start_response: Callable[..., Any]) -> Callable[..., Any]:
    def start(status: str, headers: Headers, *more: Any) -> Any:
        there = {name.lower() for name, _ in headers}
        return start_response(status, headers + [pair for pair in SAFE_HEADERS if pair[0].lower() not in there], *more)

    return start
