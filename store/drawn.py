"""What pictures of studies are drawn from, at a cost that does not grow with their history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select, tuple_

from search_spaces.problems import NotFound
from search_spaces.work import Report

from .engine import Store
from .proposals import Past, recent_history
from .tables import curve_chunks, proposals, studies
from .trials import merged_reports


def searched(store: Store, name: str, *, direction: str, best: int, latest: int) -> list[Past]:
    """Read a study's open trials, its baselines, the `best` complete ones, the `latest`, and as many foreign ones.

    Raises:
        NotFound: there is no such study.
    """
    with store.read() as connection:
        study_id = connection.execute(select(studies.c.id).where(studies.c.name == name)).scalar()
    if study_id is None:
        raise NotFound(f"there is no study named {name}", field="name")
    return recent_history(store, study_id, direction=direction, best=best, latest=latest)


def curves_of(store: Store, rows_of: str, numbers: Sequence[int]) -> dict[int, list[Report]]:
    """Read every report of some trials in two statements, by number; `rows_of` is the Optuna study that holds them."""
    if not numbers:
        return {}
    mine = (proposals.c.study_name == rows_of) & proposals.c.number.in_(numbers)
    with store.read() as connection:
        tails = connection.execute(select(proposals.c.id, proposals.c.number, proposals.c.tail).where(mine)).all()
        chunks = _chunks(connection, [row.id for row in tails])
    return {row.number: merged_reports([*chunks.get(row.id, []), row.tail or []]) for row in tails}


def _chunks(connection: Connection, ids: Sequence[int]) -> dict[int, list[Any]]:
    query = (
        select(curve_chunks.c.proposal_id, curve_chunks.c.points)
        .where(curve_chunks.c.proposal_id.in_(ids))
        .order_by(curve_chunks.c.proposal_id, curve_chunks.c.first_step)
    )
    found: dict[int, list[Any]] = {}
    for proposal_id, points in connection.execute(query):
        found.setdefault(proposal_id, []).append(points)
    return found


def claim_times(store: Store, claimed: Mapping[str, int], points: int = 24) -> dict[str, list[float]]:
    """Read when studies came how far: for each, the time of the first claim of trials evenly spaced by number.

    `claimed` says how many trials of each study have a number. Trials are numbered as they are first claimed, so a few
    of them show the pace of all; the times are seconds since 1970 and never fall.
    """
    wanted = [(name, number) for name, count in claimed.items() for number in _spaced(count, points)]
    if not wanted:
        return {}
    query = (
        select(proposals.c.study_name, proposals.c.claimed_at)
        .where(tuple_(proposals.c.study_name, proposals.c.number).in_(wanted), proposals.c.claimed_at.is_not(None))
        .order_by(proposals.c.study_name, proposals.c.number)
    )
    found: dict[str, list[float]] = {}
    with store.read() as connection:
        for name, at in connection.execute(query):
            times = found.setdefault(name, [])
            # A trial that was claimed again has a later time than those after it.
            times.append(max(at, times[-1]) if times else at)
    return found


def _spaced(count: int, points: int) -> list[int]:
    """Return up to `points` numbers below `count`, the first and the last among them.

    >>> _spaced(100, 3), _spaced(2, 24), _spaced(0, 24)
    ([0, 50, 99], [0, 1], [])
    """
    if count < 2:
        return list(range(count))
    most = min(points, count)
    return sorted({round(place * (count - 1) / (most - 1)) for place in range(most)})
