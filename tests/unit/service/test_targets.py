"""Steps to a target on one seed: which horizons are trained, and what is read from them."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from search_spaces.results import Arm, Difference
from search_spaces.target import Target
from service.target_sentences import fewer, took
from service.targets import ROUNDS, TRAINED_SHARE, bracket, steps_to
from tests.unit.service.made import search_for

LOSS = Target(metric="loss", direction="minimize", value=0.5, horizon_steps=2000)


def trained(target: Target, metric: Callable[[int], float]) -> dict[int, float]:
    """Train as long as another horizon is wanted."""
    ended: dict[int, float] = {}
    while (wanted := bracket(target, ended).wanted) is not None:
        ended[wanted] = metric(wanted)
    return ended


@pytest.mark.parametrize("power", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("steps", [210, 300, 555, 800, 1300, 1950])
def test_the_steps_are_read_where_the_metric_gets_to_the_target(steps: int, power: float) -> None:
    """Of a loss that falls by a power of the horizon, within 3 %, by four trainings at most."""
    ended = trained(LOSS, lambda horizon: 0.5 * (steps / horizon) ** power)

    assert steps_to(LOSS, ended) == pytest.approx(steps, rel=0.03)
    assert len(ended) <= ROUNDS


def test_a_metric_to_be_maximised_is_read_alike() -> None:
    """An accuracy that grows with the logarithm of the horizon is read exactly, rounded up to a step."""
    target = Target(metric="accuracy", direction="maximize", value=0.9, horizon_steps=1000)

    ended = trained(target, lambda horizon: 0.9 + 0.1 * math.log(horizon / 400.5))

    assert steps_to(target, ended) == 401


def test_beyond_the_ends_there_is_nothing_to_read() -> None:
    """What gets there at once counts as the shortest horizon; what does not within T as none; a failure misses."""
    assert steps_to(LOSS, trained(LOSS, lambda _: 0.1)) == 200
    assert steps_to(LOSS, trained(LOSS, lambda _: 0.9)) == math.inf
    assert steps_to(LOSS, trained(LOSS, lambda _: math.nan)) == math.inf


def test_after_a_shorter_training_that_failed_the_longer_one_counts() -> None:
    """A training that diverged says nothing of how near it came: the horizon that did get there is taken."""
    ended = trained(LOSS, lambda horizon: 0.4 if horizon >= 1000 else math.nan)

    assert steps_to(LOSS, ended) == min(horizon for horizon, loss in ended.items() if loss == 0.4)


def test_the_cost_is_what_plans_reckon_with() -> None:
    """On average over targets anywhere in the range, on its logarithm."""
    wanted = [200 * 10 ** ((place + 0.5) / 80) for place in range(80)]
    costs = [sum(trained(LOSS, lambda horizon, least=least: 0.5 * least / horizon)) for least in wanted]  # type: ignore[misc]

    assert sum(costs) / len(costs) / 2000 == pytest.approx(TRAINED_SHARE, rel=0.03)


def test_trainings_of_one_horizon_are_ranked_by_their_metric() -> None:
    """Fewer steps come first; of equal steps the better metric; of misses, over any horizon, the smaller shortfall."""
    order = [(0.5, 300), (0.1, 400), (0.4, 400), (0.49, 2000), (0.51, 400), (0.6, 2000), (9.0, 300)]

    scores = [LOSS.score(loss, steps) for loss, steps in order]

    assert scores == sorted(scores)
    assert len(set(scores)) == len(scores)
    assert scores[3] <= 2000 < scores[4] <= scores[-1] < 4000


def test_a_study_with_a_target_has_values_in_steps_and_no_rung() -> None:
    """Whatever the metric's direction, steps are to minimize; trials of different horizons are never compared."""
    resolved = search_for(objective={"target": 0.3}).resolved

    assert (resolved.metric, resolved.direction, resolved.rungs) == ("steps to loss <= 0.3", "minimize", [])
    assert search_for().resolved.target is None


def arm(name: str, *steps: float) -> Arm:
    values = dict(enumerate(steps))
    mean = sum(steps) / len(steps)
    return Arm.model_validate({"name": name, "role": "baseline", "candidate": search_for().opponents.candidates[
        "sgd-cosine"], "values": values, "n": len(steps), "mean": mean})  # fmt: skip


def test_sentences_count_updates() -> None:
    """In whole updates; who runs out of T takes more than T, and what is saved is at least the difference."""
    difference = Difference(against="x", gain=800.4, interval=(600.2, 1000.7), p_value=0.001, n=9)
    worse = difference.model_copy(update={"gain": -20.0, "interval": (-50.0, 10.0)})

    within = took(LOSS, arm("a", 1200, 1199), difference, arm("x", 1999, 2000), "yours")
    beyond = took(LOSS, arm("a", 1200, 1199), difference, arm("x", 2000, 2000), "yours")

    assert within == (
        "gets to loss <= 0.5 in 1200 updates instead of 2000 with yours: 800 fewer (95 % interval: 600 to 1001 fewer), "
        "on 9 fresh seeds"
    )
    assert "instead of more than 2000 with yours: at least 800 fewer" in beyond
    assert fewer(worse) == "20 more (95 % interval: 50 more to 10 fewer)"
