"""The dashboard's table of a study as CSV, made harmless: a program for tables takes some texts for formulas."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

CSV_PREFIX = "/csv/"
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""How a cell begins that such a program may compute: names of metrics, choices and errors are a client's own."""


def harmless_csv(application: WSGIApplication) -> WSGIApplication:
    """Wrap the dashboard so that no cell of a table that it gives begins as a formula."""

    def guarded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not environ.get("PATH_INFO", "").startswith(CSV_PREFIX):
            return application(environ, start_response)
        told: list[tuple[str, list[tuple[str, str]]]] = []

        def note(status: str, headers: list[tuple[str, str]], *_more: Any) -> Callable[[bytes], object]:
            told[:] = [(status, headers)]
            return io.BytesIO().write

        body = b"".join(application(environ, note))
        [(status, headers)] = told
        if any(name.lower() == "content-type" and value.startswith("text/csv") for name, value in headers):
            body = harmless(body.decode()).encode()
        kept = [(name, value) for name, value in headers if name.lower() != "content-length"]
        start_response(status, [*kept, ("Content-Length", str(len(body)))])
        return [body]

    return guarded


def harmless(table: str) -> str:
    r"""Return the same table with a quote before every text that could be a formula; numbers stay.

    >>> harmless('Number,=1+1\r\n-0.5,"@SUM(A1)"\r\n')
    "Number,'=1+1\r\n-0.5,'@SUM(A1)\r\n"
    """
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerows([_quoted(cell) for cell in row] for row in csv.reader(io.StringIO(table, newline="")))
    return written.getvalue()


def _quoted(cell: str) -> str:
    return f"'{cell}" if cell.startswith(FORMULA) and not _is_number(cell) else cell


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
