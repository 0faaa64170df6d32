"""A script as a task that a worker offers, with what is known of it from its check."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Event

from search_spaces.problems import InvalidSpec
from search_spaces.script_command import Asked
from search_spaces.script_spec import ScriptSpec
from search_spaces.work import OfferedHorizon, OfferedTask, Packing

from ..engine import Attempt
from .engine import ScriptEngine
from .files import TRIALS, read_script_file, remember, remembered
from .measured import Measured, script_version
from .training import ScriptTraining


class Script:
    """A script, offered by the worker whose command names its file."""

    def __init__(self, spec: ScriptSpec, measured: Measured, directory: Path, *, device: str = "cpu") -> None:
        """Keep the trials' output below `directory`; `device` of several is the only GPU that its processes see.

        Raises:
            InvalidSpec: the LR of the mode `inject` cannot be imposed: no optimizer of torch was seen.
        """
        if spec.mode == "inject" and not measured.largest_lr:
            raise InvalidSpec("no optimizer of torch was seen to step: use the mode flags or file", field="mode")
        gpu = device.partition(":")[2]
        shown = {"CUDA_VISIBLE_DEVICES": gpu} if gpu and "CUDA_VISIBLE_DEVICES" not in spec.environment else {}
        self.version = script_version(spec)
        self.spec = spec.model_copy(update={"environment": {**spec.environment, **shown}})
        self.measured = measured
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


def scripts_of(
    files: Iterable[Path], data_dir: Path, taken: Iterable[str], look: Callable[[ScriptSpec], Measured],
    device: str = "cpu",
) -> dict[str, Script]:  # fmt: skip
    """Return the scripts of these files by name; `look` measures one of which nothing is remembered.

    Raises:
        InvalidSpec: a file is wrong, or a name is `taken`.
    """
    found: dict[str, Script] = {}
    names = set(taken)
    for file in files:
        spec = read_script_file(file)
        if spec.name in names:
            raise InvalidSpec(f"two tasks are named {spec.name}", field="task.name")
        names.add(spec.name)
        measured = remembered(spec, data_dir, Measured)
        if measured is None:
            measured = look(spec)
            remember(spec, measured, data_dir)
        found[spec.name] = Script(spec, measured, (data_dir / TRIALS).absolute(), device=device)
    return found
