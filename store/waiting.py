"""What a study waits for: a live worker that offers its task, in its version. Said as the study's reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select, text

from search_spaces.study import EXTERNAL_TASK

from .sql import Dialect
from .tables import workers
from .workers import LIVE_SECONDS


@dataclass(frozen=True)
class LiveOffers:
    """What live workers offer now: {task: its versions}."""

    versions: dict[str, set[str]]

    def missing(self, task: str, version: str | None) -> str | None:
        """Say that nobody offers a task (in a version, where the study has one); None where somebody does."""
        offered = self.versions.get(task, set())
        if task == EXTERNAL_TASK or version in offered or (version is None and offered):
            return None
        if not offered:
            return f"no live worker offers the task {task}; its trials wait until one does"
        others = ", ".join(sorted(offered))
        return f"the study needs version {version} of the task {task}, and live workers offer {others}"


def live_offers(connection: Connection, dialect: Dialect) -> LiveOffers:
    """Read what the live workers offer and have at hand."""
    heard = select(workers.c.tasks).where(workers.c.heartbeat_at > text(f"{dialect.now} - {LIVE_SECONDS}"))
    versions: dict[str, set[str]] = {}
    for task in _available(connection.execute(heard).scalars()):
        versions.setdefault(task["name"], set()).add(task["version"])
    return LiveOffers(versions)


def _available(announced: Iterable[list[dict[str, Any]]]) -> Iterable[dict[str, Any]]:
    return (task for tasks in announced for task in tasks if task.get("available", True))
