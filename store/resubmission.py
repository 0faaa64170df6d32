"""A submission sent twice with one Idempotency-Key makes one study, and both requests are answered with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, select

from search_spaces.problems import Conflict
from search_spaces.results import StudyView
from search_spaces.study import StudySpec

from .engine import Store
from .study_views import get_study
from .tables import studies


def submitted(store: Store, spec: StudySpec, idempotency_key: str | None) -> StudyView | None:
    """Return the study that an earlier request with this key has made; None where there was none.

    Raises:
        Conflict: the key was used for another spec.
    """
    with store.read() as connection:
        earlier = by_key(connection, idempotency_key)
    if earlier is None:
        return None
    same_or_conflict(earlier, spec, spec.model_dump(mode="json"))
    return get_study(store, spec.name)


def by_key(connection: Connection, key: str | None) -> Row[Any, Any] | None:
    """Find name and spec of the study that was submitted with this key."""
    if key is None:
        return None
    found = select(studies.c.name, studies.c.spec).where(studies.c.idempotency_key == key)
    return connection.execute(found).first()


def same_or_conflict(earlier: Row[Any, Any], spec: StudySpec, body: Mapping[str, Any]) -> None:
    """Raise `Conflict` unless the earlier study is of this spec, whose JSON is `body`."""
    if earlier.name != spec.name or earlier.spec != body:
        raise Conflict("this Idempotency-Key was used for another study", field="Idempotency-Key")
