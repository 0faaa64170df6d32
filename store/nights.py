"""The nights of recurrences: each due time claimed once, its study submitted with it, its end written down.

What a night is to be is decided by a function of the caller's from what the transaction has read (`Due`); here it is
written in the same transaction. The row of a night is UNIQUE by recurrence and due time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, Row, func, insert, or_, select, update

from search_spaces.problems import Conflict, NameTaken
from search_spaces.recurrence import RunState, RunView, night_name
from search_spaces.results import Answer
from search_spaces.space import Space
from search_spaces.study import ResolvedStudy, StudySpec

from .engine import Store
from .held import as_time
from .night_views import run_view
from .outbox import tell
from .recurrences import Now, Recurrence, key_of, recurrence_of
from .states import RUN_MOVES, sources
from .studies import submit_within
from .tables import recurrence_runs, recurrences, studies

BACK_SECONDS = 60.0
"""A clock that is back by so much, against when the next due time was computed, makes it be computed again."""
FAILED, VERDICT = "night_failed", "verdict_changed"
"""Events that a webhook is told of."""


@dataclass(frozen=True)
class EarlierNight:
    """A night whose study is done and kept."""

    study: str
    space: Space
    answer: Answer


@dataclass(frozen=True)
class Due:
    """What a night is decided from, all of one moment."""

    recurrence: Recurrence
    now: float
    """Seconds since 1970."""
    under_way: int
    waiting: int
    earlier: list[EarlierNight]
    """Latest first."""


@dataclass(frozen=True)
class Night:
    """What is to become of a due time; `study` goes with the state `running`."""

    due_at: float
    state: RunState
    reason: str | None = None
    missed: int = 0
    notes: list[str] = field(default_factory=list)
    study: StudySpec | None = None
    resolved: ResolvedStudy | None = None
    space: Space | None = None
    widened: dict[str, Any] | None = None
    claim_id: str | None = None


@dataclass(frozen=True)
class Decision:
    """What is to be written: the night, if one is due, and when the next one is."""

    next_due_at: float | None
    night: Night | None = None
    missed: int = 0
    """Due times that are not caught up."""


Decide = Callable[[Due], Decision]


# Claiming


def due_recurrences(store: Store, now: Now) -> list[str]:
    """Read the names of recurrences for which a clock has something to do."""
    waits = select(recurrence_runs.c.recurrence_id).where(recurrence_runs.c.state == "waiting")
    with store.read() as connection:
        at = now(connection)
        query = select(recurrences.c.name).where(
            or_(
                recurrences.c.next_due_at <= at,
                recurrences.c.due_known_at > at + BACK_SECONDS,
                recurrences.c.id.in_(waits),
            )
        )
        return list(connection.execute(query.order_by(recurrences.c.next_due_at)).scalars())


def claim_due(store: Store, name: str, decide: Decide, now: Now) -> bool:
    """Claim the due time of a recurrence and submit its study, in one transaction; tell whether there was one.

    Another clock that is at the same recurrence goes first; whatever it leaves is claimed the next time.
    """
    with store.begin() as connection:
        row = _locked(connection, name, skip=True)
        at = now(connection)
        if row is None or not _is_due(row, at):
            return False
        decision = decide(_due(connection, row, at))
        if decision.night is not None:
            _write(store, connection, row, decision.night, at)
        values = {"next_due_at": decision.next_due_at, "due_known_at": at, "missed": row.missed + decision.missed}
        connection.execute(update(recurrences).where(recurrences.c.id == row.id).values(values))
        return decision.night is not None


def _locked(connection: Connection, name: str, *, skip: bool = False) -> Row[Any] | None:
    query = select(recurrences).where(recurrences.c.name == name)
    return connection.execute(query.with_for_update(skip_locked=skip)).first()


def _is_due(row: Row[Any], at: float) -> bool:
    if row.spec["paused"]:
        return False
    return bool((row.next_due_at is not None and row.next_due_at <= at) or row.due_known_at > at + BACK_SECONDS)


def _due(connection: Connection, row: Row[Any], at: float) -> Due:
    mine = recurrence_runs.c.recurrence_id == row.id
    is_open = recurrence_runs.c.state.in_(("waiting", "running"))
    counted = select(recurrence_runs.c.state, func.count()).where(mine, is_open).group_by(recurrence_runs.c.state)
    counts: dict[str, int] = {state: count for state, count in connection.execute(counted)}  # noqa: C416 - rows
    return Due(
        recurrence=recurrence_of(row),
        now=at,
        under_way=counts.get("running", 0),
        waiting=counts.get("waiting", 0),
        earlier=_earlier(connection, row),
    )


def _earlier(connection: Connection, row: Row[Any]) -> list[EarlierNight]:
    query = (
        select(studies.c.name, studies.c.space, studies.c.answer)
        .join(recurrence_runs, recurrence_runs.c.study == studies.c.name)
        .where(
            recurrence_runs.c.recurrence_id == row.id,
            recurrence_runs.c.state == "done",
            ~studies.c.archived,
            studies.c.state == "done",
        )
        .order_by(recurrence_runs.c.due_at.desc())
        .limit(max(1, row.spec["warm_nights"]))
    )
    return [
        EarlierNight(found.name, Space.model_validate(found.space), Answer.model_validate(found.answer))
        for found in connection.execute(query)
    ]


def _write(store: Store, connection: Connection, row: Row[Any], night: Night, at: float) -> None:
    """Write a night with its study; one that has its row already is left as it is."""
    mine = (recurrence_runs.c.recurrence_id == row.id) & (recurrence_runs.c.due_at == night.due_at)
    if connection.execute(select(recurrence_runs.c.id).where(mine)).first() is not None:
        return
    night = _submitted(store, connection, night)
    values = {
        "recurrence_id": row.id, "due_at": night.due_at, "claim_id": night.claim_id, "missed": night.missed,
        "in_use": row.in_use,
    }  # fmt: skip
    connection.execute(insert(recurrence_runs).values(values | _written(night, at)))
    _after(connection, row, night, at)


def _submitted(store: Store, connection: Connection, night: Night) -> Night:
    """Submit a night's study; what the store refutes fails the night."""
    if night.study is None:
        return night
    try:
        submit_within(store, connection, night.study, resolved=night.resolved, space=night.space)
    except NameTaken as problem:
        return replace(night, state="failed", reason=str(problem), study=None)
    return night


def _written(night: Night, at: float) -> dict[str, Any]:
    return {
        "state": night.state,
        "reason": night.reason,
        "study": None if night.study is None else night.study.name,
        "notes": night.notes,
        "started_at": at if night.state == "running" else None,
        "ended_at": at if not RUN_MOVES[night.state] else None,
    }


def _after(connection: Connection, row: Row[Any], night: Night, at: float) -> None:
    if night.widened is not None and night.study is not None:
        widened = update(recurrences).where(recurrences.c.id == row.id).values(widened=night.widened)
        connection.execute(widened)
    if night.state == "failed":
        run = connection.execute(
            select(recurrence_runs).where(
                recurrence_runs.c.recurrence_id == row.id, recurrence_runs.c.due_at == night.due_at
            )
        ).one()
        tell(connection, row, FAILED, run_view(row.name, run).model_dump(mode="json"), at)


def claim_waiting(store: Store, name: str, begin: Callable[[Due, float], Night | None], now: Now) -> bool:
    """Begin the night of a recurrence that has waited for longest, where `begin` has a place for it."""
    with store.begin() as connection:
        row = _locked(connection, name, skip=True)
        if row is None:
            return False
        of_it = (recurrence_runs.c.recurrence_id == row.id) & (recurrence_runs.c.state == "waiting")
        run = connection.execute(select(recurrence_runs).where(of_it).order_by(recurrence_runs.c.due_at)).first()
        if run is None:
            return False
        at = now(connection)
        night = begin(_due(connection, row, at), run.due_at)
        if night is None:
            return False
        night = _submitted(store, connection, night)
        assert night.state in RUN_MOVES["waiting"]
        mine = update(recurrence_runs).where(recurrence_runs.c.id == run.id, recurrence_runs.c.state == "waiting")
        connection.execute(mine.values(_written(night, at)))
        _after(connection, row, night, at)
        return True


def ask_for(store: Store, name: str, claim_id: str, decide: Callable[[Due], Night], now: Now) -> RunView:
    """Give the night that was asked for with this id, a new one the first time.

    Raises:
        NotFound: there is no such recurrence.
        Conflict: a night of this minute is there already, or `decide` has no place for another.
    """
    with store.begin() as connection:
        key = key_of(connection, name)
        row = _locked(connection, name)
        assert row is not None
        asked = (recurrence_runs.c.recurrence_id == key) & (recurrence_runs.c.claim_id == claim_id)
        if connection.execute(select(recurrence_runs.c.id).where(asked)).first() is None:
            at = now(connection)
            night = replace(decide(_due(connection, row, at)), claim_id=claim_id)
            _write(store, connection, row, night, at)
        run = connection.execute(select(recurrence_runs).where(asked)).first()
        if run is None:
            taken = night_name(name, as_time(night.due_at))
            raise Conflict(f"the night of this minute is there already: {taken}", field="claim_id")
        return run_view(name, run)


# Ending


@dataclass(frozen=True)
class OpenNight:
    """A night whose study has ended, which its row does not know yet."""

    key: int
    recurrence: str
    study: str
    state: RunState
    """What the night becomes."""
    reason: str | None
    answer: Answer | None


def ended_nights(store: Store) -> list[OpenNight]:
    """Read the nights whose studies have ended, or are not there any more."""
    query = (
        select(recurrence_runs, recurrences.c.name, studies.c.state.label("stands"), studies.c.answer)
        .add_columns(studies.c.reason.label("why"))
        .join(recurrences, recurrences.c.id == recurrence_runs.c.recurrence_id)
        .outerjoin(studies, studies.c.name == recurrence_runs.c.study)
        .where(
            recurrence_runs.c.state == "running",
            or_(studies.c.id.is_(None), studies.c.state.in_(sources_of_ends())),
        )
        .order_by(recurrence_runs.c.due_at)
    )
    with store.read() as connection:
        return [_open_night(row) for row in connection.execute(query)]


def sources_of_ends() -> tuple[str, ...]:
    """The states of a study in which its night is over."""
    return tuple(state for state in RUN_MOVES if "running" in sources(RUN_MOVES, state))


def _open_night(row: Row[Any]) -> OpenNight:
    state: RunState = "failed" if row.stands is None else row.stands
    reason = "its study was deleted" if row.stands is None else row.why
    answer = None if row.answer is None else Answer.model_validate(row.answer)
    return OpenNight(row.id, row.name, row.study, state, reason, answer)


def conclude_night(store: Store, night: OpenNight, outcome: dict[str, Any], now: Now) -> bool:
    """Write the end of a night, adopt its winner where that is the policy, and tell of news; tell if it was open."""
    with store.begin() as connection:
        row = _locked(connection, night.recurrence)
        if row is None:
            return False
        at = now(connection)
        before = _verdict_before(connection, row.id, night.key)
        ended = {"state": night.state, "reason": night.reason, "outcome": outcome or None, "ended_at": at}
        is_it = recurrence_runs.c.id == night.key
        open_one = update(recurrence_runs).where(is_it, recurrence_runs.c.state == "running")
        if connection.execute(open_one.values(ended)).rowcount == 0:
            return False
        run = connection.execute(select(recurrence_runs).where(is_it)).one()
        _adopt(connection, row, night, outcome)
        event = FAILED if night.state == "failed" else None
        if night.state == "done" and outcome.get("verdict") != before:
            event = VERDICT
        if event is not None:
            content = run_view(row.name, run).model_dump(mode="json") | {"verdict_before": before}
            tell(connection, row, event, content, at)
        return True


def _verdict_before(connection: Connection, recurrence_id: int, key: int) -> str | None:
    """Return the verdict of the latest night before this one that has one."""
    due = select(recurrence_runs.c.due_at).where(recurrence_runs.c.id == key).scalar_subquery()
    query = select(recurrence_runs.c.outcome).where(
        recurrence_runs.c.recurrence_id == recurrence_id,
        recurrence_runs.c.state == "done",
        recurrence_runs.c.due_at < due,
    )
    found = connection.execute(query.order_by(recurrence_runs.c.due_at.desc()).limit(1)).scalar()
    return None if found is None else found.get("verdict")


def _adopt(connection: Connection, row: Row[Any], night: OpenNight, outcome: dict[str, Any]) -> None:
    if row.spec["adopt"] == "winner" and outcome.get("verdict") == "winner" and outcome.get("candidate"):
        values = {"in_use": outcome["candidate"], "in_use_from": night.study}
        connection.execute(update(recurrences).where(recurrences.c.id == row.id).values(values))
