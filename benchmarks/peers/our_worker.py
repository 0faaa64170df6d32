"""A worker of Étude's as `python -m workers` makes it, with a meter about its engines."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from benchmarks.peers.meter import Meter
from benchmarks.peers.search import Search
from etude.task import Task
from search_spaces.log import bind, write_to_stderr
from workers.__main__ import ROOT, choice_of, stop_on_signals, verbs_when_there
from workers.bench import Choose, Opening
from workers.checkpoints import Checkpoints
from workers.engine import Attempt, Engine, Interrupted, TrainingState
from workers.loop import Worker
from workers.settings import WorkerSettings
from workers.timing import Stop, Timing


class Metered:
    """An `Engine` that counts the time inside another, and what its trials have done."""

    def __init__(self, engine: Engine, meter: Meter) -> None:
        self._engine = engine
        self._meter = meter

    @property
    def size(self) -> int:
        """As the engine's."""
        return self._engine.size

    @property
    def attempts(self) -> list[Attempt]:
        """As the engine's."""
        return self._engine.attempts

    def enter(self, attempt: Attempt) -> None:
        """Let a trial in."""
        self._engine.enter(attempt)

    def leave(self, attempt: Attempt) -> None:
        """Let a trial go before its end."""
        self._engine.leave(attempt)
        self._meter.count(trials=1)

    def state(self, attempt: Attempt) -> TrainingState | None:
        """As the engine's."""
        return self._engine.state(attempt)

    def advance(self, interrupted: Interrupted) -> list[Attempt]:
        """Train, with the clock on."""
        before = {attempt: attempt.steps_done for attempt in self._engine.attempts}
        with self._meter.training():
            stopped = self._engine.advance(interrupted)
        ended = [attempt for attempt in stopped if attempt.complete or attempt.error is not None]
        self._meter.count(updates=sum(attempt.steps_done - done for attempt, done in before.items()), trials=len(ended))
        for attempt in ended:
            if attempt.complete and attempt.value is not None and attempt.claimed.purpose == "search":
                self._meter.saw(attempt.value)
        return stopped


def metered(choose: Choose, meter: Meter) -> Choose:
    """Decide as `choose` does, with a meter about the engine."""

    def chosen(task: Task) -> Opening:
        make, packing = choose(task)
        return Opening(lambda: Metered(make(), meter), packing)

    return chosen


def main() -> None:
    """Arguments: the folder of the signs, the search as JSON, the worker's name, the most trials at once or `auto`."""
    search = Search.model_validate_json(sys.argv[2])
    name, pack = sys.argv[3], sys.argv[4]
    write_to_stderr(ROOT)
    torch.set_num_threads(1)
    settings, timing = WorkerSettings(), Timing()
    stop = Stop(timing.grace)
    stop_on_signals(stop)
    verbs = verbs_when_there(settings, stop, bind(ROOT, worker=name))
    if verbs is None:
        return
    choose = choice_of(None if pack == "auto" else int(pack), stop)
    Worker(
        name, verbs, {search.task_kind.name: search.task_kind}, stop=stop, timing=timing,
        choose=metered(choose, Meter(Path(sys.argv[1]))),
        checkpoints=Checkpoints(settings.checkpoints_url, seconds=settings.checkpoint_seconds),
    ).work()  # fmt: skip


if __name__ == "__main__":
    main()
