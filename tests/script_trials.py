"""Scripts run as trials: in this process, where several share what torch costs, or in processes of their own."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from etude.script.begin import Inside
from etude.script.trial import Trial
from etude.script_files import Curves, ProcessSeen, Record, ScriptTrial, environment, write_trial
from search_spaces.candidate import Candidate
from search_spaces.schedules import curve
from tests.machine import ROOT

SCRIPTS = ROOT / "tests" / "integration" / "scripts"
RELATIVE = 1e-9
"""How near the LR in force is to the curve, in units of the LR that is due."""


@dataclass
class Trained:
    """What a script did as a trial."""

    moves: list[list[float]]
    """What the script itself saw: by update the LR of each group."""
    updates: int
    curves: Curves
    processes: tuple[ProcessSeen, ...]
    own_lrs: tuple[tuple[float, ...], ...]
    largest_lr: float
    misfits: tuple[str, ...]
    said: dict[str, Any] = field(default_factory=dict)
    """The script's own names at its end, where it ran in this process."""
    output: str = ""
    errors: str = ""
    path: Path = Path()
    """The trial's JSON file."""


def candidate(initial_lr: float = 0.3) -> Candidate:
    """A cosine after a warm-up, on the script's own optimizer."""
    schedule = {"kind": "cosine", "end_factor": 0.01, "warmup": {"fraction": 0.25, "start_factor": 0.1}}
    return Candidate.model_validate(
        {"optimizer": {"kind": "script"}, "initial_lr": initial_lr, "schedule": schedule},
    )


def counting(**fields: Any) -> ScriptTrial:
    """A counting pass."""
    return ScriptTrial(mode="count", **fields)


def injecting(horizon: int, own_lrs: Sequence[Sequence[float]], initial_lr: float = 0.3, **fields: Any) -> ScriptTrial:
    """A trial of `candidate` on what a counting pass has seen."""
    chosen = candidate(initial_lr)
    return ScriptTrial(
        mode="inject", candidate=chosen.model_dump(mode="json"), lr=chosen.initial_lr * curve(chosen.schedule, horizon),
        horizon_steps=horizon, own_lrs=own_lrs, **fields,
    )  # fmt: skip


def here(place: Path, script: str, *arguments: str, trial: ScriptTrial) -> Trained:
    """Run a script in this process."""
    path = write_trial(_fresh(place), trial)
    with inside(path), as_main(script, arguments):
        said = runpy.run_path(str(SCRIPTS / script), run_name="__main__")
    return _trained(path, said["seen"].moves, said)


def apart(place: Path, command: Sequence[str], trial: ScriptTrial, *, status: int = 0, **variables: str) -> Trained:
    """Run a command as a trial's process, in the directory of the scripts; it ends with `status`."""
    path = write_trial(_fresh(place), trial)
    seen = path.parent / "seen"
    environ = environment(os.environ | {"SEEN": str(seen), "PYTHONPATH": ""} | variables, path)
    done = subprocess.run(command, cwd=SCRIPTS, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    told = seen.with_suffix(".0")
    trained = _trained(path, json.loads(told.read_text()) if told.exists() else [], {})
    trained.output, trained.errors = done.stdout, done.stderr
    return trained


def assert_on_the_curve(trained: Trained, trial: ScriptTrial, *ratios: float) -> None:
    """Every update that the script saw was made with its ratios of the LR due, and the record says so."""
    due = np.asarray(trial.lr)
    moves = np.asarray(trained.moves)
    np.testing.assert_allclose(moves, due[:, None] * np.asarray(ratios), rtol=RELATIVE)
    assert trained.updates == len(due)
    assert np.array_equal(trained.curves.in_force, due)
    assert trained.misfits == ()


def _fresh(place: Path) -> Path:
    directory = place / f"trial-{len(list(place.iterdir()))}"
    directory.mkdir()
    return directory


@contextmanager
def inside(path: Path) -> Iterator[None]:
    """Have Étude inside this process for the block, as it is inside a script's."""
    begun = Inside(torch, Trial(str(path)))
    begun.register()
    try:
        yield
    finally:
        begun.remove()
        begun.end()


@contextmanager
def as_main(script: str, arguments: Sequence[str] = ()) -> Iterator[None]:
    """Let the program look as if it were this script."""
    before = sys.argv, sys.path[:]
    sys.argv = [script, *arguments]
    sys.path.insert(0, str(SCRIPTS))
    try:
        yield
    finally:
        sys.argv, sys.path[:] = before


def _trained(path: Path, moves: list[list[float]], said: dict[str, Any]) -> Trained:
    with Record(path) as record:
        return Trained(
            moves, record.updates, record.curves(), record.processes(), record.own_lrs(), record.largest_lr,
            record.misfits(), said, path=path,
        )  # fmt: skip
