"""Steps saved on the noisy quadratic: what is claimed against what the closed form computes.

    nice -n 19 python -m benchmarks.savings --repeats 12

prints, for each pair of reference and winner, the claimed saving over the computed one; then how often two arms of one
candidate, taken for a winner and its reference whatever the verdict, get a saving claimed. Trainings are simulated as
the task makes them: plain SGD on 64 copies of the bowl, here in 50 dimensions.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from search_spaces.candidate import Candidate
from search_spaces.optimizers import SGD
from search_spaces.results import BudgetUse, Counts, StepsSaved, StudyView
from search_spaces.schedules import AnySchedule, Constant, Cosine, Linear, curve
from search_spaces.space import resolve_space
from search_spaces.study import StudySpec, resolve_study
from search_spaces.work import OfferedHorizon, OfferedTask
from service.asking import Allowance, Replay, Trainings
from service.conclusion import confirmed_study
from service.confirmation import Plan, PlannedArm, confirmation_proposals
from service.extras import proposals_of
from service.opponents import opponents_of
from service.savings import save_steps
from service.search import Search
from service.seeds import derived_seed
from store.proposals import NewProposal, Past
from workers.quadratic import Quadratic

HORIZON, DIMENSIONS, COPIES, SEEDS = 200, 50, 64, 9
CURVATURES = 1 / np.arange(1, DIMENSIONS + 1)
BOWL = Quadratic(CURVATURES, CURVATURES / 2, np.ones(DIMENSIONS))
OFFER = OfferedTask(
    name="bowl",
    version="1",
    metric="loss",
    direction="minimize",
    horizon=OfferedHorizon(epochs=1, steps_per_epoch=HORIZON),
)


def plain_sgd(lr: float, schedule: AnySchedule) -> Candidate:
    """Return a candidate of plain SGD, for which the expected loss is known."""
    return Candidate(optimizer=SGD(momentum=0.0), initial_lr=lr, schedule=schedule)


PAIRS = {
    "constant, linear": (plain_sgd(0.3, Constant()), plain_sgd(0.6, Linear())),
    "constant, cosine": (plain_sgd(0.2, Constant()), plain_sgd(0.5, Cosine())),
    "cosine at two LRs": (plain_sgd(0.2, Cosine()), plain_sgd(0.5, Cosine())),
    "linear at two LRs": (plain_sgd(0.3, Linear()), plain_sgd(0.8, Linear())),
}
"""Reference and winner."""


def expected(candidate: Candidate, steps: int) -> float:
    """Return the loss to expect of a candidate redrawn for so many steps."""
    return float(BOWL.losses(candidate.initial_lr * curve(candidate.schedule, steps))[-1])


def computed_saving(reference: Candidate, winner: Candidate) -> int:
    """Return T less the shortest horizon at which the winner's expected loss is the reference's at T."""
    goal = expected(reference, HORIZON)
    return next(HORIZON - steps for steps in range(20, HORIZON + 1) if expected(winner, steps) <= goal)


def simulated(candidate: Candidate, steps: int, seed: int) -> float:
    """Return the mean loss of the copies after a training on noise of the seed."""
    noise = np.random.default_rng(seed)
    points, deviations = np.ones((COPIES, DIMENSIONS)), np.sqrt(BOWL.variances)
    for rate in candidate.initial_lr * curve(candidate.schedule, steps):
        points -= rate * (CURVATURES * points + deviations * noise.standard_normal(points.shape))
    return float((CURVATURES * points**2 / 2).sum(axis=1).mean())


def trained(new: NewProposal, winner: Candidate, shift: int) -> Past:
    """Return what becomes of a proposal; the winner's noise is that of a seed `shift` further."""
    steps = new.horizon_steps or HORIZON
    own = "candidate" in new.origin or "winner" in new.origin
    return Past(
        seq=new.seq,
        number=new.seq,
        purpose=new.purpose,
        origin=new.origin,
        state="complete",
        params={},
        candidate=new.candidate,
        value=simulated(winner if own else new.candidate, steps, new.seed + shift * own),
        seed=new.seed,
        worker_seconds=steps / HORIZON,
        horizon_steps=steps,
    )


def saved(reference: Candidate, winner: Candidate, repeat: int = 0, shift: int = 0) -> StepsSaved:
    """Return what is claimed for a winner over a reference, whatever the verdict between them is."""
    arms = [PlannedArm("candidate-1", "candidate", winner), PlannedArm("sgd-cosine", "baseline", reference)]
    plan = Plan(arms, [derived_seed(repeat, "savings", place) for place in range(SEEDS)])
    past = [trained(one, winner, shift) for one in confirmation_proposals(plan)]
    search, view = _study()
    while True:
        confirmed = confirmed_study(search, view, plan, past)
        trainings = Trainings(past)
        replay = Replay(trainings, Allowance(past * 3, []))  # as dear as with five arms and more
        result = replay.result(save_steps(confirmed, trainings))
        if result is not None:
            return result
        past += [trained(one, winner, shift) for one in proposals_of(confirmed, replay.missing)]


def _study() -> tuple[Search, StudyView]:
    spec = StudySpec.model_validate({"name": "bowl", "task": {"name": "bowl"}})
    space = resolve_space(spec.space, spec.budget.trials)
    search = Search(spec, resolve_study(spec, OFFER), space, opponents_of(spec, space, sparse=False))
    now, used = datetime.now(UTC), BudgetUse(trials=64, used_trials=64, used_worker_seconds=0.0)
    view = StudyView(
        name="bowl", state="confirming", spec=spec, budget=used, counts=Counts(), created_at=now, updated_at=now
    )
    return search, view


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=12, help="sets of seeds for each pair")
    parser.add_argument("--alike", type=int, default=150, help="repeats of two arms of one candidate")
    given = parser.parse_args()
    for name, (reference, winner) in PAIRS.items():
        known = computed_saving(reference, winner)
        claims = [saved(reference, winner, repeat) for repeat in range(given.repeats)]
        print(f"{name}: computed {known} steps; claimed over computed: {_told(claims, known)}")
    same = plain_sgd(0.5, Cosine())
    alike = [saved(same, same, repeat, shift=1) for repeat in range(given.alike)]
    print(f"one candidate twice: {sum(claim.confirmed for claim in alike)} of {given.alike} repeats claim a saving")


def _told(claims: Sequence[StepsSaved], known: int) -> str:
    return " ".join(f"{claim.steps / known:.2f}" if claim.confirmed else "none" for claim in claims)


if __name__ == "__main__":
    main()
