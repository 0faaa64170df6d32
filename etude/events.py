"""A study's events as the service streams them, followed through outages."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

from search_spaces.problems import Problem, Unsupported
from search_spaces.results import StudyView, TrialView

from .http import ServiceUnreachable

if TYPE_CHECKING:
    from .http import Http

QUIET_SECONDS = 30.0
"""The service is heard of three times as often; a stream that is silent for so long is broken."""
OUTAGE_SECONDS = 60.0
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 2.0


@dataclass(frozen=True)
class Event:
    """Something that has changed; what an event holds is whole, so one that comes twice does no harm."""

    kind: Literal["study", "trial"]
    study: StudyView | None = None
    """The study as it is now, with the kind `study`."""
    trial: TrialView | None = None
    """The trial as it is now, without its curves, with the kind `trial`."""


@dataclass(frozen=True)
class Outage:
    """The stream is broken; it is opened again."""

    error: Exception


@dataclass
class Message:
    """One event of a stream, as its lines say; without a kind it is a sign of life."""

    kind: str = ""
    data: str = ""
    position: str | None = None


class Follower:
    """Follows one study from event to event. `position` is up to where everything has been heard."""

    def __init__(
        self,
        http: Http,
        name: str,
        *,
        position: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.position = position
        self._http = http
        self._path = f"/v1/studies/{quote(name, safe='')}/events"
        self._sleep = sleep
        self._clock = clock

    def follow(self) -> Generator[Event | Outage | None, None, None]:
        """Go through the events until the study has ended; None is a sign of life, an outage a pause of the stream.

        Raises:
            NotFound: there is no such study, or the service knows no events.
            ServiceUnreachable: nobody has answered for a minute.
        """
        silent_since, pause = self._clock(), FIRST_PAUSE_SECONDS
        while True:
            try:
                for message in self._messages():
                    silent_since, pause = self._clock(), FIRST_PAUSE_SECONDS
                    if message.kind == "end":
                        return
                    yield _event(message)
                broken: Exception = ServiceUnreachable("the stream of events has ended before the study")
            except (ServiceUnreachable, Problem) as error:
                if _is_final(error) or self._clock() - silent_since >= OUTAGE_SECONDS:
                    raise
                broken = error
            yield Outage(broken)
            self._sleep(pause)
            pause = min(LONGEST_PAUSE_SECONDS, 2 * pause)

    def _messages(self) -> Iterator[Message]:
        headers = {} if self.position is None else {"Last-Event-ID": self.position}
        with self._http.lines(self._path, headers=headers, quiet_seconds=QUIET_SECONDS) as lines:
            if lines is None:  # everything has been heard
                yield Message(kind="end")
                return
            for message in parse(lines):
                # What was yielded has been heard: only then does the position move on.
                yield message
                self.position = message.position or self.position


def parse(lines: Iterable[str]) -> Iterator[Message]:
    """Read a stream of server-sent events (HTML standard, section 9.2); a comment is a message without a kind."""
    message = Message()
    for line in lines:
        if line.startswith(":"):
            yield Message()
        elif line:
            field, _, value = line.partition(":")
            _take(message, field, value.removeprefix(" "))
        elif message.kind or message.data:
            yield message
            message = Message()


def _take(message: Message, field: str, value: str) -> None:
    if field == "event":
        message.kind = value
    elif field == "id":
        message.position = value
    elif field == "data":
        message.data = f"{message.data}\n{value}" if message.data else value


def _event(message: Message) -> Event | None:
    """Read what a message holds; of a kind that this version does not know it is a sign of life."""
    if message.kind == "study":
        return Event("study", study=StudyView.model_validate(json.loads(message.data)))
    if message.kind == "trial":
        return Event("trial", trial=TrialView.model_validate(json.loads(message.data)))
    return None


def _is_final(error: Exception) -> bool:
    # What the service refuses it refuses the next time, too; 5xx may be over soon.
    return isinstance(error, Problem) and (error.status < 500 or isinstance(error, Unsupported))
