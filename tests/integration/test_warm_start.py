"""Studies that start from earlier ones, and the nights that do."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from search_spaces.recurrence import RecurrenceSpec
from service.clock import Clock
from service.coordinator import Coordinator
from service.due_times import next_due
from service.warm_start import MOST_TRIALS
from store import Store, open_store
from store.history import list_history
from store.proposals import history as proposals_of
from store.recurrences import change, get
from store.studies import delete_study, get_study, own
from store.verbs import SqlVerbs
from tests.integration.service_simulation import drive, simulated
from tests.nights import CURRENT, SPACE, TEMPLATE, FakeTime, moment_of, nights, recur, train_all
from tests.studies import claim, finish, run_study

SHORT = {"cron": "0 * * * *", "zone": "UTC"}
SMALL = {"optimizers": {"adamw": {}}, "schedules": ["linear"], "warmup": False}


@pytest.fixture
def store(sqlite_template: Path, tmp_path: Path) -> Iterator[Store]:
    """One kind of database: what differs between them is in tests/integration/test_recurrences.py."""
    opened = open_store(f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'etude.db')}")
    yield opened
    opened.close()


def run(store: Store, name: str, **fields: Any) -> None:
    body: dict[str, Any] = {
        "space": SPACE, "budget": {"trials": 12}, "confirmation": {"baselines": [], "top": 1, "seeds": 2},
    }  # fmt: skip
    run_study(store, name, **(body | fields))


def search_trials(store: Store, name: str) -> list[Any]:
    study_id = next(study.study_id for study in own(store, "tests", 60) if study.name == name)
    return [trial for trial in proposals_of(store, study_id) if trial.purpose == "search"]


@pytest.mark.parametrize("lag", [None, 0])
def test_a_warm_study_tries_the_answer_first_and_learns_from_the_trials(store: Store, lag: int | None) -> None:
    """`current`, then the earlier answer, then points drawn from what the earlier search has found."""
    run(store, "first")
    drive(store, simulated(store), "first", coordinator=lambda: Coordinator(store, "c"))
    answer = get_study(store, "first")
    run(
        store, "second", current=CURRENT | {"initial_lr": 0.01}, warm_start={"studies": ["first"], "top": 1},
        sampler={} if lag is None else {"lag": lag},
    )  # fmt: skip
    coordinator = Coordinator(store, "tests")
    for _ in range(8):
        coordinator.round()
        for trial in claim(SqlVerbs(store), count=1):
            finish(SqlVerbs(store), trial, value=1.0)

    trials = search_trials(store, "second")
    assert [trial.origin for trial in trials[:3]] == ["current", "imported", "sampler"]
    assert answer.best is not None
    kept = list_history(store, "second", limit=500).items
    assert {item.source for item in kept} == {"first"}
    assert [item.origin for item in kept].count("imported") == 1
    assert len(kept) - 1 <= answer.counts.complete <= MOST_TRIALS
    assert all(trial.candidate.optimizer.kind == "adamw" for trial in trials)


def test_the_places_that_a_proposal_saw_name_the_earlier_trials(store: Store) -> None:
    """With a lag, what a proposal is made of is written down, the earlier study's trials among it, faded."""
    from store.tables import proposals

    run(store, "first")
    drive(store, simulated(store), "first", coordinator=lambda: Coordinator(store, "c"))
    run(store, "second", warm_start={"studies": ["first"], "top": 1}, sampler={"lag": 0})
    drive(store, simulated(store), "second", coordinator=lambda: Coordinator(store, "c"))

    with store.read() as connection:
        seen = connection.execute(
            select(proposals.c.seen).where(proposals.c.study_name == "second").order_by(proposals.c.seq)
        ).scalars()
        written = [text for text in seen if text]
    counts = [_shown(text) for text in written]
    assert counts[0] > counts[-1]
    assert counts == sorted(counts, reverse=True)


def _shown(seen: str) -> int:
    spans = [part.removeprefix("history:") for part in seen.split(",") if part.startswith("history:")]
    ends = [[int(end) for end in span.split("-")] for span in spans]
    return sum(end[-1] - end[0] + 1 for end in ends)


def test_what_does_not_fit_is_left_out_and_the_night_says_so(store: Store) -> None:
    """Another schedule in the template: no earlier trial is a point of the space any more, and the notes tell."""
    now = FakeTime(moment_of("2030-03-27T12:00:00+01:00"))
    recur(store, now, **SHORT)
    clock, worker = Clock(store, now), simulated(store)
    now.at += 3600
    clock.round()
    train_all(store, worker, clock)

    def other(spec: RecurrenceSpec) -> RecurrenceSpec:
        body = spec.model_dump(mode="json") | {"template": TEMPLATE | {"space": SMALL}}
        return RecurrenceSpec.model_validate(body)

    change(store, "nightly", other, next_due, now)
    now.at += 3600
    clock.round()
    train_all(store, worker, clock)

    first, second = nights(store)
    assert first.notes == []
    assert second.state == "done"
    assert second.notes[0] == f"started from {first.study}: 0 trials for the sampler, 0 candidates tried first"
    assert second.notes[1] == f"the space is not that of {first.study}: only what fits was taken"
    assert "schedule is cosine, and the study searches linear" in second.notes[2]


def test_a_range_at_whose_edge_the_finalist_sat_is_wider_the_next_night(store: Store) -> None:
    """The best LR lies far below the range: its low end falls, the recurrence and the night say so, and it stays so."""
    now = FakeTime(moment_of("2030-03-27T12:00:00+01:00"))
    space = SPACE | {"optimizers": {"adamw": {"lr": {"low": 0.1, "high": 0.11}}}}
    template = TEMPLATE | {"space": space}
    recur(store, now, template=template, **SHORT)
    recur(store, now, name="kept", widen=False, template=template, **SHORT)
    clock = Clock(store, now)
    worker = simulated(store, lambda candidate, seed: candidate.initial_lr + 1e-6 * (seed % 97))
    for _ in range(3):
        now.at += 3600
        clock.round()
        train_all(store, worker, clock)

    _first, second, third = nights(store)
    said = [note for night in (second, third) for note in night.notes if note.startswith("adamw.lr sat at the edge of")]
    assert said[0].endswith(": its range is 0.0333333 to 0.11 now")
    assert get(store, "nightly").widened["adamw.lr"]["low"] <= 0.0333333
    space_then = get_study(store, third.study or "").space
    assert space_then is not None
    assert space_then["optimizers"]["adamw"]["lr"]["low"] <= 0.0333333
    assert get(store, "kept").widened == {}


def test_earlier_trials_go_with_their_study(store: Store) -> None:
    """What a later study started from is gone once the earlier one is deleted, its answer kept or not."""
    run(store, "first")
    drive(store, simulated(store), "first", coordinator=lambda: Coordinator(store, "c"))
    run(store, "second", warm_start={"studies": ["first"]})
    Coordinator(store, "tests").round()
    before = len(list_history(store, "second", limit=500).items)

    delete_study(store, "first", keep_answer=True)

    assert before > 3
    left = list_history(store, "second", limit=500).items
    assert {item.origin for item in left} == {"imported"}


def test_a_study_that_has_gone_is_passed_over(store: Store) -> None:
    """Deleted between submission and the first proposal: the study begins without it."""
    run(store, "first")
    run(store, "second", warm_start={"studies": ["first"]})
    delete_study(store, "first")

    Coordinator(store, "tests").round()

    assert search_trials(store, "second")
    assert list_history(store, "second").items == []
