"""One call to the service: retries with backoff, and the server's problems raised as what they are."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from search_spaces.problems import Problem, problem_from_document

from .errors import ServiceUnreachable

__all__ = ["Http", "ServiceUnreachable", "SharedTransport", "is_ready"]

REQUEST_ID = "X-Request-Id"
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
WORTH_REPEATING = {500, 502, 503, 504}


class SharedTransport(httpx.BaseTransport):
    """A transport that somebody else closes."""

    def __init__(self, transport: httpx.BaseTransport) -> None:
        self._transport = transport

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request by the transport that is shared."""
        return self._transport.handle_request(request)


class Http:
    """A connection to one service; knows nothing of studies.

    `attempts` is how often a call is tried before its last failure is raised: six take about three seconds.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        transport: httpx.BaseTransport | None = None,
        timeout: float = 30.0,
        attempts: int = 6,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.url = url.rstrip("/")
        self._attempts = attempts
        self._sleep = sleep
        # trust_env stays on for proxies, but a service on this machine is never asked for through one.
        self._client = httpx.Client(
            base_url=self.url, headers=headers, transport=transport, timeout=timeout, trust_env=not _is_local(url)
        )

    def call(self, method: str, path: str, *, repeatable: bool = True, **options: Any) -> httpx.Response:
        """Send one request; `options` are httpx's (params, json, content, headers).

        A call that is not `repeatable` is sent again only where it cannot have arrived.

        All attempts carry one request id, which the service's log has, and a problem's `request_id`.

        Raises:
            Problem: what the service answered, as the class that its code names.
            ServiceUnreachable: there is no answer.
        """
        headers = {REQUEST_ID: uuid.uuid4().hex, **options.pop("headers", {})}
        for attempt in range(self._attempts):
            last = attempt + 1 == self._attempts
            asked = 0.0
            try:
                response = self._client.request(method, path, headers=headers, **options)
            except httpx.TransportError as error:
                if last or not _may_be_sent_again(error, repeatable):
                    raise ServiceUnreachable(self._unreachable(error)) from error
            else:
                if last or not _is_worth_repeating(response, repeatable):
                    return _checked(response)
                asked = _retry_after(response)
            self._sleep(max(_pause_seconds(attempt), asked))
        raise AssertionError("the last attempt returns or raises")

    @contextmanager
    def lines(self, path: str, *, headers: dict[str, str], quiet_seconds: float) -> Iterator[Iterator[str] | None]:
        """Open a stream of events and go through its lines as they come; None where there is none to come (204).

        Raises:
            Problem: what the service answered.
            ServiceUnreachable: there is no answer, or the stream broke, or was silent for `quiet_seconds`.
        """
        headers = {"Accept": "text/event-stream", REQUEST_ID: uuid.uuid4().hex, **headers}
        timeout = httpx.Timeout(self._client.timeout.connect, read=quiet_seconds)
        try:
            with self._client.stream("GET", path, headers=headers, timeout=timeout) as response:
                if not response.is_success:
                    response.read()
                yield _checked(response).iter_lines() if response.status_code != httpx.codes.NO_CONTENT else None
        except httpx.TransportError as error:
            raise ServiceUnreachable(self._unreachable(error)) from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _unreachable(self, error: Exception) -> str:
        return (
            f"no answer from an Étude service at {self.url} ({error}); "
            "`etude up` starts one here, ETUDE_URL names another"
        )


def is_ready(url: str) -> bool:
    """Tell whether a service answers at `url` and reaches its store, asking once."""
    try:
        return httpx.get(f"{url}/readyz", timeout=5.0, trust_env=not _is_local(url)).is_success
    except httpx.TransportError:
        return False


def _may_be_sent_again(error: httpx.TransportError, repeatable: bool) -> bool:
    if isinstance(error, httpx.UnsupportedProtocol | httpx.LocalProtocolError):
        return False
    return repeatable or isinstance(error, httpx.ConnectError)


def _is_worth_repeating(response: httpx.Response, repeatable: bool) -> bool:
    if response.status_code == httpx.codes.TOO_MANY_REQUESTS:  # not looked at, so it may be sent again
        asked = response.headers.get("Retry-After", "")
        return asked.isdecimal() and float(asked) <= LONGEST_PAUSE_SECONDS
    return repeatable and response.status_code in WORTH_REPEATING


def _pause_seconds(attempt: int) -> float:
    # Jitter: clients that lost the same service must not come back in step.
    return min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0**attempt) * random.uniform(0.5, 1.0)


def _retry_after(response: httpx.Response) -> float:
    """The pause that a service asks for, in seconds; dates, which only a gateway would write, are passed over."""
    asked = response.headers.get("Retry-After", "")
    return min(LONGEST_PAUSE_SECONDS, float(asked)) if asked.isdecimal() else 0.0


def _checked(response: httpx.Response) -> httpx.Response:
    if response.is_success:
        return response
    raise _problem(response)


def _problem(response: httpx.Response) -> Problem:
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        body = {"detail": f"HTTP status {response.status_code} from {response.request.url}"}
    request_id = body.setdefault("request_id", response.request.headers[REQUEST_ID])
    problem = problem_from_document(body, response.status_code)
    problem.add_note(f"request {request_id}: the service's log has it under this id")
    return problem


def _is_local(url: str) -> bool:
    try:
        return httpx.URL(url).host in {"127.0.0.1", "localhost", "::1"}
    except httpx.InvalidURL:
        return False
