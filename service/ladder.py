"""The gain ladder: what the LR alone gives, what the schedule adds, what the optimizer adds.

It begins at `current` where the study has one, else at the best baseline, whose LR is tuned already, and ends at the
winner. Neighbours are compared on the confirmation's seeds, so that the gains of the rungs add up to the winner's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from search_spaces.baselines import LR_FACTORS
from search_spaces.candidate import Candidate
from search_spaces.results import Arm, LadderRung
from search_spaces.script_space import SCRIPT
from store.proposals import Past

from .asking import LADDER, Plan, Sparing, Trainings, Wanted
from .confirmation import own_trials
from .confirmed import Confirmed
from .opponents import CURRENT, baseline_origin, best_of
from .paired import paired_gain

Name = Literal["lr", "schedule", "optimizer"]
FURTHER = {0.3: 0.1, 0.1: 0.03, 0.03: 0.01, 3.0: 10.0, 10.0: 30.0, 30.0: 100.0}
"""By factor on the LR: the one that is tried next where it was the best of all. Further, a gain by the LR would be put
down to schedule and optimizer; two powers of ten are what people are off by."""
TOO_DEAR = "too dear beside the confirmation"
WORDS = {
    CURRENT: "yours",
    f"{LADDER}lr": "the current candidate with its LR tuned",
    f"{LADDER}schedule": "the search's best candidate with the same optimizer",
}
"""What sentences call the places of a ladder; a baseline has its name."""
WHOLE = (
    "the gain is not split into learning rate, schedule and optimizer: what the script does by itself can be changed "
    "as a whole only"
)


@dataclass(frozen=True)
class Place:
    """A candidate on the ladder, with its value on each seed of the confirmation."""

    name: Name | None
    """What was tuned last; None where the ladder begins."""
    origin: str
    """Name of its arm, or the origin of its trainings."""
    candidate: Candidate
    values: Mapping[int, float]


@dataclass(frozen=True)
class Ladder:
    """The rungs from bottom to top, and what has to be said of them."""

    rungs: list[LadderRung]
    notes: list[str]


def in_words(origin: str) -> str:
    """Name an arm, or what was trained for a rung, as a sentence does.

    >>> in_words("ladder:lr"), in_words("sgd-cosine")
    ('the current candidate with its LR tuned', 'sgd-cosine')
    """
    return WORDS.get(origin, origin)


def base_of(confirmed: Confirmed) -> Arm:
    """Return where the ladder of a winner begins: at `current`, else at the best baseline."""
    name = CURRENT if CURRENT in confirmed.arms else confirmed.judged.best_baseline
    assert name is not None
    return confirmed.arms[name]


def on_every_seed(confirmed: Confirmed, origin: str, candidate: Candidate) -> list[Wanted]:
    """Return a candidate's trainings on the confirmation's seeds at the whole horizon."""
    steps = confirmed.search.resolved.horizon_steps
    return [Wanted(origin, candidate, seed, steps) for seed in confirmed.plan.seeds]


def climb(confirmed: Confirmed, trainings: Trainings) -> Plan[Ladder]:
    """Train the rungs between, and compare neighbours."""
    base, winner = base_of(confirmed), confirmed.winner
    if _is_whole(confirmed, base):
        return Ladder([], [WHOLE])
    notes: list[str] = []
    middle = _same_optimizer(confirmed, base, winner, notes)
    known = next((arm for arm in confirmed.arms.values() if arm.candidate == middle), None)
    beside = [] if middle is None or known else on_every_seed(confirmed, f"{LADDER}schedule", middle)
    lr = yield from tuned(confirmed, trainings, beside)
    places = [_place(None, base)]
    if base.name == CURRENT:
        places += [] if lr is None else [lr]
        notes += [f"the ladder has no rung for the LR: trainings failed, or are {TOO_DEAR}"] if lr is None else []
        notes += _at_the_end(confirmed, trainings, base, lr)
    if known is not None:
        places.append(_place("schedule", known))
    elif middle is not None and (yield beside):
        places.append(Place("schedule", beside[0].origin, middle, trainings.values(beside)))
    elif middle is not None:
        notes.append(f"the ladder has no rung for the schedule: it is {TOO_DEAR}")
    places.append(_place("schedule" if _alike(base, winner.candidate) else "optimizer", winner))
    return _compared(confirmed, places, notes)


def _place(name: Name | None, arm: Arm) -> Place:
    return Place(name, arm.name, arm.candidate, arm.values)


def _alike(base: Arm, candidate: Candidate) -> bool:
    return candidate.optimizer.kind == base.candidate.optimizer.kind


def _is_whole(confirmed: Confirmed, base: Arm) -> bool:
    """Tell whether the base is what a script does by itself, of which not even the LR can be set from outside."""
    return base.candidate.schedule.kind == SCRIPT and SCRIPT not in confirmed.search.space.optimizers


# The LR


def tuned(confirmed: Confirmed, trainings: Trainings, beside: Sequence[Wanted] = ()) -> Plan[Place | None]:
    """Return the ladder's beginning at the best LR tried; None where it could not be trained.

    A baseline of the catalogue is tuned already, and a script's own LR may be out of reach. `beside` is asked for at
    the same time, if both can be had.
    """
    base = base_of(confirmed)
    if base.name != CURRENT or _is_whole(confirmed, base):
        return _place("lr", base)
    tries = {factor: _try(confirmed, base.candidate, factor) for factor in LR_FACTORS}
    # What is not followed on all seeds was trained in vain, and what the LR alone gives comes before the rest.
    on_seeds = on_every_seed(confirmed, f"{LADDER}lr", base.candidate)
    both = Sparing([*tries.values(), *beside], after=on_seeds)
    if not (yield both) and not (yield list(tries.values())):
        return None
    best = _best(confirmed, trainings, tries)
    while best in FURTHER and FURTHER[best] not in tries:
        further = FURTHER[best]
        if not (yield Sparing([_try(confirmed, base.candidate, further)], after=on_seeds)):
            break
        tries[further] = _try(confirmed, base.candidate, further)
        best = _best(confirmed, trainings, tries)
    if best is None or best == 1.0:
        return None if best is None else _place("lr", base)
    on_seeds = on_every_seed(confirmed, f"{LADDER}lr", base.candidate.with_lr(best))
    if not (yield on_seeds):
        return None
    return Place("lr", f"{LADDER}lr", on_seeds[0].candidate, trainings.values(on_seeds))


def _at_the_end(confirmed: Confirmed, trainings: Trainings, base: Arm, lr: Place | None) -> list[str]:
    """Say so where the best factor is the last that was tried on its side: a better one may lie beyond."""
    every = sorted({*LR_FACTORS, *FURTHER.values()})
    tried = [factor for factor in every if trainings.of(_try(confirmed, base.candidate, factor)) is not None]
    factor = None if lr is None else next((f for f in tried if base.candidate.with_lr(f) == lr.candidate), None)
    if factor is None or tried[0] < factor < tried[-1]:
        return []
    return [f"the best LR tried for yours is {factor:g} times its own, and nothing beyond it was tried"]


def _try(confirmed: Confirmed, current: Candidate, factor: float) -> Wanted:
    """Return one training of `current` at a factor of its LR, with the search's seed; factor 1 may be the search's."""
    search = confirmed.search
    steps, seed = search.resolved.horizon_steps, search.spec.seed
    if factor == 1.0 and any(trial.purpose == "search" and trial.origin == CURRENT for trial in confirmed.past):
        return Wanted(CURRENT, current, seed, steps, "search")
    return Wanted(f"{LADDER}lr:{factor:g}", current.with_lr(factor), seed, steps, "tuning")


def _best(confirmed: Confirmed, trainings: Trainings, tries: Mapping[float, Wanted]) -> float | None:
    """Return the factor with the best value, the one nearest to 1 of equals; None where no training ended well."""
    sign = 1.0 if confirmed.search.resolved.direction == "minimize" else -1.0
    values = {factor: sign * trainings.value(one) for factor, one in tries.items()}
    known = [factor for factor, value in values.items() if math.isfinite(value)]
    return min(known, key=lambda factor: (values[factor], abs(math.log(factor))), default=None)


# The schedule


def _same_optimizer(confirmed: Confirmed, base: Arm, winner: Arm, notes: list[str]) -> Candidate | None:
    """Return the search's best candidate with the base's optimizer; None where that is the winner, or there is none.

    Those of other baselines count: what a known schedule gives with this optimizer is no gain of another optimizer.
    """
    if _alike(base, winner.candidate):
        return None
    alike = [
        trial
        for trial in [*own_trials(confirmed.past), *_of_baselines(confirmed.past, base)]
        if trial.candidate is not None and _alike(base, trial.candidate)
    ]
    best = best_of(alike, confirmed.search.resolved.direction)
    if best is None:
        kind = base.candidate.optimizer.kind
        notes.append(f"the search completed nothing with {kind}: schedule and optimizer share one rung of the ladder")
    return None if best is None else best.candidate


def _of_baselines(past: Sequence[Past], base: Arm) -> list[Past]:
    """Return the trials that tuned baselines; none where the ladder begins at one, than which no other was better."""
    return [trial for trial in past if base.name == CURRENT and trial.origin.startswith(baseline_origin(""))]


# The gains


def _compared(confirmed: Confirmed, places: Sequence[Place], notes: list[str]) -> Ladder:
    """Return each place's gain over the one before; a place whose trainings failed on a seed is left out."""
    whole = [place for place in places if all(math.isfinite(value) for value in place.values.values())]
    lost = [in_words(place.origin) for place in places if place not in whole]
    notes += [f"{words} did not end well on every seed: the ladder goes past it" for words in lost]
    rungs = []
    for before, place in pairwise(whole):
        gain = paired_gain(place.values, before.values, confirmed.search.resolved.direction)
        if gain is None or place.name is None:
            continue
        rungs.append(
            LadderRung(
                name=place.name,
                origin=place.origin,
                candidate=place.candidate,
                against=before.origin,
                gain=gain.gain,
                interval=gain.interval,
                n=gain.n,
                distinguishable=gain.distinguishable,
            )
        )
    return Ladder(rungs, notes)
