"""What earlier studies of a task tell a new one: what a step of it costs, and how their confirmations came out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from search_spaces.results import Answer
from search_spaces.study import TaskSpec

from .engine import Store
from .tables import proposals, studies

STUDIES_READ = 100
"""Latest studies of a task that are looked at for its parameters and version."""
ANSWERS_READ = 10
STUDIES_TIMED, TRIALS_TIMED = 5, 100
"""Latest studies whose trials are timed, and latest complete trials of each."""


@dataclass(frozen=True)
class TimedTrials:
    """What complete trials of one study cost."""

    study: str
    horizon_steps: int
    step_seconds: list[float]
    """Worker-seconds a step, by trial."""


@dataclass(frozen=True)
class Earlier:
    """The latest studies of a task with the same parameters and version."""

    timed: list[TimedTrials]
    answers: list[Answer]
    """Final ones, the latest first."""


def earlier_studies(store: Store, task: TaskSpec, version: str) -> Earlier:
    """Read what is known of a task in one version with these parameters; the latest studies first."""
    columns = (studies.c.id, studies.c.name, studies.c.spec, studies.c.resolved)
    latest = (
        select(*columns)
        .where(studies.c.task == task.name, studies.c.task_version == version, studies.c.resolved.is_not(None))
        .order_by(studies.c.id.desc())
        .limit(STUDIES_READ)
    )
    with store.read() as connection:
        rows = [row for row in connection.execute(latest) if row.spec["task"].get("params", {}) == task.params]
        timed = [_timed(connection, row) for row in rows[:STUDIES_TIMED]]
        answers = _answers(connection, [row.id for row in rows])
    return Earlier([one for one in timed if one.step_seconds], answers)


def _timed(connection: Connection, study: Any) -> TimedTrials:
    latest = (
        select(proposals.c.worker_seconds / (proposals.c.steps_done + proposals.c.extra_steps))
        .where(
            proposals.c.study_id == study.id,
            proposals.c.purpose == "search",
            proposals.c.state == "complete",
            proposals.c.worker_seconds > 0,
            proposals.c.steps_done > 0,
        )
        .order_by(proposals.c.number.desc())
        .limit(TRIALS_TIMED)
    )
    seconds = [float(one) for one in connection.execute(latest).scalars()]
    return TimedTrials(study.name, study.resolved["horizon_steps"], seconds)


def _answers(connection: Connection, study_ids: Sequence[int]) -> list[Answer]:
    confirmed = (
        select(studies.c.answer)
        .where(studies.c.id.in_(study_ids), studies.c.answer.is_not(None))
        .order_by(studies.c.id.desc())
        .limit(ANSWERS_READ)
    )
    return [Answer.model_validate(answer) for answer in connection.execute(confirmed).scalars()]
