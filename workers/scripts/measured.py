"""What is known of a script from a look at it, and the version under which that holds."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated

from pydantic import Field

from search_spaces.model import Message
from search_spaces.script_spec import ScriptSpec, SeedMeans
from search_spaces.work import Seeding

UNTOLD = frozenset({"slots", "grace_seconds", "log_bytes"})
"""Fields of a script file that change no result."""
VERSION_CHARACTERS = 12


class SeenOptimizer(Message):
    """An optimizer that a script steps."""

    kind: str
    """Its class, such as `torch.optim.adamw.AdamW`."""
    groups: int
    """Parameter groups."""
    updates: int


class Measured(Message):
    """What one look at a script has shown: what its file leaves open."""

    horizon_steps: Annotated[int, Field(ge=1)]
    """T, the updates of a whole training."""
    counted: bool = True
    """Whether updates were counted inside the script; else they are what the script says of its steps."""
    seconds_per_step: float | None = None
    cadence_steps: float | None = None
    """Updates from one value of the metric to the next."""
    optimizers: list[SeenOptimizer] = []
    largest_lr: float | None = None
    """The largest LR that it sets by itself."""
    own_lrs: list[list[float]] = []
    """The same of every optimizer and parameter group."""
    seed: SeedMeans | None = None
    """How a seed reaches it."""
    seeding: Seeding = "repeats"
    """What a seed does."""


def script_version(spec: ScriptSpec) -> str:
    """Return a hash of what a script's file says of its results, and of the files that its command names."""
    digest = hashlib.sha256(json.dumps(spec.model_dump(mode="json", exclude=set(UNTOLD)), sort_keys=True).encode())
    for word in spec.command:
        file = Path(spec.directory) / word
        if file.is_file() and not _is_program(spec, word):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:VERSION_CHARACTERS]


def _is_program(spec: ScriptSpec, word: str) -> bool:
    """Tell whether a word is the interpreter, which is the same for every script; a script may be its own program."""
    return word == spec.command[0] and len(spec.command) > 1 and Path(word).is_absolute()
