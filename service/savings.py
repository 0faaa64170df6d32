"""Steps saved: at which shorter horizon the winner, redrawn for it, is no worse than the reference at the whole one.

1. The reference (`current` at its best LR, else the best baseline) is trained redrawn at 0.5 and 0.7 T, which shows
   what a shorter horizon costs. Its loss of quality is interpolated against log T.
2. The point is read where that loss equals the winner's gain, less what the test below needs to be sure, and less a
   quarter: a first test that passes takes nothing from the chances of the next.
3. The winner is trained redrawn at that horizon, on every seed of the confirmation, and compared with the reference at
   T: a saving is claimed where a loss of half a standard deviation of the seed noise is ruled out.
4. The winner's own horizons tell more closely where its loss equals its gain: there it is trained and tested again, at
   most four times in all. The shortest horizon that passed is claimed. At most two tests can claim wrongly, so each is
   held to half of 5 %.

No curve is cut: every training's schedule is drawn for its own horizon.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from search_spaces.candidate import Candidate
from search_spaces.problems import HorizonTooShort
from search_spaces.results import StepsSaved
from search_spaces.schedules import check_horizon
from search_spaces.steps import whole_steps

from .asking import SAVINGS, Plan, Trainings, Wanted
from .confirmed import Confirmed
from .ladder import TOO_DEAR, Place, base_of, in_words, tuned
from .paired import BySeed, PairedGain, margin_of, paired_gain, quantile

PILOT_SHARES = (0.5, 0.7)
"""Of T: where the reference is trained beside T itself."""
PILOT_SEEDS = 3
PILOT_TRUST = 0.75
"""Of the gain: so much may be lost by what the reference says, whose horizons cost it otherwise than the winner."""
LEVEL = 0.025
"""One-sided, of each test."""
MOST_TESTS, MOST_FAILED = 4, 2
"""After two tests that failed there is none: so at most two can claim wrongly, together with a chance of 5 %."""
LEAST_SAVING = 0.02
"""Of T: less is not worth a claim."""
LEAST_CHANGE = 0.01
"""Of a horizon: what is closer to one that was tested is not worth another test."""
SHORTEST = 0.25
"""Of T: nothing shorter is tried."""
POWER_QUANTILE = 0.84
"""Of the normal distribution at 80 %: how surely a true saving is to be confirmed."""
METHOD = (
    "the reference redrawn at 0.5, 0.7 and 1 T on 3 seeds, read against log T where the winner equals it; then the "
    "winner redrawn at that horizon on every seed, claimed where a loss of half a seed standard deviation is ruled out"
)


@dataclass(frozen=True)
class Tested:
    """The winner at a shorter horizon beside the reference at the whole one."""

    steps: int
    gain: PairedGain
    margin: float

    @property
    def bound(self) -> float:
        """The least gain that is not ruled out."""
        return self.gain.gain - quantile(self.gain.n - 1, LEVEL) * self.gain.standard_error

    @property
    def passed(self) -> bool:
        """Whether the winner was shown to be no worse."""
        return self.bound > -self.margin


@dataclass(frozen=True)
class Question:
    """What is to be found out: everything known before anything is trained for it."""

    confirmed: Confirmed
    trainings: Trainings
    reference: Place
    winner: Place
    margin: float
    """The loss that is none, in the metric's unit."""

    @property
    def horizon(self) -> int:
        """T."""
        return self.confirmed.search.resolved.horizon_steps

    def over_reference(self, values: BySeed) -> PairedGain | None:
        """Return a gain over the reference at T."""
        return paired_gain(values, self.reference.values, self.confirmed.search.resolved.direction)


def save_steps(confirmed: Confirmed, trainings: Trainings) -> Plan[StepsSaved]:
    """Find the shortest horizon at which the winner can be shown to be no worse than the reference at T."""
    reference = yield from tuned(confirmed, trainings)
    if reference is None:
        return _none(f"the LR of yours could not be tuned, as its trainings failed or are {TOO_DEAR}")
    arm = confirmed.winner
    margin = margin_of([arm, base_of(confirmed)])
    if margin is None:
        return _none("the noise between seeds is not known")
    question = Question(confirmed, trainings, reference, Place(None, arm.name, arm.candidate, arm.values), margin)
    gain = question.over_reference(arm.values)
    if gain is None or not gain.gain > 0:
        return _none(f"the winner does no better than {in_words(reference.origin)}", question)
    losses = yield from _pilot(question)
    if isinstance(losses, str):
        return _none(losses, question)
    read = read_horizon(losses | {question.horizon: 0.0}, PILOT_TRUST * gain.gain - cushion(gain, question.margin))
    if read is None or read > (1 - LEAST_SAVING) * question.horizon:
        return _none("the gain is too small beside the noise between seeds to be turned into steps", question)
    return (yield from _test(question, gain, max(read, min(losses))))


def not_redrawn() -> StepsSaved:
    """Say why no saving is looked for where a training has the horizon of somebody's own loop or script."""
    return _none("a loop or a script of your own is not trained over other horizons than its own")


def _none(reason: str, question: Question | None = None) -> StepsSaved:
    reference = None if question is None else question.reference.origin
    return StepsSaved(confirmed=False, reference=reference, reason=reason, method=METHOD)


# Where to look


def _pilot(question: Question) -> Plan[dict[int, float] | str]:
    """Return what shorter horizons cost the reference, by steps; why that is not known otherwise."""
    seeds = question.confirmed.plan.seeds[:PILOT_SEEDS]
    candidate = question.reference.candidate
    by_steps: dict[int, list[Wanted]] = {}
    for share in PILOT_SHARES:
        steps = whole_steps(share, question.horizon)
        if not fits(candidate, steps):
            return f"{in_words(question.reference.origin)} cannot be redrawn for {steps} steps"
        origin = f"{SAVINGS}reference:{share:g}"
        by_steps[steps] = [Wanted(origin, candidate, seed, steps) for seed in seeds]
    if not (yield [one for wanted in by_steps.values() for one in wanted]):
        return f"training the reference at shorter horizons is {TOO_DEAR}"
    losses = {}
    for steps, wanted in by_steps.items():
        gain = _over_reference(question, wanted)
        if gain is None:
            return f"the reference did not end well at {steps} steps"
        losses[steps] = -gain.gain
    return losses


def _over_reference(question: Question, wanted: Sequence[Wanted]) -> PairedGain | None:
    """Return the gain of redrawn trainings over the reference at T; None where one of them gave no value."""
    values = question.trainings.values(wanted)
    return question.over_reference(values) if all(map(math.isfinite, values.values())) else None


def fits(candidate: Candidate, steps: int) -> bool:
    """Tell whether a candidate can be redrawn for so many steps."""
    try:
        check_horizon(candidate.schedule, steps)
    except HorizonTooShort:
        return False
    return True


def cushion(gain: PairedGain, margin: float) -> float:
    """Return the gain that has to be left at the shorter horizon for the test to pass as surely as it should."""
    return max(0.0, (quantile(gain.n - 1, LEVEL) + POWER_QUANTILE) * gain.standard_error - margin)


def read_horizon(losses: Mapping[int, float], allowed: float) -> int | None:
    """Return the least horizon whose loss is `allowed`, between those known: straight lines against log T.

    A loss that is smaller at a shorter horizon than at a longer one is noise: it counts as the longer one's. None
    where nothing is allowed.

    >>> read_horizon({50: 1.0, 100: 0.0}, 0.5)
    71
    """
    if not allowed > 0:
        return None
    steps = sorted(losses, reverse=True)
    rising = np.maximum.accumulate([losses[one] for one in steps])
    logs = np.log(steps)
    place = int(np.searchsorted(rising, allowed))
    if place == len(steps):
        return steps[-1]
    share = (allowed - rising[place - 1]) / (rising[place] - rising[place - 1])
    return math.ceil(math.exp(logs[place - 1] + share * (logs[place] - logs[place - 1])) - 1e-9)


def nearer(question: Question, whole: PairedGain, tests: Sequence[Tested]) -> int | None:
    """Return where the winner's own losses leave what the next test needs; None where that has been looked at.

    Beyond the shortest horizon that was tested the last line goes on, to half of it at most.
    """
    losses = {question.horizon: 0.0} | {test.steps: whole.gain - test.gain.gain for test in tests}
    allowed = whole.gain - cushion(tests[-1].gain, question.margin)
    shortest, before = sorted(losses)[:2]
    beyond = math.ceil(shortest / 2)
    slope = (losses[shortest] - losses[before]) / math.log(before / shortest)
    if slope > 0:
        losses[beyond] = losses[shortest] + slope * math.log(shortest / beyond)
    read = read_horizon(losses, allowed)
    if read is None:
        return None
    longest = math.floor((1 - LEAST_SAVING) * question.horizon)
    passed = min((test.steps for test in tests if test.passed), default=longest + 1)
    failed = max((test.steps for test in tests if not test.passed), default=0)
    steps = max(read, math.ceil(SHORTEST * question.horizon), math.ceil(failed * (1 + LEAST_CHANGE)))
    return steps if steps <= (1 - LEAST_CHANGE) * passed else None


# What is claimed


def _test(question: Question, whole: PairedGain, first: int) -> Plan[StepsSaved]:
    """Test the winner at `first` steps, then nearer to where it just holds."""
    steps: int | None = first
    tests: list[Tested] = []
    why = ""
    while steps is not None:
        tested = yield from _tested_at(question, steps)
        if isinstance(tested, str):
            why = tested
            break
        tests.append(tested)
        is_over = len(tests) == MOST_TESTS or sum(not test.passed for test in tests) == MOST_FAILED
        steps = None if is_over else nearer(question, whole, tests)
    return _claimed(question, tests, why)


def _tested_at(question: Question, steps: int) -> Plan[Tested | str]:
    """Return the winner's test at a horizon; why there is none otherwise."""
    winner = question.winner.candidate
    if not fits(winner, steps):
        return f"the winner cannot be redrawn for {steps} steps"
    origin = f"{SAVINGS}winner:{steps}"
    wanted = [Wanted(origin, winner, seed, steps) for seed in question.confirmed.plan.seeds]
    if not (yield wanted):
        return f"training the winner at {steps} steps is {TOO_DEAR}"
    gain = _over_reference(question, wanted)
    if gain is None:
        return f"the winner did not end well at {steps} steps"
    return Tested(steps, gain, question.margin)


def _claimed(question: Question, tests: list[Tested], why: str) -> StepsSaved:
    passed = [test for test in tests if test.passed]
    shown = min(passed, key=lambda test: test.steps, default=tests[-1] if tests else None)
    if shown is None:
        return _none(why, question)
    saved = question.horizon - shown.steps if passed else 0
    return StepsSaved(
        confirmed=bool(passed),
        steps=saved,
        share=saved / question.horizon,
        horizon_steps=shown.steps,
        reference=question.reference.origin,
        gain=shown.gain.gain,
        bound=shown.bound,
        margin=shown.margin,
        n=shown.gain.n,
        method=METHOD,
        reason=None if passed else f"at {shown.steps} steps the winner could not be shown to be no worse",
    )
