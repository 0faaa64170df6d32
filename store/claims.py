"""Claim, renew, release, and the return of leases whose worker has gone."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row

from search_spaces.steps import whole_steps
from search_spaces.work import (
    ClaimAnswer,
    ClaimedTask,
    ClaimedTrial,
    ClaimRequest,
    Held,
    ItemAnswer,
    ReleaseItem,
    ReleaseRequest,
    RenewRequest,
    VerbAnswer,
)

from . import optuna_bridge
from .engine import Store
from .held import HELD_COLUMNS, answer_lost, as_time, held_rows, pack_held, still_there
from .proposals import TEST_ORIGIN
from .sharing import rooms_sql, shares_sql
from .sql import Dialect, Write, statement, together
from .states import CLAIMABLE_STUDY, ENDED_TRIAL, listed

STALE_ATTEMPTS = 3
"""Leases that may expire without a new rung before the trial is given up."""


def claim(store: Store, request: ClaimRequest) -> ClaimAnswer:
    """Lease up to `count` proposals of the offered tasks; the same `claim_id` gets the same answer.

    Expired leases of these tasks are returned first, in a transaction of their own: an attempt is counted even
    when the claim itself fails.
    """
    claimed = _claim_once(store, request)
    if claimed is None:
        sweep_expired(store)
        claimed = _claim_once(store, request, expired_matter=False)
    return ClaimAnswer(items=claimed or [])


def _claim_once(store: Store, request: ClaimRequest, *, expired_matter: bool = True) -> list[ClaimedTrial] | None:
    """Claim in one transaction; None when an expired lease should be returned first."""
    dialect = store.dialect
    parameters = {
        "tasks": dialect.pack([task.model_dump() for task in request.tasks]),
        "worker": request.worker,
        "claim_id": request.claim_id,
        "study": request.study,
        "count": request.count,
    }
    with store.begin() as connection:
        rows = connection.execute(statement(_claim_sql(dialect)), parameters).all()
        if not rows:
            return []
        repeated = [row for row in rows if row.kind == "repeated"]
        if repeated:
            return [_claimed(row, row.number, row.lease, row.lease_expires_at) for row in repeated]
        if expired_matter and any(row.kind == "expired" for row in rows):
            return None
        picked = [row for row in rows if row.kind == "picked"]
        return _lease(store, connection, request, picked) if picked else []


def _claim_sql(dialect: Dialect) -> str:
    """Read what a claim needs, with the picked proposals and their Optuna studies locked.

    Between studies of one priority, the one with fewest trials in training is served first, and of those that have
    equally many the one with the least worker time of late. Of a study a worker gets no more than its room there. An
    Optuna study that was deleted under us is passed by.
    """
    tasks = dialect.rows("tasks", name="text", version="text")
    columns = f"""p.id, p.study_name, p.number, p.trial_id, p.lease, p.lease_expires_at, p.candidate, p.purpose,
        p.origin, p.horizon_steps, p.rungs, p.seed, p.resume_step, p.checkpoint, s.task, s.task_version,
        s.spec -> 'task' -> 'params' AS task_params, s.spec -> 'pruner' ->> 'fidelity' AS fidelity,
        s.spec -> 'pruner' ->> 'cooldown' AS cooldown, p.settled_rung,
        {_OPTUNA_ID} AS optuna_id, {dialect.now} AS now"""
    offered = "JOIN offered ON offered.name = s.task AND offered.version = s.task_version"
    lock_study = "FOR UPDATE" if dialect.single_statement else ""
    least = "least" if dialect.single_statement else "min"
    return f"""
        WITH offered AS ({tasks}),
        repeated AS (
          SELECT {columns} FROM etude_proposals p JOIN etude_studies s ON s.id = p.study_id
          WHERE p.claim_id = :claim_id AND p.worker = :worker AND p.state = 'leased'),
        expired AS (
          SELECT {columns} FROM etude_proposals p JOIN etude_studies s ON s.id = p.study_id {offered}
          WHERE p.state = 'leased' AND p.lease_expires_at < {dialect.now} LIMIT 1),
        {shares_sql(dialect, offered)},
        {rooms_sql(dialect)},
        picked AS (
          SELECT {columns} FROM etude_proposals p JOIN etude_studies s ON s.id = p.study_id {offered}
          WHERE p.state = 'proposed' AND s.state IN ({listed(CLAIMABLE_STUDY)})
            AND (CAST(:study AS text) IS NULL OR s.name = CAST(:study AS text))
            AND NOT EXISTS (SELECT 1 FROM repeated)
            AND NOT EXISTS (SELECT 1 FROM rooms m WHERE m.study_id = s.id AND m.room <= 0)
            AND EXISTS (SELECT 1 FROM studies o WHERE o.study_name = p.study_name AND o.study_id = {_OPTUNA_ID})
          ORDER BY s.priority DESC,
            (SELECT count(*) FROM etude_proposals l WHERE l.study_id = s.id AND l.state = 'leased'),
            (SELECT h.seconds FROM shares h WHERE h.study_id = s.id),
            p.study_id, p.id
          LIMIT {least}(:count, coalesce((SELECT max(room) FROM rooms WHERE room > 0), :count))
          {dialect.lock_skip}),
        locked AS (
          SELECT o.study_id FROM studies o WHERE o.study_id IN (SELECT optuna_id FROM picked WHERE trial_id IS NULL)
          ORDER BY o.study_id {lock_study})
        SELECT 'repeated' AS kind, r.*, 0 AS next_id FROM repeated r
        UNION ALL SELECT 'expired', e.*, 0 FROM expired e
        UNION ALL SELECT 'picked', q.*, CASE WHEN q.trial_id IS NULL THEN {dialect.next_trial_id.format("q.id")} END
          FROM picked q WHERE q.trial_id IS NOT NULL OR q.optuna_id IN (SELECT study_id FROM locked)"""


_OPTUNA_ID = "CASE WHEN p.purpose = 'search' THEN s.optuna_study_id ELSE s.confirmation_study_id END"


def _lease(
    store: Store, connection: Connection, request: ClaimRequest, picked: Sequence[Row[Any]]
) -> list[ClaimedTrial]:
    """Write the leases and, for proposals claimed for the first time, their Optuna rows."""
    dialect = store.dialect
    now = picked[0].now
    expires = now + store.lease_seconds
    tokens = {row.id: uuid.uuid4().hex for row in picked}
    fresh = [row for row in picked if row.trial_id is None]
    writes = _optuna_writes(dialect, fresh, now) if fresh else []
    leases = [
        {
            "id": row.id,
            "trial_id": row.trial_id if row.trial_id is not None else row.next_id,
            "lease": tokens[row.id],
            "expires": expires,
            "now": now,
        }
        for row in picked
    ]
    made = "made" if dialect.single_statement and fresh else "trials"
    columns = dialect.rows("leases", id="int", trial_id="int", lease="text", expires="float8", now="float8")
    sql = f"""
        UPDATE etude_proposals SET state = 'leased', lease = r.lease, lease_expires_at = r.expires,
          worker = :worker, claim_id = :claim_id, claimed_at = r.now, trial_id = r.trial_id, ended_lease = NULL,
          number = coalesce(etude_proposals.number,
                            (SELECT m.number FROM {made} m WHERE m.trial_id = r.trial_id))
        FROM ({columns}) r WHERE etude_proposals.id = r.id AND etude_proposals.state = 'proposed'
        RETURNING etude_proposals.id, etude_proposals.number"""
    parameters = {"leases": dialect.pack(leases), "worker": request.worker, "claim_id": request.claim_id}
    leased = together(connection, dialect, [*writes, Write("leased", sql, parameters)])
    numbers = {row.id: row.number for row in leased}
    return [_claimed(row, numbers[row.id], tokens[row.id], expires) for row in picked if row.id in numbers]


def _optuna_writes(dialect: Dialect, fresh: Sequence[Row[Any]], now: float) -> list[Write]:
    places: dict[int, int] = {}
    trials = []
    for row in fresh:
        place = places.get(row.optuna_id, 0)
        places[row.optuna_id] = place + 1
        trials.append({"trial_id": row.next_id, "optuna_id": row.optuna_id, "place": place, "now": now})
    params = [{"id": row.id, "trial_id": row.next_id} for row in fresh]
    attributes = [{"trial_id": row.next_id, "key": "candidate", "value_json": _as_json(row.candidate)} for row in fresh]
    return [
        optuna_bridge.insert_trials(dialect, trials),
        optuna_bridge.insert_params(dialect, params),
        optuna_bridge.insert_attributes(dialect, attributes),
    ]


def _as_json(value: Any) -> str:
    """JSON text of a column that PostgreSQL parses and SQLite hands over as text."""
    return value if isinstance(value, str) else json.dumps(value)


def _parsed(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _claimed(row: Row[Any], number: int, lease: str, expires: float) -> ClaimedTrial:
    return ClaimedTrial(
        study=row.study_name,
        number=number,
        lease=lease,
        lease_expires_at=as_time(expires),
        candidate=_parsed(row.candidate),
        task=ClaimedTask(name=row.task, version=row.task_version, params=_parsed(row.task_params) or {}),
        horizon_steps=row.horizon_steps,
        rungs=_parsed(row.rungs),
        **_compared(row),
        settled_rung=row.settled_rung,
        seed=row.seed,
        resume_step=row.resume_step,
        checkpoint=row.checkpoint,
        purpose=row.purpose,
        test=row.origin.startswith(TEST_ORIGIN),
    )


def _compared(row: Row[Any]) -> dict[str, Any]:
    """Return what the trial's rungs are compared by; only a search compares, and specs of old may not say."""
    if row.purpose != "search" or row.fidelity is None:
        return {}
    if row.fidelity != "cooldown":
        return {"fidelity": row.fidelity}
    return {"fidelity": row.fidelity, "cooldown_steps": whole_steps(float(row.cooldown), row.horizon_steps)}


# Renew and release


def renew(store: Store, request: RenewRequest) -> VerbAnswer:
    """Prolong the leases that are still the caller's."""
    with store.begin() as connection:
        return _change_leases(store, connection, request.items, renewing=True)


def release(store: Store, request: ReleaseRequest) -> VerbAnswer:
    """Give trials back: proposed again, no attempt counted, the checkpoint kept."""
    with store.begin() as connection:
        return _change_leases(store, connection, request.items, renewing=False)


def _change_leases(store: Store, connection: Connection, items: Sequence[Held], *, renewing: bool) -> VerbAnswer:
    dialect = store.dialect
    held = {
        row.place: row
        for row in connection.execute(statement(held_rows(dialect)), {"items": pack_held(dialect, items)})
    }
    rows = []
    answers = []
    for place, item in enumerate(items):
        row = held.get(place)
        if row is None:
            answers.append(answer_lost(item))
            continue
        expires = row.now + store.lease_seconds
        if row.state == "leased":
            rows.append(_released(row, item, expires))
        keeps = renewing and row.state == "leased"
        answers.append(
            ItemAnswer(
                study=item.study,
                number=item.number,
                accepted=True,
                directive={"pruned": "prune", "stopped": "stop"}.get(row.state, "continue"),
                lease_expires_at=as_time(expires) if keeps else None,
            )
        )
    if rows:
        together(connection, dialect, [_lease_write(dialect, rows, renewing=renewing)])
    return VerbAnswer(items=answers)


def _released(row: Row[Any], item: Held, expires: float) -> dict[str, Any]:
    gift = item if isinstance(item, ReleaseItem) else None
    return {
        "id": row.id,
        "now": row.now,
        "expires": expires,
        "checkpoint": gift.checkpoint if gift else None,
        "resumed": gift.resumed_step if gift else None,
        "seconds": gift.worker_seconds if gift else 0.0,
        "extra": gift.extra_steps if gift else 0,
    }


def _lease_write(dialect: Dialect, rows: list[dict[str, Any]], *, renewing: bool) -> Write:
    change = (
        "lease_expires_at = r.expires"
        if renewing
        else f"""state = 'proposed', lease = NULL, lease_expires_at = NULL, ended_lease = NULL,
          checkpoint = coalesce(r.checkpoint, etude_proposals.checkpoint),
          resume_step = CASE WHEN r.checkpoint IS NULL THEN etude_proposals.resume_step
            ELSE etude_proposals.steps_done END,
          resumed_step = coalesce(r.resumed, etude_proposals.resumed_step),
          lost_seconds = CASE WHEN r.checkpoint IS NULL THEN {lost_seconds("r.now")}
            ELSE etude_proposals.lost_seconds END,
          worker_seconds = etude_proposals.worker_seconds + r.seconds,
          extra_steps = etude_proposals.extra_steps + r.extra"""
    )
    columns = dialect.rows(
        "held_rows", id="int", now="float8", expires="float8", checkpoint="text", resumed="int", seconds="float8",
        extra="int",
    )  # fmt: skip
    sql = f"""UPDATE etude_proposals SET {change} FROM ({columns}) r
        WHERE etude_proposals.id = r.id AND etude_proposals.state = 'leased'
        RETURNING etude_proposals.id"""
    return Write("changed", sql, {"held_rows": dialect.pack(rows)})


def lost_seconds(now: str) -> str:
    """The `lost_seconds` of a trial that goes back: the time since its claim, less the share that a checkpoint keeps.

    The share is that of the steps between where the attempt began and the latest that was reported.
    """
    began, step = "coalesce(etude_proposals.resumed_step, 0)", "etude_proposals.steps_done"
    kept = f"""CASE WHEN etude_proposals.resume_step <= {began} THEN 0.0
            WHEN etude_proposals.resume_step >= {step} THEN 1.0
            ELSE (etude_proposals.resume_step - {began}) * 1.0 / ({step} - {began}) END"""
    return f"""etude_proposals.lost_seconds + (1.0 - {kept})
            * (CASE WHEN {now} > etude_proposals.claimed_at THEN {now} - etude_proposals.claimed_at ELSE 0.0 END)"""


# Expiry


def sweep_expired(store: Store, study_id: int | None = None) -> int:
    """Return expired leases to `proposed`, the third without a new rung to `failed`; return how many expired."""
    dialect = store.dialect
    sql = f"""
        SELECT {HELD_COLUMNS}, {dialect.now} AS now FROM etude_proposals p
        WHERE p.state = 'leased' AND p.lease_expires_at < {dialect.now}
          AND (CAST(:study AS bigint) IS NULL OR p.study_id = :study) {still_there(dialect)}
        ORDER BY p.id {dialect.lock_skip}"""
    with store.begin() as connection:
        expired = connection.execute(statement(sql), {"study": study_id}).all()
        if not expired:
            return 0
        given_up = [row for row in expired if row.stale_attempts + 1 >= STALE_ATTEMPTS]
        writes = [_expiry_write(dialect, expired, given_up)]
        if given_up:
            ended = [{"trial_id": row.trial_id, "optuna_state": "FAIL", "now": row.now} for row in given_up]
            writes.insert(0, optuna_bridge.end_trials(dialect, ended))
        together(connection, dialect, writes)
        return len(expired)


def _expiry_write(dialect: Dialect, expired: Sequence[Row[Any]], given_up: Sequence[Row[Any]]) -> Write:
    lost = {row.id for row in given_up}
    rows = [
        {
            "id": row.id,
            "now": row.now,
            "state": "failed" if row.id in lost else "proposed",
            "finished": row.now if row.id in lost else None,
            "error": f"{STALE_ATTEMPTS} leases expired without a new rung: workers died or hung on it"
            if row.id in lost
            else None,
        }
        for row in expired
    ]
    columns = dialect.rows("expired_rows", id="int", now="float8", state="text", finished="float8", error="text")
    sql = f"""UPDATE etude_proposals SET state = r.state, lease = NULL, lease_expires_at = NULL,
          ended_lease = NULL, attempts = etude_proposals.attempts + 1,
          stale_attempts = etude_proposals.stale_attempts + 1, finished_at = r.finished, error = r.error,
          lost_seconds = {lost_seconds("r.now")}
        FROM ({columns}) r WHERE etude_proposals.id = r.id AND etude_proposals.state NOT IN ({listed(ENDED_TRIAL)})
        RETURNING etude_proposals.id"""
    return Write("returned", sql, {"expired_rows": dialect.pack(rows)})
