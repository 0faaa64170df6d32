"""Texts for Lightning are executed in Lightning: all by `configure_optimizers`, some through a real Trainer."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from search_spaces.candidate import Candidate
from search_spaces.schedules import Plateau
from tests.frameworks import pytorch_lightning
from tests.unit.search_spaces.exported import (
    HORIZON,
    SPECS,
    Model,
    candidate,
    defined_by,
    expected_lr,
    rates,
)

# Lightning's use of a deprecated form of torch's own trees, and its advice on the loader's worker processes.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
]


@pytest.fixture(scope="module")
def lightning() -> Any:
    """The library."""
    return pytorch_lightning()


def module_of(lightning: Any, wish: Candidate, horizon: int = HORIZON, **attributes: Any) -> Any:
    """A LightningModule with the text's mixin, as its docstring says, that notes the LR of each update."""
    mixin = defined_by(wish, horizon, "lightning")["ConfiguresOptimizers"]

    class Tiny(Model):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[list[float]] = []

        def training_step(self, batch: torch.Tensor, _index: int) -> torch.Tensor:
            loss: torch.Tensor = self.head(self.backbone(batch)).pow(2).mean()
            return loss

        def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
            self.seen.append([group["lr"] for group in optimizer.param_groups])

    return type("Mine", (mixin, Tiny, lightning.LightningModule), attributes)()


def trained(lightning: Any, module: Any, **options: Any) -> list[list[float]]:
    """The LR of every group at each update of a real training on batches of two."""
    quiet = {"enable_progress_bar": False, "enable_checkpointing": False, "enable_model_summary": False}
    trainer = lightning.Trainer(accelerator="cpu", logger=False, **quiet, **options)
    trainer.fit(module, torch.utils.data.DataLoader(torch.ones(10, 2), batch_size=2))
    return list(module.seen)


@pytest.mark.parametrize("document", SPECS)
def test_configured_in_every_form(document: dict[str, Any], lightning: Any) -> None:
    """Every form of every kind with every modifier, to 1e-9 of each update's own LR; a step is an update."""
    wish = candidate(document)

    configured = module_of(lightning, wish).configure_optimizers()
    drawn = rates(configured["optimizer"], configured["lr_scheduler"]["scheduler"], HORIZON)

    assert configured["lr_scheduler"]["interval"] == "step"
    np.testing.assert_allclose(np.array(drawn)[:, 0], expected_lr(wish, HORIZON), rtol=1e-9, atol=1e-15)


TRAINED = [
    {"kind": "cosine", "warmup": {"fraction": 0.15}},
    {"kind": "cosine", "restarts": {"count": 3}},
    {"kind": "one_cycle"},
    {"kind": "rex", "warmup": {"fraction": 0.15, "shape": "cosine"}},
    {"kind": "wsd", "shape": "sqrt"},
    {"kind": "expression", "formula": "1 - u"},
]


@pytest.mark.parametrize("document", TRAINED, ids=lambda document: document["kind"])
@pytest.mark.parametrize("ratios", [{}, {"backbone": 0.1}])
def test_a_trainer_trains_at_our_lr(document: dict[str, Any], ratios: dict[str, float], lightning: Any) -> None:
    """Lightning's Trainer steps the schedule at each update, across epochs, and ratios reach their groups."""
    wish = candidate(document, lr_ratios=ratios)

    drawn = np.array(trained(lightning, module_of(lightning, wish), max_steps=HORIZON))

    expected = expected_lr(wish, HORIZON)
    shares = [0.1 * expected, expected] if ratios else [expected]
    np.testing.assert_allclose(drawn, np.stack(shares, axis=1), rtol=1e-9, atol=1e-15)


def test_accumulated_gradients_are_one_update(lightning: Any) -> None:
    """With three batches an update the schedule goes on once an update, the short one at an epoch's end too."""
    wish = candidate({"kind": "cosine"})

    drawn = trained(lightning, module_of(lightning, wish), max_steps=HORIZON, accumulate_grad_batches=3)

    np.testing.assert_allclose(np.array(drawn)[:, 0], expected_lr(wish, HORIZON), rtol=1e-9)


EPOCHS, UPDATES = 20, 5


@pytest.mark.parametrize("warmup", [None, {"fraction": 0.15}])
def test_a_plateau_follows_the_validation(warmup: Any, lightning: Any) -> None:
    """What an evaluation decides is in force at the very next update."""
    document = {"kind": "plateau", "warmup": warmup, "patience": 0.1, "factor": 0.5}
    wish = candidate(document)
    assert isinstance(wish.schedule, Plateau)
    metrics = np.random.default_rng(5).normal(2.0, 0.3, size=EPOCHS).tolist()
    rule = wish.schedule.rule(EPOCHS, "minimize")
    in_force = [1.0, *(rule.feed(metric) for metric in metrics)][:EPOCHS]
    steps = EPOCHS * UPDATES
    expected = 0.1 * np.repeat(in_force, UPDATES) * wish.schedule.warmup_factors(np.arange(steps), steps)
    fed = itertools.chain([9.9], metrics)  # the first is the sanity check's, which decides nothing

    def validation_step(self: Any, _batch: torch.Tensor, _index: int) -> None:
        self.log("val_loss", torch.tensor(next(fed), dtype=torch.float64))

    module = module_of(lightning, wish, steps, evaluations=EPOCHS, validation_step=validation_step)
    module.val_dataloader = lambda: torch.utils.data.DataLoader(torch.ones(1, 2))
    drawn = np.array(trained(lightning, module, max_epochs=EPOCHS))[:, 0]

    assert len(set(in_force)) > 2
    np.testing.assert_allclose(drawn, expected, rtol=1e-9)


def test_the_optimizer_has_our_numbers(lightning: Any) -> None:
    """Betas and weight decay arrive."""
    wish = candidate({"kind": "constant"}, optimizer={"kind": "adamw", "beta1": 0.8, "weight_decay": 0.3})

    optimizer = module_of(lightning, wish).configure_optimizers()["optimizer"]

    assert isinstance(optimizer, torch.optim.AdamW)
    assert (optimizer.defaults["betas"], optimizer.defaults["weight_decay"]) == ((0.8, 0.999), 0.3)
