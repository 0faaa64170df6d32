"""How much work there is for who starts workers: the trials that studies of some tasks still want."""

from __future__ import annotations

from collections.abc import Collection

from .engine import Store
from .sql import statement
from .states import listed

SEARCHING, WORKING = ("queued", "running"), ("queued", "running", "confirming")
"""States in which a study still proposes trials of its search, and those in which workers may train for it."""


def backlog(store: Store, tasks: Collection[str]) -> int:
    """Count the trials that workers of these tasks could train, now or as the search goes on.

    Those that are proposed or in training, and what is left of the budgets; of paused studies nothing. A study that
    waits for somebody to offer its task counts, too. The cost does not depend on how many trials have ended.
    """
    if not tasks:
        return 0
    sql = f"""
        WITH named AS ({store.dialect.rows("tasks", name="text")})
        SELECT coalesce(sum(
          (SELECT count(*) FROM etude_proposals o WHERE o.study_id = s.id AND o.state IN ('proposed', 'leased'))
          + CASE WHEN s.state IN ({listed(SEARCHING)}) AND s.budget_trials > {_PROPOSED}
              THEN s.budget_trials - {_PROPOSED} ELSE 0 END), 0)
        FROM etude_studies s WHERE s.state IN ({listed(WORKING)}) AND s.task IN (SELECT name FROM named)"""
    named = store.dialect.pack([{"name": name} for name in tasks])
    with store.read() as connection:
        return int(connection.execute(statement(sql), {"tasks": named}).scalar_one())


_PROPOSED = """coalesce((SELECT max(p.seq) + 1 FROM etude_proposals p
            WHERE p.study_id = s.id AND p.purpose = 'search'), 0)"""
