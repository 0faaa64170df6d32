"""A script as a task that a worker offers, with what is known of it from its check."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from threading import Event
from typing import Annotated

from pydantic import Field

from search_spaces.model import Message
from search_spaces.problems import InvalidSpec
from search_spaces.script_spec import ScriptSpec, SeedMeans
from search_spaces.work import OfferedHorizon, OfferedTask, Packing, Seeding

from ..engine import Attempt
from .command import Asked
from .engine import ScriptEngine
from .training import ScriptTraining

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


class Script:
    """A script, offered by the worker whose command names its file."""

    def __init__(self, spec: ScriptSpec, measured: Measured, directory: Path) -> None:
        """Keep the trials' output below `directory`.

        Raises:
            InvalidSpec: the LR of the mode `inject` cannot be imposed: no optimizer of torch was seen.
        """
        if spec.mode == "inject" and not measured.largest_lr:
            raise InvalidSpec("no optimizer of torch was seen to step: use the mode flags or file", field="mode")
        self.spec = spec
        self.measured = measured
        self.version = script_version(spec)
        self._directory = directory

    @property
    def horizon_steps(self) -> int:
        """T, the updates of a whole training: given, or counted."""
        return self.spec.horizon_steps or self.measured.horizon_steps

    @property
    def packing(self) -> Packing:
        """How many of its trials are trained at once."""
        return Packing(size=self.spec.slots, reason="processes of a script, as its file says")

    def offer(self) -> OfferedTask:
        """Return what a worker announces of it: nothing of its command."""
        spec, measured = self.spec, self.measured
        return OfferedTask(
            name=spec.name,
            version=self.version,
            metric=spec.metric_name,
            direction=spec.direction,
            horizon=OfferedHorizon(epochs=1, steps_per_epoch=self.horizon_steps),
            params_schema={"type": "object", "properties": {}, "additionalProperties": False},
            packing=self.packing,
            script=spec.offered(initial_lr=measured.largest_lr, seeding=measured.seeding),
        )

    def engine(self) -> ScriptEngine:
        """Return an engine that trains it."""
        return ScriptEngine(self._begin, self.spec.slots, self._directory / self.spec.name)

    def _begin(self, attempt: Attempt, directory: Path, news: Event) -> ScriptTraining:
        claimed, measured = attempt.claimed, self.measured
        if claimed.task.params:
            raise InvalidSpec("a script takes no parameters", field="task.params")
        asked = Asked(claimed.candidate, claimed.horizon_steps, claimed.seed, str(directory))
        return ScriptTraining(
            self.spec, asked, directory=directory, seed=self.spec.seed or measured.seed,
            own_lrs=tuple(tuple(groups) for groups in measured.own_lrs) or None, largest_lr=measured.largest_lr,
            study=claimed.study, number=claimed.number, purpose=claimed.purpose, news=news,
        )  # fmt: skip


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
