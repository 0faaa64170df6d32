"""The verdict: the best confirmed candidate against every baseline, paired by seed.

The gain over the best baseline is the least of the gains over each, and so are the ends of its interval: whoever is
the best baseline in truth, the candidate must beat it. Gains are signed so that positive is better, whatever the
metric's direction. docs/verdict.md has the designs that were compared, and what this one detects.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from search_spaces.results import Arm, Difference, Verdict
from search_spaces.study import Direction

from .detectable import detectable_gain
from .margins import LOWER, Limits, limits_of
from .paired import finite, paired_gains, quantile

METHOD = "paired t against every baseline"
METHOD_VERSION = 2
"""1 compared with the best baseline alone."""
LEAST_SHARE = 0.5
"""A baseline without a value on more than this share of its seeds is no opponent."""


@dataclass(frozen=True)
class Judgement:
    """What a confirmation has shown."""

    verdict: Verdict
    finalist: str | None
    """The candidate arm with the best mean; None when there is none."""
    best_baseline: str | None
    difference: Difference | None = None
    detectable_gain: float | None = None
    """The gain that this confirmation, with the noise it found, detects with 80 % power, in the metric's unit."""
    min_gain: float | None = None
    """The gain below which the verdict is `no_winner`: the user's, or the detectable one."""
    complete: bool = True
    """Whether the finalist has a value on every seed."""
    lead: float | None = None
    """How much better the finalist's mean is than the best baseline's, for where seeds are too few for a difference."""
    notes: list[str] = field(default_factory=list)

    @property
    def ahead(self) -> bool:
        """Whether the finalist, on every seed trained to its end, did better than the best baseline, shown or not."""
        lead = self.lead if self.difference is None else self.difference.gain
        return self.complete and (lead is None or lead > 0)


def with_statistics(arm: Arm) -> Arm:
    """Fill in mean, standard deviation (n - 1) and 95 % t interval over the seeds whose training ended well."""
    values = finite(arm.values.values())
    n = values.size
    if n == 0:
        return arm.model_copy(update={"n": 0})
    mean = float(values.mean())
    if n == 1:
        return arm.model_copy(update={"n": 1, "mean": mean})
    deviation = float(values.std(ddof=1))
    half = quantile(n - 1, 0.025) * deviation / math.sqrt(n)
    filled = {"n": n, "mean": mean, "standard_deviation": deviation, "interval": (mean - half, mean + half)}
    return arm.model_copy(update=filled)


def best_arm(arms: Sequence[Arm], direction: Direction) -> Arm | None:
    """Return the arm with the best mean; one that failed on a seed comes after all that did not."""
    sign = 1.0 if direction == "minimize" else -1.0
    ranked = [
        (len(arm.values) - arm.n, sign * arm.mean, place) for place, arm in enumerate(arms) if arm.mean is not None
    ]
    return arms[min(ranked)[2]] if ranked else None


def judge(arms: Sequence[Arm], direction: Direction, min_gain: float | None = None) -> Judgement:
    """Compare the best candidate with every baseline; `arms` carry their statistics and share their seeds.

    Args:
        arms: candidates and baselines, as they were all planned: what was picked from counts.
        direction: of the metric.
        min_gain: the smallest gain worth a change, in the metric's unit; default: the smallest detectable.
    """
    candidates, baselines = ([arm for arm in arms if arm.role == role] for role in ("candidate", "baseline"))
    finalist, best = best_arm(candidates, direction), best_arm(baselines, direction)
    notes = [_without_value(arm) for arm in arms if arm.n < len(arm.values)]
    if finalist is None:
        notes.append("no candidate of the search was confirmed")
    if best is None:
        notes.append("no baseline was confirmed")
    known = Judgement(
        verdict="undecided",
        finalist=finalist.name if finalist else None,
        best_baseline=best.name if best else None,
        min_gain=min_gain,
        complete=finalist is not None and finalist.n == len(finalist.values),
        lead=_lead(finalist, best, direction),
        notes=notes,
    )
    if finalist is None or best is None:
        return known
    return _compared(known, _limits(finalist, baselines, direction, len(candidates)), len(candidates))


def _lead(finalist: Arm | None, best: Arm | None, direction: Direction) -> float | None:
    if finalist is None or best is None or finalist.mean is None or best.mean is None:
        return None
    return best.mean - finalist.mean if direction == "minimize" else finalist.mean - best.mean


def _without_value(arm: Arm) -> str:
    return f"{arm.name} gave no value on {len(arm.values) - arm.n} of {len(arm.values)} seeds"


def _limits(finalist: Arm, baselines: Sequence[Arm], direction: Direction, candidates: int) -> dict[str, Limits]:
    """Return the finalist's limits against each baseline that is an opponent.

    They are taken on the seeds that gave both a value: this spares a baseline the seeds on which it diverged.
    """
    opponents = [arm for arm in baselines if arm.n >= LEAST_SHARE * len(arm.values)]
    gains = {arm.name: paired_gains(finalist.values, arm.values, direction) for arm in opponents}
    return {name: limits_of(each, candidates, len(baselines)) for name, each in gains.items() if each.size > 1}


def _compared(known: Judgement, limits: Mapping[str, Limits], candidates: int) -> Judgement:
    if not limits:
        return replace(known, notes=[*known.notes, "fewer than two seeds to compare on are too few for an interval"])
    against = min(limits, key=lambda name: limits[name].gain)
    difference = Difference(
        against=against,
        gain=limits[against].gain,
        interval=(min(each.lower for each in limits.values()), min(each.upper for each in limits.values())),
        p_value=max(each.p_value for each in limits.values()),
        n=limits[against].n,
        level=LOWER,
        method=METHOD,
        method_version=METHOD_VERSION,
    )
    detectable = _detectable(limits, candidates)
    return replace(
        known,
        verdict=_verdict(known, difference, limits, detectable),
        difference=difference,
        detectable_gain=detectable,
        min_gain=detectable if known.min_gain is None else known.min_gain,
        notes=[*known.notes, *_open_ends(known, limits)],
    )


def _verdict(
    known: Judgement, difference: Difference, limits: Mapping[str, Limits], detectable: float | None
) -> Verdict:
    """Decide by the interval; a gain too small for the user is none, however sure it is."""
    upper = min((each.upper for each in limits.values() if each.known), default=math.inf)
    if known.min_gain is not None and upper < known.min_gain:
        return "no_winner"
    if difference.interval[0] > 0 and known.complete:
        return "winner"
    too_small = known.min_gain is None and detectable is not None and upper < detectable
    return "no_winner" if too_small or upper <= 0 else "undecided"


def _detectable(limits: Mapping[str, Limits], candidates: int) -> float | None:
    """Return the gain that is detected in noise as found: the median over the opponents."""
    noise = median(each.deviation for each in limits.values())
    seeds = min(each.n for each in limits.values())
    if noise == 0:
        return None
    return detectable_gain(arms=(candidates, len(limits)), seeds=seeds, noise=noise)


def _open_ends(known: Judgement, limits: Mapping[str, Limits]) -> list[str]:
    notes = [] if known.complete else ["a finalist without a result on some seed cannot be the winner"]
    if not all(each.known for each in limits.values()):
        notes.append("every seed gave the same difference, so its spread is not known")
    return notes
