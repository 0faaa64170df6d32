"""Every optimizer of the catalogue: built with all its numbers, at the curve's LR, and resumed to the last bit."""

from __future__ import annotations

import copy
import io
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from etude.torch import build, evaluating
from etude.torch_muon import MuonWithAdamW
from etude.torch_optimizers import DISTRIBUTIONS
from search_spaces.candidate import Candidate
from search_spaces.optimizers import BUILDABLE, OPTIMIZERS
from search_spaces.problems import InvalidSpec, Unsupported
from search_spaces.schedules import curve

EVERY = [kind for kind in OPTIMIZERS if kind in BUILDABLE]
UPDATES = 12


def candidate(kind: str, *, initial_lr: float = 0.02, **changes: Any) -> Candidate:
    """A candidate of that optimizer with a warm-up from LR 0, and a decay where it may have one."""
    warmup = {"fraction": 0.2, "inclusive": False}
    schedule = {"kind": "constant" if OPTIMIZERS[kind].constant_only else "cosine", "warmup": warmup}
    spec: dict[str, Any] = {"optimizer": {"kind": kind}, "initial_lr": initial_lr, "schedule": schedule}
    return Candidate.model_validate(spec | changes)


class Learner:
    """A small model with a matrix, a vector and a table, its optimizer and its scheduler."""

    def __init__(self, spec: Candidate, *, total_steps: int = UPDATES) -> None:
        generator = torch.Generator().manual_seed(1)
        self.sparse = spec.optimizer.kind == "sparse_adam"
        self.params = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((6, 4), (6,), (2, 3, 2, 2))]
        self.optimizer, self.scheduler = build(spec, self.params, total_steps)

    def add_gradients(self, seed: int) -> None:
        """Add the gradients of one batch."""
        generator = torch.Generator().manual_seed(seed)
        for param in self.params:
            grad = param.detach() + 0.1 * torch.randn(param.shape, generator=generator)
            grad = grad.to_sparse() if self.sparse else grad
            param.grad = grad if param.grad is None else param.grad + grad

    def update(self, *seeds: int) -> None:
        """Make one update with the gradients of these batches."""
        self.optimizer.zero_grad()
        for seed in seeds:
            self.add_gradients(seed)
        self.optimizer.step()
        self.scheduler.step()

    def saved(self) -> io.BytesIO:
        """Everything that is needed to go on, as a file."""
        file = io.BytesIO()
        torch.save((self.params, self.optimizer.state_dict(), self.scheduler.state_dict()), file)
        file.seek(0)
        return file

    def load(self, file: io.BytesIO) -> None:
        """Go on from a file that holds plain tensors and numbers only."""
        params, optimizer, scheduler = torch.load(file, weights_only=True)
        with torch.no_grad():
            for own, saved in zip(self.params, params, strict=True):
                own.copy_(saved)
        self.optimizer.load_state_dict(optimizer)
        self.scheduler.load_state_dict(scheduler)


def lrs(learner: Learner, updates: int, *, accumulate: int = 1) -> list[float]:
    """Make updates; return the LR of the first group at each."""
    seen = []
    for update in range(updates):
        seen.append(float(learner.optimizer.param_groups[0]["lr"]))
        learner.update(*range(update * accumulate, (update + 1) * accumulate))
    return seen


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("kind", EVERY)
def test_the_lr_of_every_update_is_the_curves(kind: str, accumulate: int) -> None:
    """The LR of update t is initial_lr * f(t) to 1e-9, also where an update gathers several batches."""
    spec = candidate(kind)
    learner = Learner(spec, total_steps=97)

    seen = lrs(learner, 97, accumulate=accumulate)

    np.testing.assert_allclose(seen, 0.02 * curve(spec.schedule, 97), rtol=1e-9, atol=1e-12)
    assert all(torch.isfinite(param).all() for param in learner.params)
    with pytest.raises(ValueError, match="ends after 97 updates"):
        learner.scheduler.step()


@pytest.mark.parametrize("kind", EVERY)
def test_every_parameter_is_trained(kind: str) -> None:
    """Matrices, vectors and convolutions all move."""
    learner = Learner(candidate(kind))
    before = copy.deepcopy(learner.params)

    lrs(learner, UPDATES)

    assert not any(torch.equal(old, new) for old, new in zip(before, learner.params, strict=True))


@pytest.mark.parametrize("at", [0, 1, 5])
@pytest.mark.parametrize("kind", EVERY)
def test_a_saved_training_goes_on_to_the_last_bit(kind: str, at: int) -> None:
    """Saved after any update and loaded into a fresh build, weights and LRs are bit-equal from there on."""
    learner, resumed = Learner(candidate(kind)), Learner(candidate(kind))
    lrs(learner, at)
    file = learner.saved()

    resumed.load(file)
    rest, again = lrs(learner, UPDATES - at), lrs(resumed, UPDATES - at)

    assert again == rest
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(resumed.params, learner.params, strict=True))


def test_prodigy_has_no_ratios() -> None:
    """It estimates one LR for all parameters: a candidate with a ratio is refused by the field."""
    spec = candidate("prodigy").model_dump(mode="json") | {"lr_ratios": {"backbone": 0.1}}

    with pytest.raises(InvalidSpec) as caught:
        build(spec, Learner(candidate("prodigy")).params, UPDATES)

    assert caught.value.field == "lr_ratios"


@pytest.mark.parametrize("kind", [kind for kind in EVERY if not OPTIMIZERS[kind].one_lr])
def test_each_group_has_its_rate(kind: str) -> None:
    """A named group trains at its ratio of the curve, the others at the curve."""
    params = Learner(candidate(kind)).params
    groups = [{"params": params[:1], "name": "backbone"}, {"params": params[1:], "name": "head"}]
    spec = candidate(kind, lr_ratios={"backbone": 0.1})

    optimizer, scheduler = build(spec, groups, UPDATES)
    seen: dict[str, list[float]] = {"backbone": [], "head": []}
    for _ in range(UPDATES):
        for group in optimizer.param_groups:
            seen[group["name"]].append(group["lr"])
        step_without_gradients(optimizer, scheduler)

    factors = curve(spec.schedule, UPDATES)
    np.testing.assert_allclose(seen["backbone"], 0.02 * 0.1 * factors, rtol=1e-9)
    np.testing.assert_allclose(seen["head"], 0.02 * factors, rtol=1e-9)


def step_without_gradients(optimizer: Optimizer, scheduler: LRScheduler) -> None:
    """One update of nothing."""
    optimizer.step()
    scheduler.step()


ADAM = {"beta1": 0.7, "beta2": 0.8, "eps": 1e-5, "weight_decay": 0.1}
AS_ADAM = {"betas": (0.7, 0.8), "eps": 1e-5, "weight_decay": 0.1}
OPTIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "sgd": ({"momentum": 0.8, "nesterov": True}, {"momentum": 0.8, "nesterov": True}),
    "adagrad": (
        {"lr_decay": 0.1, "initial_accumulator_value": 0.2, "eps": 1e-5, "weight_decay": 0.1},
        {"lr_decay": 0.1, "initial_accumulator_value": 0.2, "eps": 1e-5, "weight_decay": 0.1},
    ),
    "rmsprop": ({"alpha": 0.7, "momentum": 0.6}, {"alpha": 0.7, "momentum": 0.6}),
    "adam": (ADAM, AS_ADAM | {"amsgrad": False, "decoupled_weight_decay": False}),
    "amsgrad": (ADAM, AS_ADAM | {"amsgrad": True, "decoupled_weight_decay": False}),
    "adamw": (ADAM, AS_ADAM | {"decoupled_weight_decay": True}),
    "nadam": (ADAM | {"momentum_decay": 0.2}, AS_ADAM | {"momentum_decay": 0.2, "decoupled_weight_decay": False}),
    "nadamw": (ADAM | {"momentum_decay": 0.2}, AS_ADAM | {"momentum_decay": 0.2, "decoupled_weight_decay": True}),
    "radam": (ADAM, AS_ADAM | {"decoupled_weight_decay": False}),
    "adamax": (ADAM, AS_ADAM),
    "adadelta": (
        {"rho": 0.7, "eps": 1e-5, "weight_decay": 0.1},
        {"rho": 0.7, "eps": 1e-5, "weight_decay": 0.1},
    ),
    "sparse_adam": ({"beta1": 0.7, "beta2": 0.8, "eps": 1e-5}, {"betas": (0.7, 0.8), "eps": 1e-5}),
    "adafactor": (
        {"beta2_decay": -0.7, "clipping": 2.0, "weight_decay": 0.1},
        {"beta2_decay": -0.7, "d": 2.0, "weight_decay": 0.1},
    ),
    "adabound": (
        ADAM | {"final_lr": 0.3, "gamma": 0.2},
        AS_ADAM | {"final_lr": 0.3, "gamma": 0.2, "ams_bound": False, "weight_decouple": False},
    ),
    "amsbound": (
        ADAM | {"final_lr": 0.3, "gamma": 0.2},
        AS_ADAM | {"final_lr": 0.3, "gamma": 0.2, "ams_bound": True, "weight_decouple": False},
    ),
    "lion": (
        {"beta1": 0.7, "beta2": 0.8, "weight_decay": 0.1},
        {"betas": (0.7, 0.8), "weight_decay": 0.1, "weight_decouple": True},
    ),
    "prodigy": (
        ADAM | {"d_coef": 0.5, "safeguard_warmup": False},
        AS_ADAM | {"d_coef": 0.5, "safeguard_warmup": False, "decouple": True},
    ),
    "schedule_free_sgd": ({"momentum": 0.7, "weight_decay": 0.1}, {"momentum": 0.7, "weight_decay": 0.1}),
    "schedule_free_adamw": (ADAM, AS_ADAM | {"warmup_steps": 0}),
}
"""By kind: the numbers of a spec, and what the optimizer's group has to hold of them."""


@pytest.mark.parametrize("kind", EVERY)
def test_each_optimizer_gets_every_number(kind: str) -> None:
    """All numbers of a spec arrive under the library's names; those of Muon are tested below."""
    if kind == "muon":
        assert kind not in OPTIONS
        return
    given, expected = OPTIONS[kind]

    learner = Learner(candidate(kind, optimizer={"kind": kind, **given}))

    assert learner.optimizer.param_groups[0].items() >= expected.items()


def test_muon_is_torchs_two_optimizers() -> None:
    """Matrices train exactly as with torch.optim.Muon, the rest as with torch.optim.AdamW, at one LR and decay."""
    numbers = ADAM | {"momentum": 0.8, "nesterov": False, "ns_steps": 3, "adjust": "original"}
    learner = Learner(candidate("muon", optimizer={"kind": "muon", **numbers}))
    alone = copy.deepcopy(learner.params)
    muon = torch.optim.Muon(
        alone[:1], lr=0.02, momentum=0.8, nesterov=False, ns_steps=3, adjust_lr_fn="original", weight_decay=0.1
    )
    adamw = torch.optim.AdamW(alone[1:], lr=0.02, betas=(0.7, 0.8), eps=1e-5, weight_decay=0.1)

    for update in range(UPDATES):
        lr = learner.optimizer.param_groups[0]["lr"]
        learner.update(update)
        for param, ours in zip(alone, learner.params, strict=True):
            param.grad = ours.grad
        for optimizer in (muon, adamw):
            optimizer.param_groups[0]["lr"] = lr
            optimizer.step()

    assert all(torch.equal(ours, theirs) for ours, theirs in zip(learner.params, alone, strict=True))


def test_muon_splits_each_group() -> None:
    """A group becomes one of matrices and one of the rest, where it has both, each with what the caller put there."""
    params = Learner(candidate("adamw")).params
    groups = [{"params": params[:2], "name": "a", "weight_decay": 0.0}, {"params": params[2:], "name": "b"}]

    optimizer, _ = build(candidate("muon"), groups, UPDATES)

    assert isinstance(optimizer, MuonWithAdamW)
    assert [(group["name"], group["matrices"], group["weight_decay"]) for group in optimizer.param_groups] == [
        ("a", True, 0.0),
        ("a", False, 0.0),
        ("b", False, 0.1),
    ]


def test_a_copy_of_muon_trains_by_itself() -> None:
    """A deep copy has weights and a state of its own, and makes the same updates."""
    learner = Learner(candidate("muon"))
    lrs(learner, 3)

    other = copy.deepcopy(learner)
    lrs(learner, 3)
    lrs(other, 3)

    assert all(torch.equal(ours, theirs) for ours, theirs in zip(learner.params, other.params, strict=True))
    assert other.optimizer.param_groups[0]["params"][0] is other.params[0]


def test_muon_evaluates_a_closure_once() -> None:
    """A closure's loss is returned, and computed once for both parts, with gradients on."""
    learner, calls = Learner(candidate("muon")), []
    learner.add_gradients(0)

    loss = learner.optimizer.step(lambda: calls.append(torch.is_grad_enabled()) or 0.5)

    assert (loss, calls) == (0.5, [True])


@pytest.mark.parametrize("kind", ["schedule_free_sgd", "schedule_free_adamw"])
def test_evaluating_shows_the_average(kind: str) -> None:
    """Within `evaluating` a Schedule-Free optimizer's weights are the average; afterwards training goes on."""
    learner = Learner(candidate(kind, schedule={"kind": "constant"}))
    lrs(learner, UPDATES - 1)
    trained = copy.deepcopy(learner.params)

    with evaluating(learner.optimizer):
        shown = copy.deepcopy(learner.params)
    learner.update(0)

    assert not torch.allclose(shown[0], trained[0])


def test_evaluating_ends_with_training_mode_after_an_error() -> None:
    """An evaluation that fails leaves the optimizer ready for the next update."""
    learner = Learner(candidate("schedule_free_sgd"))

    with pytest.raises(ZeroDivisionError), evaluating(learner.optimizer):
        raise ZeroDivisionError

    learner.update(0)


@pytest.mark.parametrize("kind", [kind for kind in EVERY if not OPTIMIZERS[kind].constant_only])
def test_evaluating_leaves_other_optimizers_alone(kind: str) -> None:
    """With any other optimizer the weights are what they are."""
    learner = Learner(candidate(kind))
    lrs(learner, 3)
    trained = copy.deepcopy(learner.params)

    with evaluating(learner.optimizer):
        shown = copy.deepcopy(learner.params)

    assert all(torch.equal(ours, theirs) for ours, theirs in zip(trained, shown, strict=True))


@pytest.fixture
def without_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python in which the extra `optimizers` is not installed."""
    for module in DISTRIBUTIONS:
        monkeypatch.setitem(sys.modules, module, None)


@pytest.mark.usefixtures("without_packages")
@pytest.mark.parametrize(
    ("kind", "distribution"),
    [
        ("adabound", "pytorch-optimizer"),
        ("amsbound", "pytorch-optimizer"),
        ("lion", "pytorch-optimizer"),
        ("prodigy", "prodigyopt"),
        ("schedule_free_sgd", "schedulefree"),
        ("schedule_free_adamw", "schedulefree"),
    ],
)
def test_a_missing_package_is_named(kind: str, distribution: str) -> None:
    """Without the extra, the error says which package is missing and what to install."""
    with pytest.raises(Unsupported, match=rf"{kind} needs the package {distribution}.*etude\[optimizers\]"):
        Learner(candidate(kind))


@pytest.mark.usefixtures("without_packages")
@pytest.mark.parametrize("kind", [kind for kind in EVERY if "torch.optim" in OPTIMIZERS[kind].origin])
def test_what_torch_has_needs_no_package(kind: str) -> None:
    """Every optimizer that is said to be torch's is built without the extra."""
    learner = Learner(candidate(kind))

    assert type(learner.optimizer).__module__.startswith(("torch.optim", "etude.torch_muon"))


def test_prodigy_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    """Building it writes nothing to the terminal."""
    Learner(candidate("prodigy", optimizer={"kind": "prodigy", "weight_decay": 0.1}))

    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("nesterov", [False, True])
def test_sparse_momentum_is_the_dense_one_and_does_not_grow(nesterov: bool) -> None:
    """On sparse gradients SGD makes the updates that it makes on dense ones, and keeps each row of its state once."""
    numbers = {"kind": "sgd", "momentum": 0.9, "nesterov": nesterov}
    tables = [nn.Parameter(torch.ones(5, 2)) for _ in range(2)]
    built = [build(candidate("sgd", optimizer=numbers), [table], UPDATES) for table in tables]

    for update in range(UPDATES):
        rows = torch.tensor([[update % 5, 4]])
        gradient = torch.sparse_coo_tensor(rows, torch.ones(2, 2), (5, 2), check_invariants=True)
        for table, grad, (optimizer, scheduler) in zip(tables, (gradient, gradient.to_dense()), built, strict=True):
            table.grad = grad
            optimizer.step()
            scheduler.step()

    torch.testing.assert_close(tables[0], tables[1])
    momentum = built[0][0].state[tables[0]]["momentum_buffer"]
    assert momentum.is_sparse
    assert momentum._nnz() == 5
