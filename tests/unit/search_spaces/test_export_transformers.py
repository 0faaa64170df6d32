"""Texts for transformers are executed in transformers: schedulers by its own factory, some trainings by its Trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from search_spaces.export import export
from search_spaces.export.transformers import training_arguments
from search_spaces.schedules import Plateau
from tests.frameworks import transformers as imported
from tests.unit.search_spaces.exported import HORIZON, SPECS, Model, candidate, defined_by, executed, expected_lr, rates

ADAMW = {"kind": "adamw", "weight_decay": 0.0}
PLAIN = {"fraction": 0.15, "inclusive": False}
SAID = [
    ({"kind": "constant"}, "constant"),
    ({"kind": "constant", "warmup": PLAIN}, "constant_with_warmup"),
    ({"kind": "linear", "warmup": PLAIN}, "linear"),
    ({"kind": "cosine"}, "cosine"),
    ({"kind": "cosine", "cycles": 1.75, "warmup": PLAIN}, "cosine"),
    ({"kind": "cosine", "end_factor": 0.1, "warmup": PLAIN}, "cosine_with_min_lr"),
    ({"kind": "cosine", "end_factor": 0.1, "cycles": 1.75}, "cosine_with_min_lr"),
    ({"kind": "cosine", "restarts": {"count": 3}, "warmup": PLAIN}, "cosine_with_restarts"),
    ({"kind": "polynomial", "power": 2.0, "end_factor": 0.001}, "polynomial"),
    ({"kind": "inverse_sqrt", "timescale": 0.1, "warmup": PLAIN}, "inverse_sqrt"),
    ({"kind": "wsd", "warmup": PLAIN}, "warmup_stable_decay"),
    ({"kind": "wsd", "shape": "cosine", "end_factor": 0.1}, "warmup_stable_decay"),
    ({"kind": "wsd", "shape": "sqrt", "end_factor": 0.1, "warmup": {**PLAIN, "start_factor": 0.1}},
     "warmup_stable_decay"),
]  # fmt: skip
NOT_SAID = [
    {"kind": "cosine", "warmup": {"fraction": 0.15}},
    {"kind": "cosine", "reverse": True},
    {"kind": "cosine", "restarts": {"count": 7}},
    {"kind": "cosine", "restarts": {"count": 3, "peak_gamma": 0.5}},
    {"kind": "cosine", "end_factor": 0.1, "restarts": {"count": 3}},
    {"kind": "linear", "end_factor": 0.1},
    {"kind": "linear", "restarts": {"count": 2}},
    {"kind": "polynomial", "power": 2.0, "cycle_length": 0.5},
    {"kind": "wsd", "shape": "exponential", "end_factor": 0.1},
    {"kind": "wsd", "end_factor": 0.1, "warmup": PLAIN},
]

# The Trainer's default asks for pinned memory, which a machine without an accelerator does not have.
pytestmark = pytest.mark.filterwarnings("ignore:'pin_memory' argument is set as true but no accelerator")


@pytest.fixture(scope="module")
def transformers() -> Any:
    """The library."""
    return imported()


class Tiny(Model):
    """What a Trainer takes: a model that returns its loss."""

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": self.head(self.backbone(x)).pow(2).mean()}


class Rows(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    """Ten equal rows."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"x": torch.ones(2)}


def quiet(directory: Path, **options: Any) -> dict[str, Any]:
    """Arguments of a training that writes and prints nothing; five updates an epoch."""
    fixed = {"report_to": "none", "disable_tqdm": True, "save_strategy": "no", "logging_strategy": "no"}
    return {"output_dir": str(directory), "per_device_train_batch_size": 2, **fixed, **options}


def trained(trainer: Any) -> list[list[float]]:
    """The LR of every group at each update of a real training."""
    from transformers import PrinterCallback, ProgressCallback, TrainerCallback

    seen: list[list[float]] = []

    class Notes(TrainerCallback):
        def on_pre_optimizer_step(self, *_: Any, optimizer: Any, **__: Any) -> None:
            seen.append([group["lr"] for group in optimizer.param_groups])

    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(Notes())
    trainer.train()
    return seen


@pytest.mark.parametrize("document", SPECS)
def test_a_pair_in_every_form(document: dict[str, Any], transformers: Any) -> None:
    """Every form of every kind with every modifier, to 1e-9 of each update's own LR."""
    wish = candidate(document)

    optimizer, scheduler = defined_by(wish, HORIZON, "transformers")["optimizers"](Model())
    drawn = np.array(rates(optimizer, scheduler, HORIZON))[:, 0]

    np.testing.assert_allclose(drawn, expected_lr(wish, HORIZON), rtol=1e-9, atol=1e-15)


def created(transformers: Any, text: str) -> tuple[Any, Any]:
    """The optimizer and the scheduler that the Trainer makes of the text's arguments."""
    arguments = executed(text)["arguments"]
    trainer = transformers.Trainer(Tiny(), arguments, train_dataset=Rows())
    trainer.create_optimizer_and_scheduler(num_training_steps=arguments.max_steps)
    return trainer.optimizer, trainer.lr_scheduler


@pytest.mark.parametrize(("document", "name"), SAID)
def test_training_arguments_say_what_they_can(
    document: dict[str, Any], name: str, transformers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AdamW without decay, and a schedule that transformers has: its own scheduler draws our curve."""
    wish = candidate(document, optimizer=ADAMW | {"beta1": 0.8, "eps": 1e-6})
    monkeypatch.chdir(tmp_path)

    fields = training_arguments(wish, HORIZON)
    optimizer, scheduler = created(transformers, export(wish, HORIZON, "transformers"))
    drawn = np.array(rates(optimizer, scheduler, HORIZON))[:, 0]

    assert fields is not None
    assert fields["lr_scheduler_type"] == name
    np.testing.assert_allclose(drawn, expected_lr(wish, HORIZON), rtol=1e-9, atol=1e-15)
    group = optimizer.param_groups[0]
    assert isinstance(optimizer, torch.optim.AdamW)
    assert (group["betas"], group["eps"], group["weight_decay"]) == ((0.8, 0.999), 1e-6, 0.0)


@pytest.mark.parametrize("document", NOT_SAID)
def test_what_arguments_would_change_is_a_pair(document: dict[str, Any]) -> None:
    """Where transformers' schedule of that name is another curve, the text builds optimizer and scheduler."""
    wish = candidate(document, optimizer=ADAMW)

    assert training_arguments(wish, HORIZON) is None
    assert "optimizers" in defined_by(wish, HORIZON, "transformers")


def test_weight_decay_is_not_left_to_training_arguments() -> None:
    """The Trainer leaves biases and norms out of it, so that it would be another optimizer."""
    assert training_arguments(candidate({"kind": "cosine"}, optimizer={"kind": "adamw"}), HORIZON) is None


@pytest.mark.parametrize("document", [{"kind": "linear", "warmup": PLAIN}, {"kind": "wsd"}])
def test_a_trainer_trains_with_the_arguments(
    document: dict[str, Any], transformers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole training by the text's TrainingArguments, update by update."""
    wish = candidate(document, optimizer=ADAMW)
    monkeypatch.chdir(tmp_path)
    arguments = executed(export(wish, HORIZON, "transformers"))["arguments"]

    drawn = np.array(trained(transformers.Trainer(Tiny(), arguments, train_dataset=Rows())))

    np.testing.assert_allclose(drawn[:, 0], expected_lr(wish, HORIZON), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("accumulated", [1, 3])
@pytest.mark.parametrize("ratios", [{}, {"backbone": 0.1}])
def test_a_trainer_trains_with_the_pair(
    accumulated: int, ratios: dict[str, float], transformers: Any, tmp_path: Path
) -> None:
    """The Trainer steps the scheduler at each update, over epochs and accumulated batches; ratios reach the groups."""
    wish = candidate({"kind": "rex", "warmup": {"fraction": 0.15, "shape": "cosine"}}, lr_ratios=ratios)
    model = Tiny()
    pair = defined_by(wish, HORIZON, "transformers")["optimizers"](model)
    options = quiet(tmp_path, max_steps=HORIZON, gradient_accumulation_steps=accumulated)
    arguments = transformers.TrainingArguments(**options)

    drawn = trained(transformers.Trainer(model, arguments, train_dataset=Rows(), optimizers=pair))

    expected = expected_lr(wish, HORIZON)
    shares = [0.1 * expected, expected] if ratios else [expected]
    np.testing.assert_allclose(drawn, np.stack(shares, axis=1), rtol=1e-9, atol=1e-15)


EPOCHS, UPDATES = 20, 5


@pytest.mark.parametrize("warmup", [None, {"fraction": 0.15}])
def test_a_plateau_follows_the_evaluations(warmup: Any, transformers: Any, tmp_path: Path) -> None:
    """What an evaluation decides is in force at the very next update."""
    wish = candidate({"kind": "plateau", "warmup": warmup, "patience": 0.1, "factor": 0.5})
    assert isinstance(wish.schedule, Plateau)
    metrics = np.random.default_rng(5).normal(2.0, 0.3, size=EPOCHS).tolist()
    rule = wish.schedule.rule(EPOCHS, "minimize")
    in_force = [1.0, *(rule.feed(metric) for metric in metrics)][:EPOCHS]
    steps = EPOCHS * UPDATES
    expected = 0.1 * np.repeat(in_force, UPDATES) * wish.schedule.warmup_factors(np.arange(steps), steps)
    fed = iter(metrics)
    model = Tiny()
    defined = defined_by(wish, steps, "transformers")
    pair = defined["optimizers"](model, EPOCHS)
    options = quiet(tmp_path, max_steps=steps, eval_strategy="epoch", metric_for_best_model="eval_loss")

    class Scripted(transformers.Trainer):  # type: ignore[misc]
        def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
            found = {"eval_loss": next(fed)}
            self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, found)
            return found

    follows = [defined["FollowsMetric"](*pair)] if warmup else []
    arguments = transformers.TrainingArguments(**options)
    data = {"train_dataset": Rows(), "eval_dataset": Rows()}
    drawn = trained(Scripted(model, arguments, **data, optimizers=pair, callbacks=follows))

    assert len(set(in_force)) > 2
    np.testing.assert_allclose(np.array(drawn)[:, 0], expected, rtol=1e-9)
