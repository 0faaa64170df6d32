"""What an answer says first, one sentence a topic: the terminal, the page, the note and the JSON all read these."""

from __future__ import annotations

import math
from collections.abc import Sequence

from search_spaces.describe import describe
from search_spaces.results import Difference, Evidence, LadderRung, Optimum, Sentence, StepsSaved
from search_spaces.schedules.base import percent
from search_spaces.study import Direction
from search_spaces.target import Target

from .confirmed import Confirmed
from .ladder import in_words
from .opponents import CURRENT
from .target_sentences import at_most, never, sooner, took

NOTHING_CONFIRMED = "Nothing could be confirmed: every training of the confirmation failed."
UNOPPOSED = "A candidate was confirmed, and no baseline to compare it with: every training of a baseline failed."
SHORT = ("standing", "advice", "candidate", "difference", "horizon", "cost")
"""The topics of `Answer.sentence`."""
FIRST = {
    "lr": "the LR alone",
    "schedule": "the schedule with its LR",
    "optimizer": "the optimizer with its schedule and LR",
}
LATER = {"lr": "then the LR", "schedule": "then the schedule", "optimizer": "then the optimizer"}
"""What a rung of the ladder tunes: the first one all that it needs, the others beside those before them."""


def joined(sentences: Sequence[Sentence]) -> str:
    """Return the one string that a person reads where there is no room for more."""
    return " ".join(sentence.text for sentence in sentences if sentence.topic in SHORT)


def sentences_of(confirmed: Confirmed, evidence: Evidence) -> list[Sentence]:
    """Say what a confirmed study has shown; a topic of which nothing is known has no sentence."""
    said = {
        "advice": _advice(confirmed),
        "candidate": _candidate(confirmed),
        "difference": _difference(confirmed),
        "steps_saved": _steps_saved(evidence.steps_saved),
        "ladder": _ladder(evidence.ladder, confirmed.search.resolved.metric),
        "optimum": _optimum(evidence.optimum),
        "horizon": _horizon(confirmed),
        "untested": _untested(evidence, confirmed.search.resolved.target),
        "cost": _cost(confirmed),
    }
    return [Sentence.model_validate({"topic": topic, "text": text}) for topic, text in said.items() if text]


# Change or keep


def _advice(confirmed: Confirmed) -> str:
    judged = confirmed.judged
    against = judged.best_baseline
    if judged.finalist is None:
        return f"Keep {_called(against)}: {_nothing(confirmed)}." if against else NOTHING_CONFIRMED
    if against is None:
        return UNOPPOSED if _baselines(confirmed) else "A candidate was confirmed, but there was no baseline."
    target = confirmed.search.resolved.target
    if judged.verdict == "winner" and target is not None:
        return sooner(target, _called(against))
    if judged.verdict == "winner":
        return f"Change: the search found what does better than {_called(against)}."
    if judged.verdict == "undecided" and confirmed.is_ahead:
        known = _called(against)
        return f"Change only if it costs nothing: the search's finalist was not shown to be better than {known}."
    return f"Keep {_called(against)}: {_why_keep(confirmed)}."


def _nothing(confirmed: Confirmed) -> str:
    target = confirmed.search.resolved.target
    return "the search put nothing better forward" if target is None else never(target)


def _called(name: str) -> str:
    """Call a baseline as its owner does."""
    return "yours" if name == CURRENT else name


def _baselines(confirmed: Confirmed) -> list[str]:
    return [arm.name for arm in confirmed.arms.values() if arm.role == "baseline"]


def _why_keep(confirmed: Confirmed) -> str:
    judged, target = confirmed.judged, confirmed.search.resolved.target
    if target is not None and not judged.complete:
        return never(target)
    most = judged.difference.interval[1] if judged.difference is not None else None
    if judged.verdict != "no_winner" or most is None or not 0 < most < math.inf:
        return "the search's finalist did not do better"
    if target is not None:
        return at_most(target, f"{math.ceil(raised(most)):g}")
    return f"any gain in {confirmed.search.resolved.metric} is below {raised(most):.2g} at this budget"


def raised(bound: float) -> float:
    """Round a bound that nothing lies above up to two significant digits, so that what is said of it holds.

    >>> raised(0.1234), raised(0.3), raised(25.0), raised(998.0)
    (0.13, 0.3, 25.0, 1000.0)
    """
    nearest = float(f"{bound:.1e}")
    unit = 10.0 ** (math.floor(math.log10(bound)) - 1)
    return nearest if nearest >= bound * (1 - 1e-9) else float(f"{nearest + unit:.1e}")


def _candidate(confirmed: Confirmed) -> str:
    if confirmed.chosen is None:
        return ""
    words = describe(confirmed.arms[confirmed.chosen].candidate)
    if confirmed.search.resolved.target is not None:
        words = f"{words}, over {confirmed.horizon_of(confirmed.chosen)} updates"
    if confirmed.chosen == confirmed.judged.finalist:
        return f"{'Train with' if confirmed.judged.verdict == 'winner' else 'The finalist is'} {words}."
    name = _called(confirmed.chosen)
    return f"{name[:1].upper()}{name[1:]} is {words}."


# What was shown


def _difference(confirmed: Confirmed) -> str:
    judged, resolved = confirmed.judged, confirmed.search.resolved
    difference = judged.difference
    if difference is None or judged.finalist is None:
        return " ".join([*_lead(confirmed), *(f"{note[:1].upper()}{note[1:]}." for note in judged.notes)])
    if resolved.target is not None:
        return _steps_difference(confirmed, resolved.target, difference)
    text = (
        f"{_subject(confirmed)} {resolved.metric} is {compared(difference, resolved.direction)} than "
        f"{_whose(difference.against)}, on {difference.n} fresh seeds"
    )
    if judged.verdict == "undecided" and judged.detectable_gain is not None:
        return f"{text}; only a gain of {judged.detectable_gain:.3g} or more would most likely have been seen."
    return f"{text}."


def _steps_difference(confirmed: Confirmed, target: Target, difference: Difference) -> str:
    """Say in how many updates the finalist gets to the target, and in how many its strongest opponent does."""
    judged, finalist = confirmed.judged, confirmed.winner
    opponent = confirmed.arms[difference.against]
    known = took(target, finalist, difference, opponent, _called(difference.against))
    subject = "It" if judged.finalist == confirmed.chosen else f"{_finalist_in_words(confirmed)}; it"
    if judged.verdict == "undecided" and judged.detectable_gain is not None:
        least = math.ceil(judged.detectable_gain)
        return f"{subject} {known}; only a saving of {least} updates or more would most likely have been seen."
    return f"{subject} {known}."


def _lead(confirmed: Confirmed) -> list[str]:
    """Say how far apart the two are where each has one value only, of which no interval can be made."""
    judged, resolved = confirmed.judged, confirmed.search.resolved
    if judged.finalist is None or judged.best_baseline is None or judged.lead is None:
        return []
    if any(confirmed.arms[name].n != 1 for name in (judged.finalist, judged.best_baseline)):
        return []
    size = _size(judged.lead, resolved.direction)
    return [f"{_subject(confirmed)} {resolved.metric} is {size} than {_whose(judged.best_baseline)}, on one training."]


def _whose(name: str) -> str:
    return "yours" if name == CURRENT else f"that of {name}"


def _subject(confirmed: Confirmed) -> str:
    """Name whose metric is meant; the finalist, where it is not what the answer names, in words."""
    finalist = confirmed.judged.finalist
    if finalist is None or finalist == confirmed.chosen:
        return "Its"
    return f"{_finalist_in_words(confirmed)}; its"


def _finalist_in_words(confirmed: Confirmed) -> str:
    return f"The search's finalist was {describe(confirmed.winner.candidate)}"


def compared(difference: Difference, direction: Direction) -> str:
    """Say the difference in the metric's unit: '0.031 lower (95 % interval: 0.012 to 0.05 lower)'."""
    better, worse = _sides(direction)
    low, high = difference.interval
    size = _size(difference.gain, direction)
    if not (math.isfinite(low) and math.isfinite(high)):
        return f"{size} (its spread is not known)"
    if low >= 0:
        return f"{size} (95 % interval: {low:.3g} to {high:.3g} {better})"
    if high <= 0:
        return f"{size} (95 % interval: {-high:.3g} to {-low:.3g} {worse})"
    return f"{size} (95 % interval: {-low:.3g} {worse} to {high:.3g} {better})"


def _sides(direction: Direction) -> tuple[str, str]:
    """Name what is better, then what is worse."""
    return ("lower", "higher") if direction == "minimize" else ("higher", "lower")


def _size(gain: float, direction: Direction) -> str:
    better, worse = _sides(direction)
    return f"{abs(gain):.3g} {better if gain >= 0 else worse}"


def _steps_saved(saved: StepsSaved | None) -> str:
    if saved is None or (not saved.confirmed and saved.reason is None):
        return ""
    if not saved.confirmed:
        return f"No saving of steps is claimed: {saved.reason}."
    return (
        f"It saves {saved.steps} steps ({percent(saved.share)}): at {saved.horizon_steps} steps it was no worse than "
        f"{in_words(saved.reference or 'the reference')} at the whole horizon, on {saved.n} seeds."
    )


def _ladder(rungs: Sequence[LadderRung] | None, metric: str) -> str:
    """Say what each part of the gain is: 'Of the gain in loss over yours, the LR alone gives 0.01 (...); ...'."""
    if not rungs:
        return ""
    parts = [f"{name} {_rung_gain(rung)}" for name, rung in zip(rung_names(rungs), rungs, strict=True)]
    return f"Of the gain in {metric} over {in_words(rungs[0].against)}, {'; '.join(parts)}."


def rung_names(rungs: Sequence[LadderRung]) -> list[str]:
    """Say what each rung tunes."""
    return [(LATER if place else FIRST)[rung.name] for place, rung in enumerate(rungs)]


def _rung_gain(rung: LadderRung) -> str:
    low, high = rung.interval
    told = f"{rung.gain:.3g} (95 % interval: {low:.3g} to {high:.3g})"
    return f"gives {told}" if rung.distinguishable else f"is not distinguishable from none: {told}"


def _optimum(optimum: Optimum | None) -> str:
    if optimum is None:
        return ""
    share = "" if optimum.share is None else f" ({percent(abs(optimum.share))} of its size)"
    side = "worse" if optimum.distance >= 0 else "better"
    return f"The best value to expect is {optimum.value:.4g}: the answer is {abs(optimum.distance):.3g}{share} {side}."


# Where it holds, what was not tested, what it cost


def _horizon(confirmed: Confirmed) -> str:
    target = confirmed.search.resolved.target
    if target is not None:
        return (
            f"This holds for the task {confirmed.view.spec.task.name} and {target.words}, sought between "
            f"{target.least_steps} and {target.horizon_steps} updates, each schedule redrawn for its own."
        )
    return (
        f"This holds for the task {confirmed.view.spec.task.name} at {confirmed.search.resolved.horizon_steps} steps."
    )


def _untested(evidence: Evidence, target: Target | None) -> str:
    text = f"Not tested: other batch sizes and other {'horizons' if target is None else 'targets'}"
    if not evidence.at_edge:
        return f"{text}."
    names = ", ".join(evidence.at_edge)
    sits = "sits at the edge of its range" if len(evidence.at_edge) == 1 else "sit at the edge of their ranges"
    return f"{text}, and values beyond the range: of the finalist, {names} {sits}."


def _cost(confirmed: Confirmed) -> str:
    compute = confirmed.compute
    search, confirmation = say_seconds(compute.search), say_seconds(compute.confirmation)
    if compute.extras == 0:
        return f"The search took {search} and the confirmation {confirmation} of worker time."
    extras = say_seconds(compute.extras)
    return f"The search took {search}, the confirmation {confirmation} and what followed it {extras} of worker time."


def say_seconds(seconds: float) -> str:
    """Say worker time: to a tenth below 10 s, as minutes and hours where it is long.

    >>> say_seconds(4.2), say_seconds(48.3), say_seconds(200), say_seconds(7500)
    ('4.2 s', '48 s', '3 min 20 s', '2 h 5 min')
    """
    whole = round(seconds)
    if whole < 120:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"
