"""One look after the other at a study, each told as events of what has changed since the one before."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from search_spaces.problems import InvalidSpec, NotFound
from search_spaces.results import StudyView, TrialView
from store import Store
from store.changes import PAGE_SIZE, Place, changed_trials, present_place
from store.states import ENDED_TRIAL
from store.studies import get_study

ENDED_STUDY = ("done", "stopped", "failed")
LAST_ID = "end"
"""Id of the event after which a stream has nothing more to say."""
POSITION = r"[0-9]{1,10}\.[0-9]{1,10}"
"""How a `Position` is written: the id of every event before the last."""
PHASES = (False, True)
"""The search's trials, then the confirmation's."""


@dataclass(frozen=True)
class Position:
    """Up to where a reader knows a study: every trial below these numbers, of search and confirmation, as it ended."""

    search: int = 0
    confirmation: int = 0

    @classmethod
    def parse(cls, text: str) -> Position:
        """Read a position from an event's id.

        Raises:
            InvalidSpec: no event of ours has such an id.
        """
        if re.fullmatch(POSITION, text) is None:
            raise InvalidSpec("this is the id of no event; leave it out to begin now", field="Last-Event-ID")
        search, confirmation = text.split(".")
        return cls(int(search), int(confirmation))

    def __str__(self) -> str:
        return f"{self.search}.{self.confirmation}"


@dataclass(frozen=True)
class Look:
    """What one look has shown, as the text of events."""

    news: str
    """What has changed since the look before; empty when nothing has."""
    whole: str
    """The study and every trial that is open, for who comes in now."""
    places: tuple[Place, Place]
    ended: bool


class Looker:
    """Looks at one study; calls follow one another, in whatever thread."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self.name = name
        self._places: list[Place | None] = [None, None]
        self._study: StudyView | None = None
        self._open: dict[tuple[str, int], TrialView] = {}

    def look(self) -> Look:
        """Return what there is and what is new; a study that has been removed has ended.

        Raises:
            StoreUnavailable: there is no looking just now.
        """
        try:
            # The study first: once it has ended, the trials that are read after it have ended, too.
            study = get_study(self._store, self.name)
        except NotFound:
            return self._told([], ended="deleted")
        trials = [trial for confirmation in PHASES for trial in self._changed(confirmation)]
        news = [event("trial", written(trial)) for trial in trials]
        if study != self._study:
            self._study = study
            news.append(event("study", study.model_dump_json()))
        return self._told(news, ended=study.state if study.state in ENDED_STUDY else None)

    def _changed(self, confirmation: bool) -> Iterator[TrialView]:
        for trial in self._read(confirmation):
            key = (trial.study, trial.number)
            if self._open.get(key) != trial:
                yield trial
            if trial.state in ENDED_TRIAL:
                self._open.pop(key, None)
            else:
                self._open[key] = trial

    def _read(self, confirmation: bool) -> Iterator[TrialView]:
        """Read what was open, and every trial that is new."""
        place = self._places[confirmation]
        if place is None:
            place = present_place(self._store, self.name, confirmation=confirmation)
        more = True
        while more:
            trials = changed_trials(self._store, self.name, place, confirmation=confirmation)
            more = len([trial for trial in trials if trial.number > place.top]) == PAGE_SIZE
            place = place.after(trials)
            yield from trials
        self._places[confirmation] = place

    def _told(self, news: list[str], *, ended: str | None) -> Look:
        search, confirmation = (place or Place() for place in self._places)
        position = str(Position(search.low, confirmation.low))
        whole = [event("trial", written(trial)) for trial in self._open.values()]
        if self._study is not None:
            whole.append(event("study", self._study.model_dump_json()))
        last = "" if ended is None else event("end", json.dumps({"state": ended}), LAST_ID)
        # The id comes last: who has received half of a look's events has to be told all of them again.
        return Look(_closed(news, position) + last, _closed(whole, position) + last, (search, confirmation), bool(last))


def ended_since(store: Store, name: str, since: Position, places: tuple[Place, Place]) -> Iterator[str]:
    """Tell, page by page, of the trials that have ended between a position and the places of a look."""
    for confirmation, first, place in zip(PHASES, (since.search, since.confirmation), places, strict=True):
        seen = first - 1
        while seen < place.top:
            here = Place(top=seen)
            page = changed_trials(store, name, here, confirmation=confirmation)
            if not page:
                break
            seen = page[-1].number
            yield "".join(event("trial", written(trial)) for trial in page if trial.state in ENDED_TRIAL)


def written(trial: TrialView) -> str:
    """Write a trial without its curves."""
    return trial.model_dump_json(exclude={"curve", "lr"})


def event(kind: str, data: str, position: str | None = None) -> str:
    """Write one event of a stream (HTML standard, section 9.2); `data` is JSON on one line."""
    return (f"id: {position}\n" if position is not None else "") + f"event: {kind}\ndata: {data}\n\n"


def _closed(events: list[str], position: str) -> str:
    """Give the last of the events the id up to which everything has been told then."""
    return "".join([*events[:-1], *(f"id: {position}\n{last}" for last in events[-1:])])
