"""A trial of a training script as files: what the script is told, its environment, and the record that it leaves.

The script finds the file's path in `$ETUDE_TRIAL`. In the modes `inject` and `count` Étude runs inside the script's
processes (`etude/script`): the LR is imposed or left alone, every update is counted, and `Record` reads what was
written, while the script runs and afterwards.

    trial = ScriptTrial(mode="inject", horizon_steps=3, lr=[0.1, 0.05, 0.0], candidate=candidate)
    path = write_trial(directory, trial)
    process = subprocess.Popen(command, env=environment(os.environ, path))
    with Record(path) as record:
        print(record.updates)
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .script.layout import SCHEMA_VERSION, TRIAL_VARIABLE
from .script_record import Record
from .script_seen import Curves, GroupSeen, OptimizerSeen, ProcessSeen

__all__ = [
    "Curves", "GroupSeen", "Mode", "OptimizerSeen", "ProcessSeen", "Record", "ScriptTrial", "environment",
    "write_trial",
]  # fmt: skip

Mode = Literal["inject", "flags", "file", "count"]
INSIDE: frozenset[Mode] = frozenset({"inject", "count"})
INSIDE_DIRECTORY = Path(__file__).with_name("inside")
"""What stands first on PYTHONPATH of a trial's processes: it holds `sitecustomize.py` and nothing else."""

TRIAL_FILE, LR_FILE, RECORD_DIRECTORY = "trial.json", "lr.f64", "record"


@dataclass(frozen=True, kw_only=True)
class ScriptTrial:
    """What one trial of a script is to do.

    Raises:
        ValueError: a field is wrong or does not go with the mode; the message begins with the field's name.
    """

    mode: Mode
    study: str = ""
    number: int = 0
    purpose: str = "search"
    seed: int = 0
    candidate: Mapping[str, Any] | None = None
    """The candidate's JSON; in every mode but `count`."""
    horizon_steps: int | None = None
    """T in updates; required where an LR is given for each."""
    lr: ArrayLike | None = None
    """LR of every update, float64 of shape (T,): what the largest group gets. Beyond T the last one holds."""
    scale: float | None = None
    """Instead of `lr`, in the mode `inject`: a factor on whatever LR the script sets by itself at each update."""
    own_lrs: Sequence[Sequence[float]] | None = None
    """The script's own LR by optimizer and group, `Record.own_lrs` of a counting pass: a group's ratio is its LR here
    to the largest of all. Without it the ratio comes from the LRs that the groups have when they first step."""
    patterns: Sequence[str] = ()
    """Regular expressions of metrics: what matches in stdout and stderr is noted with the number of updates."""
    files: Sequence[str] = ()
    """Metric files, as glob patterns from the script's working directory: their growth is noted with the updates."""

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise ValueError(f"mode: one of {', '.join(get_args(Mode))}, not {self.mode!r}")
        if (self.candidate is None) != (self.mode == "count"):
            raise ValueError("candidate: needed in every mode but count, and out of place there")
        self._check_scale()
        self._check_lr()
        self._check_own_lrs()
        for pattern in self.patterns:
            _check_pattern(pattern)

    def _check_scale(self) -> None:
        if self.scale is None:
            return
        if self.mode != "inject" or self.lr is not None:
            raise ValueError("scale: goes with the mode inject, and not with lr")
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"scale: a positive number, not {self.scale}")

    def _check_lr(self) -> None:
        if self.mode == "inject" and self.scale is None and self.lr is None:
            raise ValueError("lr: the mode inject needs lr or scale")
        if self.lr is None:
            return
        if self.mode == "count":
            raise ValueError("lr: the mode count leaves the LR alone")
        values = np.asarray(self.lr, dtype=np.float64)
        if values.ndim != 1 or not values.size or values.size != self.horizon_steps:
            raise ValueError(f"lr: one number for each of horizon_steps={self.horizon_steps}, not {values.shape}")
        if not (np.isfinite(values).all() and (values >= 0).all()):
            raise ValueError("lr: finite and not negative")

    def _check_own_lrs(self) -> None:
        rates = [rate for groups in self.own_lrs or () for rate in groups]
        if not all(math.isfinite(rate) and rate >= 0 for rate in rates):
            raise ValueError("own_lrs: finite and not negative")
        if self.own_lrs is not None and max(rates, default=0.0) == 0.0:
            raise ValueError("own_lrs: at least one LR above 0")


def write_trial(directory: Path, trial: ScriptTrial) -> Path:
    """Write a trial's files into a directory that exists and return the path of its JSON file, for `$ETUDE_TRIAL`.

    The file appears whole or not at all. In the mode `inject` the LRs are a raw file of float64 beside it (`lr_file`),
    which opens at once for any T; in `flags` and `file` they are in the JSON (`lr`), where every language reads them.

    Raises:
        OSError: the directory is not there, or the disk is full.
    """
    record = directory.absolute() / RECORD_DIRECTORY
    record.mkdir(exist_ok=True)
    path = directory.absolute() / TRIAL_FILE
    _replace(path, json.dumps(_fields(trial, directory.absolute(), record)).encode())
    return path


def environment(base: Mapping[str, str], trial: Path, *, inside: bool = True) -> dict[str, str]:
    """Return the environment of a trial's processes: `base`, `$ETUDE_TRIAL` and, with `inside`, our PYTHONPATH first.

    `inside` belongs to the modes `inject` and `count`; in `flags` and `file` it makes the script's updates countable,
    too, and changes nothing. `python -I`, `-E` and `-S` ignore PYTHONPATH: nothing is counted then.
    """
    variables = dict(base) | {TRIAL_VARIABLE: str(trial)}
    if inside:
        before = base.get("PYTHONPATH")
        variables["PYTHONPATH"] = f"{INSIDE_DIRECTORY}{os.pathsep}{before}" if before else str(INSIDE_DIRECTORY)
    return variables


def _fields(trial: ScriptTrial, directory: Path, record: Path) -> dict[str, Any]:
    """Return what the JSON file says; fields without a value are left out, except those that every trial has."""
    candidate = trial.candidate
    always = {
        "schema_version": SCHEMA_VERSION, "study": trial.study, "number": trial.number, "purpose": trial.purpose,
        "seed": trial.seed, "mode": trial.mode, "candidate": candidate,
        "initial_lr": candidate["initial_lr"] if candidate else None, "horizon_steps": trial.horizon_steps,
        "record": str(record), "patterns": list(trial.patterns), "files": list(trial.files),
    }  # fmt: skip
    sometimes: dict[str, Any] = {"scale": trial.scale}
    if trial.own_lrs is not None:
        sometimes["own_lrs"] = [[float(rate) for rate in groups] for groups in trial.own_lrs]
    if trial.lr is not None:
        sometimes |= _lr_fields(np.asarray(trial.lr, dtype=np.float64), trial.mode, directory)
    return always | {name: value for name, value in sometimes.items() if value is not None}


def _lr_fields(values: NDArray[np.float64], mode: Mode, directory: Path) -> dict[str, Any]:
    if mode not in INSIDE:
        return {"lr": values.tolist()}
    file = directory / LR_FILE
    _replace(file, values.tobytes())
    return {"lr_file": str(file)}


def _replace(path: Path, content: bytes) -> None:
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.write_bytes(content)
    unfinished.replace(path)


def _check_pattern(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"patterns: {pattern!r} is no regular expression: {error}") from error
