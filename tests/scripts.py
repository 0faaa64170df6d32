"""Small scripts for tests, and the tasks that they are; most need the standard library only, and start in a blink."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from search_spaces.script_spec import ScriptSpec
from workers.scripts.measured import Measured
from workers.scripts.script import Script

FAST = [sys.executable, "-I", "-S"]
STEPS = 100
"""Of the horizon of `tests.studies.OFFER`."""

QUIET = """
import json, os, sys, time
lr = float(sys.argv[sys.argv.index("--lr") + 1]) if "--lr" in sys.argv else 0.5
for step in range(10, 101, 10):
    print(f"step={step} val_loss={lr + 1 / step:.6f}", flush=True)
"""
"""A training that takes its LR by a flag, and ends better with a lower one."""
PATTERN = r"step=(?P<step>\d+) val_loss=(?P<value>\S+)"
FLAGS: dict[str, Any] = {
    "mode": "flags",
    "flags": "--lr {initial_lr} --optimizer {optimizer} --scheduler {schedule}",
    "optimizers": {"sgd": "sgd", "adamw": "adamw"},
    "schedules": {"cosine": "cosine", "constant": "constant"},
}


def script_spec(directory: Path, code: str = QUIET, **fields: Any) -> ScriptSpec:
    """A script of this text in flags mode, unless the fields say otherwise."""
    file = directory / "train.py"
    file.write_text(code)
    known: dict[str, Any] = {
        "name": "nothing", "command": [*FAST, str(file)], "directory": str(directory), "metric_name": "loss",
        "metric": {"source": "stdout", "pattern": PATTERN}, "grace_seconds": 0.3,
    }  # fmt: skip
    return ScriptSpec.model_validate(known | FLAGS | fields)


def script_of(directory: Path, code: str = QUIET, **fields: Any) -> Script:
    """That script as the task of `tests.studies.OFFER`."""
    script = Script(script_spec(directory, code, **fields), Measured(horizon_steps=STEPS), directory / "trials")
    script.version = "1"
    return script


def until(reached: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for what another process or thread does."""
    give_up = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < give_up, "it was not reached"
        time.sleep(0.01)


def lives(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


LINE = """
import sys
import torch

torch.manual_seed(0)
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=50, gamma=0.1)
x = torch.randn(64, 4)
for step in range(1, 101):
    optimizer.zero_grad()
    loss = ((model(x) - x.sum(1, keepdim=True)) ** 2).mean()
    loss.backward()
    optimizer.step()
    scheduler.step()
    if step % 10 == 0:
        print(f"epoch {step // 10}: val_loss={loss.item():.6f}", flush=True)
"""
"""A training by torch with a scheduler of its own; what it prints says nothing of updates."""


def torch_script(directory: Path, code: str = LINE, **fields: Any) -> Script:
    """That training as the task of `tests.studies.OFFER`, in the mode inject."""
    inject = {"mode": "inject", "flags": "", "schedules": None, "optimizers": None, "command": [sys.executable]}
    inject |= {"metric": {"source": "stdout", "pattern": r"val_loss=(\S+)"}} | fields
    file = str(directory / "train.py")
    inject["command"] = [*inject["command"], file]
    spec = script_spec(directory, code, **inject)
    measured = Measured(horizon_steps=STEPS, largest_lr=0.05, own_lrs=[[0.05]])
    script = Script(spec, measured, directory / "trials")
    script.version = "1"
    return script
