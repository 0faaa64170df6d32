"""How many trials of a task a worker trains at once: tried on the real task, for a few updates of each size."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

import torch

from etude.task import Task
from search_spaces.candidate import Candidate
from search_spaces.work import ClaimedTask, ClaimedTrial, Packing

from ..bench import Opening, alone
from ..engine import Attempt, Engine
from ..failures import is_out_of_memory
from ..solo import Solo
from .layout import Layout, NotPackable
from .pack import Pack
from .probe import check_packing
from .ways import WAYS, Way, pattern

log = logging.getLogger(__name__)

MOST_ON_CPU = 64
MOST_ON_GPU = 512
SIZE_OF_CHOICE = 16
"""The ways are compared in packs of this size."""
LEAST_GAIN = 1.1
"""Below it one by one is as good, and a trial's answer comes sooner."""
WARM_UP = 2
SECONDS = 0.1
"""Of one measurement, at least; and no fewer than `LEAST_UPDATES`."""
LEAST_UPDATES = 3
LONGEST_UPDATE = 2.0
"""Seconds; a larger pack is not tried."""
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


def packed(task: Task, most: int | None = None) -> Opening:
    """Decide how trials of a task are trained on its device: `Choose` of the bench, measured.

    Args:
        task: on its device.
        most: trials at once; None: as many as are fastest.
    """
    try:
        way, rates, solo = _rates(task, most)
    except NotPackable as reason:
        return Opening(alone(task).make, Packing(size=1, reason=f"cannot be packed: {reason}"))
    best = max(rates, key=lambda rate: rate.updates_per_second, default=Rate(1, solo))
    gain = best.updates_per_second / solo
    least = next((rate.size for rate in rates if rate.updates_per_second >= LEAST_GAIN * solo), 1)
    if gain < LEAST_GAIN:
        text = f"one by one is as fast: {best.size} at once reach {gain:.2f} of its updates per second"
        return Opening(alone(task).make, Packing(size=1, reason=text))
    text = f"{gain:.1f} times the updates per second of one by one ({way})"
    return Opening(lambda: Pack(task, best.size, way, least), Packing(size=best.size, reason=text))


def _rates(task: Task, most: int | None) -> tuple[Way, list[Rate], float]:
    """Return the fastest way, what each size reaches by it, and what one by one reaches."""
    ways = list(_possible_ways(task))
    largest = min(most or _most_on(task), _fitting(task))
    before = updates_per_second(Solo(task), task, 1)
    trial_size = min(SIZE_OF_CHOICE, largest)
    if len(ways) > 1:
        ways.sort(key=lambda one: -updates_per_second(Pack(task, trial_size, one), task, trial_size))
    way = ways[0]
    rates: list[Rate] = []
    size = 2
    while size <= largest:
        try:
            rates.append(Rate(size, updates_per_second(Pack(task, size, way), task, size)))
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            log.info("packs of %d of %s do not fit into memory", size, task.name)
            break
        if size / rates[-1].updates_per_second > LONGEST_UPDATE or _falls(rates):
            break
        size *= 2
    # Measured before and after: what else the machine does comes and goes.
    return way, rates, max(before, updates_per_second(Solo(task), task, 1))


def _falls(rates: list[Rate]) -> bool:
    """Tell whether two sizes in turn brought less than the best before."""
    best = max(rate.updates_per_second for rate in rates)
    return len(rates) > 2 and all(rate.updates_per_second < 0.9 * best for rate in rates[-2:])


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
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, int(SHARE_OF_MEMORY * free / (COPIES * 4 * max(1, columns))))


# Measuring


class _Watch:
    """An `Interrupted` that ends a stretch once enough updates are timed."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._begun = 0.0
        self.looks = 0
        self.seconds = 0.0

    def __call__(self) -> bool:
        if self.looks == WARM_UP:
            self._begun = self._now()
        self.looks += 1
        if self.looks <= WARM_UP + LEAST_UPDATES:
            return False
        self.seconds = self._now() - self._begun
        return self.seconds >= SECONDS

    @property
    def updates(self) -> int:
        """Timed ones: a look is made before each update, the last before one that is not made."""
        return self.looks - WARM_UP - 1

    def _now(self) -> float:
        if torch.device(self._device).type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()


def updates_per_second(engine: Engine, task: Task, size: int) -> float:
    """Return the updates that a fresh engine makes in a second, counting each of `size` trials; it is used up.

    Raises:
        Exception: whatever training raises.
    """
    for number in range(size):
        engine.enter(_attempt(task, number))
    watch = _Watch(task.device)
    stopped: list[Attempt] = []
    while not watch.seconds >= SECONDS and not stopped:
        stopped = _failed(engine.advance(watch))
    if stopped:
        raise RuntimeError(stopped[0].error)
    return size * watch.updates / watch.seconds


def _failed(attempts: list[Attempt]) -> list[Attempt]:
    return [attempt for attempt in attempts if attempt.error is not None]


def _attempt(task: Task, number: int) -> Attempt:
    steps = 10_000 * task.steps_per_epoch
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
