"""What surrounds every request to the dashboard, as the API's middleware does: an id, a log line, metrics, as WSGI."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from search_spaces.log import bind, bound
from search_spaces.problems import InternalError

from .metrics import TEXT, HttpMetrics
from .middleware import ACCEPTABLE_ID, LONGEST_PATH, REQUEST_ID_HEADER, UNROUTED

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

log = bind(__name__)

METRICS_PATH = "/metrics"
TOKEN = "etude.token"  # noqa: S105 - a key of the environment, for a token's name
ROUTE = "etude.route"
"""Where a part of ours says which of its routes has answered; the dashboard's own are bottle's."""


class Measured:
    """Give each request an id, the client's own where it sent a plain one; log and count it; answer a defect."""

    def __init__(self, inside: WSGIApplication, metrics: HttpMetrics) -> None:
        self.inside = inside
        self.metrics = metrics

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        asked = _Asked(environ, start_response)
        with bound(request_id=asked.id):
            try:
                return self.inside(environ, asked.start)
            except Exception:
                log.exception("request_failed", method=asked.method, path=asked.path)
                return _defect(asked)
            finally:
                self._note(environ, asked)

    def _note(self, environ: WSGIEnvironment, asked: _Asked) -> None:
        seconds = time.perf_counter() - asked.began
        self.metrics.observe_request(asked.method, _route(environ), asked.status, seconds, is_stream=False)
        # An open page polls every few seconds.
        write = log.debug if asked.status < 400 else log.warning if asked.status >= 500 else log.info
        write(
            "request", method=asked.method, path=asked.path, status=asked.status, seconds=seconds,
            token=environ.get(TOKEN),
        )  # fmt: skip


def with_metrics(inside: WSGIApplication, metrics: HttpMetrics) -> WSGIApplication:
    """Show the process's metrics beside what is `inside`."""

    def shown(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO") != METRICS_PATH:
            return inside(environ, start_response)
        environ[ROUTE] = METRICS_PATH
        body = metrics.text()
        start_response("200 OK", [("Content-Type", TEXT), ("Content-Length", str(len(body)))])
        return [body]

    return shown


class _Asked:
    """One request as far as it is answered."""

    def __init__(self, environ: WSGIEnvironment, start_response: StartResponse) -> None:
        self.began = time.perf_counter()
        self.method = str(environ["REQUEST_METHOD"])
        self.path = str(environ.get("PATH_INFO", ""))[:LONGEST_PATH]
        given = str(environ.get("HTTP_X_REQUEST_ID", ""))
        self.id = given if ACCEPTABLE_ID.fullmatch(given.encode("latin-1", "replace")) else uuid.uuid4().hex
        self.status = 0
        self._start_response = start_response

    def start(self, status: str, headers: list[tuple[str, str]], *more: Any) -> Callable[[bytes], object]:
        """Take note of the answer's status, and give it the request's id."""
        self.status = int(status.split(" ", 1)[0])
        return self._start_response(status, [*headers, (REQUEST_ID_HEADER, self.id)], *more)


def _route(environ: WSGIEnvironment) -> str:
    own, route = environ.get(ROUTE), environ.get("bottle.route")
    return str(own or getattr(route, "rule", UNROUTED))


def _defect(asked: _Asked) -> list[bytes]:
    # The dashboard's own pages read `reason` from an error's JSON.
    body = json.dumps({"reason": InternalError().detail, "request_id": asked.id}).encode()
    asked.start("500 Internal Server Error", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
