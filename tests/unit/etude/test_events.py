"""Following a study by its events: reading the stream, and going on after it broke."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from etude.cli import main
from etude.client import Client
from etude.errors import NotFound, ServiceUnreachable, StoreUnavailable
from etude.events import Event, Follower, Message, Outage, parse
from etude.http import Http
from tests.unit.etude.answers import Script, Step, final_answer, refuses, says, study_view, trial_view

REFUSED = httpx.ConnectError("connection refused")


def written(kind: str, model: Any, position: str | None = None) -> str:
    data = model if isinstance(model, str) else model.model_dump_json()
    return (f"id: {position}\n" if position else "") + f"event: {kind}\ndata: {data}\n\n"


END = written("end", json.dumps({"state": "done"}), "end")


class Cut(httpx.SyncByteStream):
    """A body that breaks off."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __iter__(self) -> Iterator[bytes]:
        yield self.text.encode()
        raise httpx.ReadError("connection cut")


def stream(*texts: str) -> httpx.Response:
    return httpx.Response(200, text="".join(texts), headers={"Content-Type": "text/event-stream"})


def follower(script: Script, now: list[float] | None = None) -> Follower:
    """A follower whose pauses move a clock of the test's own."""
    clock = [0.0] if now is None else now

    def sleep(seconds: float) -> None:
        clock[0] += max(seconds, 0.001)

    http = Http("http://service.test", transport=httpx.MockTransport(script))
    return Follower(http, "mine", sleep=sleep, clock=lambda: clock[0])


def test_a_stream_is_read_by_the_standard() -> None:
    """Ids, kinds, data of several lines, comments; an event that is not closed by an empty line is none."""
    lines = [": hello", "id: 3.1", "event:trial", "data: {", "data: }", "", "", "event: study", "data: x"]

    assert list(parse(lines)) == [Message(), Message("trial", "{\n}", "3.1")]


def test_events_are_models_and_the_stream_ends_with_the_study() -> None:
    """What this version does not know is a sign of life."""
    script = Script(stream(written("trial", trial_view(3)), written("news", "{}"), written("study", study_view()), END))

    found = list(follower(script).follow())

    assert found == [Event("trial", trial=trial_view(3)), None, Event("study", study=study_view())]
    assert script.requests[0].headers["Accept"] == "text/event-stream"


def test_after_a_break_it_goes_on_from_the_last_id() -> None:
    """Connection losses, an early end and 5xx are passed through; the position is what was heard in full."""
    script = Script(
        httpx.Response(200, stream=Cut(written("study", study_view(), "2.0") + "id: 9.0\nevent: trial\n")),
        REFUSED,
        refuses(StoreUnavailable()),
        stream(written("study", study_view("confirming"), "4.0")),
        stream(END),
    )

    found = list(follower(script).follow())

    assert [type(one) for one in found] == [Event, Outage, Outage, Outage, Event, Outage]
    assert [request.headers.get("Last-Event-ID") for request in script.requests] == [None, "2.0", "2.0", "2.0", "4.0"]


def test_nothing_is_asked_again_once_everything_has_been_heard() -> None:
    """204 ends it."""
    assert list(follower(Script(httpx.Response(204))).follow()) == []


def test_an_outage_of_a_minute_is_raised() -> None:
    """A minute since anything was heard, by the follower's clock."""
    now = [0.0]

    with pytest.raises(ServiceUnreachable):
        list(follower(Script(*[REFUSED] * 1000), now).follow())

    assert 60 <= now[0] < 63


def test_a_refusal_is_raised_at_once() -> None:
    """A study that is not there does not come by waiting."""
    with pytest.raises(NotFound, match="no study"):
        list(follower(Script(refuses(NotFound("no study named mine")))).follow())


def test_wait_listens_and_shows_what_it_hears(capsys: pytest.CaptureFixture[str]) -> None:
    """No look is needed: the stream's last state is the end, and the answer is asked for once."""
    script = Script(
        stream(
            written("study", study_view("confirming")), ": still here\n\n", written("study", study_view("done")), END
        ),
        says(final_answer()),
    )

    answer = script.client().wait("mine")

    assert answer == final_answer()
    assert script.paths == ["GET /v1/studies/mine/events", "GET /v1/studies/mine/best"]
    assert "done" in capsys.readouterr().err


def run_watch(monkeypatch: pytest.MonkeyPatch, *arguments: str, steps: tuple[Step, ...]) -> Any:
    script = Script(*steps)
    monkeypatch.setattr(
        "etude.cli_watch.Client", lambda _url: Client("http://service.test", transport=httpx.MockTransport(script))
    )
    return CliRunner().invoke(main, ["watch", "mine", *arguments])


def test_watch_tells_of_each_trial_that_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has not ended is in the progress; the exit status says whether the study came to its end."""
    texts = (
        written("trial", trial_view(1, None, state="leased")),
        written("trial", trial_view(2, 0.25)),
        written("study", study_view("stopped", reason="stopped by request")),
        END,
    )

    done = run_watch(monkeypatch, steps=(stream(*texts),))

    assert "mine 2 complete 0.25 after 100 steps: AdamW" in done.stderr
    assert "mine 1" not in done.output
    assert (done.stdout, done.exit_code) == ("mine is stopped: stopped by request\n", 1)


def test_watch_prints_events_as_lines_of_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """For programs: what the service sends, one event a line."""
    texts = (written("trial", trial_view(2)), written("study", study_view("done")), END)

    done = run_watch(monkeypatch, "--json", steps=(says(study_view()), stream(*texts)))

    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["event"], line["data"].get("number")) for line in lines] == [("trial", 2), ("study", None)]
    assert done.exit_code == 0
