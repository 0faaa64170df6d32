"""Trials counted by purpose and state, for any number of studies in one statement that reads indexes only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, bindparam, text

from search_spaces.results import Counts

from .states import ENDED_TRIAL, listed


@dataclass
class Tally:
    """A study's trials by purpose and state."""

    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    """{purpose: {state: n}}, ours only."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Worker-seconds by purpose."""
    numbered: int = 0
    """Search trials of ours that have a row of Optuna's."""
    rows: int = 0
    """Rows of the search's Optuna study, whoever added them."""

    def search(self) -> Counts:
        """Count the search's trials by state, with the foreign ones."""
        # SQLite gives the id of a study that was deleted under us to the next one, until the coordinator sees it.
        return Counts(**self.counts.get("search", {}), foreign=max(0, self.rows - self.numbered))

    def confirmation(self) -> Counts:
        """Count the trials of `{name}.confirmation` by state."""
        states: dict[str, int] = {}
        for purpose in ("tuning", "confirmation"):
            for state, n in self.counts.get(purpose, {}).items():
                states[state] = states.get(state, 0) + n
        return Counts(**states)

    def confirmation_seconds(self) -> float:
        """Sum the worker-seconds of the trials of `{name}.confirmation`."""
        return self.seconds.get("tuning", 0.0) + self.seconds.get("confirmation", 0.0)


_PER_STATE = """SELECT study_id, purpose, state, count(*) AS n, count(number) AS numbered,
      sum(worker_seconds) AS seconds
    FROM etude_proposals WHERE study_id IN :ids AND state IN ({states}) GROUP BY study_id, purpose, state"""

# Ended and open apart: each has its index, and one of them would be read with every row of the table otherwise.
_TALLIES = text(
    f"""{_PER_STATE.format(states=listed(ENDED_TRIAL))}
    UNION ALL {_PER_STATE.format(states="'proposed', 'leased'")}
    UNION ALL SELECT study_id, NULL, NULL, count(*), 0, 0.0 FROM trials WHERE study_id IN :optuna_ids
      GROUP BY study_id"""
).bindparams(bindparam("ids", expanding=True), bindparam("optuna_ids", expanding=True))


def tallies_of(connection: Connection, optuna_ids: Mapping[int, int | None]) -> dict[int, Tally]:
    """Count the trials of some studies, all at one moment; `optuna_ids` are those of their searches, by study."""
    tallies = {study_id: Tally() for study_id in optuna_ids}
    owners = {optuna_id: study_id for study_id, optuna_id in optuna_ids.items() if optuna_id is not None}
    parameters = {"ids": list(optuna_ids), "optuna_ids": list(owners)}
    for row in connection.execute(_TALLIES, parameters) if optuna_ids else ():
        if row.purpose is None:
            tallies[owners[row.study_id]].rows = row.n
            continue
        tally = tallies[row.study_id]
        tally.counts.setdefault(row.purpose, {})[row.state] = row.n
        tally.seconds[row.purpose] = tally.seconds.get(row.purpose, 0.0) + row.seconds
        tally.numbered += row.numbered if row.purpose == "search" else 0
    return tallies
