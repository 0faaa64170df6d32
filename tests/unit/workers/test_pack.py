"""A pack: each of its trials is the training that it would be alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import torch
from torch import nn

from search_spaces.candidate import Candidate
from search_spaces.work import ClaimedTask, ClaimedTrial
from tests.small_task import SmallTask
from workers.engine import Attempt, Engine
from workers.packing.pack import Pack
from workers.packing.ways import WAYS
from workers.solo import Solo
from workers.tasks import TASKS


def candidate(optimizer: dict[str, Any], lr: float, schedule: dict[str, Any] | None = None) -> Candidate:
    return Candidate.model_validate(
        {"optimizer": optimizer, "initial_lr": lr, "schedule": schedule or {"kind": "cosine"}}
    )


CANDIDATES = [
    candidate({"kind": "sgd", "momentum": 0.9}, 0.02),
    candidate({"kind": "adamw"}, 0.002, {"kind": "linear", "warmup": {"fraction": 0.1}}),
    candidate({"kind": "sgd", "momentum": 0.5, "nesterov": True}, 0.03, {"kind": "constant"}),
    candidate({"kind": "rmsprop"}, 0.001, {"kind": "step", "step_size": 0.3, "gamma": 0.1}),
    candidate({"kind": "adamw", "weight_decay": 0.1}, 0.001),
]


def attempt(number: int, chosen: Candidate, steps: int = 50, **given: Any) -> Attempt:
    start = given.pop("start", None)
    claimed = {
        "study": "s",
        "number": number,
        "lease": "l",
        "lease_expires_at": datetime.now(UTC),
        "candidate": chosen,
        "task": ClaimedTask(name="nothing", version="1"),
        "horizon_steps": steps,
        "rungs": [25],
        "seed": 0,
        "purpose": "search",
    } | given
    return Attempt(ClaimedTrial.model_validate(claimed), start=start)


def to_the_end(engine: Engine, *attempts: Attempt) -> dict[int, list[tuple[int, float]]]:
    """Train everything in an engine to its end; return the values by number of the trial."""
    for one in attempts:
        engine.enter(one)
    seen: dict[int, list[tuple[int, float]]] = {}
    while engine.attempts:
        for stopped in engine.advance(lambda: False):
            if stopped.evaluation is not None:
                evaluation = stopped.evaluation
                seen.setdefault(stopped.claimed.number, []).append((evaluation.step, evaluation.value))
    return seen


def apart(one: dict[int, list[tuple[int, float]]], other: dict[int, list[tuple[int, float]]]) -> float:
    """Return the greatest relative difference of two sets of curves that stop at the same steps."""
    assert {n: [step for step, _ in curve] for n, curve in one.items()} == {
        n: [step for step, _ in curve] for n, curve in other.items()
    }
    pairs = [(a, b) for n in one for (_, a), (_, b) in zip(one[n], other[n], strict=True)]
    return max(abs(a - b) / abs(b) for a, b in pairs)


class Judged(SmallTask):
    """The small task, judged batch by batch, so that its trials are evaluated together."""

    evaluate = SmallTask.__mro__[1].evaluate  # type: ignore[attr-defined]

    def examples(self, split: str) -> list[Any]:
        return [self.batch(1000 + part, len(split)) for part in range(3)]

    def metrics(self, model: nn.Module, batch: Any) -> dict[str, torch.Tensor]:
        return {"loss": self.loss(model, batch), "weight": self.loss(model, batch) * 0 + 1}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("task", [SmallTask, Judged])
def test_curves_of_a_pack_are_those_of_each_alone(task: type[SmallTask], way: Any) -> None:
    """Five trials of three optimizers and five schedules, with dropout: every evaluation within 1e-5."""
    alone = to_the_end(Solo(task()), *(attempt(n, one) for n, one in enumerate(CANDIDATES)))

    packed = to_the_end(Pack(task(), 5, way), *(attempt(n, one) for n, one in enumerate(CANDIDATES)))

    assert apart(packed, alone) < 1e-5


def test_trials_of_different_seeds_and_steps_share_a_pack() -> None:
    """Trials enter when others have left, each at its own step and seed; all curves are those of each alone."""
    trials = [(n, CANDIDATES[n % 5], {"seed": n % 2, "steps": 50 - 10 * (n % 3)}) for n in range(7)]
    alone = to_the_end(Solo(Judged()), *(attempt(n, one, **given) for n, one, given in trials))

    packed = to_the_end(Pack(Judged(), 3, "by hand"), *(attempt(n, one, **given) for n, one, given in trials))

    assert apart(packed, alone) < 1e-5


@pytest.mark.parametrize("way", ["forward", "traced"])
def test_a_trial_that_leaves_disturbs_nobody(way: Any) -> None:
    """Pruned at its first stop, a trial leaves; its neighbours' curves stay what they were, to the last bit."""
    undisturbed = to_the_end(Pack(Judged(), 3, way), *(attempt(n, CANDIDATES[n]) for n in (0, 2)))
    pack = Pack(Judged(), 3, way)
    pruned = attempt(1, CANDIDATES[1])
    for one in (attempt(0, CANDIDATES[0]), pruned, attempt(2, CANDIDATES[2])):
        pack.enter(one)

    first = pack.advance(lambda: False)
    values = {one.claimed.number: (one.evaluation.step, one.evaluation.value) for one in first if one.evaluation}
    pack.leave(pruned)
    rest = to_the_end(pack)

    assert {n: [values[n], *rest[n]] for n in (0, 2)} == undisturbed


def test_a_trial_that_diverges_fails_alone() -> None:
    """A loss that overflows ends its own trial as `diverged`; its neighbours train on."""
    trials = [attempt(0, CANDIDATES[0]), attempt(1, candidate({"kind": "sgd", "momentum": 0.9}, 1e6))]

    seen = to_the_end(Pack(Judged(), 2, "by hand"), *trials)

    assert [one.error for one in trials] == [None, "diverged"]
    assert trials[0].complete
    assert seen.keys() == {0}


def test_an_optimizer_without_a_vectorised_form_trains_aside() -> None:
    """Muon and Prodigy train one by one beside the pack, to the values that they reach alone."""
    candidates = [CANDIDATES[0], candidate({"kind": "prodigy"}, 1.0), CANDIDATES[1]]
    alone = to_the_end(Solo(Judged()), *(attempt(n, one) for n, one in enumerate(candidates)))

    packed = to_the_end(Pack(Judged(), 3, "by hand"), *(attempt(n, one) for n, one in enumerate(candidates)))

    assert apart(packed, alone) < 1e-5
    assert packed[1] == alone[1]


@pytest.mark.parametrize("way", ["forward", "traced"])
@pytest.mark.parametrize("schedule", [{"kind": "cosine"}, {"kind": "plateau", "factor": 0.5, "patience": 0.0}])
def test_a_pack_resumes_to_the_bit(schedule: dict[str, Any], way: Any) -> None:
    """Interrupted between stops, saved, and gone on with in another pack: every later value is equal to the bit."""
    candidates = [candidate({"kind": "adamw"}, 0.002, schedule), candidate({"kind": "sgd"}, 0.02, schedule)]
    whole = to_the_end(Pack(Judged(), 2, way), *(attempt(n, one) for n, one in enumerate(candidates)))
    first = Pack(Judged(), 2, way)
    trials = [attempt(n, one) for n, one in enumerate(candidates)]
    for one in trials:
        first.enter(one)
    while trials[0].steps_done < 30:
        first.advance(lambda: False)
    looks = iter([False] * 7 + [True])
    first.advance(lambda: next(looks))
    assert [one.steps_done for one in trials] == [37, 37]

    saved = [first.state(one) for one in trials]
    rest = to_the_end(Pack(Judged(), 2, way), *(attempt(n, one, start=saved[n]) for n, one in enumerate(candidates)))

    assert rest == {n: [point for point in curve if point[0] > 37] for n, curve in whole.items()}


def test_a_packed_trial_goes_on_alone_and_an_alone_one_in_a_pack() -> None:
    """A state says the same to both engines: moved in the middle, curves agree with the ones that never moved."""
    whole = to_the_end(Solo(Judged()), *(attempt(n, one) for n, one in enumerate(CANDIDATES)))
    for here, there in ((Pack(Judged(), 5, "by hand"), Solo), (Solo(Judged()), lambda task: Pack(task, 5, "by hand"))):
        trials = [attempt(n, one) for n, one in enumerate(CANDIDATES)]
        moved = {}
        for n, one in enumerate(trials):
            here.enter(one)
            while one.steps_done < 20:
                here.advance(lambda: False)
            moved[n] = here.state(one)
            here.leave(one)

        rest = to_the_end(there(Judged()), *(attempt(n, one, start=moved[n]) for n, one in enumerate(CANDIDATES)))  # type: ignore[operator]

        assert apart(rest, {n: [p for p in whole[n] if p[0] > 20] for n in whole}) < 1e-5


def test_the_test_split_is_measured_by_trials_for_it_only() -> None:
    """The metrics of a trial with `test` end with those of the test split; a confirmation's do not."""
    trials = [
        attempt(0, CANDIDATES[0], purpose="confirmation"),
        attempt(1, CANDIDATES[1], purpose="confirmation", test=True),
    ]

    to_the_end(Pack(Judged(), 2, "by hand"), *trials)

    assert set(trials[0].metrics) == {"validation_weight"}
    assert set(trials[1].metrics) == {"validation_weight", "test_loss", "test_weight"}


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "alone"])
def test_a_known_optimum_is_recorded_by_confirmations(packed: bool) -> None:
    """The best value to expect at a training's own horizon stands among its metrics; a search trial says nothing."""

    class Known(Judged):
        def optimum(self, steps: int) -> float:
            return 1 / steps

    trials = [
        attempt(0, CANDIDATES[0]),
        attempt(1, CANDIDATES[1], purpose="confirmation"),
        attempt(2, CANDIDATES[2], steps=20, purpose="confirmation"),
    ]

    to_the_end(Pack(Known(), 3, "by hand") if packed else Solo(Known()), *trials)

    assert [one.metrics.get("optimum_loss") for one in trials] == [None, 1 / 50, 1 / 20]


def test_what_a_task_raises_finds_its_trial() -> None:
    """A task that raises for one seed fails the trial of that seed with its traceback; the others reach their ends."""

    class Falling(Judged):
        def batch(self, step: int, seed: int) -> Any:
            if (step, seed) == (33, 7):
                raise LookupError("no such example")
            return super().batch(step, seed)

    trials = [attempt(n, CANDIDATES[n], seed=7 if n == 1 else 0) for n in range(3)]
    alone = to_the_end(Solo(Judged()), *(attempt(n, CANDIDATES[n]) for n in (0, 2)))

    seen = to_the_end(Pack(Falling(), 3, "by hand"), *trials)

    assert [one.reason for one in trials] == [None, "LookupError: no such example", None]
    assert apart({n: seen[n] for n in (0, 2)}, alone) < 1e-5


def test_out_of_memory_halves_the_pack_and_fails_nobody() -> None:
    """Where only two trials fit into memory a pack of five becomes one of two; all five reach their values."""
    alone = to_the_end(Solo(Judged()), *(attempt(n, one) for n, one in enumerate(CANDIDATES)))

    class Tight(Pack):
        def _update(self, done: int, lrs: torch.Tensor) -> torch.Tensor:
            if len(lrs) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super()._update(done, lrs)

    pack = Tight(Judged(), 5, "by hand")
    packed = to_the_end(pack, *(attempt(n, one) for n, one in enumerate(CANDIDATES)))

    assert pack.size == 2
    assert apart(packed, alone) < 1e-5


def test_a_single_trial_out_of_memory_fails_with_that_reason() -> None:
    """Where not even one trial fits, each is tried by itself and fails as `out_of_memory`."""

    class Huge(Judged):
        def loss(self, model: nn.Module, batch: Any) -> torch.Tensor:
            raise torch.OutOfMemoryError("CUDA out of memory")

    trials = [attempt(n, CANDIDATES[n]) for n in range(2)]

    to_the_end(Pack(Huge(), 2, "by hand"), *trials)

    assert [one.error for one in trials] == ["out_of_memory"] * 2


def test_trials_too_few_for_a_pack_train_one_by_one() -> None:
    """A pack that pays from three trials on trains two of them as each alone, to the bit."""
    alone = to_the_end(Solo(Judged()), *(attempt(n, CANDIDATES[n]) for n in range(2)))

    packed = to_the_end(Pack(Judged(), 8, "by hand", least=3), *(attempt(n, CANDIDATES[n]) for n in range(2)))

    assert packed == alone


def test_partial_batches_meet_at_the_same_place_of_an_epoch() -> None:
    """On real digits, where an epoch's last batch is smaller, a trial that comes late waits for its place."""
    task = TASKS["digits-mlp"]()
    steps = 3 * task.steps_per_epoch
    alone = to_the_end(Solo(task), *(attempt(n, CANDIDATES[n], steps) for n in range(3)))
    pack = Pack(task, 2, "by hand")

    packed = to_the_end(pack, *(attempt(n, CANDIDATES[n], steps, rungs=[20]) for n in range(3)))

    at_epochs = {n: [point for point in curve if point[0] != 20] for n, curve in packed.items()}
    assert (
        apart(at_epochs, {n: [point for point in alone[n] if point[0] % task.steps_per_epoch == 0] for n in alone})
        < 1e-3
    )
