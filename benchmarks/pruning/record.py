"""Learning curves of whole trainings without pruning: `python -m benchmarks.pruning.record digits-mlp wide narrow`.

Each candidate is trained to its horizon on two seeds, many at once, and judged at 20 rungs by its raw weights and by
two running averages of them. On the first seed it also gets what the other rules judge by:
at four rungs a branch on which its learning rate falls to zero in a straight line, and four whole schedules at
shorter horizons. Every ended wave is written to `var/pruning/TASK.jsonl`: the command goes on where it was stopped.
`python -m benchmarks.pruning.recorded` packs what is there into benchmarks/data.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import torch

from etude.task import Task, task_version
from search_spaces.candidate import Candidate
from search_spaces.schedules import Knots, curve
from search_spaces.work import ClaimedTask, ClaimedTrial, Fidelity
from workers.engine import Attempt, TrainingState
from workers.packing.pack import Pack
from workers.packing.ways import Way
from workers.tasks import named

from .pools import GROUNDS, Ground, drawn, families, narrowed, openings, space

RUNGS = 20
"""At every 1/20 of the horizon, its end included."""
BRANCHED = (0.1, 0.2, 0.3, 0.5)
"""Shares of the horizon at which a cooldown branches off, and at which whole schedules end."""
SHARES = (0.03, 0.10)
"""Time constants of the running averages, in horizons."""
COOLDOWN = 0.05
"""Of the horizon: a branch's length."""
SEEDS = (0, 1)
"""The first chooses, the second judges what was chosen."""
PARTS = (("full", 0), ("full", 1), ("rescaled", 0))
"""Of what is recorded of a candidate, each with its seed."""
DIRECTORY = Path("var/pruning")

Row = dict[str, Any]


@dataclass
class Trained:
    """What one training has shown, None from where it diverged on."""

    raw: dict[int, float] = field(default_factory=dict)
    """The decision metric by step."""
    averages: dict[int, tuple[float, ...]] = field(default_factory=dict)
    states: dict[int, TrainingState] = field(default_factory=dict)
    """Where it stood at the steps asked for."""

    def row(self, rungs: Sequence[int]) -> Row:
        """Return what it has shown at the rungs."""
        averages = [[_short(self.averages.get(rung, (None, None))[i]) for rung in rungs[:-1]] for i in (0, 1)]
        return {"raw": [_short(self.raw.get(rung)) for rung in rungs], "averages": averages}


def share_of(share: float, steps: int) -> int:
    """Return a share of the horizon in whole steps, rounded half up."""
    return int(share * steps + 0.5)


def rungs_of(steps: int) -> list[int]:
    """Return the steps of the rungs, the last being the horizon."""
    return [share_of((place + 1) / RUNGS, steps) for place in range(RUNGS)]


class Recording:
    """One task's trainings, and the file they are written to."""

    def __init__(self, ground: Ground, task: Task | None, file: Path) -> None:
        """Read what is there; without a task nothing is trained."""
        self._ground, self._file = ground, file
        self._own = task
        if task is not None:
            # No evaluation but at rungs: nothing in these pools follows the metric.
            task.evaluation_steps = ground.steps
        self._rows: dict[tuple[str, int, int, str], Row] = {}
        if file.is_file():
            for line in file.read_text().splitlines():
                row = json.loads(line)
                self._rows[row["pool"], row["index"], row["seed"], row["part"]] = row

    @property
    def _task(self) -> Task:
        assert self._own is not None
        return self._own

    def candidates(self, pool: str) -> list[Candidate]:
        """Return a pool's candidates.

        Raises:
            LookupError: the narrow pool is asked for before the wide one is recorded.
        """
        place = list(GROUNDS).index(self._ground.task)
        if pool == "families":
            return families(self._ground)
        if pool == "openings":
            return openings()
        wide = drawn(space(), self._ground.wide, [place, 0])
        if pool == "wide":
            return wide
        finals = [self._final(index) for index in range(len(wide))]
        return drawn(space(narrowed(wide, finals)), self._ground.narrow, [place, 1])

    def fill(self, pool: str, until: float) -> bool:
        """Train what is missing of a pool; False when the time `until` came before the end."""
        candidates = self.candidates(pool)
        for wave in _waves(range(len(candidates)), self._ground.at_once):
            for part, seed in PARTS:
                missing = [i for i in wave if (pool, i, seed, part) not in self._rows]
                if missing and time.monotonic() > until:
                    return False
                self._train([candidates[i] for i in missing], missing, pool, part, seed)
        return True

    def _train(self, candidates: Sequence[Candidate], indices: Sequence[int], pool: str, part: str, seed: int) -> None:
        if not candidates:
            return
        began = time.process_time()
        found = list((self._full if part == "full" else self._rescaled)(candidates, seed))
        seconds = round((time.process_time() - began) / len(found), 4)
        for index, what in zip(indices, found, strict=True):
            self._keep({"pool": pool, "index": index, "seed": seed, "part": part, **what, "seconds": seconds})

    def _keep(self, row: Row) -> None:
        self._rows[row["pool"], row["index"], row["seed"], row["part"]] = row
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a") as kept:
            kept.write(json.dumps(row, separators=(",", ":")) + "\n")

    def _final(self, index: int) -> float:
        row = self._rows.get(("wide", index, SEEDS[0], "full"))
        if row is None:
            raise LookupError(f"record the wide pool of {self._ground.task} first")
        final = row["raw"][-1]
        return float("inf") if final is None else float(final)

    # Trainings

    def _full(self, candidates: Sequence[Candidate], seed: int) -> Iterator[Row]:
        """Yield the curves of whole trainings, on the first seed with the ends of their branches."""
        steps = self._ground.steps
        branched = [share_of(share, steps) for share in BRANCHED] if seed == SEEDS[0] else []
        trained = self.trained(candidates, seed, steps, branched)
        ends = [self._cooled(candidates, trained, seed, at) for at in branched]
        rungs = rungs_of(steps)
        for place, one in enumerate(trained):
            yield one.row(rungs) | ({"cooldown": [_short(end[place]) for end in ends]} if ends else {})

    def _cooled(
        self, candidates: Sequence[Candidate], trained: Sequence[Trained], seed: int, at: int
    ) -> list[float | None]:
        """Return where each ends whose learning rate falls to zero from a rung on."""
        alive = [place for place, one in enumerate(trained) if at in one.states]
        end = at + share_of(COOLDOWN, self._ground.steps)
        branches = [_cooling(candidates[place], self._ground.steps, at, end) for place in alive]
        starts = [_from_rung(trained[place].states[at], end) for place in alive]
        ends = self.trained(branches, seed, end, starts=starts)
        found = dict(zip(alive, (one.raw.get(end) for one in ends), strict=True))
        return [found.get(place) for place in range(len(trained))]

    def _rescaled(self, candidates: Sequence[Candidate], seed: int) -> Iterator[Row]:
        """Yield the ends of whole schedules at shorter horizons."""
        horizons = [share_of(share, self._ground.steps) for share in BRANCHED]
        shorter = [self.trained(candidates, seed, horizon) for horizon in horizons]
        for place in range(len(candidates)):
            ends = zip(horizons, shorter, strict=True)
            yield {"rescaled": [_short(each[place].raw.get(horizon)) for horizon, each in ends]}

    def trained(
        self,
        candidates: Sequence[Candidate],
        seed: int,
        horizon: int,
        wanted_states: Sequence[int] = (),
        starts: Sequence[TrainingState] = (),
    ) -> list[Trained]:
        """Train candidates together to a horizon; at the recording's own horizon with rungs and averages.

        Args:
            candidates: at most as many as a pack holds at once, to be fast.
            seed: of weights and data order.
            horizon: in steps.
            wanted_states: steps at which where they stand is kept.
            starts: where each goes on from.
        """
        whole = horizon == self._ground.steps
        rungs = rungs_of(horizon)[:-1] if whole else []
        engine = Pack(self._task, self._ground.at_once, cast(Way, self._ground.way), shares=SHARES)
        trained: dict[Attempt, Trained] = {}
        for place, candidate in enumerate(candidates):
            attempt = Attempt(
                _claimed(self._task, candidate, horizon, rungs, seed, "averaged" if whole else "truncated")
            )
            if starts:
                attempt.start = starts[place]
            trained[attempt] = Trained()
            engine.enter(attempt)
        while engine.attempts:
            for attempt in engine.advance(lambda: False):
                _take(trained[attempt], attempt, wanted_states, engine.state)
        return list(trained.values())


def _take(
    trained: Trained,
    attempt: Attempt,
    wanted_states: Sequence[int],
    state: Callable[[Attempt], TrainingState | None],
) -> None:
    """Take what a stop has shown.

    Raises:
        RuntimeError: the training failed otherwise than by diverging.
    """
    if attempt.error is not None:
        if attempt.error != "diverged":
            raise RuntimeError(attempt.error)
        return
    evaluation = attempt.evaluation
    assert evaluation is not None
    trained.raw[evaluation.step] = evaluation.value
    if evaluation.averages:
        trained.averages[evaluation.step] = evaluation.averages
    if evaluation.step in wanted_states and (there := state(attempt)) is not None:
        trained.states[evaluation.step] = there


def _cooling(candidate: Candidate, steps: int, at: int, end: int) -> Candidate:
    """Return a candidate whose learning rate falls from where it is at a rung to zero, in a straight line."""
    factor = float(curve(candidate.schedule, steps)[at])
    line = Knots(positions=[at / end, 1.0], values=[factor, 0.0])
    return candidate.model_copy(update={"schedule": line})


def _from_rung(state: TrainingState, end: int) -> TrainingState:
    """Return a state as a training to `end` goes on from it, without averages."""
    kept: Mapping[str, Any] = {name: value for name, value in state.items() if name != "averages"}
    return cast(TrainingState, {**kept, "scheduler": {**state["scheduler"], "total_steps": end}})


def _claimed(
    task: Task, candidate: Candidate, horizon: int, rungs: list[int], seed: int, fidelity: Fidelity
) -> ClaimedTrial:
    return ClaimedTrial(
        study="recording",
        number=0,
        lease="",
        lease_expires_at=datetime.now(UTC),
        candidate=candidate,
        task=ClaimedTask(name=task.name, version=task_version(type(task)), params=task.params.model_dump()),
        horizon_steps=horizon,
        rungs=rungs,
        fidelity=fidelity,
        seed=seed,
        purpose="search",
    )


def _short(value: float | None) -> float | None:
    """Return a value to the digits of float32, as JSON has it."""
    return None if value is None or value != value else float(f"{value:.7g}")  # noqa: PLR0124 -- nan


def _waves(indices: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(indices), size):
        yield indices[start : start + size]


def main(arguments: list[str] | None = None) -> int:
    """Record; 0 when everything asked for is there, 1 when the time was up before."""
    flags = _parser().parse_args(arguments)
    torch.set_num_threads(1)
    until = time.monotonic() + 60 * flags.minutes
    ground = GROUNDS[flags.task]
    with closing(named([flags.task])[flags.task]()) as task:
        recording = Recording(ground, task, flags.directory / f"{flags.task}.jsonl")
        return 0 if all(recording.fill(pool, until) for pool in flags.pools) else 1


def _parser() -> argparse.ArgumentParser:
    text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pruning.record", description=__doc__, formatter_class=text
    )
    parser.add_argument("task", choices=list(GROUNDS))
    parser.add_argument("pools", nargs="+", choices=("openings", "families", "wide", "narrow"))
    parser.add_argument("--minutes", type=float, default=24 * 60, help="to begin no wave after (default: a day)")
    parser.add_argument("--directory", type=Path, default=DIRECTORY, help="where the lines are kept")
    return parser


if __name__ == "__main__":
    sys.exit(main())
