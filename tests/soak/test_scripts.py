"""Training scripts as processes of their own, the long forms: launchers, kills, other libraries' optimizers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from etude.script_files import Record, environment, write_trial
from tests.script_trials import SCRIPTS, apart, assert_on_the_curve, counting, here, injecting

WITH_TORCHVISION = (
    "import runpy, sys; from workers import vision; vision.installed() and vision.torchvision();"
    "sys.path.insert(0, '.'); runpy.run_path(sys.argv[1], run_name='__main__')"
)
"""torchvision, if it is there, is imported first: its CUDA wheel fails beside a CPU torch (tests/frameworks.py)."""
ROOT = str(SCRIPTS.parents[2])


def test_accelerate_launches_a_script(tmp_path: Path) -> None:
    """Its launcher, its wrappers of model, optimizer and scheduler: every update is on the curve."""
    command = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1", "accelerated.py"]
    trial = injecting(16, [[0.5]])

    trained = apart(tmp_path, command, trial)

    assert_on_the_curve(trained, trial, 1.0)
    assert [one.updates for one in trained.processes] == [0, 16]  # the launcher imports torch, too


@pytest.mark.parametrize(
    ("script", "horizon", "rate", "ratios"),
    [("trainer.py", 8, 1e-3, [1.0, 1.0]), ("lightning_module.py", 6, 0.5, [1.0])],
)
def test_a_framework_as_a_process(tmp_path: Path, script: str, horizon: int, rate: float, ratios: list[float]) -> None:
    """Counted, then trained with a candidate, as a search does it."""
    command = [sys.executable, "-c", WITH_TORCHVISION, script]
    variables = {"PYTHONPATH": ROOT, "HF_HUB_OFFLINE": "1", "ACCELERATE_USE_CPU": "true"}

    counted = apart(tmp_path, command, counting(), **variables)
    trial = injecting(counted.updates, counted.own_lrs)
    trained = apart(tmp_path, command, trial, **variables)

    assert (counted.updates, counted.largest_lr) == (horizon, rate)
    assert_on_the_curve(trained, trial, *ratios)


@pytest.mark.parametrize("kind", ["prodigy", "schedule-free", "lion", "lookahead", "sam"])
def test_optimizers_of_other_libraries(tmp_path: Path, kind: str) -> None:
    """Each begins each of its steps with the LR of the trial, and each is counted once."""
    counted = here(tmp_path, "foreign.py", kind, trial=counting())
    trial = injecting(counted.updates, counted.own_lrs)

    trained = here(tmp_path, "foreign.py", kind, trial=trial)

    assert counted.updates == 6
    assert_on_the_curve(trained, trial, 1.0)


def test_what_was_counted_outlives_kill_9(tmp_path: Path) -> None:
    """At any moment the record is whole: the updates counted are those whose rows are there."""
    path = write_trial(tmp_path, counting())
    program = (
        "import torch\nweight = torch.zeros(1, requires_grad=True)\noptimizer = torch.optim.SGD([weight], lr=0.5)\n"
        "while True:\n    weight.sum().backward()\n    optimizer.step()\n"
    )

    command, environ = [sys.executable, "-c", program], environment(os.environ, path)
    with Record(path) as record, subprocess.Popen(command, env=environ) as process:
        reached = [0]
        while reached[-1] <= 20_000 and process.poll() is None:
            reached.append(record.updates)
        process.send_signal(signal.SIGKILL)
        process.wait()
        updates, curves, (seen,) = record.updates, record.curves(), record.processes()

    assert reached == sorted(reached)
    assert updates > 20_000
    assert np.array_equal(curves.in_force, np.full(updates, 0.5))
    assert seen.end is None
