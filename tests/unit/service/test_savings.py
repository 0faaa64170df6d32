"""Steps saved, on the noisy quadratic: what is claimed against what the closed form computes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest

from search_spaces.candidate import Candidate
from search_spaces.optimizers import SGD
from search_spaces.results import StepsSaved
from search_spaces.schedules import AnySchedule, Constant, Cosine, Linear, curve
from service.asking import Allowance, Replay, Trainings
from service.conclusion import confirmed_study
from service.confirmation import Plan, PlannedArm, confirmation_proposals
from service.extras import proposals_of
from service.savings import save_steps
from service.seeds import derived_seed
from store.proposals import NewProposal, Past
from workers.quadratic import Quadratic

from .made import search_for, trained
from .test_answer import view

HORIZON = 200
CURVATURES = 1 / np.arange(1, 51)
BOWL = Quadratic(CURVATURES, CURVATURES / 2, np.ones(50))
SEEDS = [derived_seed(0, "savings", place) for place in range(9)]


def sgd(lr: float, schedule: AnySchedule) -> Candidate:
    return Candidate(optimizer=SGD(momentum=0.0), initial_lr=lr, schedule=schedule)


def expected(candidate: Candidate, steps: int) -> float:
    """The loss to expect of a candidate redrawn for so many steps."""
    return float(BOWL.losses(candidate.initial_lr * curve(candidate.schedule, steps))[-1])


def simulated(candidate: Candidate, steps: int, seed: int) -> float:
    """The mean loss of 64 copies of the bowl on noise of the seed."""
    noise = np.random.default_rng(seed)
    points, deviations = np.ones((64, 50)), np.sqrt(BOWL.variances)
    for rate in candidate.initial_lr * curve(candidate.schedule, steps):
        points -= rate * (CURVATURES * points + deviations * noise.standard_normal(points.shape))
    return float((CURVATURES * points**2 / 2).sum(axis=1).mean())


def saved(reference: Candidate, winner: Candidate, shift: int = 0) -> StepsSaved:
    """What is claimed for a winner over a reference; with a shift its noise is not the reference's."""
    search = search_for(budget={"trials": 24}, horizon={"steps": HORIZON})
    arms = [PlannedArm("candidate-1", "candidate", winner), PlannedArm("sgd-cosine", "baseline", reference)]
    plan = Plan(arms, SEEDS)
    losses = {True: partial(simulated, winner), False: partial(simulated, reference)}
    past: list[Past] = []

    def train(proposals: Sequence[NewProposal]) -> None:
        for one in proposals:
            steps = one.horizon_steps or HORIZON
            own = one.origin.endswith("candidate-1") or "winner" in one.origin
            past.append(trained(one, losses[own](steps, one.seed + shift * own), horizon_steps=steps))

    train(confirmation_proposals(plan))
    while True:
        confirmed = confirmed_study(search, view("confirming"), plan, past)
        replay = Replay(trainings := Trainings(past), Allowance(past * 3, []))
        result = replay.result(save_steps(confirmed, trainings))
        if result is not None:
            return result
        train(proposals_of(confirmed, replay.missing))


PAIRS = {
    "constant, linear": (sgd(0.3, Constant()), sgd(0.6, Linear())),
    "constant, cosine": (sgd(0.2, Constant()), sgd(0.5, Cosine())),
    "cosine at two LRs": (sgd(0.2, Cosine()), sgd(0.5, Cosine())),
    "linear at two LRs": (sgd(0.3, Linear()), sgd(0.8, Linear())),
}


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS.keys())
def test_the_claimed_saving_is_within_a_tenth_of_the_computed_one(pair: tuple[Candidate, Candidate]) -> None:
    """The computed one: the shortest horizon at which the winner's expected loss is the reference's at T."""
    reference, winner = pair
    goal = expected(reference, HORIZON)
    shortest = next(steps for steps in range(20, HORIZON) if expected(winner, steps) <= goal)

    claimed = saved(reference, winner)

    assert claimed.confirmed
    assert claimed.steps == pytest.approx(HORIZON - shortest, rel=0.1)


def test_two_identical_schedules_claim_none() -> None:
    """The same candidate in both arms gains nothing, on the same noise exactly so."""
    candidate = sgd(0.5, Cosine())

    claimed = saved(candidate, candidate)

    assert (claimed.confirmed, claimed.steps) == (False, 0)
    assert claimed.reason == "the winner does no better than sgd-cosine"
