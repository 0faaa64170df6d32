"""What a search has taught, from trials whose value is a known function of their parameters."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime
from typing import Any

import pytest

from search_spaces.insight import GroupImportance
from search_spaces.results import Arm, BudgetUse, Counts, StudyView
from service.families import families_of, lr_sensitivity, pruned_at, spared
from service.importance import importance_of
from service.insight import insight_of
from service.noise import SeedNoise
from store.insights import EndedTrial

from .made import random_point, search_for

SEARCH = search_for(space={"optimizers": ["sgd", "adamw"], "schedules": ["cosine", "linear"]}, budget={"trials": 300})
RANGES = SEARCH.space.ranges()
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def ended(seed: int, **fields: Any) -> EndedTrial:
    """A trial that is best where its LR is 0.01, whatever else it has."""
    candidate, params = random_point(SEARCH.space, seed)
    noise = random.Random(seed).uniform(0, 0.01)
    value = (math.log10(candidate.initial_lr) + 2) ** 2 + noise
    known: dict[str, Any] = {
        "state": "complete", "params": params, "value": value, "settled_rung": 50, "spared_at": None,
    }  # fmt: skip
    return EndedTrial(**(known | fields))


def pruned(seed: int, rung: int) -> EndedTrial:
    return ended(seed, state="pruned", value=None, settled_rung=rung)


TRIALS = [ended(seed) for seed in range(200)]


def group(named: str, trials: list[EndedTrial] = TRIALS) -> GroupImportance:
    return next(one for one in importance_of(trials, RANGES, "minimize") if one.group == named)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_what_moves_the_metric_is_the_most_important(optimizer: str) -> None:
    """Within each optimizer its LR comes first, with most of the importance; the shares add up to 1."""
    found = group(f"optimizer {optimizer}")

    assert found.parameters[0].parameter == f"{optimizer}.lr"
    assert found.parameters[0].share > 0.7
    assert sum(one.share for one in found.parameters) == pytest.approx(1)


def test_a_conditional_parameter_counts_only_among_trials_that_have_it() -> None:
    """No group mixes families: each rests on as many trials as have its parameters."""
    for named in ("optimizer sgd", "optimizer adamw", "schedule cosine", "schedule linear"):
        part, family = named.split()
        found = group(named)

        assert found.trials == sum(trial.params[part] == family for trial in TRIALS)
        assert all(one.parameter.split(".")[0] in (family, "warmup", "restarts") for one in found.parameters)
    assert {"optimizer", "schedule"} <= {one.parameter for one in group("all").parameters}
    assert all("sgd" not in one.parameter and "adamw" not in one.parameter for one in group("all").parameters)


def test_too_few_trials_have_no_importance_and_say_so() -> None:
    """9 complete trials are no ground for shares."""
    found = group("all", TRIALS[:9])

    assert (found.parameters, found.trials) == ([], 9)
    assert found.why_none == "9 complete trials; it takes 10"


def test_trials_that_differ_in_nothing_have_no_importance() -> None:
    """One value for all: shares of nothing are not made up."""
    same = [ended(seed, value=1.0) for seed in range(40)]

    assert all(one.why_none and not one.parameters for one in importance_of(same, RANGES, "minimize"))


def test_families_are_counted_and_the_best_is_called_what_it_is() -> None:
    """A family that the confirmation trained has its mean there; another a search score, with the noise's interval."""
    trials = [*TRIALS, *(pruned(seed, 10) for seed in range(200, 260)), ended(260, state="failed", value=None)]
    cosine = next(trial for trial in TRIALS if trial.params["schedule"] == "cosine")
    candidate = SEARCH.space.candidate_of(cosine.params)
    assert candidate is not None
    arm = Arm(name="candidate-1", role="candidate", candidate=candidate, n=7, mean=0.5, interval=(0.4, 0.6))

    found = {one.family: one for one in families_of(trials, [arm], SeedNoise(0.02, 30, 0.0, "made"), "minimize")}

    assert (found["cosine"].best, found["cosine"].interval, found["cosine"].n) == (0.5, (0.4, 0.6), 7)
    linear = found["linear"]
    assert linear.best == min(trial.value or 0 for trial in TRIALS if trial.params["schedule"] == "linear")
    assert linear.interval is not None
    assert linear.interval[1] - linear.interval[0] == pytest.approx(2 * 2.0423 * 0.02, rel=1e-4)
    assert linear.n == 0
    assert found["cosine"].tried + linear.tried == 261
    assert found["sgd"].pruned + found["adamw"].pruned == 60
    assert found["sgd"].failed + found["adamw"].failed == 1


def test_the_metric_is_binned_by_the_lr_within_each_optimizer() -> None:
    """Half decades; every trial is in the bin that holds its LR, and the best bin holds the best LR."""
    found = {one.optimizer: one.bins for one in lr_sensitivity(TRIALS, "minimize")}

    for optimizer, bins in found.items():
        lrs = [trial.params[f"{optimizer}.lr"] for trial in TRIALS if trial.params["optimizer"] == optimizer]
        assert [one.complete for one in bins] == [sum(one.low <= lr < one.high for lr in lrs) for one in bins]
        assert sum(one.complete for one in bins) == len(lrs)
        best = min(bins, key=lambda one: one.median if one.median is not None else math.inf)
        assert best.low <= 0.011
        assert best.high >= 0.009


def test_what_was_pruned_is_counted_by_rung() -> None:
    """A trial that ended at a rung was compared there and at those before."""
    trials = [
        *TRIALS[:10],
        pruned(300, 10),
        pruned(301, 10),
        pruned(302, 30),
        ended(303, state="failed", settled_rung=0),
    ]

    found = pruned_at(trials, [10, 20, 30, 50])

    assert [(one.rung, one.reached, one.pruned) for one in found] == [
        (10, 13, 2), (20, 11, 0), (30, 11, 1), (50, 10, 0),
    ]  # fmt: skip


def test_spared_trials_tell_what_pruning_hides() -> None:
    """Of two that ran on, the one among the best quarter counts."""
    trials = [ended(seed, value=float(seed)) for seed in range(20)]
    trials += [ended(20, value=0.5, spared_at=10), ended(21, value=19.5, spared_at=10)]

    assert spared(trials, "minimize") == (2, 1)
    assert spared(trials, "maximize") == (2, 1)
    assert spared(trials[:20], "minimize") == (0, 0)


def test_the_whole_says_what_not_to_believe() -> None:
    """Notes name search scores, pruning, what was not read, and that the noise is not known yet."""
    trials = [*TRIALS, pruned(400, 10)]
    view = StudyView(
        name="mine", state="running", spec=SEARCH.spec, horizon_steps=100, metric="loss", direction="minimize",
        space=SEARCH.space.model_dump(mode="json"), counts=Counts(complete=250, pruned=50),
        budget=BudgetUse(trials=300, used_trials=300, used_worker_seconds=1.0), created_at=EPOCH, updated_at=EPOCH,
    )  # fmt: skip

    insight = insight_of(view, trials, [])

    assert (insight.trials, insight.read) == (300, 201)
    words = " ".join(insight.notes)
    for said in ("none of them is a result", "latest 201 of 300", "1 of 201 trials were pruned", "no interval"):
        assert said in words
    assert all(one.interval is None for one in insight.families)
