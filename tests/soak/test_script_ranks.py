"""A script under torchrun with two ranks: what the store decides reaches all of them."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from search_spaces.baselines import script_current
from search_spaces.schedules import Cosine
from store import Store, open_store
from store.verbs import SqlVerbs
from tests.scripts import STEPS, lives, torch_script, until
from tests.studies import run_study
from tests.wire import Wire, propose, trials
from workers.loop import Worker
from workers.timing import Timing

QUICK = Timing(report=0.0, drain=0.0, first_idle=0.01, longest_idle=0.05, ask=0.05)
TORCHRUN = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--rdzv-backend", "c10d"]
TORCHRUN += ["--rdzv-endpoint", "127.0.0.1:0"]
OWN = script_current(0.05)
RANKS = """
import os, time
import torch
import torch.distributed as dist

dist.init_process_group("gloo")
torch.manual_seed(0)
model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(4, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
x = torch.randn(64, 4)
if dist.get_rank() == 0:
    print(f"launched by {os.getppid()}", flush=True)
open(f"{os.getpid()}.pid", "w").close()
for step in range(1, 101):
    optimizer.zero_grad()
    loss = ((model(x) - x.sum(1, keepdim=True)) ** 2).mean()
    loss.backward()
    optimizer.step()
    if step % 10 == 0 and dist.get_rank() == 0:
        print(f"val_loss={loss.item():.6f}", flush=True)
    while step == 50 and os.path.exists("hold"):
        time.sleep(0.05)
dist.destroy_process_group()
"""


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    opened = open_store(sqlite_url)
    yield opened
    opened.close()


@pytest.fixture
def wire(store: Store) -> Wire:
    return Wire(SqlVerbs(store))


def work(wire: Wire, directory: Path) -> None:
    script = torch_script(directory, RANKS, command=[sys.executable, *TORCHRUN], grace_seconds=2.0)
    Worker("w1", wire, {}, scripts={"nothing": script}, timing=QUICK).work()


def pids(directory: Path) -> list[int]:
    return [int(file.stem) for file in directory.glob("*.pid")]


def test_two_ranks_train_as_one(store: Store, wire: Wire, tmp_path: Path) -> None:
    """Updates are those of rank 0: both ranks make T of them, and the trial has T."""
    propose(store, candidate=OWN.model_copy(update={"schedule": Cosine()}))

    work(wire, tmp_path)

    (trial,) = trials(store)
    assert (trial.state, trial.steps_done) == ("complete", STEPS), trial.error


def test_a_prune_reaches_every_rank(store: Store, wire: Wire, tmp_path: Path) -> None:
    """The trial that falls behind is pruned while both of its ranks wait: neither lives on."""
    run_study(store, pruner={"kind": "median", "rungs": [0.5], "startup_trials": 1})
    propose(store, candidate=OWN)
    work(wire, tmp_path)
    (tmp_path / "hold").touch()
    propose(store, first=1, candidate=OWN.with_lr(1e-6))

    work(wire, tmp_path)

    assert [trial.state for trial in trials(store)] == ["complete", "pruned"]
    assert len(pids(tmp_path)) == 4
    assert not any(lives(pid) for pid in pids(tmp_path))


def test_a_killed_rank_gives_the_trial_back(store: Store, wire: Wire, tmp_path: Path) -> None:
    """kill -9 of one rank ends the other; the trial is released, claimed again, and complete."""
    propose(store, candidate=OWN)
    (tmp_path / "hold").touch()

    def kill() -> None:
        until(lambda: bool(wire.requests("report")), seconds=120)
        until(lambda: len(pids(tmp_path)) == 2)
        (tmp_path / "hold").unlink()
        os.kill(max(pids(tmp_path)), signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    work(wire, tmp_path)
    thread.join()

    (trial,) = trials(store)
    assert (trial.state, trial.steps_done) == ("complete", STEPS), trial.error
    assert len(wire.requests("release")) == 1
    assert len(pids(tmp_path)) == 4
    assert not any(lives(pid) for pid in pids(tmp_path))
