"""Plans that follow from past trials alone: a plan asks for trainings, and goes on once they have ended.

A plan is a generator that yields the trainings it needs next and is sent whether they are there. It is replayed from
its beginning whenever something has ended, so nothing of it is kept between two replays, and a coordinator that takes
over comes to the same place.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from search_spaces.candidate import Candidate
from search_spaces.work import Purpose
from store.proposals import TEST_ORIGIN, Past

Result = TypeVar("Result")

LADDER, SAVINGS = "ladder:", "savings:"
EXTRA_ORIGINS = (LADDER, SAVINGS, TEST_ORIGIN)
"""How the origins of trials begin that come after a verdict."""


@dataclass(frozen=True)
class Wanted:
    """A training that a plan asks for; one of its purpose, origin and seed is trained once."""

    origin: str
    candidate: Candidate
    seed: int
    horizon_steps: int
    purpose: Purpose = "confirmation"


@dataclass(frozen=True)
class Sparing:
    """Trainings that are asked for only where those `after` them could be had as well."""

    wanted: Sequence[Wanted]
    after: Sequence[Wanted]


Plan = Generator[Sequence[Wanted] | Sparing, bool, Result]
"""Yields trainings and is sent True once all of them have ended, False where they are not to be had."""


class Trainings:
    """What has become of trainings, by purpose, origin and seed."""

    def __init__(self, past: Iterable[Past]) -> None:
        self._known = {(trial.purpose, trial.origin, trial.seed): trial for trial in past}

    def of(self, wanted: Wanted) -> Past | None:
        """Return the trial of a training; None where there is none yet."""
        return self._known.get((wanted.purpose, wanted.origin, wanted.seed))

    def value(self, wanted: Wanted) -> float:
        """Return the decision metric at the end of a training; nan where it did not end well."""
        trial = self.of(wanted)
        return trial.value if trial is not None and trial.state == "complete" and trial.value is not None else math.nan

    def values(self, wanted: Iterable[Wanted]) -> dict[int, float]:
        """Return the values of one candidate's trainings by seed."""
        return {one.seed: self.value(one) for one in wanted}


class Allowance:
    """What the extras may cost together: as many steps, and as many worker-seconds, as the confirmation.

    Steps are counted first: they are the same whenever a study is repeated. Worker-seconds bind only where trainings of
    the extras turn out dearer, and before a deadline.
    """

    def __init__(
        self, confirmed: Collection[Past], extras: Collection[Past], seconds_left: float | None = None
    ) -> None:
        """Begin with what `extras` have cost.

        Args:
            confirmed: the trainings of the confirmation, all ended.
            extras: trainings of the extras so far.
            seconds_left: worker-seconds until the deadline; None without one.
        """
        confirmed_seconds = _seconds(confirmed)
        confirmed_steps = _steps(confirmed)
        self._second_per_step = confirmed_seconds / confirmed_steps if confirmed_steps else 0.0
        self._steps_left = confirmed_steps - _steps(extras)
        self._seconds_left = confirmed_seconds - _seconds(extras) if confirmed_seconds else math.inf
        if seconds_left is not None:
            self._seconds_left = min(self._seconds_left, seconds_left)

    def take(self, wanted: Collection[Wanted], after: Collection[Wanted] = ()) -> bool:
        """Set aside what these trainings are expected to cost; False, and nothing is, where that is too much.

        It is too much, too, where nothing would be left for those `after` them.
        """
        steps = sum(one.horizon_steps for one in wanted)
        seconds = steps * self._second_per_step
        later = sum(one.horizon_steps for one in after)
        if steps + later > self._steps_left or seconds + later * self._second_per_step > self._seconds_left:
            return False
        self._steps_left -= steps
        self._seconds_left -= seconds
        return True


def _steps(past: Iterable[Past]) -> int:
    return sum(trial.horizon_steps or 0 for trial in past)


def _seconds(past: Iterable[Past]) -> float:
    return math.fsum(trial.worker_seconds for trial in past)


def is_extra(trial: Past) -> bool:
    """Tell whether a trial comes after the verdict."""
    return trial.origin.startswith(EXTRA_ORIGINS)


class Replay:
    """Takes plans as far as past trials go, and gathers what they ask for next."""

    def __init__(self, trainings: Trainings, allowance: Allowance) -> None:
        self._trainings = trainings
        self._allowance = allowance
        self._missing: dict[tuple[str, str, int], Wanted] = {}

    @property
    def missing(self) -> list[Wanted]:
        """What the plans ask for next, in the order in which they did."""
        return list(self._missing.values())

    def result(self, plan: Plan[Result], *, free: bool = False) -> Result | None:
        """Return what a plan has come to; None where it waits for trainings.

        `free` trainings do not count in the allowance.
        """
        try:
            wanted = next(plan)
            while True:
                there = self._look(wanted, free=free)
                if there is None:
                    plan.close()
                    return None
                wanted = plan.send(there)
        except StopIteration as end:
            result: Result = end.value
            return result

    def _look(self, asked: Sequence[Wanted] | Sparing, *, free: bool) -> bool | None:
        """Tell whether trainings are there, or will not be (False), or are asked for now (None)."""
        wanted, after = (asked.wanted, asked.after) if isinstance(asked, Sparing) else (asked, ())
        absent = [one for one in wanted if self._trainings.of(one) is None]
        if not absent:
            return True
        new = {_key(one): one for one in absent if _key(one) not in self._missing}
        if not free and not self._allowance.take(new.values(), after):
            return False
        self._missing |= new
        return None


def _key(wanted: Wanted) -> tuple[str, str, int]:
    return wanted.purpose, wanted.origin, wanted.seed
