"""What an answer says where the search was for the fewest steps to a target: every number is in updates."""

from __future__ import annotations

import math

from search_spaces.results import Arm, Difference
from search_spaces.target import Target


def sooner(target: Target, against: str) -> str:
    """Say to change: `against` is what is left behind."""
    return f"Change: the search found what gets to {target.words} in fewer updates than {against}."


def never(target: Target) -> str:
    """Say that the search has nothing to offer."""
    return f"no candidate of the search got to {target.words} within {target.horizon_steps} updates on every seed"


def at_most(target: Target, most: str) -> str:
    """Say what is ruled out; `most` is a bound in updates."""
    return f"it would save fewer than {most} updates to {target.words} at this budget"


def took(target: Target, finalist: Arm, difference: Difference, opponent: Arm, whose: str) -> str:
    """Say what was measured: 'gets there in 1200 updates instead of 2000 with sgd-cosine: 800 fewer (...)'."""
    out = _runs_out(target, opponent)
    instead = f"more than {target.horizon_steps}" if out else updates(opponent)
    least = "at least " if out and difference.gain > 0 else ""
    return (
        f"gets to {target.words} in {updates(finalist)} updates instead of {instead} with {whose}: "
        f"{least}{fewer(difference)}, on {difference.n} fresh seeds"
    )


def updates(arm: Arm) -> str:
    """Say the mean steps of an arm as whole updates."""
    return "?" if arm.mean is None else f"{math.ceil(arm.mean - 1e-9)}"


def _runs_out(target: Target, arm: Arm) -> bool:
    """Tell whether an arm does not get there within T on most seeds, so that its steps are T or more."""
    out = sum(value >= target.horizon_steps for value in arm.values.values())
    return 2 * out > len(arm.values)


def fewer(difference: Difference) -> str:
    """Say a difference: '800 fewer (95 % interval: 600 to 1000 fewer)'."""
    low, high = (round(end) if math.isfinite(end) else None for end in difference.interval)
    size = f"{abs(round(difference.gain))} {'fewer' if difference.gain >= 0 else 'more'}"
    if low is None or high is None:
        return f"{size} (its spread is not known)"
    if low >= 0:
        return f"{size} (95 % interval: {low} to {high} fewer)"
    if high <= 0:
        return f"{size} (95 % interval: {-high} to {-low} more)"
    return f"{size} (95 % interval: {-low} more to {high} fewer)"
