"""Finish: a trial's end, its value and its last reports, idempotent by the lease that ended."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from search_spaces.steps import horizon_mismatch
from search_spaces.target import Target
from search_spaces.work import FinishItem, FinishRequest, ItemAnswer, ReportItem, ReportRequest, VerbAnswer

from . import optuna_bridge
from .engine import Store
from .held import TARGET, answer_lost, held_rows, pack_held
from .reports import merged_tail, report
from .sql import Dialect, Write, statement, together
from .states import OPTUNA_STATE

ERROR_CHARACTERS = 10_000


def finish(store: Store, request: FinishRequest) -> VerbAnswer:
    """End trials that are still the caller's; a repeated finish gets the same answer.

    Reports that reach a rung not yet settled are stored first, as a report of their own that prunes nothing.
    """
    with store.begin() as connection:
        packed = pack_held(store.dialect, request.items)
        found = connection.execute(statement(held_rows(store.dialect, TARGET)), {"items": packed})
        held = {row.place: row for row in found}
        unsettled = [item for place, item in enumerate(request.items) if _reaches_rung(held.get(place), item)]
        if not unsettled:
            return _finish(store, connection, request, held)
    late = [
        ReportItem(study=item.study, number=item.number, lease=item.lease, reports=item.reports) for item in unsettled
    ]
    report(store, ReportRequest(worker=request.worker, items=late, deciding=False))
    return finish(store, request)


def _reaches_rung(row: Row[Any] | None, item: FinishItem) -> bool:
    if row is None or row.state != "leased" or not item.reports:
        return False
    rungs = json.loads(row.rungs) if isinstance(row.rungs, str) else row.rungs
    top = max((report.step for report in item.reports if report.kind == "raw"), default=-1)
    return any(row.settled_rung < rung <= top for rung in rungs)


def _finish(store: Store, connection: Any, request: FinishRequest, held: dict[int, Row[Any]]) -> VerbAnswer:
    ending: dict[int, tuple[Row[Any], FinishItem]] = {}
    for place, item in enumerate(request.items):
        if place in held and held[place].state == "leased":
            # Of two items of one trial the first ends it; the other is a repeated finish.
            ending.setdefault(held[place].id, (held[place], _scored(held[place], _judged(held[place], item))))
    if ending:
        together(connection, store.dialect, _writes(store.dialect, request.worker, list(ending.values())))
    return VerbAnswer(items=[_answer(held.get(place), item) for place, item in enumerate(request.items)])


def _judged(row: Row[Any], item: FinishItem) -> FinishItem:
    """Fail a trial that says it made other than the updates of its horizon: it was not trained at the LRs asked for.

    An item that says nothing of its updates is taken at its word.
    """
    if item.state != "complete" or "steps_done" not in item.model_fields_set or item.steps_done == row.horizon_steps:
        return item
    reason = horizon_mismatch(item.steps_done, row.horizon_steps)
    return item.model_copy(update={"state": "failed", "error": reason})


def _scored(row: Row[Any], item: FinishItem) -> FinishItem:
    """Put a value in steps into the place of the metric's, which stays among the metrics, where the study has a target.

    A metric that is not finite has failed its trial already.
    """
    known = json.loads(row.target) if isinstance(row.target, str) else row.target
    if known is None or item.state != "complete" or item.value is None:
        return item
    target = Target.model_validate(known)
    metrics = {**item.metrics, target.metric: item.value}
    return item.model_copy(update={"value": target.score(item.value, row.horizon_steps), "metrics": metrics})


def _answer(row: Row[Any] | None, item: FinishItem) -> ItemAnswer:
    if row is None:
        return answer_lost(item)
    directive = {"pruned": "prune", "stopped": "stop"}.get(row.state, "continue")
    return ItemAnswer(study=item.study, number=item.number, accepted=True, directive=directive)


def _writes(dialect: Dialect, worker: str, ending: Sequence[tuple[Row[Any], FinishItem]]) -> list[Write]:
    ended = [
        {"trial_id": row.trial_id, "optuna_state": OPTUNA_STATE[item.state], "now": row.now} for row, item in ending
    ]
    values = [{"trial_id": row.trial_id, "value": item.value} for row, item in ending if item.state == "complete"]
    attributes = [
        {"trial_id": row.trial_id, "key": key, "value_json": json.dumps(value)}
        for row, item in ending
        for key, value in _attributes(worker, item).items()
    ]
    writes = [optuna_bridge.end_trials(dialect, ended), optuna_bridge.insert_attributes(dialect, attributes)]
    if values:
        writes.append(optuna_bridge.insert_values(dialect, values))
    return [*writes, _trial_write(dialect, ending)]


def _attributes(worker: str, item: FinishItem) -> dict[str, Any]:
    """What stock Optuna shows of a trial beside its params and values."""
    shown: dict[str, Any] = {"worker": worker, "steps_done": item.steps_done}
    if item.metrics:
        shown["metrics"] = item.model_dump(mode="json")["metrics"]
    if item.error is not None:
        shown["error"] = item.error[-ERROR_CHARACTERS:]
    return shown


def _trial_write(dialect: Dialect, ending: Sequence[tuple[Row[Any], FinishItem]]) -> Write:
    rows = [_trial_row(row, item) for row, item in ending]
    columns = dialect.rows(
        "finish_rows", id="int", state="text", lease="text", now="float8", value="float8", metrics="jsonb",
        error="text", steps="int", resumed="int", seconds="float8", extra="int", tail="jsonb",
    )  # fmt: skip
    sql = f"""
        UPDATE etude_proposals SET state = r.state, lease = NULL, lease_expires_at = NULL, ended_lease = r.lease,
          finished_at = r.now, value = r.value, metrics = r.metrics, error = r.error, steps_done = r.steps,
          tail = r.tail, resumed_step = coalesce(r.resumed, etude_proposals.resumed_step),
          worker_seconds = etude_proposals.worker_seconds + r.seconds,
          extra_steps = etude_proposals.extra_steps + r.extra
        FROM ({columns}) r WHERE etude_proposals.id = r.id AND etude_proposals.state = 'leased'
        RETURNING etude_proposals.id"""
    return Write("finished", sql, {"finish_rows": dialect.pack(rows)})


def _trial_row(row: Row[Any], item: FinishItem) -> dict[str, Any]:
    tail = json.loads(row.tail) if isinstance(row.tail, str) else row.tail
    return {
        "id": row.id,
        "state": item.state,
        "lease": item.lease,
        "now": row.now,
        "value": item.value if item.state == "complete" else None,
        "metrics": item.model_dump(mode="json")["metrics"],
        "error": None if item.error is None else item.error[-ERROR_CHARACTERS:],
        "steps": max(item.steps_done, row.steps_done),
        "resumed": item.resumed_step,
        "seconds": item.worker_seconds,
        "extra": item.extra_steps,
        "tail": merged_tail({"tail": tail}, item.reports),
    }
