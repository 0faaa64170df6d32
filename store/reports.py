"""Report: curves, rungs, the decision to prune, and the lease prolonged, in one short transaction.

One statement reads and locks what the call is about, with the latest values at the rungs that it settles; the
decisions are taken here, so that trials of one pack see one another; the writes go out together.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from search_spaces.study import PrunerSpec
from search_spaces.work import ItemAnswer, Report, ReportItem, ReportRequest, VerbAnswer

from . import optuna_bridge
from .engine import Store
from .held import answer_lost, as_time, held_rows
from .pruning import BESIDE, Seen, at_phase, compared, own_reports, own_step, passes
from .sql import Dialect, Write, statement, together

LATEST = 500
"""Values at a rung that a decision looks at: its cost must not grow with the study."""
CHUNK = 100
"""Curve points that are kept in the trial's own row before they become a chunk."""


@dataclass
class Context:
    """What a call reads: the held trials by place in the request, and the values seen at each rung."""

    held: dict[int, dict[str, Any]] = field(default_factory=dict)
    seen: dict[tuple[int, int], list[Seen]] = field(default_factory=dict)
    """(study, rung) -> latest values."""


@dataclass
class Change:
    """What a report does to one trial."""

    row: dict[str, Any]
    item: ReportItem
    settled: list[dict[str, Any]] = field(default_factory=list)
    spared_at: int | None = None
    pruned: bool = False


def report(store: Store, request: ReportRequest) -> VerbAnswer:
    """Store reports, settle rungs and, where the request is `deciding`, decide which trials are pruned."""
    items, places = _by_trial(request.items)
    with store.begin() as connection:
        context = _read(store.dialect, connection, items)
        changes: dict[int, Change] = {}
        for place, item in enumerate(items):
            row = context.held.get(place)
            if row is not None and row["state"] == "leased":
                changes[place] = _settle(context, row, item)
        if request.deciding:
            for change in changes.values():
                _decide(context, change)
        if changes:
            together(connection, store.dialect, _writes(store, list(changes.values())))
    answers = [_answer(store, item, context.held.get(place), changes.get(place)) for place, item in enumerate(items)]
    return VerbAnswer(items=[answers[place] for place in places])


def _by_trial(items: Sequence[ReportItem]) -> tuple[list[ReportItem], list[int]]:
    """Make one item of those of one trial, whose rows can be written once only; and the place of each among them."""
    merged: dict[tuple[str, int, str], ReportItem] = {}
    keys = [(item.study, item.number, item.lease) for item in items]
    for key, item in zip(keys, items, strict=True):
        merged[key] = _merged(merged[key], item) if key in merged else item
    places = {key: place for place, key in enumerate(merged)}
    return list(merged.values()), [places[key] for key in keys]


def _merged(first: ReportItem, second: ReportItem) -> ReportItem:
    """Join two items of one trial: of what each may say once, the later one holds."""
    changes = {
        "reports": [*first.reports, *second.reports],
        "checkpoint": first.checkpoint if second.checkpoint is None else second.checkpoint,
        "resumed_step": first.resumed_step if second.resumed_step is None else second.resumed_step,
        "worker_seconds": first.worker_seconds + second.worker_seconds,
        "extra_steps": first.extra_steps + second.extra_steps,
    }
    return first.model_copy(update=changes)


def _answer(store: Store, item: ReportItem, row: dict[str, Any] | None, change: Change | None) -> ItemAnswer:
    if row is None:
        return answer_lost(item)
    state = "pruned" if change is not None and change.pruned else row["state"]
    directive = {"pruned": "prune", "stopped": "stop"}.get(state, "continue")
    expires = as_time(row["now"] + store.lease_seconds) if state == "leased" else None
    return ItemAnswer(
        study=item.study, number=item.number, accepted=True, directive=directive, lease_expires_at=expires
    )


# Reading


def _read(dialect: Dialect, connection: Connection, items: Sequence[ReportItem]) -> Context:
    packed = [
        {
            "place": place,
            "study": item.study,
            "number": item.number,
            "lease": item.lease,
            "top": max((report.step for report in item.reports), default=-1),
        }
        for place, item in enumerate(items)
    ]
    context = Context()
    rows = connection.execute(statement(_context_sql(dialect)), {"items": dialect.pack(packed)})
    for row in rows:
        body = row.body if isinstance(row.body, dict) else json.loads(row.body)
        if row.kind == "trial":
            context.held[body["place"]] = _plain(body)
        elif row.seen:
            context.seen[body["study_id"], body["rung"]] = [Seen.read(one) for one in row.seen.split(",")]
    return context


def _plain(body: dict[str, Any]) -> dict[str, Any]:
    """SQLite nests JSON columns as text: parse them."""
    parsed = {key: json.loads(body[key]) for key in ("rungs", "tail", "phases", "pruner") if isinstance(body[key], str)}
    return body | parsed


def _context_sql(dialect: Dialect) -> str:
    items = dialect.rows("items", place="int", study="text", number="int", lease="text", top="int")
    rung = "CAST(r.value AS text)" if dialect.single_statement else "r.value"
    phase = f"CASE WHEN latest.phase IS NULL THEN '' ELSE ':' || {dialect.text_of.format('latest.phase')} END"
    value = dialect.array_of_text.format(f"{dialect.text_of.format('latest.value')} || {phase}")
    # MATERIALIZED: the rows are locked once, whatever reads them below.
    return f"""
        WITH items AS ({items}),
        held AS MATERIALIZED ({held_rows(dialect)}),
        wanted AS (
          SELECT DISTINCT h.study_id, CAST({rung} AS integer) AS rung
          FROM held h JOIN items ON items.place = h.place CROSS JOIN {dialect.elements("h.rungs", "r")}
          WHERE h.state = 'leased' AND h.purpose = 'search' AND h.prunable
            AND CAST({rung} AS integer) > h.settled_rung AND CAST({rung} AS integer) <= items.top)
        SELECT 'trial' AS kind, {dialect.object}('place', h.place, 'id', h.id, 'trial_id', h.trial_id,
            'study_id', h.study_id, 'state', h.state, 'purpose', h.purpose, 'rungs', h.rungs,
            'settled_rung', h.settled_rung, 'stale_attempts', h.stale_attempts, 'exempt_steps', h.exempt_steps,
            'prunable', h.prunable, 'phases', h.phases, 'run_on', h.run_on, 'tail', h.tail,
            'steps_done', h.steps_done, 'now', h.now, 'pruner', s.spec -> 'pruner',
            'direction', s.resolved ->> 'direction') AS body, NULL AS seen
        FROM held h JOIN etude_studies s ON s.id = h.study_id
        UNION ALL
        SELECT 'rung', {dialect.object}('study_id', w.study_id, 'rung', w.rung),
          (SELECT {value} FROM (
             SELECT v.value, v.phase FROM etude_rung_values v
             WHERE v.study_id = w.study_id AND v.rung = w.rung AND v.counted
             ORDER BY v.trial_id DESC LIMIT {LATEST}) latest)
        FROM wanted w"""


# Deciding


def _settle(context: Context, row: dict[str, Any], item: ReportItem) -> Change:
    """Find the rungs that the reports reach: each takes the first value at or after it."""
    change = Change(row=row, item=item)
    fidelity = row["pruner"].get("fidelity", "truncated")
    own = own_reports(fidelity, item.reports)
    phases = row["phases"] or [None] * len(row["rungs"])
    for rung, phase in zip(row["rungs"], phases, strict=True):
        if rung <= row["settled_rung"]:
            continue
        reached = next((report for report in own if report.step >= rung), None)
        if reached is None:
            break
        counted = row["purpose"] == "search" and rung >= row["exempt_steps"]
        value = compared(fidelity, reached, item.reports, row["direction"])
        settled = {"rung": rung, "raw": reached.value, "value": value, "counted": counted, "phase": phase}
        change.settled.append(settled)
        if counted:
            context.seen.setdefault((row["study_id"], rung), []).append(Seen(value, phase))
    return change


def _decide(context: Context, change: Change) -> None:
    row = change.row
    if not row["prunable"]:
        return
    pruner = PrunerSpec.model_validate(row["pruner"])
    for settled in change.settled:
        if not settled["counted"]:
            continue
        own = Seen(settled["value"], settled["phase"])
        others = at_phase(own, context.seen[row["study_id"], settled["rung"]], pruner.startup_trials)
        if passes(own.value, others, pruner, row["direction"]):
            continue
        if row["run_on"]:
            change.spared_at = settled["rung"]
        else:
            change.pruned = True
        return


# Writing


def _writes(store: Store, changes: Sequence[Change]) -> list[Write]:
    dialect = store.dialect
    settled = [(change, rung) for change in changes for rung in change.settled]
    pruned = [change for change in changes if change.pruned]
    # A trial that ends keeps its last points in its row; beside a prune SQLite writes no chunk, so that a verb
    # stays at five statements.
    spilling = [] if pruned and not dialect.single_statement else [c for c in changes if not c.pruned]
    spills = {c.row["id"]: points for c in spilling if len(points := merged_tail(c.row, c.item.reports)) >= CHUNK}
    writes = []
    if settled:
        writes.append(_rung_write(dialect, settled))
        writes.append(
            optuna_bridge.insert_intermediate_values(
                dialect,
                [{"trial_id": c.row["trial_id"], "step": r["rung"], "value": r["raw"]} for c, r in settled],
            )
        )
    if spills:
        writes.append(_chunk_write(dialect, spills))
    if pruned:
        ended = [{"trial_id": c.row["trial_id"], "optuna_state": "PRUNED", "now": c.row["now"]} for c in pruned]
        writes.append(optuna_bridge.end_trials(dialect, ended))
    writes.append(_trial_write(store, changes, spills))
    return writes


def _rung_write(dialect: Dialect, settled: Sequence[tuple[Change, dict[str, Any]]]) -> Write:
    rows = [row for change, rung in settled for row in _rung_rows(change, rung)]
    columns = dialect.rows(
        "rung_rows", trial_id="int", study_id="int", rung="int", kind="text", value="float8", counted="bool",
        phase="float8",
    )  # fmt: skip
    sql = f"""
        INSERT INTO etude_rung_values (trial_id, study_id, rung, kind, counted, value, phase)
        SELECT r.trial_id, r.study_id, r.rung, r.kind, r.counted, r.value, r.phase FROM ({columns}) r
        WHERE true
        ON CONFLICT (trial_id, rung, kind) DO UPDATE SET value = excluded.value
        RETURNING trial_id"""
    return Write("rungs", sql, {"rung_rows": dialect.pack(rows)})


def _rung_rows(change: Change, settled: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a rung's values: the raw one, and beside it the one that is compared where that is another kind."""
    own = {"trial_id": change.row["trial_id"], "study_id": change.row["study_id"], "rung": settled["rung"]}
    own["phase"] = settled["phase"]
    fidelity = change.row["pruner"].get("fidelity")
    if fidelity not in BESIDE:
        return [{**own, "kind": "raw", "value": settled["raw"], "counted": settled["counted"]}]
    return [
        {**own, "kind": "raw", "value": settled["raw"], "counted": False},
        {**own, "kind": fidelity, "value": settled["value"], "counted": settled["counted"]},
    ]


def merged_tail(row: dict[str, Any], reports: Sequence[Report]) -> list[list[Any]]:
    """The points not yet in a chunk with new ones merged in by (step, kind), as [[step, kind, value], ...]."""
    points = {(step, kind): value for step, kind, value in row["tail"] or []}
    for report in reports:
        points[report.step, report.kind] = report.value if math.isfinite(report.value) else str(report.value)
    return [[step, kind, value] for (step, kind), value in sorted(points.items())]


def _chunk_write(dialect: Dialect, spills: dict[int, list[list[Any]]]) -> Write:
    rows = [{"proposal_id": key, "first_step": points[0][0], "points": points} for key, points in spills.items()]
    columns = dialect.rows("chunk_rows", proposal_id="int", first_step="int", points="jsonb")
    sql = f"""
        INSERT INTO etude_curve_chunks (proposal_id, first_step, points)
        SELECT r.proposal_id, r.first_step, r.points FROM ({columns}) r
        WHERE true
        ON CONFLICT (proposal_id, first_step) DO UPDATE
          SET points = {dialect.joined.format("etude_curve_chunks.points", "excluded.points")}
        RETURNING proposal_id"""
    return Write("chunks", sql, {"chunk_rows": dialect.pack(rows)})


def _trial_write(store: Store, changes: Sequence[Change], spills: dict[int, list[list[Any]]]) -> Write:
    rows = [_trial_row(store, change, spills) for change in changes]
    columns = store.dialect.rows(
        "trial_rows", id="int", state="text", lease="text", expires="float8", ended="text", finished="float8",
        settled="int", fresh="bool", spared="int", tail="jsonb", steps="int", checkpoint="text", resume="int",
        resumed="int", seconds="float8", extra="int",
    )  # fmt: skip
    sql = f"""
        UPDATE etude_proposals SET state = r.state, lease = r.lease, lease_expires_at = r.expires,
          ended_lease = r.ended, finished_at = r.finished, settled_rung = r.settled,
          stale_attempts = CASE WHEN r.fresh THEN 0 ELSE etude_proposals.stale_attempts END,
          spared_at = coalesce(etude_proposals.spared_at, r.spared), tail = r.tail, steps_done = r.steps,
          checkpoint = coalesce(r.checkpoint, etude_proposals.checkpoint),
          resume_step = coalesce(r.resume, etude_proposals.resume_step),
          resumed_step = coalesce(r.resumed, etude_proposals.resumed_step),
          worker_seconds = etude_proposals.worker_seconds + r.seconds,
          extra_steps = etude_proposals.extra_steps + r.extra
        FROM ({columns}) r WHERE etude_proposals.id = r.id
        RETURNING etude_proposals.id"""
    return Write("trials_changed", sql, {"trial_rows": store.dialect.pack(rows)})


def _trial_row(store: Store, change: Change, spills: dict[int, list[list[Any]]]) -> dict[str, Any]:
    row, item = change.row, change.item
    held = not change.pruned
    return {
        "id": row["id"],
        "state": "leased" if held else "pruned",
        "lease": item.lease if held else None,
        "expires": row["now"] + store.lease_seconds if held else None,
        "ended": None if held else item.lease,
        "finished": None if held else row["now"],
        "settled": change.settled[-1]["rung"] if change.settled else row["settled_rung"],
        "fresh": bool(change.settled),
        "spared": change.spared_at,
        "tail": [] if row["id"] in spills else merged_tail(row, item.reports),
        "steps": max(row["steps_done"], own_step(item.reports)),
        "checkpoint": item.checkpoint,
        "resume": None if item.checkpoint is None else own_step(item.reports, row["steps_done"]),
        "resumed": item.resumed_step,
        "seconds": item.worker_seconds,
        "extra": item.extra_steps,
    }
