"""Promise 4 in full: steps, whole curves, and for chaotic candidates the distribution of what is reached."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy.stats import ks_2samp

from search_spaces.candidate import Candidate
from tests.exactness import LRS, DoubleDigits, attempt, attempts, one_update_apart
from workers.engine import Attempt, Engine
from workers.packing.pack import Pack
from workers.packing.ways import Way
from workers.solo import Solo
from workers.tasks.digits import DigitsMlp
from workers.training import Training

SERVING: tuple[Way, ...] = ("by hand", "traced")
STEPS = 204
"""Twelve epochs."""
CHAOTIC = Candidate.model_validate(
    {"optimizer": {"kind": "sgd", "momentum": 0.9}, "initial_lr": 0.3, "schedule": {"kind": "cosine"}}
)
"""Two correct kernels differ by a factor in its loss after 200 steps."""


@pytest.mark.parametrize("way", SERVING)
@pytest.mark.parametrize(("task", "tolerance"), [(DigitsMlp, 1e-5), (DoubleDigits, 1e-12)])
def test_every_tenth_step_of_two_hundred_is_the_step_alone(task: type[DigitsMlp], tolerance: float, way: Way) -> None:
    """From one state, every vectorised optimizer: LRs equal, parameters within 1e-5 (1e-12 in float64)."""
    apart = list(one_update_apart(task(), attempts(STEPS), steps=STEPS, every=10, way=way))

    assert len(apart) >= 20 * 12 * 6
    assert max(apart) < tolerance


@pytest.mark.parametrize("way", SERVING)
def test_whole_curves_agree_where_the_candidate_is_not_chaotic(way: Way) -> None:
    """Whoever moves less than 1e-3 when its start is moved by 1e-7 differs by less than 1e-3 when it is packed."""
    task = DigitsMlp()
    alone = _curves(Solo(task), attempts(STEPS))
    packed = _curves(Pack(task, len(LRS), way), attempts(STEPS))
    moved = _curves(Solo(task), [_moved(task, one) for one in attempts(STEPS)])

    calm = [number for number in alone if _apart(alone[number], moved[number]) < 1e-3]

    assert len(calm) >= 8
    assert all(_apart(alone[number], packed[number]) < 1e-3 for number in calm)


@pytest.mark.parametrize("way", SERVING)
def test_what_a_chaotic_candidate_reaches_is_distributed_alike(way: Way) -> None:
    """SGD at 0.3 over 20 seeds: losses at the end are of one distribution, packed and alone."""
    task = DigitsMlp()
    seeds = range(20)
    alone = _curves(Solo(task), [attempt(seed, CHAOTIC, STEPS, seed) for seed in seeds])
    packed = _curves(Pack(task, 20, way), [attempt(seed, CHAOTIC, STEPS, seed) for seed in seeds])

    reached = [[curves[seed][-1] for seed in sorted(curves)] for curves in (alone, packed)]

    assert all(len(values) >= 15 for values in reached)
    assert ks_2samp(*reached).pvalue > 0.01


def _curves(engine: Engine, trials: list[Attempt]) -> dict[int, list[float]]:
    seen: dict[int, list[float]] = {}
    for one in trials:
        engine.enter(one)
    while engine.attempts:
        for stopped in engine.advance(lambda: False):
            if stopped.error is None and stopped.value is not None:
                seen.setdefault(stopped.claimed.number, []).append(stopped.value)
    return {number: curve for number, curve in seen.items() if len(curve) == STEPS // DigitsMlp.steps_per_epoch}


def _apart(one: list[float], other: list[float]) -> float:
    return max(abs(a - b) / abs(a) for a, b in zip(one, other, strict=True))


def _moved(task: DigitsMlp, one: Attempt) -> Attempt:
    """Return the trial with its start moved by 1e-7, relative."""
    claimed = one.claimed
    training = Training(task, claimed.candidate, horizon_steps=claimed.horizon_steps, seed=claimed.seed)
    state: Any = training.state()
    torch.manual_seed(1)
    state["model"] = {name: value * (1 + 1e-7 * torch.randn_like(value)) for name, value in state["model"].items()}
    return Attempt(claimed, start=state)
