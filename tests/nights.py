"""Recurrences for tests: a clock that stands where it is put, and nights whose studies are trained by a formula."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from search_spaces.recurrence import RecurrenceSpec, RecurrenceView, RunView
from service.clock import Clock
from service.coordinator import Coordinator
from service.due_times import next_due
from store import Store
from store.night_views import list_runs
from store.recurrences import create
from store.sealing import Seal
from store.tables import studies
from tests.integration.service_simulation import SimulatedWorker

SPACE = {"optimizers": {"adamw": {}}, "schedules": ["cosine"], "warmup": False}
CURRENT = {"optimizer": {"kind": "adamw"}, "initial_lr": 0.1, "schedule": {"kind": "cosine"}}
TEMPLATE: dict[str, Any] = {
    "task": {"name": "nothing"},
    "space": SPACE,
    "budget": {"trials": 6},
    "confirmation": {"baselines": [], "top": 1, "seeds": 3},
    "current": CURRENT,
}
BERLIN = "Europe/Berlin"


@dataclass
class FakeTime:
    """Seconds since 1970 that pass only when somebody says so."""

    at: float

    def __call__(self, _connection: Connection) -> float:
        return self.at

    def go_to(self, moment: str) -> None:
        """Stand at a moment that is written with its offset."""
        self.at = moment_of(moment)


def moment_of(written: str) -> float:
    return datetime.fromisoformat(written).timestamp()


def spec_of(name: str = "nightly", **fields: Any) -> RecurrenceSpec:
    body = {"name": name, "template": TEMPLATE, "cron": "30 2 * * *", "zone": BERLIN}
    return RecurrenceSpec.model_validate(body | fields)


SEAL = Seal(lambda _make: ["the key of the tests, of 32 letters and more"])


def recur(store: Store, now: FakeTime, name: str = "nightly", **fields: Any) -> RecurrenceView:
    return create(store, spec_of(name, **fields), next_due, now, SEAL)


def nights(store: Store, name: str = "nightly") -> list[RunView]:
    """The nights of a recurrence, the earliest first."""
    runs: list[RunView] = list_runs(store, name, limit=500).items
    return runs[::-1]


def study_names(store: Store) -> list[str]:
    with store.read() as connection:
        return list(connection.execute(select(studies.c.name).order_by(studies.c.id)).scalars())


def train_all(store: Store, worker: SimulatedWorker, clock: Clock) -> None:
    """Let every study that is under way come to its end, and the clock write it down."""
    coordinator = Coordinator(store, "nights")
    for _ in range(200):
        coordinator.round()
        if not worker.round() and not coordinator.round():
            break
    clock.round()
