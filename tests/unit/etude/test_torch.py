"""What is built of a candidate trains with exactly its LR, and can be left and taken up again at any step."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from etude import torch as etude_torch
from etude.torch import build
from search_spaces.candidate import Candidate
from search_spaces.optimizers import BUILDABLE
from search_spaces.problems import HorizonTooShort, InvalidSpec, Unsupported
from search_spaces.schedules import curve, plateau_factors

WARMUP = {"fraction": 0.1, "start_factor": 0.2}
SCHEDULES: list[dict[str, Any]] = [
    {"kind": "constant"},
    {"kind": "constant", "warmup": WARMUP},
    {"kind": "step", "step_size": 0.2, "gamma": 0.5},
    {"kind": "multistep", "milestones": [0.5, 0.75], "gamma": 0.1, "warmup": WARMUP},
    {"kind": "exponential", "final_factor": 0.001},
    {"kind": "linear", "reverse": True},
    {"kind": "cosine", "end_factor": 0.01, "warmup": WARMUP},
    {"kind": "cosine", "restarts": {"count": 3, "length_multiplier": 2.0, "peak_gamma": 0.7}},
    {"kind": "wsd", "decay_fraction": 0.3, "shape": "sqrt"},
    {"kind": "one_cycle"},
    {"kind": "rex", "beta": 0.3, "warmup": WARMUP | {"shape": "cosine"}},
]
PLATEAU = {"kind": "plateau", "factor": 0.5, "patience": 0.05, "warmup": WARMUP}


def candidate(schedule: dict[str, Any] | None = None, **changes: Any) -> Candidate:
    """Return a candidate with that schedule."""
    spec = {"optimizer": {"kind": "sgd"}, "initial_lr": 0.3, "schedule": schedule or {"kind": "cosine"}}
    return Candidate.model_validate(spec | changes)


def weights() -> list[nn.Parameter]:
    """Return one parameter with a gradient."""
    parameter = nn.Parameter(torch.ones(3))
    parameter.grad = torch.ones(3)
    return [parameter]


def lrs(optimizer: torch.optim.Optimizer, scheduler: LRScheduler, updates: int) -> list[list[float]]:
    """Make updates; return the LR of every group at each."""
    seen = []
    for _ in range(updates):
        seen.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    return seen


@pytest.mark.parametrize("horizon", [40, 997])
@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: str(schedule["kind"]))
def test_every_update_has_the_lr_of_the_curve(schedule: dict[str, Any], horizon: int) -> None:
    """The LR of update t is initial_lr * f(t), to rounding, over the whole horizon."""
    spec = candidate(schedule)

    optimizer, scheduler = build(spec, weights(), horizon)
    seen = np.array(lrs(optimizer, scheduler, horizon))[:, 0]

    np.testing.assert_allclose(seen, 0.3 * curve(spec.schedule, horizon), rtol=1e-15, atol=0)


def test_each_group_has_its_ratio() -> None:
    """A named group trains at initial_lr * ratio * f(t), the others at initial_lr * f(t)."""
    spec = candidate(lr_ratios={"backbone": 0.1})
    groups = [{"params": weights(), "name": "backbone"}, {"params": weights(), "name": "head"}]

    optimizer, scheduler = build(spec, groups, 50)
    seen = np.array(lrs(optimizer, scheduler, 50))

    np.testing.assert_allclose(seen[:, 0], 0.3 * 0.1 * curve(spec.schedule, 50), rtol=1e-15)
    np.testing.assert_allclose(seen[:, 1], 0.3 * curve(spec.schedule, 50), rtol=1e-15)


def test_groups_keep_what_the_caller_put_there() -> None:
    """A group's own weight decay wins over the candidate's, and the caller's dict is not written to."""
    group = {"params": weights(), "name": "norms", "weight_decay": 0.0}
    spec = candidate(optimizer={"kind": "adamw", "weight_decay": 0.3})

    optimizer, _ = build(spec, [group, {"params": weights()}], 10)

    assert [built["weight_decay"] for built in optimizer.param_groups] == [0.0, 0.3]
    assert set(group) == {"params", "name", "weight_decay"}


@pytest.mark.parametrize("at", [0, 1, 17, 39, 40])
def test_a_saved_state_goes_on(at: int) -> None:
    """Saved to a file after any update and loaded into a fresh build, the rest is bit-equal, in either order."""
    spec = candidate({"kind": "cosine", "warmup": WARMUP}, optimizer={"kind": "adam"})
    optimizer, scheduler = build(spec, weights(), 40)
    lrs(optimizer, scheduler, at)
    file = io.BytesIO()
    torch.save((scheduler.state_dict(), optimizer.state_dict()), file)
    rest = lrs(optimizer, scheduler, 40 - at)

    file.seek(0)
    scheduler_state, optimizer_state = torch.load(file, weights_only=True)
    resumed, resumed_scheduler = build(spec, weights(), 40)
    resumed.load_state_dict(optimizer_state)
    resumed_scheduler.load_state_dict(scheduler_state)

    assert lrs(resumed, resumed_scheduler, 40 - at) == rest
    assert resumed_scheduler.get_last_lr() == scheduler.get_last_lr()


def test_a_state_of_another_training_is_refused() -> None:
    """A state for another horizon or another LR is not what the scheduler goes on from."""
    _, scheduler = build(candidate(), weights(), 40)
    _, longer = build(candidate(), weights(), 41)
    _, higher = build(candidate(initial_lr=1.0), weights(), 40)

    with pytest.raises(ValueError, match="total_steps 41"):
        scheduler.load_state_dict(longer.state_dict())
    with pytest.raises(ValueError, match="base_lrs"):
        scheduler.load_state_dict(higher.state_dict())


def test_the_end() -> None:
    """After update T - 1 the last LR is held; one more step is an error that says what to do."""
    optimizer, scheduler = build(candidate({"kind": "linear"}), weights(), 4)

    lrs(optimizer, scheduler, 4)

    assert scheduler.get_last_lr() == [0.3 * 0.25]
    with pytest.raises(ValueError, match="ends after 4 updates"):
        scheduler.step()


def test_a_step_of_the_callers_choice_is_refused() -> None:
    """The scheduler counts by itself: step(epoch) is not how it is used."""
    _, scheduler = build(candidate(), weights(), 4)

    with pytest.raises(ValueError, match="without an argument"):
        scheduler.step(2)


@pytest.mark.parametrize(("direction", "sign"), [("minimize", 1), ("maximize", -1)])
def test_plateau_follows_the_metric(direction: Any, sign: int) -> None:
    """Fed a metric that stops improving, the LR drops where the rule says, warm-up included."""
    spec = candidate(PLATEAU)
    metrics = [sign * max(1.0 - 0.3 * i, 0.4) + (5 if sign < 0 else 0) for i in range(10)]
    optimizer, scheduler = build(spec, weights(), 100, evaluations=10, direction=direction)

    seen: list[float] = []
    for metric in metrics:
        seen += [row[0] for row in lrs(optimizer, scheduler, 10)]
        scheduler.observe(metric)

    expected = 0.3 * plateau_factors(spec.schedule, 100, metrics, direction)
    np.testing.assert_allclose(seen, expected, rtol=1e-15)
    assert seen[-1] < 0.3


def test_plateau_goes_on_from_its_state() -> None:
    """What the rule has seen is part of the state: a resumed plateau drops when the other one does."""
    optimizer, scheduler = build(candidate(PLATEAU), weights(), 100, evaluations=10)
    lrs(optimizer, scheduler, 10)
    scheduler.observe(1.0)
    scheduler.observe(1.0)
    resumed_optimizer, resumed = build(candidate(PLATEAU), weights(), 100, evaluations=10)

    resumed.load_state_dict(scheduler.state_dict())
    for each in (scheduler, resumed):
        each.observe(1.0)

    assert resumed.get_last_lr() == scheduler.get_last_lr()
    assert scheduler.get_last_lr()[0] < 0.3
    assert resumed_optimizer.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]


def test_a_curve_takes_no_notice_of_the_metric() -> None:
    """A training loop may call `observe` whatever the schedule is."""
    optimizer, scheduler = build(candidate(), weights(), 10)

    scheduler.observe(1.0)

    assert optimizer.param_groups[0]["lr"] == 0.3


@pytest.mark.parametrize(
    ("spec", "kind", "options"),
    [
        (
            {"kind": "sgd", "momentum": 0.8, "nesterov": True, "weight_decay": 0.1},
            torch.optim.SGD,
            {"momentum": 0.8, "nesterov": True, "weight_decay": 0.1},
        ),
        (
            {"kind": "rmsprop", "alpha": 0.7, "momentum": 0.6, "eps": 1e-5, "centered": True, "weight_decay": 0.1},
            torch.optim.RMSprop,
            {"alpha": 0.7, "momentum": 0.6, "eps": 1e-5, "centered": True, "weight_decay": 0.1},
        ),
        (
            {"kind": "adam", "beta1": 0.7, "beta2": 0.8, "eps": 1e-5, "weight_decay": 0.1},
            torch.optim.Adam,
            {"betas": (0.7, 0.8), "eps": 1e-5, "weight_decay": 0.1, "decoupled_weight_decay": False},
        ),
        (
            {"kind": "adamw", "beta1": 0.7, "beta2": 0.8, "eps": 1e-5, "weight_decay": 0.1},
            torch.optim.AdamW,
            {"betas": (0.7, 0.8), "eps": 1e-5, "weight_decay": 0.1},
        ),
    ],
)
def test_each_optimizer_gets_every_parameter(spec: dict[str, Any], kind: type, options: dict[str, Any]) -> None:
    """Each kind becomes torch's class of that name with all of the spec's numbers."""
    optimizer, _ = build(candidate(optimizer=spec), weights(), 10)

    assert type(optimizer) is kind
    assert optimizer.param_groups[0].items() >= options.items()


def test_what_the_space_proposes_can_be_built() -> None:
    """The kinds that search_spaces calls buildable are those that are."""
    assert set(etude_torch.BUILDERS) == BUILDABLE


def test_an_optimizer_that_cannot_be_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind without a builder is Unsupported, by its name."""
    monkeypatch.delitem(etude_torch.BUILDERS, "adam")

    with pytest.raises(Unsupported, match="adam cannot be built"):
        build(candidate(optimizer={"kind": "adam"}), weights(), 10)


class Holder:
    """Something with a candidate in it, as an answer is."""

    def __init__(self, inner: Candidate | None) -> None:
        self.candidate = inner


@pytest.mark.parametrize(
    "wrap",
    [
        lambda spec: spec,
        lambda spec: spec.model_dump(mode="json"),
        Holder,
        lambda spec: {"candidate": spec.model_dump(mode="json"), "status": "final"},
    ],
    ids=["candidate", "json", "answer", "answer-json"],
)
def test_what_a_candidate_may_come_as(wrap: Any) -> None:
    """A candidate, its JSON, an answer and an answer's JSON build the same."""
    optimizer, scheduler = build(wrap(candidate()), weights(), 10)

    assert isinstance(scheduler, LRScheduler)
    assert lrs(optimizer, scheduler, 2)[1] == [0.3 * curve(candidate().schedule, 10)[1]]


@pytest.mark.parametrize(
    ("given", "params", "field"),
    [
        (Holder(None), weights(), "candidate"),
        (7, weights(), "candidate"),
        ({"optimizer": {"kind": "sgd"}, "initial_lr": -1, "schedule": {"kind": "rex"}}, weights(), "initial_lr"),
        (candidate(), [], "params"),
        (candidate(), [{"params": weights(), "lr": 0.1}], "params.lr"),
        (candidate(lr_ratios={"back": 0.1}), weights(), "lr_ratios"),
        (candidate(PLATEAU), weights(), "evaluations"),
    ],
)
def test_what_is_refused(given: Any, params: Any, field: str) -> None:
    """Each thing that cannot be meant names its field."""
    with pytest.raises(InvalidSpec) as caught:
        build(given, params, 10)

    assert caught.value.field == field


def test_a_horizon_too_short_is_refused() -> None:
    """A schedule that does not fit says how many steps would do."""
    with pytest.raises(HorizonTooShort) as caught:
        build(candidate({"kind": "cosine", "restarts": {"count": 9}}), weights(), 5)

    assert caught.value.least_steps == 9
