"""What was already run: past trials that a study was sent, kept beside its own.

They are no trials of the study: they count in no budget, and nobody leases, prunes or confirms them. What became
`history` the sampler is shown; what became a `proposal` the search tries first, as a trial of its own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, insert, select, union

from search_spaces.candidate import Candidate
from search_spaces.history import Becomes, HistoryView, PastTrial
from search_spaces.problems import Conflict, NotFound
from search_spaces.results import Page
from search_spaces.space import Space
from search_spaces.study import ResolvedStudy, StudySpec

from .engine import Store
from .held import as_time
from .proposals import Past
from .tables import history, studies

HISTORY = "history"
"""Origin of a past trial, for the sampler and for people."""
IMPORTED = "imported"
"""Origin of a trial of the search whose candidate was sent as a past trial."""
DIVERGED = "diverged"
"""The error of a training whose loss became infinite."""
MOST_KEPT = 10_000
"""Past trials that a study holds."""
ORIGIN_OF: dict[str, Any] = {"history": HISTORY, "proposal": IMPORTED}
RECEIVING = ("running", "paused")


@dataclass(frozen=True)
class Receiver:
    """A study whose search goes on, as far as past trials are judged by it."""

    study_id: int
    spec: StudySpec
    resolved: ResolvedStudy
    space: Space


@dataclass(frozen=True)
class Kept:
    """A past trial, judged; `params` are those of its candidate where it is a point of the study's space."""

    trial: PastTrial
    becomes: Becomes
    why: str
    params: dict[str, Any] | None = None
    new: bool = False
    age: int | None = None
    """Of a trial that a warm start brought: 1 for the latest of its studies."""


def receiver(store: Store, name: str) -> Receiver:
    """Read the study that is to take past trials.

    Raises:
        NotFound: there is no such study.
        Conflict: its space is not known yet, or its search is over.
    """
    with store.read() as connection:
        row = connection.execute(select(studies).where(studies.c.name == name)).first()
    if row is None:
        raise NotFound(f"there is no study named {name}", field="name")
    if row.state == "queued":
        raise Conflict(f"{name} waits until a worker offers {row.task}: only then it is known what it searches")
    if row.state not in RECEIVING:
        raise Conflict(f"the search of {name} is over (it is {row.state}): it learns nothing more")
    return Receiver(
        study_id=row.id,
        spec=StudySpec.model_validate(row.spec),
        resolved=ResolvedStudy.model_validate(row.resolved),
        space=Space.model_validate(row.space),
    )


def remember(store: Store, study_id: int, judged: Sequence[Kept], *, most_proposals: int) -> list[Kept]:
    """Keep what is history or a proposal, in this order, and return what became of each.

    What is kept already stays as it is. Beyond `most_proposals` in all, and for a candidate that is one already, a
    proposal is left out.
    """
    with store.begin() as connection:
        connection.execute(select(studies.c.id).where(studies.c.id == study_id).with_for_update(key_share=True))
        shelf = _Shelf(connection, study_id, most_proposals)
        answers = [shelf.put(one) for one in judged]
        if shelf.rows:
            now = store.now(connection)
            connection.execute(insert(history), [row | {"added_at": now} for row in shelf.rows])
    return answers


class _Shelf:
    """The past trials of one study, while more are put beside them."""

    def __init__(self, connection: Connection, study_id: int, most_proposals: int) -> None:
        columns = (history.c.fingerprint, history.c.becomes, history.c.why, history.c.params)
        there = connection.execute(select(*columns).where(history.c.study_id == study_id)).all()
        self.rows: list[dict[str, Any]] = []
        self._study_id = study_id
        self._most = most_proposals
        self._known = {row.fingerprint: (row.becomes, row.why) for row in there}
        self._firsts = {_text(row.params) for row in there if row.becomes == "proposal"}

    def put(self, one: Kept) -> Kept:
        if one.becomes == "left_out" or one.params is None:
            return one
        fingerprint = _fingerprint(one.trial)
        if fingerprint in self._known:
            becomes, why = self._known[fingerprint]
            return replace(one, becomes=becomes, why=why)
        refusal = self._refusal(one, _text(one.params))
        if refusal is not None:
            return replace(one, becomes="left_out", why=refusal)
        self._add(one, one.params, fingerprint)
        return replace(one, new=True)

    def _refusal(self, one: Kept, params: str) -> str | None:
        if len(self._known) >= MOST_KEPT:
            return f"a study holds at most {MOST_KEPT} past trials"
        if one.becomes != "proposal":
            return None
        if params in self._firsts:
            return f"{one.why}; its candidate is a first proposal already"
        full = len(self._firsts) >= self._most
        return f"{one.why}; a quarter of the budget is first proposals already ({self._most})" if full else None

    def _add(self, one: Kept, params: dict[str, Any], fingerprint: str) -> None:
        row = one.trial.model_dump(mode="json", include={"candidate", "horizon_steps", "task", "source"})
        row |= {"value": _storable(one.trial.value), "becomes": one.becomes, "why": one.why, "params": params}
        row |= {"study_id": self._study_id, "place": len(self._known), "fingerprint": fingerprint}
        row["age"] = one.age
        self.rows.append(row)
        self._known[fingerprint] = (one.becomes, one.why)
        if one.becomes == "proposal":
            self._firsts.add(_text(params))


def _fingerprint(trial: PastTrial) -> str:
    """Tell past trials apart by what they say, not by where they come from."""
    said = trial.model_dump(mode="json", exclude={"source"})
    return hashlib.sha256(_text(said).encode()).hexdigest()


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, sort_keys=True)


def _storable(value: float | None) -> float | None:
    """SQLite keeps no NaN: a training that diverged has no value."""
    return None if value is None or value - value != 0 else value


# Reading


def learned(store: Store, study_id: int, *, direction: str, best: int, latest: int) -> list[Past]:
    """Read what a study's sampler learns from: the `best` past trials by `direction` and the `latest`, in order."""
    mine = (history.c.study_id == study_id) & (history.c.becomes == "history")
    ids = select(history.c.id).where(mine)
    value = history.c.value.desc() if direction == "maximize" else history.c.value
    wanted = union(
        select(ids.where(history.c.value.is_not(None)).order_by(value).limit(best).subquery()),
        select(ids.order_by(history.c.place.desc()).limit(latest).subquery()),
    ).subquery()
    query = select(history).where(history.c.id.in_(select(wanted.c.id))).order_by(history.c.place)
    with store.read() as connection:
        return [_past(row) for row in connection.execute(query)]


def _past(row: Row[Any]) -> Past:
    diverged = row.value is None
    return Past(
        seq=None,
        number=row.place,
        purpose="search",
        origin=HISTORY,
        state="failed" if diverged else "complete",
        params=row.params,
        candidate=Candidate.model_validate(row.candidate),
        value=row.value,
        seed=0,
        error=DIVERGED if diverged else None,
        age=row.age,
    )


def first_wishes(store: Store, study_id: int) -> tuple[Candidate, ...]:
    """Read the candidates that a study tries first, in their order."""
    mine = (history.c.study_id == study_id) & (history.c.becomes == "proposal")
    with store.read() as connection:
        found = connection.execute(select(history.c.candidate).where(mine).order_by(history.c.place)).scalars()
        return tuple(Candidate.model_validate(candidate) for candidate in found)


def list_history(store: Store, name: str, *, limit: int = 50, cursor: str | None = None) -> Page:
    """Read a page of a study's past trials, in the order in which they were taken.

    Raises:
        NotFound: there is no such study or page.
    """
    after = _place(cursor)
    with store.read() as connection:
        study_id = connection.execute(select(studies.c.id).where(studies.c.name == name)).scalar()
        if study_id is None:
            raise NotFound(f"there is no study named {name}", field="name")
        mine = select(history).where(history.c.study_id == study_id, history.c.place > after)
        rows = connection.execute(mine.order_by(history.c.place).limit(limit + 1)).all()
    more = str(rows[limit - 1].place) if len(rows) > limit else None
    return Page(items=[_view(row) for row in rows[:limit]], next_cursor=more)


def _place(cursor: str | None) -> int:
    if cursor is None:
        return -1
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 9:
        raise NotFound("there is no such page", field="cursor")
    return int(cursor)


def _view(row: Row[Any]) -> HistoryView:
    diverged = row.becomes == "history" and row.value is None
    return HistoryView(
        place=row.place,
        origin=ORIGIN_OF[row.becomes],
        why=row.why,
        candidate=row.candidate,
        value=float("nan") if diverged else row.value,
        horizon_steps=row.horizon_steps,
        task=row.task,
        source=row.source,
        added_at=as_time(row.added_at),
    )
