"""One call: its pauses on a clock of the test's own, and streams."""

from __future__ import annotations

import httpx
import pytest

from etude.errors import NotFound, ServiceUnreachable, StoreUnavailable
from etude.http import LONGEST_PAUSE_SECONDS, Http
from tests.unit.etude.answers import Script, Step, refuses, says

REFUSED = httpx.ConnectError("connection refused")


def http_on(*steps: Step, attempts: int = 6) -> tuple[Http, list[float]]:
    """A connection to a script, and the pauses that it makes without sleeping."""
    pauses: list[float] = []
    transport = httpx.MockTransport(Script(*steps))
    return Http("http://service.test", transport=transport, attempts=attempts, sleep=pauses.append), pauses


def test_pauses_double_up_to_the_longest_with_jitter_below() -> None:
    """0.1, 0.2, 0.4, ... seconds at most, each at least half of it, none above two seconds."""
    http, pauses = http_on(*[REFUSED] * 8, attempts=8)

    with pytest.raises(ServiceUnreachable):
        http.call("GET", "/")

    most = [min(LONGEST_PAUSE_SECONDS, 0.1 * 2**attempt) for attempt in range(7)]
    assert [high / 2 <= pause <= high for pause, high in zip(pauses, most, strict=True)] == [True] * 7


def test_a_service_that_names_a_pause_gets_it() -> None:
    """Retry-After counts in seconds, and no further than our longest pause."""
    away = refuses(StoreUnavailable())
    away.headers["Retry-After"] = "1"
    long = refuses(StoreUnavailable())
    long.headers["Retry-After"] = "3600"
    http, pauses = http_on(away, long, says({}))

    http.call("GET", "/")

    assert pauses == [1.0, LONGEST_PAUSE_SECONDS]


def test_a_stream_gives_its_lines() -> None:
    """As they come, without their ends."""
    http, _ = http_on(httpx.Response(200, text="event: study\n\n", headers={"Content-Type": "text/event-stream"}))

    with http.lines("/", headers={}, quiet_seconds=1.0) as lines:
        assert lines is not None
        assert list(lines) == ["event: study", ""]


def test_a_stream_that_is_refused_raises_the_problem() -> None:
    """A stream's refusal has words like any other."""
    http, _ = http_on(refuses(NotFound("no study named mine")))

    with pytest.raises(NotFound, match="no study named mine"), http.lines("/", headers={}, quiet_seconds=1.0):
        pass


def test_a_stream_with_nothing_to_come_has_no_lines() -> None:
    """204 says: do not ask again."""
    http, _ = http_on(httpx.Response(204))

    with http.lines("/", headers={}, quiet_seconds=1.0) as lines:
        assert lines is None


def test_every_attempt_of_a_call_has_one_request_id() -> None:
    """The service's log has it; another call has another."""
    script = Script(refuses(StoreUnavailable()), says({}), says({}))
    http = Http("http://service.test", transport=httpx.MockTransport(script), sleep=lambda _: None)

    http.call("GET", "/")
    http.call("GET", "/")

    first, again, other = (request.headers["X-Request-Id"] for request in script.requests)
    assert first == again != other
    assert len(first) == 32


@pytest.mark.parametrize("answered", [True, False], ids=["by a service", "by a gateway"])
def test_a_problem_knows_its_request(answered: bool) -> None:
    """As the service names it, else as it was sent; a traceback shows it."""
    problem = NotFound("no study named mine", **({"request_id": "r1"} if answered else {}))
    script = Script(refuses(problem))
    http = Http("http://service.test", transport=httpx.MockTransport(script))

    with pytest.raises(NotFound) as raised:
        http.call("GET", "/")

    sent = script.requests[0].headers["X-Request-Id"]
    assert raised.value.request_id == ("r1" if answered else sent)
    assert str(raised.value.request_id) in raised.value.__notes__[0]
