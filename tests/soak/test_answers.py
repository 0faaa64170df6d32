"""From a submission to a final verdict with nobody looking on: real workers, real tasks, the whole default study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from search_spaces.candidate import Candidate
from search_spaces.results import Answer
from search_spaces.schedules import curve
from tests.machine import started
from workers.tasks.noisy_quadratic import problem

PLAIN_SGD = {"momentum": {"choices": [0.0]}, "nesterov": {"choices": [False]}, "weight_decay": {"choices": [0.0]}}
"""What the noisy quadratic knows the best schedule for."""
BOWL: dict[str, Any] = {
    "task": "noisy-quadratic",
    "trials": 32,
    "space": {
        "optimizers": {"sgd": PLAIN_SGD | {"lr": {"low": 0.05, "high": 1.5, "log": True}}},
        "schedules": ["linear", "cosine", "rex"],
    },
    "confirmation": {"top": 4, "baselines": [], "max_share": 20},
}
CONSTANT = {"optimizer": {"kind": "sgd", "momentum": 0.0}, "initial_lr": 0.3, "schedule": {"kind": "constant"}}


def answered(place: Path, *, pack: str = "auto", **spec: Any) -> Answer:
    """The answer of a study that one worker has trained."""
    with started(place) as machine:
        machine.worker("one", pack=pack)
        machine.until(lambda: any(worker.live for worker in machine.client.workers()))
        study = machine.client.submit(name="mine", **spec)
        return study.wait(progress=False, timeout=900)


@pytest.mark.timeout(1000)
@pytest.mark.parametrize("task", ["digits-noisy", "digits-cnn"])
def test_the_default_study_comes_to_a_verdict_unattended(tmp_path: Path, task: str) -> None:
    """64 trials, five arms on the default seeds, a verdict, two scores on the test split; more only for a winner."""
    answer = answered(tmp_path, task=task)

    evidence = answer.evidence
    assert (answer.status, answer.verdict is None) == ("final", False)
    assert evidence.trials.ended == 64
    assert [arm.role for arm in evidence.arms] == 2 * ["candidate"] + 3 * ["baseline"]
    assert all(set(arm.values) == set(answer.seeds) for arm in evidence.arms)
    assert 1 <= len(evidence.test_scores) <= 2
    assert all({"test_loss", "test_accuracy"} <= set(score.metrics) for score in evidence.test_scores)
    assert (evidence.ladder is not None) == (evidence.steps_saved is not None) == (answer.verdict == "winner")
    assert answer.compute.extras <= answer.compute.confirmation
    kept = answer.verdict == "no_winner"
    assert not kept or answer.candidate in [arm.candidate for arm in evidence.arms if arm.role == "baseline"]


def expected(candidate: Candidate, steps: int) -> float:
    """The loss to expect of plain SGD on the noisy quadratic."""
    return float(problem().losses(candidate.initial_lr * curve(candidate.schedule, steps))[-1])


def test_on_the_noisy_quadratic_saving_and_distance_are_the_computed_ones(tmp_path: Path) -> None:
    """The claimed saving is within a tenth of the computed one; the distance to the best schedule is told."""
    answer = answered(tmp_path, pack="1", current=CONSTANT, sampler={"lag": 1}, **BOWL)

    evidence, winner = answer.evidence, answer.candidate
    assert answer.verdict == "winner"
    assert winner is not None
    assert evidence.optimum is not None
    best = float(problem().losses(problem().optimal(200))[-1])
    mean = next(arm.mean for arm in evidence.arms if arm.name == evidence.finalist)
    assert evidence.optimum.value == pytest.approx(best)
    assert mean is not None
    assert evidence.optimum.distance == pytest.approx(mean - best)
    saved = evidence.steps_saved
    assert saved is not None
    assert saved.confirmed
    rungs = {rung.origin: rung.candidate for rung in evidence.ladder or []}
    reference = rungs.get(saved.reference or "", Candidate.model_validate(CONSTANT))
    goal = expected(reference, 200)
    shortest = next(steps for steps in range(20, 200) if expected(winner, steps) <= goal)
    assert saved.steps == pytest.approx(200 - shortest, rel=0.1)


def test_where_nothing_better_is_left_no_saving_is_claimed(tmp_path: Path) -> None:
    """`current` is the best of its space: no winner over it, so no ladder and no steps saved."""
    linear = CONSTANT | {"initial_lr": 1.0, "schedule": {"kind": "linear"}}
    space = {"optimizers": {"sgd": PLAIN_SGD | {"lr": {"choices": [1.0]}}}, "schedules": ["linear"], "warmup": False}

    answer = answered(tmp_path, current=linear, **(BOWL | {"space": space, "trials": 4}))

    assert answer.verdict != "winner"
    assert (answer.evidence.ladder, answer.evidence.steps_saved) == (None, None)


def told(answer: Answer) -> dict[str, Any]:
    """An answer without what it cost."""
    seconds = {"pruning": {"saved_seconds"}}
    plain = answer.model_dump(exclude={"compute": True, "sentence": True, "sentences": True, "evidence": seconds})
    return plain | {"sentences": [each for each in answer.sentences if each.topic != "cost"]}


def test_the_same_study_twice_gives_the_same_answer(tmp_path: Path) -> None:
    """With `sampler.lag`, one worker and one trial at a time: every value, note, seed and sentence."""
    spec = {
        "task": "digits-noisy", "trials": 20, "horizon": {"epochs": 5}, "sampler": {"lag": 1},
        "confirmation": {"seeds": 3, "max_share": 20},
    }  # fmt: skip

    first, second = (answered(tmp_path / name, pack="1", **spec) for name in ("first", "second"))

    assert told(first) == told(second)
