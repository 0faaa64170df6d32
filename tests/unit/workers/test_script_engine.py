"""Scripts in the worker's loop, against a real store: each trial ends as it should, and leaves nothing running."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from search_spaces.candidate import Candidate
from store import Store
from store.studies import change_state
from tests.scripts import lives, script_of, until
from tests.small_task import CANDIDATE
from tests.studies import run_study
from tests.wire import Wire, propose, trials
from workers.loop import Worker
from workers.scripts.script import Script
from workers.timing import Stop, Timing

QUICK = Timing(report=0.0, drain=0.0, first_idle=0.01, longest_idle=0.05, ask=0.05)
SLEEPS = """
import os, time
print("step=10 val_loss=0.5", flush=True)
if os.fork() == 0:
    os.setsid()
open(f"{os.getpid()}.pid", "w").close()
time.sleep(600)
"""


def work(wire: Wire, script: Script, **options: Any) -> Worker:
    worker = Worker("w1", wire, {}, scripts={script.spec.name: script}, **({"timing": QUICK} | options))
    worker.work()
    return worker


def candidates(*rates: float) -> list[Candidate]:
    return [CANDIDATE.model_copy(update={"initial_lr": rate}) for rate in rates]


def pids(directory: Path) -> list[int]:
    return [int(file.stem) for file in directory.glob("*.pid")]


def test_every_trial_is_a_script_of_its_own(store: Store, wire: Wire, tmp_path: Path) -> None:
    """Each ends complete with its own flags' value, its reports at their steps, and its output kept."""
    for first, candidate in enumerate(candidates(0.1, 0.3)):
        propose(store, first=first, candidate=candidate)

    work(wire, script_of(tmp_path, slots=2))

    ended = trials(store)
    assert [(trial.state, trial.steps_done, trial.value) for trial in ended] == [
        ("complete", 100, 0.11), ("complete", 100, 0.31)
    ]  # fmt: skip
    assert all(trial.worker_seconds > 0 for trial in ended)
    logs = [file.read_text() for file in (tmp_path / "trials").rglob("output.log")]
    assert sorted(text.splitlines()[-1] for text in logs) == [
        "step=100 val_loss=0.110000",
        "step=100 val_loss=0.310000",
    ]


def test_a_trial_that_falls_behind_is_pruned(store: Store, wire: Wire, tmp_path: Path) -> None:
    """The store's word ends the script and all that it has started; the budget's other trials are not touched."""
    run_study(store, pruner={"kind": "median", "rungs": [0.1, 0.5], "startup_trials": 3})
    for first, candidate in enumerate(candidates(0.01, 0.01, 0.01, 0.9)):
        propose(store, first=first, candidate=candidate)
    slow = f"""
import os, sys, time
lr = float(sys.argv[2])
print("step=10 val_loss=", lr, sep="", flush=True)
if lr == 0.9:
    {SLEEPS.replace(chr(10), chr(10) + "    ")}
print("step=100 val_loss=", lr, sep="", flush=True)
"""

    work(wire, script_of(tmp_path, slow))

    ended = trials(store)
    assert [trial.state for trial in ended] == ["complete"] * 3 + ["pruned"]
    assert ended[3].steps_done == 10
    assert len(pids(tmp_path)) <= 2
    assert not any(lives(pid) for pid in pids(tmp_path))


def test_a_stopped_study_ends_its_script(store: Store, wire: Wire, tmp_path: Path) -> None:
    """Between two values of the metric the lease's renewal brings the word that the study was stopped."""
    propose(store)

    def stop_study() -> None:
        until(lambda: len(pids(tmp_path)) == 2)
        change_state(store, "mine", "stopped")

    thread = threading.Thread(target=stop_study)
    thread.start()
    work(wire, script_of(tmp_path, SLEEPS), timing=Timing(report=0.0, drain=0.0, lease=1.0, first_idle=0.01))
    thread.join()

    assert not any(lives(pid) for pid in pids(tmp_path))
    assert not wire.requests("finish")
    assert wire.requests("renew")


def test_a_worker_that_is_asked_to_stop_gives_back(store: Store, wire: Wire, tmp_path: Path) -> None:
    """Its scripts have ended before their trials are proposed again."""
    propose(store)
    stop = Stop(5.0)

    def ask() -> None:
        until(lambda: len(pids(tmp_path)) == 2)
        stop.ask()

    alive: list[bool] = []
    wire.listener = lambda verb, _request: (
        alive.append(any(lives(pid) for pid in pids(tmp_path))) if verb == "release" else None
    )
    thread = threading.Thread(target=ask)
    thread.start()
    work(wire, script_of(tmp_path, SLEEPS), stop=stop)
    thread.join()

    assert alive == [False]
    assert [trial.state for trial in trials(store)] == ["proposed"]


def test_a_crash_fails_with_the_tail_of_the_output(store: Store, wire: Wire, tmp_path: Path) -> None:
    """What the script printed last stands in the trial's error, and the worker goes on."""
    propose(store, count=2)
    code = """
import os, sys
if not os.path.exists("once"):
    open("once", "w").close()
    raise LookupError("the pump is stuck")
print("step=100 val_loss=0.5")
"""

    work(wire, script_of(tmp_path, code))

    failed, complete = trials(store)
    assert (failed.state, complete.state) == ("failed", "complete")
    assert failed.error is not None
    assert "LookupError: the pump is stuck" in failed.error
    assert "exit status 1" in failed.error.splitlines()[-1]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("print('all is well')", "nothing that the script prints matches"),
        ("print('step=100 val_loss=nan')", "diverged"),
        ("print('step=50 val_loss=0.5')", "horizon_mismatch: the script has made 50 updates"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "was ended by SIGSEGV"),
    ],
)
def test_what_has_no_result_fails_in_words(store: Store, wire: Wire, tmp_path: Path, code: str, words: str) -> None:
    """No metric, one that is no number, too few updates, a crash: the error says which."""
    propose(store)

    work(wire, script_of(tmp_path, code))

    (failed,) = trials(store)
    assert failed.state == "failed"
    assert words in str(failed.error)


def test_a_script_killed_from_outside_gives_its_trial_back(store: Store, wire: Wire, tmp_path: Path) -> None:
    """Whoever kills a script does not fail its trial: it is released, claimed again, and ends well."""
    propose(store)
    code = """
import os, signal
if not os.path.exists("once"):
    open("once", "w").close()
    os.kill(os.getpid(), signal.SIGKILL)
print("step=100 val_loss=0.5")
"""

    work(wire, script_of(tmp_path, code))

    assert [trial.state for trial in trials(store)] == ["complete"]
    assert len(wire.requests("release")) == 1
    assert len(wire.requests("claim")) >= 2


def test_a_script_that_is_killed_each_time_fails(store: Store, wire: Wire, tmp_path: Path) -> None:
    """The third kill fails the trial: memory, say, will not be enough the next time either."""
    propose(store)

    work(wire, script_of(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"))

    (failed,) = trials(store)
    assert failed.state == "failed"
    assert "was ended by SIGKILL" in str(failed.error)
    assert len(wire.requests("release")) == 2


def test_a_rank_that_is_killed_gives_the_trial_back(store: Store, wire: Wire, tmp_path: Path) -> None:
    """A launcher that says that a rank was killed is no crash; the report of its root cause stands last."""
    propose(store)
    code = """
import os
if not os.path.exists("once"):
    open("once", "w").close()
    print("  exitcode  : 1 (pid: 4)")
    print("Root Cause (first observed failure):")
    print("  exitcode  : -9 (pid: 5)")
    raise SystemExit(1)
print("step=100 val_loss=0.5")
"""

    work(wire, script_of(tmp_path, code))

    assert [trial.state for trial in trials(store)] == ["complete"]
    assert len(wire.requests("release")) == 1


def test_an_outage_of_the_store_does_not_end_a_script(store: Store, wire: Wire, tmp_path: Path) -> None:
    """Reports are kept while the store is away, and the trial ends complete."""
    propose(store)
    wire.cut = lambda verb, nth: verb in ("report", "finish") and nth <= 2

    work(wire, script_of(tmp_path))

    (complete,) = trials(store)
    assert (complete.state, complete.value) == ("complete", 0.02)
    assert len(wire.requests("finish")) == 3


def test_the_offer_says_nothing_of_the_command(tmp_path: Path) -> None:
    """What a service is told of a script: its name, version, metric, horizon and what is open. Promise 6."""
    offer = script_of(tmp_path, slots=3, environment={"SECRET": "hidden"}).offer()

    said = offer.model_dump_json()
    assert (offer.name, offer.horizon.steps, offer.packing.size) == ("nothing", 100, 3)
    assert offer.script is not None
    assert list(offer.script.optimizers or {}) == ["sgd", "adamw"]
    for hidden in ("train.py", "hidden", str(tmp_path), "--lr"):
        assert hidden not in said
