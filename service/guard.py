"""Who may ask: tokens and sessions where the store has tokens, and only this machine's own pages where it has none."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

from anyio import to_thread
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from search_spaces.problems import Forbidden, Problem, TooManyRequests, Unauthorized
from store.tokens import Key, Keys

from .keyring import Keyring, found
from .limits import Rates
from .middleware import send_problem
from .scopes import OPEN, READING, scope_of
from .sessions import COOKIE
from .settings import is_loopback

REALM = 'Bearer realm="etude"'
Pair = tuple[bytes, bytes]


class Guard:
    """Let requests through that may do what they ask for; what they are known as stands in `scope["state"]["key"]`."""

    def __init__(self, app: ASGIApp, keyring: Keyring, rates: Rates) -> None:
        self.app = app
        self.keyring = keyring
        self.rates = rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, or refuse it: 401, 403, 429, or for a person's browser the way to the form."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope.setdefault("state", {})["key"] = None
        asked = HTTPConnection(scope)
        try:
            key = await self._admitted(asked, scope["method"])
        except Problem as problem:
            await _refuse(problem, asked, scope, send)
            return
        scope["state"]["key"] = key
        await self.app(scope, receive, send if key is None else self._while_it_opens(key, send))

    async def _admitted(self, asked: HTTPConnection, method: str) -> Key | None:
        path = asked.scope["path"]  # as the routes see it; `asked.url` is made of the header Host, too
        bearer = bearer_of(asked.headers.get("authorization", ""))
        if bearer is None:
            refuse_foreign_page(method, asked.headers.get("host", ""), asked.headers)
        if path in OPEN:
            return None
        keys = await self._keys()
        if not keys.guarded:
            refuse_foreign_host(asked.headers.get("host", ""))
            return None
        key = known(keys, bearer, asked.cookies.get(COOKIE))
        self.rates.spend(key)
        scope = scope_of(method, path)
        if not key.allows(scope):
            raise Forbidden(_lacks(key, scope), needs=scope)
        if self.keyring.is_due(key):
            await to_thread.run_sync(self.keyring.note, key)
        return key

    async def _keys(self) -> Keys:
        fresh = self.keyring.fresh
        return fresh if fresh is not None else await to_thread.run_sync(self.keyring.current)

    def _while_it_opens(self, key: Key, send: Send) -> Send:
        """Cut a stream off whose key has been revoked since: what was asked for before is not sent after."""

        cut = False

        async def send_while(message: Message) -> None:
            nonlocal cut
            if cut:
                return  # the server has told the application by now that the client is gone
            if message.get("more_body", False) and key.digest not in (await self._keys()).by_digest:
                cut, message = True, {"type": "http.response.body", "body": b"", "more_body": False}
            await send(message)

        return send_while


def bearer_of(header: str) -> str | None:
    """Return the token of an Authorization header; None where there is none of the kind.

    >>> bearer_of("Bearer abc"), bearer_of("Basic abc"), bearer_of("")
    ('abc', None, None)
    """
    kind, _, token = header.partition(" ")
    return token.strip() if kind.lower() == "bearer" and token.strip() else None


def known(keys: Keys, bearer: str | None, cookie: str | None) -> Key:
    """Return what a request is known as.

    Raises:
        Unauthorized: it shows nothing, or nothing that opens.
    """
    if bearer is not None:
        key = found(keys, bearer, session=False)
        if key is None:
            raise Unauthorized("this token is unknown, expired or revoked")
        return key
    key = found(keys, cookie, session=True) if cookie else None
    if key is None:
        raise Unauthorized("a token is needed: Authorization: Bearer TOKEN, or for a browser /login")
    return key


def _lacks(key: Key, scope: str) -> str:
    if key.is_session:
        return f"this session may not do what needs the scope {scope}: log in anew at /login, or show a token"
    return f"the token {key.token} has not the scope {scope}, which this needs"


def refuse_foreign_host(host: str) -> None:
    """Refuse a name that is not this machine's own, where no token is asked for.

    A page of another site can have its name resolve to 127.0.0.1, and would then be taken for our own.
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:  # brackets that hold no address
        name = ""
    if not is_loopback(name):
        words = "without tokens only 127.0.0.1, ::1 and localhost are answered to; `etude token create` makes one"
        raise Forbidden(words)


def refuse_foreign_page(method: str, host: str, headers: Any) -> None:
    """Refuse a change that a browser sends on behalf of another site's page.

    Browsers say where a request comes from; whoever shows a token in a header is no browser that was tricked.
    """
    if method in READING:
        return
    origin = headers.get("origin")
    foreign = origin is not None and origin.partition("://")[2].lower() != host.lower()
    if foreign or headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Forbidden("a page of another site may not change anything here")


async def _refuse(problem: Problem, asked: HTTPConnection, scope: Scope, send: Send) -> None:
    if isinstance(problem, Unauthorized) and scope["method"] == "GET" and wants_page(asked.headers.get("accept", "")):
        query = scope["query_string"].decode("latin-1")
        await _send_to(f"/login?next={quote(scope['path'] + (f'?{query}' if query else ''), safe='/')}", send)
        return
    await send_problem(problem, send, _challenge(problem), scope=scope)


def wants_page(accept: str) -> bool:
    """Tell whether a person's browser asks for a page, which a JSON problem would not help."""
    return "text/html" in accept


async def _send_to(place: str, send: Send) -> None:
    headers = [(b"location", place.encode()), (b"content-length", b"0"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _challenge(problem: Problem) -> list[Pair]:
    if isinstance(problem, Unauthorized):
        return [(b"www-authenticate", REALM.encode())]
    if isinstance(problem, Forbidden) and "needs" in problem.extra:
        challenge = f'{REALM}, error="insufficient_scope", scope="{problem.extra["needs"]}"'
        return [(b"www-authenticate", challenge.encode())]
    if isinstance(problem, TooManyRequests):
        return [(b"retry-after", str(problem.retry_after_seconds).encode())]
    return [(b"retry-after", b"1")] if problem.status == 503 else []
