"""The dashboard's wrapper: reads pass, everything else is refused before the dashboard sees it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from service.dashboard import read_only


class Recorder:
    """A WSGI application that counts what reaches it."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.paths.append(environ["PATH_INFO"])
        start_response("200 OK", [])
        return [b"seen"]


def asked(method: str, path: str) -> tuple[str, dict[str, str], list[str]]:
    """Send one request through the wrapper; return status, headers and what reached the application."""
    inner, told = Recorder(), {}

    def start_response(status: str, headers: list[tuple[str, str]], _info: Any = None) -> Any:
        told["status"], told["headers"] = status, dict(headers)

    list(read_only(inner)({"REQUEST_METHOD": method, "PATH_INFO": path}, start_response))  # type: ignore[arg-type]
    return told["status"], told["headers"], inner.paths


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get"])
def test_what_is_no_read_is_refused(method: str) -> None:
    """405 with the methods that are allowed; the dashboard never sees it."""
    status, headers, seen = asked(method, "/api/studies/1")

    assert (status, headers["Allow"], seen) == ("405 Method Not Allowed", "GET, HEAD", [])


@pytest.mark.parametrize(
    "path",
    [
        "/api/studies/1/plot/contour",
        "/api/studies/12/plot/rank",
        "/api/studies/1/plot/rank/",
        "//api/studies/1/plot/rank",
    ],
)
def test_the_two_expensive_plots_are_refused(path: str) -> None:
    """403, with or without the trailing slash that the dashboard would strip."""
    status, _, seen = asked("GET", path)

    assert (status, seen) == ("403 Forbidden", [])


@pytest.mark.parametrize("path", ["/dashboard", "/api/studies", "/api/studies/1/plot/slice", "/static/rank"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_reads_pass(method: str, path: str) -> None:
    """Pages, data and the other plots are the dashboard's to answer."""
    status, _, seen = asked(method, path)

    assert (status, seen) == ("200 OK", [path])
