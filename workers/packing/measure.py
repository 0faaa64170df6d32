"""How many trials of a task a worker trains at once: tried on the real task, for a few updates of each size."""

from __future__ import annotations

import logging
import os
import resource
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

import torch

from etude.task import Task
from search_spaces.candidate import Candidate
from search_spaces.work import ClaimedTask, ClaimedTrial, Packing

from ..bench import Opening, alone
from ..engine import Attempt, Engine, Interrupted
from ..solo import Solo
from .layout import Layout, NotPackable
from .pack import Pack
from .picks import Pick, Picks
from .probe import check_packing
from .ways import WAYS, Way, pattern

log = logging.getLogger(__name__)

MOST_ON_CPU = 64
MOST_ON_GPU = 512
LARGEST_OF_CHOICE = 16
SECONDS_OF_CHOICE = 0.05
"""The ways are compared in packs of a size whose trials take so long alone for an update, and of at most 16.

Where those gain too little, larger ones are not tried: what packing saves is overhead, of which an update
that takes long has little."""
LEAST_GAIN = 1.2
"""Below it one by one is as good, as far as short slices can tell, and a trial's answer comes sooner."""
WARM_UP = 2
"""Updates before the first slice that are not timed; before a later one it is one: others have had the caches."""
SECONDS = 0.02
"""Of one slice, at least; and no fewer than `LEAST_UPDATES`. Short ones find the moments in which nobody disturbs."""
LEAST_UPDATES = 2
ROUNDS = 4
"""Slices of each size, in turn with one by one: the fastest counts, for what else the machine does only slows down."""
LONGEST_ROUNDS = 0.6
"""Seconds after which no further round begins."""
CONTENDING = 0.7
"""Of the best: sizes below it are not measured again."""
LONGEST_UPDATE = 0.25
"""Seconds; a larger pack is not tried."""
FAR_AWAY = 10_000
"""Steps of the trials that are measured with: more than they make, and their schedules are soon laid out."""
COPIES = 8
"""What a trial takes, in parameters: its own, gradients, the optimizer's state, and as much again while it moves."""
SHARE_OF_MEMORY = 0.5
TYPICAL = (
    {"optimizer": {"kind": "sgd", "momentum": 0.9}, "initial_lr": 1e-4, "schedule": {"kind": "cosine"}},
    {"optimizer": {"kind": "adamw"}, "initial_lr": 1e-5, "schedule": {"kind": "linear"}},
)
"""What is trained to measure: half of each."""


class Rate(NamedTuple):
    """What a size reaches."""

    size: int
    updates_per_second: float
    """Of all trials together."""


class BrokenOff(Exception):
    """The worker was asked to stop while it measured."""


def packed(
    task: Task,
    most: int | None = None,
    *,
    compiles: bool = False,
    interrupted: Interrupted = lambda: False,
    picks: Picks | None = None,
) -> Opening:
    """Decide how trials of a task are trained on its device: `Choose` of the bench, measured.

    Args:
        task: on its device.
        most: trials at once; None: as many as are fastest.
        compiles: whether torch.compile is tried, too; compiling takes tens of seconds.
        interrupted: looked at between two slices; True breaks the measurement off.
        picks: of earlier measurements, which are not made again; None: measure in any case.

    Raises:
        BrokenOff: it was interrupted.
    """
    before = picks.find(task, most, compiles=compiles) if picks is not None else None
    if before is not None and (opening := _as_before(task, before)):
        return opening
    try:
        ways = list(_possible_ways(task))
        largest = min(most or _most_on(task), _fitting(task))
    except NotPackable as reason:
        return Opening(alone(task).make, Packing(size=1, reason=f"cannot be packed: {reason}"))
    pick = _picked(task, ways + ["compiled"] * compiles, largest, interrupted)
    if picks is not None:
        picks.keep(task, most, pick, compiles=compiles)
    return _opening(task, pick)


def _as_before(task: Task, pick: Pick) -> Opening | None:
    """Return what an earlier measurement has led to; None where its packs are not right or do not fit any more."""
    if pick.size > 1:
        try:
            # A way by torch.compile computes what `gradient` does.
            check_packing(task, "gradient" if pick.way == "compiled" else pick.way)
        except NotPackable:
            return None
        if pick.size > _fitting(task):
            return None
    return _opening(task, pick, when=", measured before")


def _picked(task: Task, ways: list[Way], largest: int, interrupted: Interrupted) -> Pick:
    """Measure: the way in packs of one size, then the sizes."""
    solo = _Side(Solo(task), task, 1, interrupted)
    solo.measure()
    choice = max(2, min(LARGEST_OF_CHOICE, int(SECONDS_OF_CHOICE * solo.rate)))
    way = _fastest_way(task, ways, min(choice, largest), interrupted)
    rates = _rates(task, way, largest, solo, choice)
    best = max(rates, key=lambda rate: rate.updates_per_second, default=Rate(1, solo.rate))
    gain = best.updates_per_second / solo.rate
    if gain < LEAST_GAIN:
        text = f"one by one is as fast: {best.size} at once reach {gain:.2f} of its updates per second"
        return Pick(size=1, least=1, way=way, reason=text)
    least = next(rate.size for rate in rates if rate.updates_per_second >= LEAST_GAIN * solo.rate)
    text = f"{gain:.1f} times the updates per second of one by one ({way})"
    return Pick(size=best.size, least=least, way=way, reason=text)


def _opening(task: Task, pick: Pick, when: str = "") -> Opening:
    packing = Packing(size=pick.size, reason=pick.reason + when)
    if pick.size == 1:
        return Opening(alone(task).make, packing)
    return Opening(lambda: Pack(task, pick.size, pick.way, pick.least), packing)


def _fastest_way(task: Task, ways: list[Way], size: int, interrupted: Interrupted) -> Way:
    """Return the way that is fastest in packs of a size."""
    if len(ways) == 1:
        return ways[0]
    sides: dict[Way, _Side] = {}
    for way in ways:
        try:
            sides[way] = _Side(Pack(task, size, way), task, size, interrupted)
            sides[way].measure()
        except (NotPackable, _FellApart) as reason:
            log.info("%s, %s: %s", task.name, way, reason)
            sides.pop(way, None)
    if not sides:
        return ways[0]
    best = max(side.rate for side in sides.values())
    sides = {way: side for way, side in sides.items() if side.rate >= CONTENDING * best}
    if len(sides) > 1:
        _go_round(list(sides.values()))
    return max(sides, key=lambda way: sides[way].rate)


def _rates(task: Task, way: Way, largest: int, solo: _Side, choice: int) -> list[Rate]:
    """Return what each size reaches; in turn with one by one, whose rate is brought up to date."""
    sides: list[_Side] = []
    size = 2
    before = _peak_bytes()
    while size <= largest:
        sides.append(_Side(Pack(task, size, way), task, size, solo.interrupted))
        try:
            sides[-1].measure()
        except _FellApart as reason:
            log.info("%s: %s", task.name, reason)
            sides.pop()
            break
        # The next size takes twice as much; a GPU says so itself, a machine ends processes instead.
        if _is_enough(sides, solo, choice) or 2 * (_peak_bytes() - before) > SHARE_OF_MEMORY * _free_bytes():
            break
        size *= 2
    best = max((side.rate for side in sides), default=0.0)
    _go_round([solo, *(side for side in sides if side.rate >= CONTENDING * best)])
    return [Rate(side.size, side.rate) for side in sides]


def _is_enough(sides: list[_Side], solo: _Side, choice: int) -> bool:
    """Tell whether larger packs are not worth a trial: they are slow, bring less and less, or nothing."""
    if sides[-1].size / sides[-1].rate > LONGEST_UPDATE:
        return True
    if not _looks_enough(sides, solo, choice):
        return False
    _go_round([solo, *sides[-2:]])  # once more, before many are given up for a moment's disturbance
    return _looks_enough(sides, solo, choice)


def _looks_enough(sides: list[_Side], solo: _Side, choice: int) -> bool:
    """Tell whether two sizes in turn brought less than the best, or many at once too little more than one by one."""
    best = max(side.rate for side in sides)
    falls = len(sides) > 2 and all(side.rate < 0.9 * best for side in sides[-2:])
    return falls or (sides[-1].size >= choice and best < LEAST_GAIN * solo.rate)


def _go_round(sides: list[_Side]) -> None:
    begun = time.perf_counter()
    for _ in range(ROUNDS):
        for side in sides:
            side.measure()
        if time.perf_counter() - begun > LONGEST_ROUNDS:
            return


def _possible_ways(task: Task) -> Iterator[Way]:
    """Yield the ways that are right for a task; the one that is always slowest only where no other is.

    Raises:
        NotPackable: none is; the text is that of the simplest.
    """
    found, reason = False, NotPackable("")
    for way in WAYS:
        if way == "gradient" and found:
            return
        try:
            check_packing(task, way)
        except NotPackable as no:
            log.info("%s, %s: %s", task.name, way, no)
            reason = no
        else:
            found = True
            yield way
    if not found:
        raise reason


def _most_on(task: Task) -> int:
    return MOST_ON_CPU if torch.device(task.device).type == "cpu" else MOST_ON_GPU


def _fitting(task: Task) -> int:
    """Return how many trials' parameters and states fit into the memory that is free; activations are found out."""
    columns = Layout(task, pattern(task, task.model(0))).columns
    device = torch.device(task.device)
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
    else:
        free = _free_bytes()
    return max(1, int(SHARE_OF_MEMORY * free / (COPIES * 4 * max(1, columns))))


def _free_bytes() -> int:
    """Return the machine's free memory."""
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _peak_bytes() -> int:
    """Return the most that this process has held; Linux counts it in KiB."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


# Measuring


class _FellApart(Exception):
    """A pack could not be trained in this size."""


class _Watch:
    """An `Interrupted` that ends a slice once enough updates are timed."""

    def __init__(self, task: Task, warm_up: int) -> None:
        self._device = torch.device(task.device)
        # On one thread what others do is not counted; a loader's processes have to be.
        self._counts_cpu = self._device.type == "cpu" and torch.get_num_threads() == 1 and not task.cohort
        self._warm_up = warm_up
        self._begun = 0.0
        self.looks = 0
        self.seconds = 0.0

    def __call__(self) -> bool:
        if self.looks == self._warm_up:
            self._begun = self._now()
        self.looks += 1
        if self.looks <= self._warm_up + LEAST_UPDATES:
            return False
        self.seconds = self._now() - self._begun
        return self.is_over

    @property
    def is_over(self) -> bool:
        """Whether the slice is long enough."""
        return self.seconds >= SECONDS

    @property
    def updates(self) -> int:
        """Timed ones: a look is made before each update, the last before one that is not made."""
        return self.looks - self._warm_up - 1

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.process_time() if self._counts_cpu else time.perf_counter()


class _Side:
    """An engine full of trials, and the best that it has reached."""

    def __init__(self, engine: Engine, task: Task, size: int, interrupted: Interrupted) -> None:
        self.size = size
        self.interrupted = interrupted
        self.rate = 0.0
        """Updates in a second, those of each trial counted, in the fastest slice."""
        self._engine = engine
        self._task = task
        self._is_warm = False
        for number in range(size):
            engine.enter(trial_of(task, number))

    def measure(self) -> None:
        """Train for a slice.

        Raises:
            RuntimeError: a trial failed.
            _FellApart: the pack has let trials go.
            BrokenOff: the worker is to stop.
        """
        if self.interrupted():
            raise BrokenOff("the worker was asked to stop")
        watch = _Watch(self._task, 1 if self._is_warm else WARM_UP)
        while not watch.is_over:
            if failed := _failed(self._engine.advance(watch)):
                raise RuntimeError(failed[0].error)
        self._is_warm = True
        if isinstance(self._engine, Pack) and not self._engine.is_whole:
            raise _FellApart(f"packs of {self.size} do not fit into memory, or cannot be computed")
        self.rate = max(self.rate, self.size * watch.updates / watch.seconds)


def _failed(attempts: list[Attempt]) -> list[Attempt]:
    return [attempt for attempt in attempts if attempt.error is not None]


def trial_of(task: Task, number: int, steps: int = FAR_AWAY) -> Attempt:
    """Return a trial to measure with, of so many steps; `number` alternates between the typical candidates."""
    claimed = ClaimedTrial(
        study="measurement",
        number=number,
        lease="",
        lease_expires_at=datetime.now(UTC),
        candidate=Candidate.model_validate(TYPICAL[number % len(TYPICAL)]),
        task=ClaimedTask(name=task.name, version=""),
        horizon_steps=steps,
        rungs=[],
        seed=0,
        purpose="search",
    )
    return Attempt(claimed)
