"""Exported texts are executed, and their LR is compared with ours update by update."""

from __future__ import annotations

import copy
import importlib.util
import warnings
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from etude.torch import build
from search_spaces.candidate import Candidate
from search_spaces.export import Framework, export
from search_spaces.export.optimizers import ORIGINS
from search_spaces.export.transformers import training_arguments
from search_spaces.optimizers import OPTIMIZERS
from search_spaces.problems import HorizonTooShort, Problem, Unsupported
from search_spaces.schedules import AnySchedule, Plateau, Schedule, curve
from tests.unit.search_spaces.specs import DRAWABLE, documents

SCHEDULES = TypeAdapter[Schedule](AnySchedule)
LIBRARIES = {"lightning": "lightning", "transformers": "transformers", "optax": "optax", "keras": "keras"}
INSTALLED = {name: importlib.util.find_spec(module) is not None for name, module in LIBRARIES.items()}


def candidate(schedule: dict[str, Any] | Schedule, **fields: Any) -> Candidate:
    document = schedule.model_dump() if isinstance(schedule, Schedule) else schedule
    return Candidate.model_validate({
        "optimizer": {"kind": "sgd", "momentum": 0.9}, "initial_lr": 0.1, "schedule": document, **fields,
    })  # fmt: skip


def executed(text: str) -> dict[str, Any]:
    """What a text defines."""
    defined: dict[str, Any] = {}
    exec(compile(text, "<exported>", "exec"), defined)
    return defined


def weights() -> list[torch.nn.Parameter]:
    return [torch.nn.Parameter(torch.zeros(2))]


def rates(optimizer: torch.optim.Optimizer, scheduler: Any, steps: int) -> list[list[float]]:
    """The LR of every group before each of `steps` updates."""
    seen = []
    for _ in range(steps):
        seen.append([float(group["lr"]) for group in optimizer.param_groups])
        optimizer.step()
        with warnings.catch_warnings():
            # torch's own SequentialLR calls a deprecated form of step in some versions.
            warnings.simplefilter("ignore")
            scheduler.step()
    return seen


def exported_curve(wish: Candidate, horizon: int) -> list[float]:
    optimizer, scheduler = executed(export(wish, horizon, "pytorch"))["build"](weights())
    return [groups[0] for groups in rates(optimizer, scheduler, horizon)]


@pytest.mark.parametrize("kind", DRAWABLE)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(data=st.data(), horizon=st.sampled_from([1, 2, 3, 7, 50, 333]))
def test_torch_gets_our_lr_at_every_update(kind: str, data: st.DataObject, horizon: int) -> None:
    """Every kind, with every modifier that it takes, to 1e-9 of the initial LR."""
    schedule = SCHEDULES.validate_python(data.draw(documents(kind)))
    try:
        expected = 0.1 * curve(schedule, horizon)
    except Problem:
        assume(False)

    drawn = exported_curve(candidate(schedule), horizon)

    np.testing.assert_allclose(drawn, expected, rtol=0, atol=1e-9 * max(0.1, expected.max()))


EXACT = [
    ({"kind": "constant"}, "ConstantLR"),
    ({"kind": "step", "step_size": 0.3}, "StepLR"),
    ({"kind": "multistep", "milestones": [0.5, 0.5, 0.75]}, "MultiStepLR"),
    ({"kind": "exponential", "final_factor": 0.01}, "ExponentialLR"),
    ({"kind": "natural_exponential", "rate": 3.0}, "ExponentialLR"),
    ({"kind": "linear", "end_factor": 0.1}, "LinearLR"),
    ({"kind": "polynomial", "power": 2.0, "cycle_length": 0.5}, "PolynomialLR"),
    ({"kind": "cosine", "end_factor": 0.01}, "CosineAnnealingLR"),
    ({"kind": "cosine", "restarts": {"count": 3, "length_multiplier": 2}}, "CosineAnnealingWarmRestarts"),
    ({"kind": "one_cycle"}, "OneCycleLR"),
    ({"kind": "cyclic", "floor": 0.1, "cycle_length": 0.25, "mode": "triangular2"}, "CyclicLR"),
]
WARMUPS = [
    {"fraction": 0.1},
    {"fraction": 0.1, "start_factor": 0.5},
    {"fraction": 0.1, "start_factor": 0.5, "inclusive": False},
    {"fraction": 0.01, "inclusive": True},
    {"fraction": 0.1, "start_factor": 0.2, "shape": "constant"},
]


@pytest.mark.parametrize(("document", "name"), EXACT)
def test_torch_s_own_class_is_taken_where_it_is_exact(document: dict[str, Any], name: str) -> None:
    """The text names the class, needs no formula, and draws our curve."""
    wish = candidate(document)

    text = export(wish, 70, "pytorch")

    assert f"lr_scheduler.{name}(" in text
    assert "LambdaLR" not in text
    np.testing.assert_allclose(exported_curve(wish, 70), 0.1 * curve(wish.schedule, 70), rtol=0, atol=1e-10)


@pytest.mark.parametrize("document", [document for document, _ in EXACT[:8]])
@pytest.mark.parametrize("warmup", WARMUPS)
def test_a_warm_up_stands_in_front_of_torch_s_classes(document: dict[str, Any], warmup: dict[str, Any]) -> None:
    """SequentialLR joins both, exactly."""
    wish = candidate({**document, "warmup": warmup})

    text = export(wish, 70, "pytorch")

    assert "SequentialLR" in text
    np.testing.assert_allclose(exported_curve(wish, 70), 0.1 * curve(wish.schedule, 70), rtol=0, atol=1e-10)


@pytest.mark.parametrize("framework", get_args(Framework))
def test_no_text_needs_this_package(framework: Framework) -> None:
    """What is exported imports neither etude nor search_spaces."""
    text = export(candidate({"kind": "rex"}), 100, framework)

    assert "etude" not in text
    assert "search_spaces" not in text


@pytest.mark.parametrize(
    "document",
    [
        {"kind": "linear", "start_factor": 5e-324, "end_factor": 1.0},
        {"kind": "cosine", "warmup": {"fraction": 0.1, "start_factor": 5e-324, "inclusive": False}},
        {"kind": "cosine", "warmup": {"fraction": 0.1, "start_factor": 0.0, "shape": "constant"}},
    ],
)
def test_a_start_next_to_zero_is_not_multiplied_up(document: dict[str, Any]) -> None:
    """torch's LinearLR goes from each LR to the next; from the smallest number there is it would go astray."""
    wish = candidate(document)

    drawn = exported_curve(wish, 50)

    np.testing.assert_allclose(drawn, 0.1 * curve(wish.schedule, 50), rtol=0, atol=1e-10)


@pytest.mark.parametrize("horizon", [20_000, 150_000])
def test_long_horizons_stay_exact(horizon: int) -> None:
    """Classes that multiply from LR to LR are left where they would drift."""
    wish = candidate({"kind": "cosine"})

    drawn = exported_curve(wish, horizon)

    np.testing.assert_allclose(drawn, 0.1 * curve(wish.schedule, horizon), rtol=0, atol=1e-10)


@pytest.mark.parametrize("document", [{"kind": "cosine", "end_factor": 0.1}, {"kind": "one_cycle"}, {"kind": "rex"}])
def test_groups_keep_their_ratio(document: dict[str, Any]) -> None:
    """Each named group has its share of our LR at every update."""
    wish = candidate(document, lr_ratios={"backbone": 0.1})
    groups = [{"params": weights(), "name": "backbone"}, {"params": weights(), "name": "head"}]

    optimizer, scheduler = executed(export(wish, 50, "pytorch"))["build"](groups)
    drawn = np.array(rates(optimizer, scheduler, 50))

    expected = 0.1 * curve(wish.schedule, 50)
    np.testing.assert_allclose(drawn, np.stack([0.1 * expected, expected], axis=1), rtol=0, atol=1e-10)


@pytest.mark.parametrize("flavour", ["torch", "keras", "paddle"])
@pytest.mark.parametrize("warmup", [None, {"fraction": 0.1}])
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@pytest.mark.parametrize("cooldown", [0.0, 0.02, 0.05])
def test_a_plateau_decides_as_ours(flavour: str, warmup: Any, direction: Any, cooldown: float) -> None:
    """Evaluation by evaluation, over a metric that stalls again and again."""
    document = {"kind": "plateau", "flavour": flavour, "warmup": warmup, "cooldown": cooldown, "patience": 0.03,
                "factor": 0.5, "min_factor": 0.01}  # fmt: skip
    wish = candidate(document)
    assert isinstance(wish.schedule, Plateau)
    metrics = np.random.default_rng(5).normal(2.0, 0.3, size=100).tolist()
    rule = wish.schedule.rule(100, direction)
    in_force = [1.0, *(rule.feed(metric) for metric in metrics)][:100]
    expected = 0.1 * np.array(in_force) * wish.schedule.warmup_factors(np.arange(100), 100)

    drawn = []
    optimizer, *schedulers = executed(export(wish, 100, "pytorch", direction=direction))["build"](weights(), 100)
    for metric in metrics:
        drawn.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedulers[-1].step(metric)
        if warmup is not None:
            schedulers[0].step()

    assert len(set(in_force)) > 3
    np.testing.assert_allclose(drawn, expected, rtol=0, atol=1e-12)


class Embedded(torch.nn.Module):
    """A small model with matrices, vectors and, if asked for, sparse gradients only."""

    def __init__(self, *, sparse: bool) -> None:
        super().__init__()
        self.words = torch.nn.Embedding(5, 3, sparse=sparse)
        self.rest = torch.nn.Identity() if sparse else torch.nn.Linear(3, 2)


def trained(model: torch.nn.Module, optimizer: torch.optim.Optimizer, scheduler: Any) -> list[torch.Tensor]:
    """The parameters after six updates."""
    for step in range(6):
        model.rest(model.words(torch.tensor([step % 5, 1]))).pow(2).sum().backward()  # type: ignore[operator]
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
    return [parameter.detach() for parameter in model.parameters()]


@pytest.mark.parametrize("kind", [*ORIGINS, "muon"])
def test_the_exported_optimizer_makes_our_updates(kind: str) -> None:
    """Bit for bit the parameters that `etude.torch.build` trains to, for every optimizer that is installed."""
    schedule = {"kind": "constant", "warmup": {"fraction": 0.5}}
    wish = candidate(schedule, optimizer={"kind": kind}, initial_lr=0.01)
    torch.manual_seed(0)
    ours = Embedded(sparse=kind == "sparse_adam")
    theirs = copy.deepcopy(ours)
    before = [parameter.detach().clone() for parameter in ours.parameters()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the packages themselves warn of
        expected = trained(ours, *build(wish, ours.parameters(), 6))

        drawn = trained(theirs, *executed(export(wish, 6, "pytorch"))["build"](theirs.parameters()))

    assert any(not torch.equal(old, new) for old, new in zip(before, expected, strict=True))
    assert all(torch.equal(one, other) for one, other in zip(expected, drawn, strict=True))


def test_muon_goes_on_from_a_saved_state() -> None:
    """A state that is loaded is what the next update uses."""
    wish = candidate({"kind": "constant"}, optimizer={"kind": "muon"}, initial_lr=0.01)
    make = executed(export(wish, 100, "pytorch"))["build"]
    torch.manual_seed(0)
    straight = Embedded(sparse=False)
    optimizer, scheduler = make(straight.parameters())
    trained(straight, optimizer, scheduler)
    resumed = copy.deepcopy(straight)
    later, later_scheduler = make(resumed.parameters())
    later.load_state_dict(copy.deepcopy(optimizer.state_dict()))

    expected, drawn = trained(straight, optimizer, scheduler), trained(resumed, later, later_scheduler)

    assert all(torch.equal(one, other) for one, other in zip(expected, drawn, strict=True))


@pytest.mark.parametrize("kind", [kind for kind, origin in ORIGINS.items() if origin.package])
def test_an_optimizer_from_elsewhere_says_what_to_install(kind: str) -> None:
    """The text names the package, and is Python."""
    text = export(candidate({"kind": "constant"}, optimizer={"kind": kind}), 10, "pytorch")

    compile(text, "<exported>", "exec")
    assert f"# pip install {ORIGINS[kind].package}" in text


def test_a_script_s_own_optimizer_is_refused() -> None:
    """Every kind is either written or refused by name."""
    left = set(OPTIMIZERS) - set(ORIGINS)

    assert left == {"muon", "script"}
    with pytest.raises(Unsupported) as caught:
        export(candidate({"kind": "constant"}, optimizer={"kind": "script"}), 10, "pytorch")
    assert caught.value.field == "optimizer.kind"


@pytest.mark.parametrize("framework", get_args(Framework))
@pytest.mark.parametrize("kind", DRAWABLE)
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_text_is_python(framework: Framework, kind: str, data: st.DataObject) -> None:
    """Whatever the kind and the modifiers, it compiles."""
    schedule = SCHEDULES.validate_python(data.draw(documents(kind)))
    try:
        text = export(candidate(schedule, optimizer={"kind": "rmsprop", "momentum": 0.5}), 333, framework)
    except HorizonTooShort:
        assume(False)

    compile(text, "<exported>", "exec")


HOSTILE = ['"); raise SystemExit #', "'''\nraise SystemExit\n'''", "a\nraise SystemExit", "\\", "\ud800", "\r x = 1"]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("framework", get_args(Framework))
def test_a_client_s_words_stay_words(framework: Framework, name: str) -> None:
    """A group's name is a literal and, in comments, never more than one line; the text is plain ASCII."""
    wish = candidate({"kind": "rex"}, lr_ratios={name: 0.1})

    text = export(wish, 10, framework)

    compile(text, "<exported>", "exec")
    text.encode("ascii")
    assert not [line for line in text.splitlines() if line.strip().startswith(("raise", "x = 1"))]


def test_a_formula_s_line_breaks_do_not_end_a_comment() -> None:
    """A formula may hold line breaks; neither in the comment nor in the code do they become lines of their own."""
    wish = candidate({"kind": "expression", "formula": "(1 #\n- u\n)"})

    drawn = exported_curve(wish, 10)

    np.testing.assert_allclose(drawn, 0.1 * curve(wish.schedule, 10), rtol=0, atol=1e-12)


@pytest.mark.parametrize("formula", ["min(1, 1 / t)", "where(t == 0, 1, 1 / t)", "1 / exp(u * 9999)", "2 ** -t",
                                     "min(9 ** 9 ** 9, 1)", "not (t < 3 and u > 0.1 or t == 9)"])  # fmt: skip
def test_a_formula_goes_through_infinity_as_ours(formula: str) -> None:
    """Where a plain float would raise, numpy's gives the infinity that the formula was checked with."""
    wish = candidate({"kind": "expression", "formula": formula})

    drawn = exported_curve(wish, 20)

    np.testing.assert_allclose(drawn, 0.1 * curve(wish.schedule, 20), rtol=0, atol=1e-12)


class Model(torch.nn.Module):
    """What Lightning's module and transformers' model are to the texts: named parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = torch.nn.Linear(2, 2)
        self.head = torch.nn.Linear(2, 1)


@pytest.mark.parametrize("ratios", [{}, {"backbone": 0.1}])
def test_lightning_s_mixin_configures_optimizers(ratios: dict[str, float]) -> None:
    """The mixin alone needs a module's parameters only: its dictionary asks for a step an update."""
    wish = candidate({"kind": "cosine"}, lr_ratios=ratios)
    mixin = executed(export(wish, 30, "lightning"))["ConfiguresOptimizers"]

    configured = type("Mine", (mixin, Model), {})().configure_optimizers()
    scheduler = configured["lr_scheduler"]
    drawn = np.array(rates(configured["optimizer"], scheduler["scheduler"], 30))

    assert scheduler["interval"] == "step"
    np.testing.assert_allclose(drawn[:, -1], 0.1 * curve(wish.schedule, 30), rtol=0, atol=1e-10)
    assert drawn.shape[1] == 1 + len(ratios)


def test_transformers_gets_a_pair_where_arguments_cannot_say_it() -> None:
    """An inclusive warm-up is nothing that TrainingArguments know."""
    wish = candidate({"kind": "cosine", "warmup": {"fraction": 0.1}})

    optimizer, scheduler = executed(export(wish, 30, "transformers"))["optimizers"](Model())
    drawn = np.array(rates(optimizer, scheduler, 30))[:, 0]

    np.testing.assert_allclose(drawn, 0.1 * curve(wish.schedule, 30), rtol=0, atol=1e-10)


ADAMW = {"kind": "adamw", "weight_decay": 0.0}
PLAIN = {"fraction": 0.1, "inclusive": False}
SAID = [
    ({"kind": "constant"}, "constant"),
    ({"kind": "constant", "warmup": PLAIN}, "constant_with_warmup"),
    ({"kind": "linear", "warmup": PLAIN}, "linear"),
    ({"kind": "cosine"}, "cosine"),
    ({"kind": "cosine", "end_factor": 0.1, "warmup": PLAIN}, "cosine_with_min_lr"),
    ({"kind": "polynomial", "power": 2.0, "end_factor": 0.001}, "polynomial"),
    ({"kind": "inverse_sqrt", "timescale": 0.1, "warmup": PLAIN}, "inverse_sqrt"),
]


@pytest.mark.parametrize(("document", "name"), SAID)
def test_training_arguments_say_what_they_can(document: dict[str, Any], name: str) -> None:
    """AdamW without decay, and a schedule that transformers has: one call, at our horizon."""
    wish = candidate(document, optimizer=ADAMW)

    fields = training_arguments(wish, 100)
    text = export(wish, 100, "transformers")

    assert fields is not None
    assert fields["lr_scheduler_type"] == name
    assert fields["warmup_steps"] == (10 if "warmup" in document else 0)
    assert "arguments = TrainingArguments(output_dir='out', max_steps=100, learning_rate=0.1" in text
    compile(text, "<exported>", "exec")


def test_weight_decay_is_not_left_to_training_arguments() -> None:
    """The Trainer leaves biases and norms out of it, so that it would be another optimizer."""
    assert training_arguments(candidate({"kind": "cosine"}, optimizer={"kind": "adamw"}), 100) is None


@pytest.mark.parametrize("framework", ["optax", "keras"])
def test_a_plateau_is_not_written_where_it_would_be_another(framework: Framework) -> None:
    """The refusal names the field."""
    with pytest.raises(Unsupported) as caught:
        export(candidate({"kind": "plateau"}), 100, framework)

    assert caught.value.field == "framework"


def test_a_horizon_that_is_too_short_is_refused() -> None:
    """Nothing is exported that could not be drawn."""
    with pytest.raises(HorizonTooShort):
        export(candidate({"kind": "one_cycle"}), 2, "pytorch")


def _optax_curve(text: str) -> list[float]:
    schedule = executed(text)["schedule"]
    return [float(schedule(step)) for step in range(50)]


def _keras_curve(text: str) -> list[float]:
    schedule = executed(text)["Schedule"]()
    return [float(schedule(step)) for step in range(50)]


def test_installed_libraries_draw_our_curve_and_missing_ones_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    """optax and Keras are executed where they are installed; what is missing is said aloud, not passed over."""
    wish = candidate({"kind": "cosine", "warmup": {"fraction": 0.1}})
    expected = 0.1 * curve(wish.schedule, 50)
    readers = {"optax": _optax_curve, "keras": _keras_curve}

    drawn = {name: read(export(wish, 50, name)) for name, read in readers.items() if INSTALLED[name]}  # type: ignore[arg-type]

    with capsys.disabled():
        for name in sorted(name for name, there in INSTALLED.items() if not there):
            print(f"\nNOT EXECUTED: the {name} export, for {LIBRARIES[name]} is not installed (compiled only)")
    for lr in drawn.values():
        np.testing.assert_allclose(lr, expected, rtol=1e-6)
    assert all(compile(export(wish, 50, name), name, "exec") for name in get_args(Framework))
