"""A leased trial in the real Trainer of transformers: its LR at each update, its reports, and how it ends."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from etude.ask import LeasedTrial
from etude.errors import InvalidSpec, Unsupported
from etude.transformers import TrialCallback, optimizers
from tests.frameworks import transformers as imported
from tests.unit.etude.leased import COSINE, HORIZON, PLATEAU, Service, followed, service, told_evaluations
from tests.unit.search_spaces.exported import Model, candidate, expected_lr

# The Trainer's default asks for pinned memory, which a machine without an accelerator does not have.
pytestmark = pytest.mark.filterwarnings("ignore:'pin_memory' argument is set as true but no accelerator")
Losses = Callable[[], float]


@pytest.fixture(scope="module")
def transformers() -> Any:
    return imported()


@pytest.fixture(scope="module")
def here(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(sqlite_template, tmp_path_factory.mktemp("transformers")) as here:
        yield here


class Tiny(Model):
    """What a Trainer takes: a model that returns its loss, and says so by a name in its signature."""

    def forward(self, x: torch.Tensor, return_loss: bool = True) -> dict[str, torch.Tensor]:
        return {"loss": self.head(self.backbone(x)).pow(2).mean()}


class Rows(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    """Ten equal rows: five batches an epoch."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"x": torch.ones(2)}


def trainer_of(
    transformers: Any,
    place: Path,
    trial: LeasedTrial,
    losses: Losses = lambda: 0.5,
    metric: str = "loss",
    **options: Any,
) -> tuple[Any, list[list[float]]]:
    """A Trainer as a user would make it, whose evaluations give `losses` if any, and the LRs of its updates."""
    seen: list[list[float]] = []
    quiet = {"report_to": "none", "disable_tqdm": True, "save_strategy": "no", "logging_strategy": "no"}
    usual = {"max_steps": HORIZON, "eval_strategy": "steps", "eval_steps": 5, "per_device_train_batch_size": 2}
    args = transformers.TrainingArguments(output_dir=str(place), **quiet, **(usual | options))

    class Scripted(transformers.Trainer):  # type: ignore[misc]
        def evaluate(self, *given: Any, **options: Any) -> dict[str, float]:
            if losses is None:
                own: dict[str, float] = super().evaluate(*given, **options)
                return own
            found = {"eval_loss": losses()}
            self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, found)
            return found

    class Notes(transformers.TrainerCallback):  # type: ignore[misc]
        def on_pre_optimizer_step(self, *_: Any, optimizer: Any, **__: Any) -> None:
            seen.append([group["lr"] for group in optimizer.param_groups])

    model = Tiny()
    pair = optimizers(trial, model, args)
    callbacks = [Notes(), TrialCallback(trial, metric)]
    data = {"train_dataset": Rows(), "eval_dataset": Rows()}
    trainer = Scripted(model, args, **data, optimizers=pair, callbacks=callbacks)
    trainer.remove_callback(transformers.PrinterCallback)
    return trainer, seen


@pytest.mark.parametrize("accumulated", [1, 3])
def test_a_trial_is_trained_at_its_lr_and_reported(
    accumulated: int, here: Service, transformers: Any, tmp_path: Path
) -> None:
    """The schedule goes on once an update, also over accumulated batches; each evaluation is a report of its step."""
    wish = candidate(COSINE, lr_ratios={"backbone": 0.1})
    name = here.study(wish)
    losses = itertools.count(1.0, -0.01)

    with here.leased(name) as trial:
        options = {"gradient_accumulation_steps": accumulated, "eval_steps": 15, "eval_on_start": True}
        trainer, seen = trainer_of(transformers, tmp_path, trial, lambda: next(losses), **options)
        trainer.train()
        trainer.evaluate()

    expected = expected_lr(wish, HORIZON)
    np.testing.assert_allclose(seen, np.stack([0.1 * expected, expected], axis=1), rtol=1e-9, atol=1e-15)
    done = here.trial(name)
    assert done.state == "complete"
    # The values before and after belong to evaluations outside the training.
    reports = [(report.step, report.value) for report in done.curve or []]
    assert reports == [(15, pytest.approx(0.99)), (30, pytest.approx(0.98)), (HORIZON, pytest.approx(0.97))]


def test_a_plateau_follows_the_evaluations(here: Service, transformers: Any, tmp_path: Path) -> None:
    """How many there are follows from the arguments, and what one decides is in force at the very next update."""
    wish = candidate(PLATEAU)
    name = here.study(wish)
    metrics = np.random.default_rng(5).normal(2.0, 0.3, size=20).tolist()
    fed = iter(metrics)

    with here.leased(name) as trial:
        trainer, seen = trainer_of(transformers, tmp_path, trial, lambda: next(fed), eval_steps=0.05)
        trainer.train()

    factors, expected = followed(wish, metrics, updates=2)
    assert len(set(factors)) > 2
    np.testing.assert_allclose(np.array(seen)[:, 0], expected, rtol=1e-9)


def test_evaluations_are_counted_before_the_training(here: Service, transformers: Any, tmp_path: Path) -> None:
    """For a plateau as many are expected as there are, with a delay too; those at epochs' ends have to be told."""
    name = here.study(candidate(PLATEAU), count=2)

    with here.leased(name) as trial:
        told = told_evaluations(trial)
        trainer_of(transformers, tmp_path, trial, eval_steps=6, eval_delay=13)[0].train()
    with here.leased(name) as trial, pytest.raises(InvalidSpec) as refused:
        trainer_of(transformers, tmp_path, trial, eval_strategy="epoch")

    assert [report.step for report in here.trial(name).curve or []] == [18, 24, 30, 36, HORIZON]
    assert told == [5]
    assert refused.value.field == "evaluations"


def test_a_pruned_trial_stops_the_trainer(here: Service, transformers: Any, tmp_path: Path) -> None:
    """At the evaluation whose report is answered so."""
    name = here.prunes(candidate(COSINE))

    with here.leased(name) as trial:
        trainer, seen = trainer_of(transformers, tmp_path, trial)
        trainer.train()

    assert len(seen) == 5
    assert here.trial(name, 6).state == "pruned"


@pytest.mark.parametrize("raised", [ZeroDivisionError, KeyboardInterrupt])
def test_an_exception_fails_the_trial_and_ctrl_c_gives_it_back(
    raised: type[BaseException], here: Service, transformers: Any, tmp_path: Path
) -> None:
    """It goes on to the caller."""
    name = here.study(candidate(COSINE))

    def losses() -> float:
        raise raised

    with pytest.raises(raised), here.leased(name) as trial, trial:
        trainer_of(transformers, tmp_path, trial, losses)[0].train()

    ended = here.trial(name)
    assert ended.state == ("failed" if raised is ZeroDivisionError else "proposed")
    assert "ZeroDivisionError" in (ended.error or "ZeroDivisionError")


def test_a_schedule_free_optimizer_shows_its_average_to_the_evaluation(
    here: Service, transformers: Any, tmp_path: Path
) -> None:
    """The Trainer turns it over by itself, also when the pair has made it."""
    pytest.importorskip("schedulefree")
    name = here.study(candidate({"kind": "constant"}, optimizer={"kind": "schedule_free_sgd"}))
    modes: list[tuple[bool, bool]] = []

    with here.leased(name) as trial:
        trainer, _ = trainer_of(transformers, tmp_path, trial, losses=None)

        def note(model: Any, *_: Any) -> None:
            modes.append((model.training, trainer.optimizer.param_groups[0]["train_mode"]))

        trainer.model.register_forward_hook(note)
        trainer.train()

    assert here.trial(name).state == "complete"
    assert set(modes) == {(True, True), (False, False)}


def test_another_length_than_the_horizon_is_refused(here: Service, transformers: Any, tmp_path: Path) -> None:
    """With the argument to set: by the pair, and by the callback where the pair is made otherwise."""
    name = here.study(candidate(COSINE))

    with here.leased(name) as trial:
        with pytest.raises(InvalidSpec, match=r"max_steps=trial\.horizon_steps") as refused:
            trainer_of(transformers, tmp_path, trial, max_steps=77)
        trainer, seen = trainer_of(transformers, tmp_path, trial)
        trainer.args.max_steps = 77
        with pytest.raises(InvalidSpec, match="77 updates, the study's trials have 40"):
            trainer.train()

    assert refused.value.field == "max_steps"
    assert seen == []


def test_several_processes_are_refused() -> None:
    """Each would have leased a trial of its own."""
    trial: Any = object()
    args: Any = type("Args", (), {"world_size": 2})

    with pytest.raises(Unsupported, match="this training has 2"):
        TrialCallback(trial).on_train_begin(args, None)


def test_a_metric_that_is_not_evaluated_is_named(here: Service, transformers: Any, tmp_path: Path) -> None:
    """With those that are, after one update at most; the prefix `eval_` is understood."""
    name = here.study(candidate(COSINE))

    with here.leased(name) as trial:
        trainer, seen = trainer_of(transformers, tmp_path, trial, metric="accuracy")
        with pytest.raises(InvalidSpec, match=r"'eval_accuracy' is not among the evaluated metrics \(eval_loss\)"):
            trainer.train()

    assert len(seen) == 5


def test_without_transformers_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """When a callback is made, not before."""
    trial: Any = object()
    monkeypatch.setitem(sys.modules, "transformers", None)

    with pytest.raises(ModuleNotFoundError, match="pip install transformers"):
        TrialCallback(trial)
