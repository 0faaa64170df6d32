"""A torch script in the mode inject under a worker: `current` beside a candidate."""

from __future__ import annotations

from pathlib import Path

from search_spaces.baselines import script_current
from search_spaces.schedules import Cosine
from store import open_store
from store.verbs import SqlVerbs
from tests.scripts import STEPS, torch_script
from tests.wire import Wire, propose, trials
from workers.loop import Worker
from workers.timing import Timing

QUICK = Timing(report=0.0, drain=0.0, first_idle=0.01, longest_idle=0.05, ask=0.05)
OWN = script_current(0.05)


def test_a_cosine_trains_otherwise_than_current(sqlite_url: str, tmp_path: Path) -> None:
    """Two trials of one seed with budgets that are exact: what the script does by itself, and a cosine."""
    store = open_store(sqlite_url)
    for first, candidate in enumerate((OWN, OWN.model_copy(update={"schedule": Cosine()}))):
        propose(store, first=first, candidate=candidate)

    script = torch_script(tmp_path, slots=2)
    Worker("w1", Wire(SqlVerbs(store)), {}, scripts={"nothing": script}, timing=QUICK).work()

    own, cosine = trials(store)
    store.close()
    assert [(trial.state, trial.steps_done) for trial in (own, cosine)] == [("complete", STEPS)] * 2, (own, cosine)
    assert own.value != cosine.value
