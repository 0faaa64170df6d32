"""The dashboard's wrapper: reads pass, everything else is refused before the dashboard sees it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from service.dashboard import read_only
from service.dashboard_csv import harmless_csv
from service.dashboard_requests import Measured, with_metrics
from service.metrics import HttpMetrics


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


def test_no_cell_of_a_table_is_a_formula() -> None:
    """Texts that a program for tables would compute are quoted, numbers and the other answers are as they were."""
    table = 'Number,=HYPERLINK("http://evil.example")\r\n1,-0.5\r\n2,@SUM(A1)\r\n3,"\tx"\r\n4,+1e-3\r\n'

    def inside(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", environ["KIND"]), ("Content-Length", str(len(table)))])
        return [table.encode()]

    def answered(path: str, kind: str) -> tuple[dict[str, str], str]:
        told: dict[str, str] = {}
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "KIND": kind}
        body = harmless_csv(inside)(environ, lambda _status, headers: told.update(headers))  # type: ignore[arg-type]
        return told, b"".join(body).decode()

    headers, shown = answered("/csv/1", "text/csv; charset=utf-8")

    rows = [line.split(",", 1)[1] for line in shown.splitlines()]
    assert rows == ['"\'=HYPERLINK(""http://evil.example"")"', "-0.5", "'@SUM(A1)", "'\tx", "+1e-3"]
    assert headers["Content-Length"] == str(len(shown))
    assert answered("/csv/1", "application/json")[1] == answered("/api/studies", "text/csv")[1] == table


def test_a_request_is_counted_and_has_an_id(caplog: pytest.LogCaptureFixture) -> None:
    """The client's own id if it is a plain one; a defect is a 500 with the id under which the log has it."""

    def inside(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/broken":
            raise ZeroDivisionError
        start_response("200 OK", [])
        return [b"seen"]

    metrics = HttpMetrics()
    application = Measured(with_metrics(inside, metrics), metrics)

    def ask(path: str, request_id: str) -> tuple[str, dict[str, str], str]:
        told: list[Any] = []
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "HTTP_X_REQUEST_ID": request_id}
        body = application(environ, lambda status, headers: told.extend([status, dict(headers)]))  # type: ignore[arg-type]
        return told[0], told[1], b"".join(body).decode()

    plain, forged, broken = ask("/a", "mine-1"), ask("/a", "a\nb"), ask("/broken", "mine-2")
    page = ask("/metrics", "")[2]

    assert plain[1]["X-Request-Id"] == "mine-1"
    assert len(forged[1]["X-Request-Id"]) == 32
    assert broken[0] == "500 Internal Server Error"
    assert '"request_id": "mine-2"' in broken[2]
    assert "ZeroDivisionError" in caplog.text
    assert 'etude_http_requests_total{method="GET",route="(none)",status="200"} 2.0' in page
    assert 'etude_http_requests_total{method="GET",route="(none)",status="500"} 1.0' in page
