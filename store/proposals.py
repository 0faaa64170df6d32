"""Proposals: what the coordinator wants trained, one row for each, and what became of them.

A trial of Étude's is a proposal from its first moment: (study, purpose, seq) is unique and the search's seq stays
below the budget, so the budget is exact whatever the number of coordinators, workers and crashes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, Select, case, insert, select, union
from sqlalchemy.dialects import postgresql, sqlite

from search_spaces.candidate import Candidate
from search_spaces.space import Space
from search_spaces.study import confirmation_name
from search_spaces.work import Purpose

from . import optuna_bridge
from .engine import Store
from .foreign import latest_foreign
from .states import LIVE_STUDY
from .tables import proposals, rung_values, segments, studies
from .tallies import tallies_of

TEST_ORIGIN = "test:"
"""How the origin of a trial begins whose worker evaluates the trained model on the test split."""
IDS_AT_ONCE = 500
"""Parameters of one IN (...): SQLite has a limit, and plans of long ones are slow."""


@dataclass(frozen=True)
class NewProposal:
    """A candidate to be trained; `params` are its Optuna parameters, None for a point outside the space."""

    seq: int
    purpose: Purpose
    origin: str
    candidate: Candidate
    params: dict[str, Any] | None
    seed: int
    prunable: bool = True
    exempt_steps: int = 0
    """Rungs before this step are neither decided nor counted: the schedule is still rising."""
    phases: list[float] | None = None
    """Where trials of one phase are compared: the share of the LR curve's area that is left at each rung."""
    run_on: bool = False
    seen: str | None = None
    horizon_steps: int | None = None
    """Updates of its training; None: the study's horizon. Of a search trial with a target only: others are compared
    at rungs."""


@dataclass(frozen=True)
class Past:
    """A proposal or a foreign trial, as the coordinator sees it."""

    seq: int | None
    number: int | None
    purpose: str
    origin: str
    state: str
    params: dict[str, Any]
    candidate: Candidate | None
    value: float | None
    seed: int
    rungs: dict[int, float] = field(default_factory=dict)
    steps_done: int = 0
    extra_steps: int = 0
    worker_seconds: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    error: str | None = None
    horizon_steps: int | None = None
    """None of a foreign trial."""
    spared_at: int | None = None
    """The rung at which it would have been pruned, had it not been one of those that run on."""
    age: int | None = None
    """Of a trial of an earlier study: 1 for the latest."""


def propose(store: Store, study_id: int, new: Sequence[NewProposal]) -> int:
    """Insert proposals of a live study and return how many were new; what is there already is left alone.

    Search proposals whose seq is not below the budget are refused with ValueError: the budget is exact. So are those
    with a horizon of their own where trials are compared as they train: in every search without a target.
    """
    if not new:
        return 0
    with store.begin() as connection:
        # NO KEY: reports, whose rows refer to the study's, need not wait for the proposals.
        locked = select(studies).where(studies.c.id == study_id).with_for_update(key_share=True)
        study = connection.execute(locked).first()
        if study is None or study.state not in LIVE_STUDY:
            return 0
        if any(row.purpose == "search" and row.seq >= study.budget_trials for row in new):
            raise ValueError("a search proposal beyond the budget")
        compared = study.resolved.get("target") is None
        if compared and any(row.purpose == "search" and row.horizon_steps is not None for row in new):
            raise ValueError("a search proposal with a horizon of its own")
        rows = _rows(store, connection, study, new)
        dialect = postgresql if store.dialect.name == "postgresql" else sqlite
        insertion = dialect.insert(proposals).on_conflict_do_nothing()
        added = connection.execute(insertion.returning(proposals.c.id, proposals.c.horizon_steps), rows).all()
        return _add_segments(connection, added)


def _rows(store: Store, connection: Connection, study: Row[Any], new: Sequence[NewProposal]) -> list[dict[str, Any]]:
    space = Space.model_validate(study.space)
    ranges = space.ranges()
    now = store.now(connection)
    return [
        {
            "study_id": study.id,
            "purpose": row.purpose,
            "seq": row.seq,
            "origin": row.origin,
            "study_name": study.name if row.purpose == "search" else confirmation_name(study.name),
            "candidate": row.candidate.model_dump(mode="json"),
            "params": row.params or {},
            "optuna_params": optuna_bridge.optuna_params(row.params or {}, ranges),
            "seed": row.seed,
            "horizon_steps": row.horizon_steps or study.resolved["horizon_steps"],
            "rungs": [rung for rung in study.resolved["rungs"] if rung < (row.horizon_steps or math.inf)],
            "prunable": row.prunable and row.purpose == "search",
            "exempt_steps": row.exempt_steps,
            "phases": row.phases,
            "run_on": row.run_on,
            "seen": row.seen,
            "state": "proposed",
            "created_at": now,
        }
        for row in new
    ]


def _add_segments(connection: Connection, added: Sequence[Row[Any]]) -> int:
    """Give each new proposal its one segment: its whole horizon from step 0."""
    rows = [
        {"proposal_id": row.id, "position": 0, "horizon_steps": row.horizon_steps, "start_step": 0} for row in added
    ]
    if rows:
        connection.execute(insert(segments), rows)
    return len(rows)


def queue(store: Store, study_id: int) -> dict[str, dict[str, int]]:
    """Count a study's proposals: {purpose: {state: n}}."""
    with store.read() as connection:
        return tallies_of(connection, {study_id: None})[study_id].counts


def history(store: Store, study_id: int) -> list[Past]:
    """Read every proposal of a study and every foreign trial, search proposals first and in order."""
    query = (
        select(proposals).where(proposals.c.study_id == study_id).order_by(proposals.c.purpose.desc(), proposals.c.seq)
    )
    with store.read() as connection:
        return _pasts(connection, study_id, query) + _foreign(connection, study_id)


def recent_history(store: Store, study_id: int, *, direction: str, best: int, latest: int) -> list[Past]:
    """Read what the next proposals of a search are drawn from, at a cost that does not grow with the study.

    That is: every open proposal and every one that is not the sampler's, the `best` complete ones by `direction`, the
    `latest` by place, and the `latest` foreign trials.
    """
    mine = (proposals.c.study_id == study_id) & (proposals.c.purpose == "search")
    value = proposals.c.value.desc() if direction == "maximize" else proposals.c.value
    ids = select(proposals.c.id)
    wanted = union(
        ids.where(mine, proposals.c.state.in_(("proposed", "leased"))),
        ids.where(mine, proposals.c.origin != "sampler"),
        select(ids.where(mine, proposals.c.state == "complete").order_by(value).limit(best).subquery()),
        select(ids.where(mine).order_by(proposals.c.seq.desc()).limit(latest).subquery()),
    ).subquery()
    query = select(proposals).where(proposals.c.id.in_(select(wanted.c.id))).order_by(proposals.c.seq)
    with store.read() as connection:
        return _pasts(connection, study_id, query) + _foreign(connection, study_id, latest)


def taken_places(store: Store, study_id: int) -> set[int]:
    """Return the places of a study's search that have a proposal; a study that was cut short may have gaps."""
    query = select(proposals.c.seq).where(proposals.c.study_id == study_id, proposals.c.purpose == "search")
    with store.read() as connection:
        return set(connection.execute(query).scalars())


def _pasts(connection: Connection, study_id: int, query: Select[Any]) -> list[Past]:
    rows = connection.execute(query).all()
    rungs = _rungs(connection, study_id, [row.trial_id for row in rows if row.trial_id is not None])
    return [_past(row, rungs.get(row.trial_id, {})) for row in rows]


def _rungs(connection: Connection, study_id: int, trials: Sequence[int]) -> dict[int, dict[int, float]]:
    """Read what some trials were compared by at their rungs, by trial: raw values where there are no others."""
    by_trial: dict[int, dict[int, float]] = {}
    for first in range(0, len(trials), IDS_AT_ONCE):
        query = (
            select(rung_values.c.trial_id, rung_values.c.rung, rung_values.c.value)
            .where(
                rung_values.c.study_id == study_id,
                rung_values.c.trial_id.in_(trials[first : first + IDS_AT_ONCE]),
            )
            .order_by(case((rung_values.c.kind == "raw", 0), else_=1))
        )
        for trial_id, rung, value in connection.execute(query):
            by_trial.setdefault(trial_id, {})[rung] = float("nan") if value is None else value
    return by_trial


def _past(row: Row[Any], rungs: dict[int, float]) -> Past:
    return Past(
        seq=row.seq,
        number=row.number,
        purpose=row.purpose,
        origin=row.origin,
        state=row.state,
        params=row.params,
        candidate=Candidate.model_validate(row.candidate),
        value=row.value,
        seed=row.seed,
        rungs=rungs,
        steps_done=row.steps_done,
        extra_steps=row.extra_steps,
        worker_seconds=row.worker_seconds,
        metrics={name: float(value) for name, value in (row.metrics or {}).items()},
        error=row.error,
        horizon_steps=row.horizon_steps,
        spared_at=row.spared_at,
    )


def _foreign(connection: Connection, study_id: int, latest: int = 1_000_000) -> list[Past]:
    optuna_id = connection.execute(select(studies.c.optuna_study_id).where(studies.c.id == study_id)).scalar()
    return [
        Past(
            seq=None,
            number=trial.number,
            purpose="search",
            origin="foreign",
            state=trial.state,
            params=trial.params,
            candidate=None,
            value=trial.value,
            seed=0,
        )
        for trial in latest_foreign(connection, optuna_id, latest)
    ]
