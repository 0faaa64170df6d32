"""Schedules as other libraries write them: read as the curve that the library plays, and what is wrong is said."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from search_spaces.imported import Explained, explain
from search_spaces.problems import InvalidSpec, Problem
from search_spaces.schedules import Plateau, curve
from tests.golden.cases import GOLDEN

TORCH = [
    ("ConstantLR(optimizer, factor=0.5, total_iters=40)", "piecewise"),
    ("ConstantLR(optimizer, factor=0.5, total_iters=400)", "expression"),
    ("StepLR(optimizer, step_size=30, gamma=0.1)", "step"),
    ("StepLR(optimizer, 30, gamma=1.5)", "expression"),
    ("MultiStepLR(optimizer, milestones=[20, 40, 40, 90], gamma=0.5)", "multistep"),
    ("MultiStepLR(optimizer, milestones=[20, 400])", "multistep"),
    ("ExponentialLR(optimizer, gamma=0.95)", "exponential"),
    ("ExponentialLR(optimizer, gamma=1.01)", "expression"),
    ("LinearLR(optimizer, start_factor=1.0, end_factor=0.1, total_iters=80)", "knots"),
    ("LinearLR(optimizer, start_factor=1.0, end_factor=0.1, total_iters=480)", "linear"),
    ("LinearLR(optimizer)", "constant"),
    ("PolynomialLR(optimizer, total_iters=60, power=2.0)", "polynomial"),
    ("PolynomialLR(optimizer, total_iters=600, power=2.0)", "expression"),
    ("CosineAnnealingLR(optimizer, T_max=120, eta_min=1e-3)", "cosine"),
    ("CosineAnnealingLR(optimizer, T_max=50)", "cosine"),
    ("CosineAnnealingLR(optimizer, T_max=500)", "cosine"),
    ("CosineAnnealingWarmRestarts(optimizer, T_0=40)", "cosine"),
    ("CosineAnnealingWarmRestarts(optimizer, 50, eta_min=0.001)", "expression"),
    ("CosineAnnealingWarmRestarts(optimizer, T_0=10, T_mult=2)", "expression"),
    ("OneCycleLR(optimizer, max_lr=0.1, total_steps=120)", "one_cycle"),
    ("OneCycleLR(optimizer, max_lr=0.1, epochs=12, steps_per_epoch=10, anneal_strategy='linear')", "one_cycle"),
    ("CyclicLR(optimizer, 0.01, 0.1, step_size_up=8, step_size_down=22, mode='triangular2')", "cyclic"),
    ("CyclicLR(optimizer, 0.01, 0.1, step_size_up=80)", "expression"),
    ("LambdaLR(optimizer, lr_lambda=lambda epoch: 0.95 ** epoch)", "expression"),
    ("LambdaLR(optimizer, lambda s: s / 10 if s < 10 else math.sqrt(10 / s))", "expression"),
    ("MultiplicativeLR(optimizer, lambda epoch: 0.95)", "exponential"),
    ("SequentialLR(optimizer, [LinearLR(optimizer, 0.01, total_iters=10), CosineAnnealingLR(optimizer, 110)], [10])",
     "cosine"),
    ("SequentialLR(optimizer, [LinearLR(optimizer, 0.1, total_iters=9), StepLR(optimizer, 30)], milestones=[10])",
     "step"),
    ("SequentialLR(optimizer, [ConstantLR(optimizer, 0.1, 20), ExponentialLR(optimizer, 0.9)], milestones=[20])",
     "exponential"),
]  # fmt: skip
HORIZON = 120


def played(text: str, horizon: int) -> list[float]:
    """The LR that torch itself plays, from 0.1."""
    import math

    names = {name: getattr(torch.optim.lr_scheduler, name) for name in dir(torch.optim.lr_scheduler)}
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1, momentum=0.9)
    seen = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler = eval(text, {**names, "optimizer": optimizer, "math": math})
        for _ in range(horizon):
            seen.append(float(optimizer.param_groups[0]["lr"]))
            optimizer.step()
            scheduler.step()
    return seen


@pytest.mark.parametrize(("text", "kind"), TORCH)
def test_torch_s_schedulers_are_read_as_torch_plays_them(text: str, kind: str) -> None:
    """The spec has the expected name, and its curve is that of the real scheduler, update by update."""
    explained = explain(text, steps=HORIZON, lr=0.1)

    assert explained.schedule.kind == kind
    assert explained.lr is not None
    np.testing.assert_allclose(explained.lr, played(text, HORIZON), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("text", "kind"), TORCH)
def test_the_spec_that_is_shown_draws_the_curve_that_is_shown(text: str, kind: str) -> None:
    """What a person copies is what the curve is of; it goes through JSON unchanged."""
    explained = explain(text, steps=HORIZON, lr=0.1)

    again = Explained.model_validate_json(explained.model_dump_json())

    assert again == explained
    assert not isinstance(explained.schedule, Plateau)
    assert explained.lr == pytest.approx((0.1 * curve(again.schedule, HORIZON)).tolist(), abs=1e-12)


def keras_cosine(t: int) -> float:
    """Keras's formula: up from 0.01 over 10 steps, down over 50 to a tenth, held."""
    if t < 10:
        return 0.01 + 0.09 * t / 10
    return 0.1 * (0.1 + 0.9 * 0.5 * (1 + np.cos(np.pi * min((t - 10) / 50, 1))))


OTHERS: list[tuple[str, str, Any]] = [
    ("CosineDecay(0.01, 50, alpha=0.1, warmup_target=0.1, warmup_steps=10)", "expression", keras_cosine),
    ("keras.optimizers.schedules.ExponentialDecay(0.1, 20, 0.5)", "exponential", lambda t: 0.1 * 0.5 ** (t / 20)),
    ("ExponentialDecay(0.1, 20, 0.5, staircase=True)", "step", lambda t: 0.1 * 0.5 ** (t // 20)),
    ("InverseTimeDecay(0.1, 20, 0.5)", "inverse_time", lambda t: 0.1 / (1 + 0.5 * t / 20)),
    ("InverseTimeDecay(0.1, 20, 0.5, staircase=True)", "expression", lambda t: 0.1 / (1 + 0.5 * (t // 20))),
    ("PolynomialDecay(0.1, 60, 0.01, power=2.0)", "polynomial",
     lambda t: 0.09 * (1 - min(t, 60) / 60) ** 2 + 0.01),
    ("PiecewiseConstantDecay([20, 60], [0.1, 0.01, 0.001])", "piecewise",
     lambda t: 0.1 if t <= 20 else 0.01 if t <= 60 else 0.001),
    ("CosineDecayRestarts(0.1, 40, t_mul=1)", "cosine", lambda t: 0.05 * (1 + np.cos(np.pi * (t % 40) / 40))),
    ('{"learning_rate": 0.1, "max_steps": 120, "warmup_steps": 20}', "linear",
     lambda t: 0.1 * (t / 20 if t < 20 else (120 - t) / 100)),
    ('{"learning_rate": 0.1, "num_train_epochs": 12, "warmup_ratio": 0.1, "lr_scheduler_type": "cosine"}', "cosine",
     lambda t: 0.1 * (t / 12 if t < 12 else 0.5 * (1 + np.cos(np.pi * (t - 12) / 108)))),
    ('TrainingArguments("out", learning_rate=1e-1, max_steps=120, lr_scheduler_type="constant_with_warmup", '
     "warmup_steps=10)", "constant", lambda t: 0.1 * min(1, t / 10)),
    ('{"learning_rate": 0.1, "max_steps": 120, "lr_scheduler_type": "polynomial", "lr_scheduler_kwargs": '
     '{"power": 2, "lr_end": 0.001}}', "polynomial", lambda t: 0.099 * (1 - t / 120) ** 2 + 0.001),
    ('{"learning_rate": 0.1, "max_steps": 120, "lr_scheduler_type": "inverse_sqrt", "warmup_steps": 20}',
     "inverse_sqrt", lambda t: 0.1 * (t / 20 if t < 20 else np.sqrt(20 / t))),
    ('{"learning_rate": 0.1, "max_steps": 120, "lr_scheduler_type": "cosine_with_min_lr", "lr_scheduler_kwargs": '
     '{"min_lr": 0.01}}', "cosine", lambda t: 0.01 + 0.045 * (1 + np.cos(np.pi * t / 120))),
    ('{"learning_rate": 0.1, "max_steps": 120, "lr_scheduler_type": "cosine_with_restarts", "lr_scheduler_kwargs": '
     '{"num_cycles": 7}}', "expression", lambda t: 0.05 * (1 + np.cos(np.pi * (7 * (t / 120) % 1)))),
    ("--sched cosine --lr 0.1 --epochs 120 --warmup-epochs 0 --min-lr 0.001", "cosine",
     lambda t: 0.001 + 0.0495 * (1 + np.cos(np.pi * t / 120))),
    ('{"sched": "cosine", "lr": 0.1, "epochs": 120, "warmup_epochs": 5, "warmup_lr": 0.01, "min_lr": 0}',
     "expression", lambda t: 0.01 + 0.09 * t / 5 if t < 5 else 0.05 * (1 + np.cos(np.pi * t / 120))),
    ("--sched step --lr 0.1 --epochs=120 --decay-epochs 30 --decay-rate 0.2 --warmup-epochs 0", "step",
     lambda t: 0.1 * 0.2 ** (t // 30)),
]  # fmt: skip


@pytest.mark.parametrize(("text", "kind", "law"), OTHERS)
def test_other_libraries_are_read_by_their_formulas(text: str, kind: str, law: Any) -> None:
    """Keras, transformers and timm: name and curve, against the library's formula written out here."""
    explained = explain(text, steps=None if "max_steps" in text else HORIZON, steps_per_epoch=10)

    assert explained.schedule.kind == kind
    assert explained.initial_lr == pytest.approx(0.1)
    np.testing.assert_allclose(explained.lr, [law(t) for t in range(HORIZON)], rtol=0, atol=1e-9)  # type: ignore[arg-type]


TIMM = sorted((GOLDEN / "timm").glob("*.json"))


@pytest.mark.parametrize("path", TIMM, ids=lambda path: path.stem)
def test_timm_s_arguments_are_read_as_timm_plays_them(path: Path) -> None:
    """The LR of every epoch is the one that timm's scheduler factory gave, to 1e-9 of the peak."""
    golden = json.loads(path.read_text())

    explained = explain(json.dumps(golden["params"]))

    assert (explained.unit, explained.horizon) == ("epoch", len(golden["lr"]))
    np.testing.assert_allclose(explained.lr, golden["lr"], rtol=0, atol=1e-10)  # type: ignore[arg-type]


NOT_TIMM = [
    ("--sched cosine --lr-noise 0.4 0.9", "lr_noise"),
    ("--sched cosine --lr-cycle-limit 3", "lr_cycle_limit"),
    ("--sched cosine --lr-k-decay 1.5", "lr_k_decay"),
    ("--sched cosine --cooldown-epochs 10", "cooldown_epochs"),
    ("--sched cosine --sched-on-updates", "sched_on_updates"),
    ("--sched rsqrt", "sched"),
    ("--sched wsd --lr-decay-fn exp", "lr_decay_fn"),
    ("--sched wsd --epochs 20 --warmup-epochs 20", "warmup_epochs"),
    ("--sched wsd --epochs 20 --decay-epochs 30", "decay_epochs"),
    ("--sched poly --decay-rate 0", "decay_rate"),
]


@pytest.mark.parametrize(("flags", "field"), NOT_TIMM)
def test_what_would_be_another_curve_in_timm_is_refused(flags: str, field: str) -> None:
    """An argument that changes the curve and is not read is never passed over."""
    with pytest.raises(Problem) as caught:
        explain(f"{flags} --lr 0.1")

    assert caught.value.field == field


def test_a_whole_file_of_timm_s_arguments_is_read() -> None:
    """What train.py writes down holds many arguments at their defaults: they change nothing."""
    defaults = {"lr_noise": None, "lr_noise_pct": 0.67, "lr_cycle_mul": 1.0, "lr_cycle_decay": 0.5, "momentum": 0.9,
                "lr_cycle_limit": 1, "lr_k_decay": 1.0, "cooldown_epochs": 0, "decay_epochs": None,
                "sched_on_updates": False, "lr_decay_fn": None}  # fmt: skip

    explained = explain(json.dumps({"sched": "step", "lr": 0.1, "epochs": 180, "warmup_epochs": 0, **defaults}))

    assert explained.schedule.model_dump(exclude_defaults=True) == {"step_size": 0.5}


def test_a_snippet_is_read_through_its_names() -> None:
    """Assignments are followed, and the optimizer's LR is the initial one."""
    text = """
import torch
T = 3 * 40
opt = torch.optim.AdamW(model.parameters(), lr=2e-3)
warm = torch.optim.lr_scheduler.LinearLR(opt, start_factor=0.1, total_iters=20)
scheduler = torch.optim.lr_scheduler.SequentialLR(opt, [warm, CosineAnnealingLR(opt, T - 20)], milestones=[20])
"""

    explained = explain(text)

    assert (explained.horizon, explained.initial_lr) == (120, 2e-3)
    assert explained.words == "cosine to 0 with 16.7 % linear warm-up from 0.1"
    assert explained.findings == []


def test_a_schedule_of_ours_is_read_with_time_strings() -> None:
    """Epochs become fractions of the training that was said."""
    text = '{"kind": "step", "step_size": "30ep", "warmup": {"fraction": "5ep"}}'

    explained = explain(text, epochs=105, steps_per_epoch=10)

    assert explained.schedule.model_dump()["step_size"] == 0.3
    assert explained.schedule.warmup is not None
    assert explained.schedule.warmup.steps(1050) == 50


def test_a_plateau_has_a_spec_and_no_curve() -> None:
    """Its lengths are shares of the evaluations, one an epoch."""
    explained = explain("ReduceLROnPlateau(optimizer, factor=0.5, patience=5, cooldown=2)", epochs=50)

    assert isinstance(explained.schedule, Plateau)
    assert (explained.schedule.patience, explained.schedule.cooldown, explained.unit) == (0.1, 0.04, "epoch")
    assert explained.lr is None


WRONG = [
    ("CosineAnnealingLR(optimizer, T_max=100)", {"epochs": 100, "steps_per_epoch": 391},
     {"decay_ends_early", "epochs_or_steps", "note"}),
    ("CosineAnnealingLR(optimizer, T_max=39100)", {"epochs": 100, "steps_per_epoch": 391, "per": "epoch"},
     {"decay_never_ends", "epochs_or_steps"}),
    ("CosineAnnealingLR(optimizer, T_max=100)", {"steps": 39100}, {"decay_ends_early", "epochs_or_steps", "note"}),
    ("StepLR(optimizer, 30)", {"epochs": 90, "steps_per_epoch": 100}, {"epochs_or_steps", "zero_lr"}),
    ("StepLR(optimizer, 100)", {"steps": 90}, {"decay_never_ends"}),
    ("MultiStepLR(optimizer, [30, 200])", {"steps": 90}, {"decay_never_ends"}),
    ("LinearLR(optimizer, total_iters=500)", {"steps": 90}, {"warmup_too_long"}),
    ('{"max_steps": 100, "warmup_steps": 200}', {}, {"warmup_too_long"}),
    ('{"max_steps": 100, "warmup_steps": 10, "lr_scheduler_type": "constant"}', {}, {"note"}),
    ("CosineAnnealingWarmRestarts(optimizer, T_0=40)", {"steps": 100}, {"cycle_cut"}),
    ("CyclicLR(optimizer, 0.01, 0.1, step_size_up=15)", {"steps": 100}, {"cycle_cut"}),
    ("PolynomialLR(optimizer, total_iters=50)", {"steps": 100}, {"decay_ends_early", "zero_lr"}),
    ("LambdaLR(optimizer, lambda e: min(1, floor(e / 10)))", {"epochs": 10, "steps_per_epoch": 10}, {"zero_lr"}),
    ("OneCycleLR(optimizer, 0.1, total_steps=100)", {"steps": 50}, {"note"}),
    ("CosineAnnealingLR(optimizer, T_max=100)", {"steps": 100}, set()),
    ("CosineAnnealingLR(optimizer, T_max=100)", {"epochs": 100, "steps_per_epoch": 391, "per": "epoch"}, set()),
    ("OneCycleLR(optimizer, 0.1, total_steps=100)", {"steps": 150}, {"note"}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "setting", "codes"), WRONG)
def test_what_looks_wrong_is_found(text: str, setting: dict[str, Any], codes: set[str]) -> None:
    """Each mistake by its code, and nothing where nothing is wrong."""
    explained = explain(text, **setting)

    assert {finding.code for finding in explained.findings} == codes


REFUSED = [
    ("", ""),
    ("hello there", ""),
    ("CosineAnnealingLR(optimizer)", "T_max"),
    ("CosineAnnealingLR(optimizer, T_max=n)", "T_max"),
    ("CosineAnnealingLR(optimizer, T_max=10, colour=3)", "colour"),
    ("CosineAnnealingLR(optimizer, 10, T_max=10)", "T_max"),
    ("CosineAnnealingLR(optimizer, T_max=2.5)", "T_max"),
    ("CosineAnnealingLR(optimizer, T_max=10, eta_min=0.1)", "lr"),
    ("StepLR(optimizer, 30)", "steps"),
    ('{"kind": "step", "step_size": "30ep"}', "steps"),
    ('{"kind": "sawtooth"}', "steps"),
    ("CosineAnnealingLR(optimizer, T_max=1e12)", "steps"),
    ('{"max_steps": Infinity}', "max_steps"),
    ('{"lr_scheduler_type": "linear"}', "steps"),
    ('{"colour": 3}', ""),
    ("{", ""),
    ('{"max_steps": 10, "lr_scheduler_type": "sawtooth"}', "lr_scheduler_type"),
    ('{"max_steps": 10, "lr_scheduler_type": "polynomial", "lr_scheduler_kwargs": {"power": "x"}}', "power"),
    ("LambdaLR(optimizer, warm)", "lr_lambda"),
    ("LambdaLR(optimizer, lambda e: e.real)", "steps"),
    ("CosineAnnealingLR(optimizer, T_max=9 ** 9 ** 9)", ""),
    ("CosineAnnealingLR(optimizer, T_max=1 / 0)", ""),
    ("CosineAnnealingLR(optimizer, T_max=" + "(" * 5000 + ")" * 5000 + ")", ""),
    ("CosineAnnealingLR(optimizer, T_max=" + "-" * 10_000 + "1)", ""),
    ("x = 1\n" * 5000, ""),
    ("for i in range(3): StepLR(optimizer, i)", ""),
    ("FooLR(optimizer)", ""),
    ("--sched cosine --epochs 'x", ""),
    ("SequentialLR(optimizer, [StepLR(optimizer, 3), StepLR(optimizer, 3)], [3])", "schedulers"),
]


@pytest.mark.parametrize(("text", "field"), REFUSED)
def test_what_is_not_understood_is_refused(text: str, field: str) -> None:
    """By the argument's name where there is one; never a traceback."""
    with pytest.raises(Problem) as caught:
        explain(text)

    assert (caught.value.field or "") == field


def test_nothing_of_a_text_is_executed(capsys: pytest.CaptureFixture[str]) -> None:
    """A call of anything else is only a name."""
    with pytest.raises(Problem):
        explain("print('executed')")
    with pytest.raises(InvalidSpec):
        explain("CosineAnnealingLR(optimizer, T_max=__import__('os').getpid())")

    assert capsys.readouterr().out == ""
