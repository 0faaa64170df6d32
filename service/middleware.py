"""What surrounds every request: an id that ties answer and log together, and a bound on the body's size."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from search_spaces.log import bind, bound
from search_spaces.problems import InternalError, Problem, TooLarge
from search_spaces.work import LARGEST_BODY_BYTES

log = bind(__name__)

REQUEST_ID_HEADER = "X-Request-Id"
ACCEPTABLE_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
"""Ids from clients go into our log: nothing that could forge a line of it."""
UNROUTED = "(none)"
"""Route of a request that was refused before, or that leads nowhere: what it asked for is no label."""
QUIET = frozenset({"/healthz", "/readyz", "/metrics", "/v1/workers/{worker}"})
QUIET_PREFIX = "/v1/work/"
"""Probes and workers ask again and again: what went well there is written for `debug` alone."""
LONGEST_PATH = 200
Observe = Callable[..., None]


class Requests:
    """Give each request an id, the client's own where it sent a plain one; log and count it; answer a defect.

    `observe` is told method, route, status and seconds of each, and whether it was a stream.
    """

    def __init__(self, app: ASGIApp, observe: Observe) -> None:
        self.app = app
        self.observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; the id stands in `scope["state"]["request_id"]` and in the answer's header."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _given_id(scope) or uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        asked = _Asked(request_id)

        async def send_with_id(message: Message) -> None:
            asked.answer(message)
            await send(message)

        with bound(request_id=request_id):
            try:
                await self.app(scope, receive, send_with_id)
            except Exception:
                log.exception("request_failed", method=scope["method"], path=scope["path"])
                if asked.status:
                    raise
                await send_problem(InternalError(), send_with_id, scope=scope)
            finally:
                self._note(scope, asked)

    def _note(self, scope: Scope, asked: _Asked) -> None:
        seconds = time.perf_counter() - asked.began
        route = getattr(scope.get("route"), "path", UNROUTED)
        if asked.status:
            self.observe(scope["method"], route, asked.status, seconds, is_stream=asked.is_stream)
        given, key = scope.get("path_params", {}), scope["state"].get("key")
        quiet = asked.status < 400 and (route in QUIET or route.startswith(QUIET_PREFIX))
        write = log.debug if quiet else log.warning if asked.status >= 500 else log.info
        write(
            "request", method=scope["method"], path=scope["path"][:LONGEST_PATH], status=asked.status, seconds=seconds,
            study=given.get("name") if route.startswith("/v1/studies/") else None, trial=given.get("number"),
            token=None if key is None else key.token,
        )  # fmt: skip


class _Asked:
    """One request as far as it is answered; a status of 0: nothing was sent, the client is gone."""

    def __init__(self, request_id: str) -> None:
        self.began = time.perf_counter()
        self.status = 0
        self.is_stream = False
        self._header = (REQUEST_ID_HEADER.lower().encode(), request_id.encode())

    def answer(self, message: Message) -> None:
        """Take note of a message of the answer, and give it the request's id."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", []), self._header]
            self.is_stream = any(value.startswith(b"text/event-stream") for _, value in message["headers"])


SAFE_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",
    b"content-security-policy": b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}
"""On every answer that does not say otherwise itself."""
POLICIES = {
    b"image/svg+xml": b"default-src 'none'; style-src 'unsafe-inline'; sandbox",
}


class SafeHeaders:
    """Let no answer of ours be framed, guessed at, kept by caches, or run as something else."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; headers that the answer has already stay as they are."""

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *_safe_headers(message.get("headers", []))]
            await send(message)

        await self.app(scope, receive, send_safely)


def _safe_headers(given: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    there = {name.lower(): value for name, value in given}
    kind = there.get(b"content-type", b"").partition(b";")[0]
    wanted = dict(SAFE_HEADERS)
    if kind in POLICIES:
        wanted[b"content-security-policy"] = POLICIES[kind]
    return [(name, value) for name, value in wanted.items() if name not in there]


class BodyLimit:
    """Refuse bodies above 1 MiB, announced or streamed, before anything parses them."""

    def __init__(self, app: ASGIApp, limit_bytes: int = LARGEST_BODY_BYTES) -> None:
        self.app = app
        self.limit_bytes = limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, or answer 413."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = await self._body(scope, receive)
        if body is None:
            await send_problem(TooLarge(f"a request's body may have {self.limit_bytes} bytes"), send, scope=scope)
            return
        await self.app(scope, _replay(body, receive), send)

    async def _body(self, scope: Scope, receive: Receive) -> bytes | None:
        """Read the whole body; None when it is, or says that it is, too large."""
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self.limit_bytes:
            return None
        body: bytes = b""
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return body
            body += message.get("body", b"")
            if len(body) > self.limit_bytes:
                return None
            if not message.get("more_body", False):
                return body


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _given_id(scope: Scope) -> str | None:
    given: bytes = dict(scope["headers"]).get(REQUEST_ID_HEADER.lower().encode(), b"")
    return given.decode() if ACCEPTABLE_ID.fullmatch(given) else None


async def send_problem(problem: Problem, send: Send, more: Iterable[tuple[bytes, bytes]] = (), *, scope: Scope) -> None:
    """Write a problem straight to the connection, with `more` headers, for what happens outside the routes."""
    request_id = scope.get("state", {}).get("request_id")
    body = json.dumps(problem.document() | ({} if request_id is None else {"request_id": request_id})).encode()
    headers: list[tuple[bytes, Any]] = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        *more,
    ]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
