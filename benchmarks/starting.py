"""A process that gets one trial and says when, and with how much memory: started by `benchmarks.first_claim`.

Each branch imports what its worker needs and no more.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path


def claim_once(url: str) -> None:
    """Claim a trial of Étude's over SQL, as a worker does that trains nothing."""
    from search_spaces.work import Announcement, ClaimRequest, TaskVersion
    from store import open_store
    from store.verbs import SqlVerbs

    verbs = SqlVerbs(open_store(url, pool_size=1))
    verbs.announce("new", Announcement())
    tasks = [TaskVersion(name="nothing", version="1")]
    claimed = verbs.claim(ClaimRequest(worker="new", claim_id=f"new-{os.getpid()}", tasks=tasks)).items
    assert len(claimed) == 1
    assert "torch" not in sys.modules


def ask_once(url: str) -> None:
    """Ask stock Optuna for a trial of the same study, with one parameter of those that its trials have."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(url)
    study = optuna.load_study(study_name="mine", storage=storage, sampler=optuna.samplers.TPESampler())
    known = study.get_trials(deepcopy=False)
    shapes = known[0].distributions if known else {"x": optuna.distributions.FloatDistribution(0, 1)}
    study.ask(dict(list(shapes.items())[:1]))


def main() -> None:
    """Get a trial from the one that is named, and print the moment and the resident memory (Linux)."""
    parts: dict[str, Callable[[str], None]] = {"Étude": claim_once, "Optuna": ask_once}
    parts[sys.argv[1]](sys.argv[2])
    at = time.time()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    print(json.dumps({"at": at, "mib": pages * os.sysconf("SC_PAGE_SIZE") / 2**20}))


if __name__ == "__main__":
    main()
