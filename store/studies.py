"""Studies: submitted, started, owned by a coordinator, moved from state to state, read and deleted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from search_spaces.problems import Conflict, LeasesInFlight, NameTaken, NotFound
from search_spaces.results import Answer, StudyView
from search_spaces.space import Space
from search_spaces.study import BudgetSpec, ResolvedStudy, StudySpec, confirmation_name

from . import optuna_bridge
from .engine import Store
from .moving import move as _move
from .owning import LiveStudy, disown, live_study, own
from .resubmission import by_key, same_or_conflict
from .states import LIVE_STUDY
from .study_views import answer_or_standing, get_study, list_studies, stored_answer
from .tables import history, proposals, studies
from .tokens import TokenShare, refuse_more_studies
from .trials import end_open_trials

__all__ = [
    "LiveStudy",
    "answer_or_standing",
    "begin_confirmation",
    "change_state",
    "conclude",
    "delete_study",
    "disown",
    "extend_budget",
    "fail",
    "get_study",
    "list_studies",
    "live_study",
    "own",
    "set_priority",
    "start",
    "stored_answer",
    "submit",
    "submit_within",
]


# Submitting


def submit(
    store: Store,
    spec: StudySpec,
    *,
    resolved: ResolvedStudy | None,
    space: Space | None,
    idempotency_key: str | None = None,
    token: TokenShare | None = None,
) -> StudyView:
    """Store a study; with `resolved` and `space` it runs at once, else it is queued until a task is offered.

    Raises:
        NameTaken: the name, or an Optuna study of that name or its confirmation's, exists.
        Conflict: the idempotency key was used for another spec.
        TooManyRequests: the token has as many studies under way as it may have.
    """
    body = spec.model_dump(mode="json")
    try:
        with store.begin() as connection:
            earlier = by_key(connection, idempotency_key)
            if earlier is None:
                _submit(store, connection, spec, body, resolved=resolved, space=space, key=idempotency_key)
                _note_token(connection, spec.name, token)
    except IntegrityError as error:
        return _after_race(store, spec, body, idempotency_key, error)
    if earlier is not None:
        same_or_conflict(earlier, spec, body)
    return get_study(store, spec.name)


def submit_within(
    store: Store, connection: Connection, spec: StudySpec, *, resolved: ResolvedStudy | None, space: Space | None
) -> None:
    """Store a study as `submit` does, in a transaction of the caller's that does more beside it.

    Raises:
        NameTaken: the name, or an Optuna study of that name, exists; nothing of the study was written.
    """
    try:
        with connection.begin_nested():
            _submit(store, connection, spec, spec.model_dump(mode="json"), resolved=resolved, space=space)
    except IntegrityError as error:
        raise NameTaken(f"a study named {spec.name} exists", field="name") from error


def _submit(
    store: Store,
    connection: Connection,
    spec: StudySpec,
    body: Mapping[str, Any],
    *,
    resolved: ResolvedStudy | None,
    space: Space | None,
    key: str | None = None,
) -> None:
    _insert(store, connection, spec, body, key)
    if resolved is not None and space is not None:
        _start(store, connection, spec.name, resolved, space)


def _note_token(connection: Connection, name: str, token: TokenShare | None) -> None:
    if token is not None:
        refuse_more_studies(connection, token.name, token.most_studies)
        connection.execute(update(studies).where(studies.c.name == name).values(token=token.name))


def _after_race(
    store: Store, spec: StudySpec, body: Mapping[str, Any], key: str | None, error: IntegrityError
) -> StudyView:
    """Two submissions met: the unique columns let one through, the other is told which it was."""
    with store.read() as connection:
        earlier = by_key(connection, key)
    if earlier is None:
        raise NameTaken(f"a study named {spec.name} exists", field="name") from error
    same_or_conflict(earlier, spec, body)
    return get_study(store, spec.name)


def _insert(store: Store, connection: Connection, spec: StudySpec, body: Mapping[str, Any], key: str | None) -> None:
    taken = select(studies.c.id).where(studies.c.name == spec.name)
    if connection.execute(taken).first():
        raise NameTaken(f"a study named {spec.name} exists", field="name")
    now = store.now(connection)
    connection.execute(
        insert(studies).values(
            name=spec.name,
            state="queued",
            spec=body,
            task=spec.task.name,
            task_version=spec.task.version,
            priority=spec.priority,
            budget_trials=spec.budget.trials,
            idempotency_key=key,
            created_at=now,
            updated_at=now,
        )
    )


def start(store: Store, name: str, resolved: ResolvedStudy, space: Space) -> None:
    """Create the Optuna study and set a queued study running, in one transaction; a running one is left alone."""
    with store.begin() as connection:
        _start(store, connection, name, resolved, space)


def _start(store: Store, connection: Connection, name: str, resolved: ResolvedStudy, space: Space) -> None:
    moved = _move(store, connection, name, "running", ("queued",))
    if not moved:
        return
    attributes = {"etude:metric": resolved.metric, "etude:horizon_steps": resolved.horizon_steps}
    optuna_id = optuna_bridge.create_study(connection, name, resolved.direction, attributes)
    connection.execute(
        update(studies)
        .where(studies.c.name == name)
        .values(
            resolved=resolved.model_dump(mode="json"),
            space=space.model_dump(mode="json"),
            task_version=resolved.task_version,
            optuna_study_id=optuna_id,
        )
    )


# Moving


_WANTED = {
    "paused": {"running": "paused", "confirming": "confirming_paused"},
    "running": {"paused": "running", "confirming_paused": "confirming"},
}


def change_state(store: Store, name: str, wanted: str, reason: str | None = None) -> StudyView:
    """Pause, resume or stop a study, as PATCH does; asking for the state it is in changes nothing.

    Raises:
        NotFound: there is no such study.
        Conflict: the study cannot go there from where it is.
    """
    with store.begin() as connection:
        state = _locked_state(connection, name)
        if wanted == "stopped":
            _stop(store, connection, name, state, reason)
        else:
            _pause_or_resume(store, connection, name, state, wanted)
    return get_study(store, name)


def _pause_or_resume(store: Store, connection: Connection, name: str, state: str, wanted: str) -> None:
    moves = _WANTED[wanted]
    if state in moves.values():
        return
    if state not in moves:
        raise Conflict(f"a study that is {state} cannot become {wanted}", field="state")
    _move(store, connection, name, moves[state], (state,))


def _stop(store: Store, connection: Connection, name: str, state: str, reason: str | None) -> None:
    if state == "stopped":
        return
    if not _move(store, connection, name, "stopped", LIVE_STUDY, reason or "stopped by request"):
        raise Conflict(f"a study that is {state} cannot be stopped", field="state")
    end_open_trials(store, connection, _id_of(connection, name))


def fail(store: Store, name: str, reason: str) -> None:
    """Set a live study to `failed` with a reason that a person can act on, and end its open trials."""
    with store.begin() as connection:
        _locked_state(connection, name)
        if _move(store, connection, name, "failed", LIVE_STUDY, reason):
            end_open_trials(store, connection, _id_of(connection, name))


def begin_confirmation(store: Store, name: str) -> None:
    """Move a running study to `confirming` and create the Optuna study that holds the confirmation."""
    with store.begin() as connection:
        if not _move(store, connection, name, "confirming", ("running",)):
            return
        row = connection.execute(
            select(studies.c.id, studies.c.resolved, studies.c.confirmation_study_id).where(studies.c.name == name)
        ).one()
        end_open_trials(store, connection, row.id)  # a search cut short by its deadline
        if row.confirmation_study_id is not None:  # a budget that was extended confirms again
            return
        optuna_id = optuna_bridge.create_study(
            connection, confirmation_name(name), row.resolved["direction"], {"etude:study": name}
        )
        connection.execute(update(studies).where(studies.c.name == name).values(confirmation_study_id=optuna_id))


def conclude(store: Store, name: str, answer: Answer, *, stopped: str | None = None) -> bool:
    """Store the answer and set a confirming study to `done`; a study that is done keeps its answer.

    `stopped` says why it is not waited for what is still in training. Tell whether the study was concluded.
    """
    with store.begin() as connection:
        state = _locked_state(connection, name)
        if stopped is not None and state == "confirming_paused":
            _move(store, connection, name, "confirming", ("confirming_paused",))
        if not _move(store, connection, name, "done", ("confirming",), stopped):
            return False
        if stopped is not None:
            end_open_trials(store, connection, _id_of(connection, name))
        values = {"answer": answer.model_dump(mode="json"), "owner": None, "owner_until": None}
        connection.execute(update(studies).where(studies.c.name == name).values(values))
        return True


def extend_budget(store: Store, name: str, budget: BudgetSpec) -> StudyView:
    """Give a study a new budget; one that is done runs again and keeps its old answer as superseded.

    Raises:
        Conflict: fewer trials than were proposed already, or a study that is stopped or failed.
    """
    with store.begin() as connection:
        state = _locked_state(connection, name)
        if state in ("stopped", "failed", "confirming", "confirming_paused"):
            raise Conflict(f"the budget of a study that is {state} cannot change", field="budget")
        row = connection.execute(select(studies).where(studies.c.name == name)).one()
        if budget.trials < row.budget_trials:
            raise Conflict(f"a budget can only grow: it is {row.budget_trials} trials", field="budget.trials")
        spec = {**row.spec, "budget": budget.model_dump(mode="json")}
        values: dict[str, Any] = {"spec": spec, "budget_trials": budget.trials}
        if state == "done" and budget.trials > row.budget_trials:
            _move(store, connection, name, "running", ("done",))
            values |= {"answer": None, "superseded": [*(row.superseded or []), row.answer]}
            _forget_confirmation(connection, row.id)
        connection.execute(update(studies).where(studies.c.name == name).values(values))
    return get_study(store, name)


def _forget_confirmation(connection: Connection, study_id: int) -> None:
    """Let the next confirmation take the places of the old one; its rows stay in Optuna's study."""
    connection.execute(delete(proposals).where(proposals.c.study_id == study_id, proposals.c.purpose == "confirmation"))


def set_priority(store: Store, name: str, priority: int) -> StudyView:
    """Set the priority that claims go by, higher first."""
    with store.begin() as connection:
        _locked_state(connection, name)
        connection.execute(update(studies).where(studies.c.name == name).values(priority=priority))
    return get_study(store, name)


def delete_study(store: Store, name: str, *, keep_answer: bool = False) -> None:
    """Remove a study with its trials and both Optuna studies; `keep_answer` leaves the name and the answer.

    Raises:
        LeasesInFlight: workers hold trials of it.
    """
    with store.begin() as connection:
        state = _locked_state(connection, name)
        row = connection.execute(select(studies).where(studies.c.name == name)).one()
        _refuse_leases(connection, row.id)
        for optuna_id in (row.optuna_study_id, row.confirmation_study_id):
            if optuna_id is not None:
                optuna_bridge.delete_study(connection, optuna_id)
        for table in (proposals, history):
            connection.execute(delete(table).where(table.c.study_id == row.id))
        # What later studies started from goes with it.
        connection.execute(delete(history).where(history.c.age.is_not(None), history.c.source == name))
        if not keep_answer:
            connection.execute(delete(studies).where(studies.c.id == row.id))
            return
        if state in LIVE_STUDY:
            _move(store, connection, name, "stopped", LIVE_STUDY, "deleted, its answer kept")
        gone = {"archived": True, "optuna_study_id": None, "confirmation_study_id": None}
        connection.execute(update(studies).where(studies.c.id == row.id).values(gone))


def _refuse_leases(connection: Connection, study_id: int) -> None:
    held = select(proposals.c.number).where(proposals.c.study_id == study_id, proposals.c.state == "leased")
    numbers = connection.execute(held).scalars().all()
    if numbers:
        raise LeasesInFlight(f"{len(numbers)} trials are being trained: stop the study first")


def _locked_state(connection: Connection, name: str) -> str:
    """Lock a study's row for this transaction and return its state."""
    found = select(studies.c.state, studies.c.archived).where(studies.c.name == name).with_for_update()
    row = connection.execute(found).first()
    if row is None:
        raise NotFound(f"there is no study named {name}", field="name")
    return str(row.state)


def _id_of(connection: Connection, name: str) -> int:
    return int(connection.execute(select(studies.c.id).where(studies.c.name == name)).scalar_one())
