"""Logging in by a browser: a token for a cookie, which may read, and submit studies where that is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from search_spaces.problems import Forbidden, Unauthorized
from search_spaces.tokens import Scope
from store.tokens import begin_session, end_session

from .keyring import Keyring, found

COOKIE = "etude_session"
LARGEST_FORM_BYTES = 10_000
MOST_FIELDS = 10


@dataclass(frozen=True)
class Form:
    """What a person has sent from the page."""

    token: str = ""
    place: str = "/"
    """Where to go from there: a path of this host."""
    submits: bool = False
    """Whether the session is to submit and change studies, too."""


def form_of(body: bytes) -> Form:
    """Read the form; what cannot be read is an empty one, whose token opens nothing."""
    try:
        fields = parse_qs(body.decode("ascii"), max_num_fields=MOST_FIELDS)
    except ValueError:
        return Form()
    token, place = fields.get("token", [""])[0].strip(), fields.get("next", ["/"])[0]
    return Form(token, local_place(place), "submit" in fields)


def local_place(place: str) -> str:
    """Return a path of this host, and the start page for everything else.

    >>> local_place("/v1/studies/mine/report?x=1"), local_place("//evil.example"), local_place("https://evil.example")
    ('/v1/studies/mine/report?x=1', '/', '/')
    """
    try:
        parts = urlsplit(place)
    except ValueError:
        return "/"
    plain = place.isascii() and place.isprintable() and not set(place) & set("\\ ")
    is_path = place.startswith("/") and not place.startswith("//") and not parts.scheme and not parts.netloc
    return place if plain and is_path else "/"


def log_in(keyring: Keyring, form: Form, seconds: float, *, secure: bool) -> str:
    """Begin a session of `seconds`; return the header Set-Cookie.

    Raises:
        Unauthorized: the token opens nothing.
        Forbidden: it may not read.
    """
    key = found(keyring.current(), form.token, session=False)
    if key is None:
        raise Unauthorized("this token is unknown, expired or revoked")
    if not key.allows("read"):
        raise Forbidden(f"the token {key.token} has not the scope read")
    scopes: list[Scope] = ["read", "submit"] if form.submits else ["read"]
    secret = begin_session(keyring.store, key, scopes, seconds)
    keyring.forget()
    return _cookie(secret, int(seconds), secure=secure)


def log_out(keyring: Keyring, secret: str | None, *, secure: bool) -> str:
    """End the session of a cookie; return the header that removes it from the browser."""
    if secret:
        end_session(keyring.store, secret)
        keyring.forget()
    return _cookie("", 0, secure=secure)


def _cookie(value: str, seconds: int, *, secure: bool) -> str:
    marks = "; Secure" if secure else ""
    return f"{COOKIE}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{marks}"


def values_of_page(place: str, problem: str | None, *, logged_in: bool) -> dict[str, Any]:
    """Return what the page of the form shows."""
    return {"place": local_place(place), "problem": problem, "logged_in": logged_in}
