"""The Optuna dashboard on the same store, made read-only: a WSGI wrapper and a threaded server around it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from .dashboard_csv import harmless_csv
from .dashboard_requests import Measured, with_metrics
from .doorway import Doorway
from .keyring import Keyring
from .limits import Rates
from .metrics import HttpMetrics
from .settings import Settings

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

READING_METHODS = frozenset({"GET", "HEAD"})
EXPENSIVE_PLOT = re.compile(r"^/+api/+studies/+[^/]+/+plot/+(contour|rank)/*$", re.IGNORECASE)
"""Plots whose cost grows with the square of the parameters: one request keeps a core busy for minutes."""

Environment = dict[str, Any]
Start = Callable[..., Any]


def read_only(application: WSGIApplication) -> WSGIApplication:
    """Wrap a WSGI application so that it is only ever asked to read: other methods get 405, two plots 403."""

    def guarded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] not in READING_METHODS:
            return _refuse(start_response, "405 Method Not Allowed", "this dashboard only shows", "GET, HEAD")
        if EXPENSIVE_PLOT.match(environ.get("PATH_INFO", "")):
            return _refuse(start_response, "403 Forbidden", "this plot costs too much to be drawn on request")
        return application(environ, start_response)

    return guarded


def _refuse(start_response: Start, status: str, reason: str, allow: str | None = None) -> list[bytes]:
    # The dashboard's own pages read `reason` from an error's JSON.
    body = json.dumps({"reason": reason}).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response(status, headers + ([("Allow", allow)] if allow else []))
    return [body]


def dashboard_application(
    url: str, keyring: Keyring | None = None, settings: Settings | None = None
) -> WSGIApplication:
    """Return optuna-dashboard over the store at `url`, read-only, and behind its tokens as `keyring` knows them.

    `settings` say how long a session lasts and how often a token may ask; default: those of the environment.

    The storage is opened by `get_storage`, which caches finished trials: a bare URL makes every poll of the page
    15 times dearer at 10,000 trials.
    """
    import optuna
    import optuna_dashboard

    application = optuna_dashboard.wsgi(optuna.storages.get_storage(url))
    application.catchall = False  # a defect is logged and answered as ours are, with the request's id
    metrics = HttpMetrics()
    guarded = with_metrics(read_only(harmless_csv(application)), metrics)
    if keyring is None:
        return Measured(guarded, metrics)
    settings = settings or Settings()
    rates = Rates(settings.token_requests_per_second)
    return Measured(Doorway(guarded, keyring, settings.session_seconds, rates), metrics)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietRequests(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Write nothing: requests are logged where they have an id."""


def dashboard_server(application: WSGIApplication, host: str, port: int) -> WSGIServer:
    """Bind a threaded server for `application`; `serve_forever` runs it, `shutdown` from another thread ends it."""
    return make_server(host, port, application, server_class=_Server, handler_class=_QuietRequests)
