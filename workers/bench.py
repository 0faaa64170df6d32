"""The engines that a worker has in hand: one for each task, version and parameters, opened at its first trial."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from etude.task import Task
from search_spaces.log import Log
from search_spaces.work import ClaimedTask, Packing, TaskVersion

from .branches import Branching
from .engine import Attempt, Engine, TrainingState
from .failures import reason_of
from .scripts.engine import ScriptEngine
from .scripts.script import Script
from .solo import Solo

MOST_BUSY = 2
"""Engines with trials at once, and one more where it cannot be helped: what one holds, the others cannot use."""
MOST_WARM = 8
"""Engines without trials that are kept: a task may hold its data."""
REASON_CHARACTERS = 500
NOT_MEASURED = Packing(size=1, reason="not measured yet")


class Opening(NamedTuple):
    """How trials of a task are trained on this device."""

    make: Callable[[], Engine]
    packing: Packing


Choose = Callable[[Task], Opening]
"""Decides how a task is trained, by a measurement where there is something to measure."""


def alone(task: Task) -> Opening:
    """Train one trial after another."""
    return Opening(lambda: Solo(task), Packing(size=1, reason="this worker does not pack"))


@dataclass(eq=False)
class Station:
    """One engine, with what it is for."""

    version: TaskVersion
    task: Task | None
    """None where it is a script, which no other engine trains."""
    engine: Engine
    packing: Packing
    spent: float = 0.0
    """Seconds that it has had for each study in it, by which engines take turns."""

    @property
    def is_busy(self) -> bool:
        """Whether there are trials in it."""
        return bool(self.engine.attempts)

    @property
    def places(self) -> int:
        """Trials that it can still take."""
        return max(0, self.engine.size - len(self.engine.attempts))

    def spend(self, seconds: float, attempts: Collection[Attempt]) -> None:
        """Note that these trials had so long together."""
        self.spent += seconds / len({attempt.claimed.study for attempt in attempts})

    @property
    def offered(self) -> Packing:
        """What the worker says of it: as chosen, or smaller since memory ran out."""
        size = self.engine.size
        return self.packing if size == self.packing.size else Packing(size=size, reason="as many as memory takes")


class Bench:
    """The stations by what they train."""

    def __init__(
        self, tasks: Mapping[str, type[Task]], device: str, choose: Choose, log: Log,
        scripts: Mapping[str, Script] | None = None,
    ) -> None:  # fmt: skip
        self._kinds = tasks
        self._scripts = scripts or {}
        self._device = device
        self._choose = choose
        self._log = log
        self._stations: dict[tuple[str, str, str], Station] = {}
        """The one used last stands last."""

    @property
    def busy(self) -> list[Station]:
        """The stations with trials."""
        return [station for station in self._stations.values() if station.is_busy]

    @property
    def packings(self) -> dict[str, Packing]:
        """How each offered task is packed, as far as is known: by the name of the task, as opened last."""
        known = {station.version.name: station.offered for station in self._stations.values()}
        packings = {name: known.get(name, NOT_MEASURED) for name in self._kinds}
        return packings | {name: script.packing for name, script in self._scripts.items()}

    def enter(self, attempt: Attempt) -> Station:
        """Take a trial in at its station, which is opened unless it is there.

        Raises:
            Exception: whatever the task raises when it is made; InvalidSpec where its parameters do not fit.
        """
        station = self._station(attempt.claimed.task)
        others = [other.spent for other in self.busy if other is not station]
        if others and not station.is_busy:
            station.spent = max(station.spent, min(others))  # time that passed without it is not owed to it
        station.engine.enter(attempt)
        return station

    def leave(self, attempt: Attempt) -> None:
        """Let a trial go, unless it has left by itself."""
        for station in self.busy:
            if attempt in station.engine.attempts:
                self._leave(station, attempt)

    def state(self, attempt: Attempt) -> TrainingState | None:
        """Return where a trial stands; None where it has made no update, or where its engine cannot say."""
        for station in self.busy:
            if attempt in station.engine.attempts:
                try:
                    return station.engine.state(attempt)
                except Exception as error:  # noqa: BLE001 -- it is given back without, and nothing else is lost
                    self._log.warning("state_not_taken", task=station.version.name, reason=reason_of(error))
        return None

    def turn(self) -> Station:
        """Return the station whose turn it is: the one that had least time for each of its studies."""
        return min(self.busy, key=lambda station: station.spent)

    def wanted(self, offered: Sequence[TaskVersion]) -> list[TaskVersion] | None:
        """Return the tasks to claim trials of; None when there is no place for another.

        With two stations busy only their own tasks fill them up. A claim names no parameters, so it may bring others of
        such a task, for which a third is opened: then none is made until one of them is empty. A worker whose stations
        each take one trial trains one trial.
        """
        busy = self.busy
        free = [station.version for station in busy if station.places]
        if (busy and not free) or len(busy) > MOST_BUSY:
            return None
        if len(busy) < MOST_BUSY:
            return list(offered)
        return [version for version in offered if version in free]

    def give_up(self, station: Station, error: Exception) -> list[Attempt]:
        """Train what an engine has raised on one by one, each from where it came in; return those that failed.

        An engine records what a task raises, so this is a defect of the engine: it costs its work, no trial and no
        worker.
        """
        self._log.warning("engine_failed", task=station.version.name, reason=reason_of(error))
        attempts = station.engine.attempts
        if station.task is None:
            return self._give_up_script(station, error)
        was_alone = isinstance(station.engine, Branching) and isinstance(station.engine.inner, Solo)
        station.engine = alone_now = Branching(Solo(station.task), station.task)
        station.packing = Packing(size=1, reason=f"packing failed: {error!r}"[:REASON_CHARACTERS])
        for attempt in attempts:
            if was_alone:
                attempt.error = reason_of(error)
            else:
                attempt.steps_done = attempt.start["step"] if attempt.start else 0
                alone_now.enter(attempt)
        return attempts if was_alone else []

    def end_scripts(self, seconds: float) -> None:
        """End the scripts that are running, within `seconds`; their trials are still held."""
        for station in self._stations.values():
            if isinstance(station.engine, ScriptEngine):
                station.engine.close(seconds)

    def close(self) -> None:
        """Let go of every engine, and close what its task has open."""
        stations, self._stations = self._stations, {}
        for station in stations.values():
            self._close(station)

    def _give_up_script(self, station: Station, error: Exception) -> list[Attempt]:
        """End the scripts of an engine that has raised, whose trials have failed, and begin with a new one."""
        attempts = station.engine.attempts
        assert isinstance(station.engine, ScriptEngine)
        station.engine.close(0.0)
        station.engine = self._scripts[station.version.name].engine()
        for attempt in attempts:
            attempt.error = reason_of(error)
        return attempts

    def _leave(self, station: Station, attempt: Attempt) -> None:
        try:
            station.engine.leave(attempt)
        except Exception as error:  # noqa: BLE001 -- as above: the others go on without that engine
            self.give_up(station, error)
            if attempt in station.engine.attempts:
                station.engine.leave(attempt)

    def _station(self, claimed: ClaimedTask) -> Station:
        key = (claimed.name, claimed.version, json.dumps(claimed.params, sort_keys=True))
        station = self._stations.pop(key, None) or self._open(claimed)
        self._stations[key] = station
        warm = [other for other in self._stations if not self._stations[other].is_busy and other != key]
        for oldest in warm[:-MOST_WARM]:
            self._close(self._stations.pop(oldest))
        return station

    def _open(self, claimed: ClaimedTask) -> Station:
        version = TaskVersion(name=claimed.name, version=claimed.version)
        if claimed.name in self._scripts:
            script = self._scripts[claimed.name]
            self._log.info("opened", task=claimed.name, size=script.packing.size, reason=script.packing.reason)
            return Station(version, None, script.engine(), script.packing)
        task = self._kinds[claimed.name](claimed.params, self._device)
        make, packing = self._chosen(task)
        self._log.info("opened", task=claimed.name, size=packing.size, reason=packing.reason)
        return Station(version, task, Branching(make(), task), packing)

    def _close(self, station: Station) -> None:
        try:
            if isinstance(station.engine, ScriptEngine):
                station.engine.close(0.0)
            elif station.task is not None:
                station.task.close()
        except Exception as error:  # noqa: BLE001 -- what a task leaves open costs room, no trial and no worker
            self._log.warning("task_not_closed", task=station.version.name, reason=reason_of(error))

    def _chosen(self, task: Task) -> Opening:
        try:
            return self._choose(task)
        except Exception as error:  # noqa: BLE001 -- what cannot be measured can still be trained one by one
            return Opening(alone(task).make, Packing(size=1, reason=f"measuring failed: {error!r}"[:REASON_CHARACTERS]))
