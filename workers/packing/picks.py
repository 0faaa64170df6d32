"""What measuring has found, in files: the next worker of the same task on the same device need not measure again.

Only speed is remembered. Whether packing is right is looked at by every worker: a task's code may change unnoticed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from etude.task import Task, task_version

from ..machine import device_name
from .ways import Way

log = logging.getLogger(__name__)

MEASURED_BY = 2
"""The version of how it is measured; a pick of another one is not used. Raise it with packs that became faster."""


class Pick(BaseModel):
    """How trials of a task are trained fastest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(ge=1)
    """Trials at once."""
    least: int = Field(ge=1)
    """Trials at once from which packing pays."""
    way: Way
    """Of packs; of no meaning where the size is 1."""
    reason: str
    """In words, as measured."""


class Kept(BaseModel):
    """What a file holds."""

    model_config = ConfigDict(extra="forbid")

    measured: dict[str, str]
    """What the pick is for, to be read by people; the file's name is made of it."""
    pick: Pick


class Picks:
    """The picks of a folder, a file each: workers that measure at the same time do not overwrite each other's."""

    def __init__(self, folder: Path) -> None:
        """Take the folder, which need not be there."""
        self._folder = folder

    def find(self, task: Task, most: int | None, *, compiles: bool) -> Pick | None:
        """Return what was measured for a task under a limit; None where nothing was, or where it cannot be read."""
        measured = measured_for(task, most, compiles=compiles)
        try:
            kept = Kept.model_validate_json(self._file(measured).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            log.warning("what was measured of %s cannot be read, it is measured again: %.200s", task.name, error)
            return None
        return kept.pick

    def keep(self, task: Task, most: int | None, pick: Pick, *, compiles: bool) -> None:
        """Write a pick, whole or not at all; where the folder cannot be written, the next worker measures again."""
        measured = measured_for(task, most, compiles=compiles)
        text = Kept(measured=measured, pick=pick).model_dump_json(indent=1)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            file = self._file(measured)
            part = file.with_suffix(f".{os.getpid()}.part")
            part.write_text(text, encoding="utf-8")
            part.replace(file)
        except OSError as error:
            log.warning("what was measured of %s cannot be kept: %s", task.name, error)

    def _file(self, measured: dict[str, str]) -> Path:
        digest = hashlib.sha256(json.dumps(measured, sort_keys=True).encode()).hexdigest()
        return self._folder / f"{digest[:32]}.json"


def measured_for(task: Task, most: int | None, *, compiles: bool) -> dict[str, str]:
    """Return everything that the fastest size depends on."""
    return {
        "task": task.name,
        "version": task_version(type(task)),
        "params": task.params.model_dump_json(),
        "device": device_name(task.device),
        "threads": str(torch.get_num_threads()),
        "torch": torch.__version__,
        "most": "any" if most is None else str(most),
        "compiles": str(compiles),
        "measured by": str(MEASURED_BY),
    }
