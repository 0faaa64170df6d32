"""Studies as people read them: state, budget, counts, the best so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, literal_column, select, text

from search_spaces.candidate import Candidate
from search_spaces.problems import NotFound
from search_spaces.results import Answer, BestTrial, BudgetUse, Page, StudyView
from search_spaces.study import StudySpec

from .engine import Store
from .held import as_time
from .tables import proposals, studies
from .tallies import Tally, tallies_of
from .waiting import live_offers

TRAINED_STATES = ("queued", "running", "confirming")
"""Where a study's trials are to be trained, if there are any."""


@dataclass(frozen=True)
class Standing:
    """What is known of a study before there is an answer."""

    view: StudyView
    best: Candidate | None
    """The candidate of `view.best`."""
    confirmation_seconds: float
    """Worker-seconds of the confirmation so far."""


def get_study(store: Store, name: str) -> StudyView:
    """Read one study.

    Raises:
        NotFound: there is no such study.
    """
    with store.read() as connection:
        return _standing(store, connection, _named(connection, name)).view


def answer_or_standing(store: Store, name: str) -> Answer | Standing:
    """Read the final answer of a study, else how it stands, both of one moment.

    Raises:
        NotFound: there is no such study.
    """
    with store.read() as connection:
        row = _named(connection, name)
        return _standing(store, connection, row) if row.answer is None else Answer.model_validate(row.answer)


def _named(connection: Connection, name: str) -> Row[Any]:
    row = connection.execute(select(*_COLUMNS).where(studies.c.name == name)).first()
    if row is None:
        raise NotFound(f"there is no study named {name}", field="name")
    return row


_COLUMNS = [column for column in studies.c if column.name != "superseded"]
_LISTED = [column for column in _COLUMNS if column.name != "answer"]


def list_studies(
    store: Store,
    *,
    state: str | None = None,
    tag: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page:
    """Read studies, newest first; `cursor` is what the page before gave as `next_cursor`."""
    query = select(*_LISTED).order_by(studies.c.id.desc())
    if state is not None:
        query = query.where(studies.c.state == state)
    if cursor is not None:
        query = query.where(studies.c.id < _cursor_number(cursor))
    if tag is not None:
        query = query.where(text(_TAGGED[store.dialect.name]).bindparams(tag=tag))
    with store.read() as connection:
        rows = connection.execute(query.limit(limit + 1)).all()
        views = [standing.view for standing in _standings(store, connection, rows[:limit])]
    return Page(items=views, next_cursor=str(rows[limit - 1].id) if len(rows) > limit else None)


_TAGGED = {
    "postgresql": "jsonb_exists(etude_studies.spec -> 'tags', :tag)",
    "sqlite": "EXISTS (SELECT 1 FROM json_each(etude_studies.spec, '$.tags') WHERE value = :tag)",
}


def _cursor_number(cursor: str) -> int:
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 18:
        raise NotFound("there is no such page", field="cursor")
    return int(cursor)


def stored_answer(store: Store, name: str) -> Answer | None:
    """Return the final answer of a study, None while there is none."""
    with store.read() as connection:
        row = connection.execute(select(studies.c.answer).where(studies.c.name == name)).first()
    if row is None:
        raise NotFound(f"there is no study named {name}", field="name")
    return None if row.answer is None else Answer.model_validate(row.answer)


def _standing(store: Store, connection: Connection, row: Row[Any]) -> Standing:
    return _standings(store, connection, [row])[0]


def _standings(store: Store, connection: Connection, rows: Sequence[Row[Any]]) -> list[Standing]:
    """Read any number of studies in at most four statements beside their own rows."""
    tallies = tallies_of(connection, {row.id: row.optuna_study_id for row in rows})
    bests = _bests(connection, rows)
    idle = [row for row in rows if _is_idle(row, tallies[row.id])]
    live = live_offers(connection, store.dialect) if idle else None
    missing = {row.id: live.missing(row.task, row.task_version) for row in idle} if live else {}
    return [_seen(row, tallies[row.id], bests.get(row.id), missing.get(row.id)) for row in rows]


def _is_idle(row: Row[Any], tally: Tally) -> bool:
    """Tell whether a study that should be trained is not: only then is asked whether anybody could."""
    return row.state in TRAINED_STATES and not (tally.search().leased or tally.confirmation().leased)


def _seen(row: Row[Any], tally: Tally, best: Row[Any] | None, missing: str | None) -> Standing:
    trial = None if best is None else BestTrial(trial=best.number, value=best.value)
    return Standing(
        view=_view(row, tally, trial, missing),
        best=None if best is None else Candidate.model_validate(best.candidate),
        confirmation_seconds=tally.confirmation_seconds(),
    )


def _view(row: Row[Any], tally: Tally, best: BestTrial | None, missing: str | None) -> StudyView:
    spec = StudySpec.model_validate(row.spec)
    counts = tally.search()
    resolved = row.resolved or {}
    return StudyView(
        name=row.name,
        state=row.state,
        reason=row.reason or missing,
        spec=spec,
        horizon_steps=resolved.get("horizon_steps"),
        metric=resolved.get("metric"),
        direction=resolved.get("direction"),
        target=resolved.get("target"),
        arithmetic=resolved.get("arithmetic"),
        space=row.space,
        budget=BudgetUse(
            trials=row.budget_trials,
            worker_seconds=spec.budget.worker_seconds,
            deadline=spec.budget.deadline,
            used_trials=counts.ended,
            used_worker_seconds=tally.seconds.get("search", 0.0),
        ),
        counts=counts,
        confirmation=tally.confirmation(),
        best=best,
        created_at=as_time(row.created_at),
        updated_at=as_time(row.updated_at),
        links=_links(row.name),
    )


def _bests(connection: Connection, rows: Sequence[Row[Any]]) -> dict[int, Row[Any]]:
    """Find the best complete search trial of each study that has one."""
    found: dict[int, Row[Any]] = {}
    for direction in ("minimize", "maximize"):
        ids = [row.id for row in rows if row.resolved is not None and row.resolved["direction"] == direction]
        if ids:
            found |= {best.study_id: best for best in connection.execute(_best_of(direction, ids))}
    return found


def _best_of(direction: str, study_ids: Sequence[int]) -> Select[Any]:
    trial = proposals.alias()
    best = (
        select(trial.c.id)
        .where(
            trial.c.study_id == studies.c.id, trial.c.purpose == "search", trial.c.state == literal_column("'complete'")
        )
        .order_by(trial.c.value.desc() if direction == "maximize" else trial.c.value, trial.c.number)
        .limit(1)
        .scalar_subquery()
    )
    columns = (proposals.c.study_id, proposals.c.number, proposals.c.value, proposals.c.candidate)
    return select(*columns).where(proposals.c.id.in_(select(best).where(studies.c.id.in_(study_ids))))


def _links(name: str) -> dict[str, str]:
    base = f"/v1/studies/{name}"
    return {
        "self": base,
        "trials": f"{base}/trials",
        "best": f"{base}/best",
        "curve": f"{base}/best/curve",
        "report": f"{base}/report",
    }
