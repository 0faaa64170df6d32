"""What follows a verdict: the scores on the test split, and after a `winner` the gain ladder and the steps saved.

The test split is evaluated by one training of the chosen candidate and one of the best baseline, on the confirmation's
first seed. Ladder and steps saved together may cost as much as the confirmation, and `confirmation.extras: false`
leaves them out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from search_spaces.results import LadderRung, Optimum, ScoreOnTest, StepsSaved
from store.proposals import TEST_ORIGIN, NewProposal, Past

from .asking import Allowance, Plan, Replay, Trainings, Wanted, is_extra
from .confirmed import Confirmed
from .ladder import climb
from .opponents import FACTORS_EACH
from .savings import not_redrawn, save_steps

TEST_PREFIX, OPTIMUM_PREFIX = "test_", "optimum_"
"""Of metrics: those of the test split, and the best value to expect where a task knows it."""
LEFT_OUT = "gain ladder and steps saved are left out: confirmation.extras is false"
TARGET_LEFT_OUT = "the gain ladder is left out: with a target the gain is in steps, and it is not split"


@dataclass(frozen=True)
class Extras:
    """What is known after the verdict, and what is to be trained before the answer is final."""

    wanted: list[Wanted] = field(default_factory=list)
    """Empty once there is nothing left to do."""
    ladder: list[LadderRung] | None = None
    steps_saved: StepsSaved | None = None
    test: list[ScoreOnTest] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def extras_of(confirmed: Confirmed, seconds_left: float | None = None, *, stopped: bool = False) -> Extras:
    """Return what the past trials of a confirmed study say beyond its verdict, and what they leave open.

    `seconds_left` are the worker-seconds until a deadline: what would take longer is left out. So is everything that is
    not there yet where the study was `stopped`.
    """
    known = _known(confirmed, seconds_left)
    if not stopped or not known.wanted:
        return known
    parts = {"the scores on the test split": not known.test and confirmed.search.has_test_split}
    if confirmed.judged.verdict == "winner" and _left_out(confirmed) is None:
        parts |= {"the gain ladder": known.ladder is None, "steps saved": known.steps_saved is None}
    left_out = ", ".join(part for part, is_missing in parts.items() if is_missing)
    return replace(known, wanted=[], notes=[*known.notes, f"left out, as the study was stopped: {left_out}"])


def _known(confirmed: Confirmed, seconds_left: float | None) -> Extras:
    trainings = Trainings(confirmed.past)
    replay = Replay(trainings, _allowance(confirmed, seconds_left))
    test = replay.result(_scores(confirmed, trainings), free=True) or ([], [])
    if confirmed.judged.verdict != "winner":
        return Extras(replay.missing, test=test[0], notes=test[1])
    left_out = _left_out(confirmed)
    if left_out is not None:
        return Extras(replay.missing, test=test[0], notes=[*test[1], left_out])
    ladder = replay.result(climb(confirmed, trainings))
    saved = replay.result(save_steps(confirmed, trainings)) if confirmed.search.redrawable else not_redrawn()
    return Extras(
        replay.missing,
        ladder.rungs if ladder else None,
        saved,
        test[0],
        [*test[1], *(ladder.notes if ladder else [])],
    )


def _left_out(confirmed: Confirmed) -> str | None:
    """Say why neither the ladder nor the steps saved are looked for; None where they are."""
    if not confirmed.search.spec.confirmation.extras:
        return LEFT_OUT
    return None if confirmed.search.resolved.target is None else TARGET_LEFT_OUT


def _allowance(confirmed: Confirmed, seconds_left: float | None) -> Allowance:
    beyond = [trial for trial in confirmed.past if is_extra(trial)]
    trained = [trial for trial in confirmed.past if trial.purpose == "confirmation" and not is_extra(trial)]
    counted = [trial for trial in beyond if not trial.origin.startswith(TEST_ORIGIN)]
    return Allowance(trained, counted, seconds_left)


def proposals_of(confirmed: Confirmed, wanted: Sequence[Wanted]) -> list[NewProposal]:
    """Return trainings as proposals, behind the places that are taken."""
    places = {"confirmation": confirmed.plan.size, "tuning": FACTORS_EACH * len(confirmed.search.opponents.outside)}
    for trial in confirmed.past:
        if trial.purpose in places and is_extra(trial):
            places[trial.purpose] += 1
    proposals = []
    for one in wanted:
        proposals.append(_proposal(one, places[one.purpose]))
        places[one.purpose] += 1
    return proposals


def _proposal(wanted: Wanted, seq: int) -> NewProposal:
    return NewProposal(
        seq=seq,
        purpose=wanted.purpose,
        origin=wanted.origin,
        candidate=wanted.candidate,
        params=None,
        seed=wanted.seed,
        prunable=False,
        horizon_steps=wanted.horizon_steps,
    )


# The test split


def _scores(confirmed: Confirmed, trainings: Trainings) -> Plan[tuple[list[ScoreOnTest], list[str]]]:
    """Evaluate the chosen candidate and the best baseline on the test split, once each."""
    arms = [name for name in (confirmed.chosen, confirmed.judged.best_baseline) if name is not None]
    if not arms or not confirmed.search.has_test_split:
        return [], []
    seed = confirmed.plan.seeds[0]
    wanted = {
        arm: Wanted(f"{TEST_ORIGIN}{arm}", confirmed.arms[arm].candidate, seed, confirmed.horizon_of(arm))
        for arm in dict.fromkeys(arms)
    }
    yield list(wanted.values())
    scores, notes = [], []
    for arm, one in wanted.items():
        metrics = _tested(trainings.of(one))
        if metrics:
            scores.append(ScoreOnTest(arm=arm, seed=seed, metrics=metrics))
        else:
            notes.append(f"{arm} has no score on the test split: {_why_not(trainings.of(one))}")
    return scores, notes


def _tested(trial: Past | None) -> dict[str, float]:
    if trial is None or trial.state != "complete":
        return {}
    return {name: value for name, value in trial.metrics.items() if name.startswith(TEST_PREFIX)}


def _why_not(trial: Past | None) -> str:
    if trial is not None and trial.state == "complete":
        return "its training reported none"
    return trial.error.strip().splitlines()[-1] if trial is not None and trial.error else "its training failed"


# The optimum


def optimum_of(confirmed: Confirmed) -> Optimum | None:
    """Return how far the answer is from the best value to expect, where the trainings of its task have said that."""
    arm = confirmed.arms[confirmed.chosen] if confirmed.chosen else None
    best = _best_value(confirmed)
    # The best value is of the metric, and with a target all values are steps.
    if arm is None or arm.mean is None or best is None or confirmed.search.resolved.target is not None:
        return None
    sign = 1.0 if confirmed.search.resolved.direction == "minimize" else -1.0
    distance = sign * (arm.mean - best)
    return Optimum(value=best, distance=distance, share=distance / abs(best) if best else None)


def _best_value(confirmed: Confirmed) -> float | None:
    for trial in confirmed.past:
        if trial.origin == f"confirmation:{confirmed.chosen}" and trial.state == "complete":
            return next((value for name, value in trial.metrics.items() if name.startswith(OPTIMUM_PREFIX)), None)
    return None
