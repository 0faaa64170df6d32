"""Recurrences: kept, changed, listed and deleted. What becomes of their due times is in `nights`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from search_spaces.candidate import Candidate
from search_spaces.problems import NameTaken, NotFound
from search_spaces.recurrence import RecurrenceSpec, RecurrenceView, WebhookSpec, WebhookView
from search_spaces.results import Page

from .engine import Store
from .held import as_time
from .kept_webhooks import closed, is_signed, opened, readable
from .sealing import NotOpened, Seal
from .tables import recurrences

Now = Callable[[Connection], float]
"""The clock that a transaction goes by, in seconds since 1970; the database's but in tests."""
NextDue = Callable[[RecurrenceSpec, float], float | None]
"""The first due time after a time, both in seconds since 1970; None where there is none any more."""


@dataclass(frozen=True)
class Recurrence:
    """A recurrence as it is kept; `spec` shows of its webhook only whom it reaches."""

    key: int
    spec: RecurrenceSpec
    in_use: Candidate | None
    widened: dict[str, Any]
    next_due_at: float | None
    """Seconds since 1970, like every time here."""
    due_known_at: float
    """When `next_due_at` was computed."""


def create(
    store: Store, spec: RecurrenceSpec, next_due: NextDue, now: Now | None = None, seal: Seal | None = None
) -> RecurrenceView:
    """Keep a new recurrence, its webhook under `seal`; the same spec again changes nothing.

    Raises:
        NameTaken: another one has the name.
        InvalidSpec: it has a webhook, and there is no key to seal it with.
    """
    sealed = closed(spec.webhook, seal)
    try:
        with store.begin() as connection:
            row = _find(connection, spec.name)
            if row is not None and row.spec == _stored(spec) and _opens_to(row, spec.webhook, seal):
                return _view(row)
            if row is not None:
                raise _taken(spec.name)
            at = (now or store.now)(connection)
            connection.execute(insert(recurrences).values(_fresh(spec, next_due, at) | sealed))
            return _view(_named(connection, spec.name))
    except IntegrityError as error:
        raise _taken(spec.name) from error


def _taken(name: str) -> NameTaken:
    return NameTaken(f"a recurrence named {name} exists", field="name")


def _opens_to(row: Row[Any], webhook: WebhookSpec | None, seal: Seal | None) -> bool:
    try:
        return opened(row, seal) == webhook
    except NotOpened:
        return False


def _fresh(spec: RecurrenceSpec, next_due: NextDue, at: float) -> dict[str, Any]:
    return {
        "name": spec.name,
        "spec": _stored(spec),
        "in_use": _candidate_json(spec.template.current),
        "widened": {},
        "next_due_at": None if spec.paused else next_due(spec, at),
        "due_known_at": at,
        "created_at": at,
        "updated_at": at,
    }


def _stored(spec: RecurrenceSpec) -> dict[str, Any]:
    """Return what may be read of a spec."""
    return {**spec.model_dump(mode="json"), "webhook": readable(spec.webhook)}


def _candidate_json(candidate: Candidate | None) -> Any:
    return None if candidate is None else candidate.model_dump(mode="json")


def change(
    store: Store,
    name: str,
    changed: Callable[[RecurrenceSpec], RecurrenceSpec],
    next_due: NextDue,
    now: Now | None = None,
    seal: Seal | None = None,
    *,
    webhook_too: bool = True,
) -> RecurrenceView:
    """Let `changed` make a new spec of the stored one, in one transaction; its due times count from now on.

    The stored one shows of its webhook only whom it reaches; without `webhook_too` the webhook stays what it is. A new
    one without a secret keeps the stored one's as long as its URL stays. Another template begins anew: its `current`
    is the schedule in use, and no range of it is wider.

    Raises:
        NotFound: there is no such recurrence.
        InvalidSpec: it gets a webhook, and there is no key to seal it with.
    """
    with store.begin() as connection:
        row = connection.execute(select(recurrences).where(recurrences.c.name == name).with_for_update()).first()
        if row is None:
            raise _missing(name)
        earlier = RecurrenceSpec.model_validate(row.spec)
        spec = changed(earlier)
        at = (now or store.now)(connection)
        values: dict[str, Any] = {"spec": _stored(spec), "updated_at": at}
        if webhook_too:
            values |= closed(_with_kept_secret(row, spec.webhook, seal), seal)
        else:
            values["spec"]["webhook"] = row.spec["webhook"]
        if _due_differently(earlier, spec):
            values |= {"next_due_at": None if spec.paused else next_due(spec, at), "due_known_at": at}
        if spec.template != earlier.template:
            values |= {"in_use": _candidate_json(spec.template.current), "in_use_from": None, "widened": {}}
        connection.execute(update(recurrences).where(recurrences.c.id == row.id).values(values))
        return _view(_named(connection, name))


def _with_kept_secret(row: Row[Any], webhook: WebhookSpec | None, seal: Seal | None) -> WebhookSpec | None:
    if webhook is None or webhook.secret is not None:
        return webhook
    try:
        before = opened(row, seal)
    except NotOpened:  # by whose loss nobody is kept from naming another webhook
        return webhook
    same = before is not None and before.url == webhook.url
    return webhook.model_copy(update={"secret": before.secret}) if before is not None and same else webhook


def _due_differently(earlier: RecurrenceSpec, spec: RecurrenceSpec) -> bool:
    said = ("cron", "zone", "start", "end", "paused")
    return any(getattr(earlier, field) != getattr(spec, field) for field in said)


def get(store: Store, name: str) -> RecurrenceView:
    """Read one recurrence.

    Raises:
        NotFound: there is no such recurrence.
    """
    with store.read() as connection:
        return _view(_named(connection, name))


def list_recurrences(store: Store, *, limit: int = 50, cursor: str | None = None) -> Page:
    """Read recurrences by name; `cursor` is what the page before gave as `next_cursor`."""
    query = select(recurrences).order_by(recurrences.c.name).limit(limit + 1)
    if cursor is not None:
        query = query.where(recurrences.c.name > cursor)
    with store.read() as connection:
        rows = connection.execute(query).all()
    return Page(
        items=[_view(row) for row in rows[:limit]], next_cursor=rows[limit - 1].name if len(rows) > limit else None
    )


def remove(store: Store, name: str) -> None:
    """Delete a recurrence with its nights and messages; its studies stay, and their names stay taken.

    Raises:
        NotFound: there is no such recurrence.
    """
    with store.begin() as connection:
        gone = connection.execute(delete(recurrences).where(recurrences.c.name == name))
        if gone.rowcount == 0:
            raise _missing(name)


def _missing(name: str) -> NotFound:
    return NotFound(f"there is no recurrence named {name}", field="name")


def _find(connection: Connection, name: str) -> Row[Any] | None:
    return connection.execute(select(recurrences).where(recurrences.c.name == name)).first()


def _named(connection: Connection, name: str) -> Row[Any]:
    row = _find(connection, name)
    if row is None:
        raise _missing(name)
    return row


def key_of(connection: Connection, name: str) -> int:
    """Return the key of a recurrence.

    Raises:
        NotFound: there is no such recurrence.
    """
    return int(_named(connection, name).id)


def recurrence_of(row: Row[Any]) -> Recurrence:
    """Read a row of the table as a recurrence."""
    return Recurrence(
        key=row.id,
        spec=RecurrenceSpec.model_validate(row.spec),
        in_use=None if row.in_use is None else Candidate.model_validate(row.in_use),
        widened=row.widened,
        next_due_at=row.next_due_at,
        due_known_at=row.due_known_at,
    )


def _view(row: Row[Any]) -> RecurrenceView:
    base = f"/v1/recurrences/{row.name}"
    said = {key: value for key, value in row.spec.items() if key != "webhook"}
    return RecurrenceView(
        **said,
        webhook=_webhook(row),
        in_use=row.in_use,
        in_use_from=row.in_use_from,
        widened=row.widened,
        next_due_at=None if row.next_due_at is None else as_time(row.next_due_at),
        missed=row.missed,
        created_at=as_time(row.created_at),
        updated_at=as_time(row.updated_at),
        links={"self": base, "runs": f"{base}/runs", "page": f"{base}/page"},
    )


def _webhook(row: Row[Any]) -> WebhookView | None:
    said = row.spec["webhook"]
    if said is None:
        return None
    return WebhookView(host=urlsplit(said["url"]).hostname or "", format=said["format"], signed=is_signed(row))
