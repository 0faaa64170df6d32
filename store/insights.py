"""What a search's ended trials say together: read at a bounded cost, without their curves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from .engine import Store
from .states import ENDED_TRIAL
from .tables import proposals


@dataclass(frozen=True)
class EndedTrial:
    """An ended trial of a search, without its candidate: `params` tell it."""

    state: str
    params: Mapping[str, Any]
    value: float | None
    settled_rung: int
    """The last rung at which it was compared; 0 before the first."""
    spared_at: int | None
    """The rung at which it would have been pruned, had it not been one of those that run on."""
    steps_done: int = 0
    """Updates made of its own training."""
    extra_steps: int = 0
    """And beside it."""
    worker_seconds: float = 0.0


def latest_ended(store: Store, study: str, most: int) -> list[EndedTrial]:
    """Read the latest `most` numbered trials of a study's search, by number, and return those that have ended."""
    latest = (
        select(
            proposals.c.state,
            proposals.c.params,
            proposals.c.value,
            proposals.c.settled_rung,
            proposals.c.spared_at,
            proposals.c.steps_done,
            proposals.c.extra_steps,
            proposals.c.worker_seconds,
        )
        .where(proposals.c.study_name == study, proposals.c.number.is_not(None))
        .order_by(proposals.c.number.desc())
        .limit(most)
    )
    with store.read() as connection:
        rows = connection.execute(latest).all()
    return [EndedTrial(*row) for row in reversed(rows) if row.state in ENDED_TRIAL]
