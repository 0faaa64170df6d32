"""A leased trial in a real Lightning Trainer: its LR at each update, its reports, and how it ends."""

from __future__ import annotations

import itertools
import signal
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from etude.ask import LeasedTrial
from etude.errors import InvalidSpec, Unsupported
from etude.lightning import TrialCallback, configure_optimizers
from tests.frameworks import pytorch_lightning
from tests.unit.etude.leased import COSINE, HORIZON, PLATEAU, Service, followed, service, told_evaluations
from tests.unit.search_spaces.exported import Model, candidate, expected_lr

# Lightning's use of a deprecated form of torch's own trees, and its advice on the loader's worker processes.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
]
QUIET: dict[str, Any] = {
    "accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_checkpointing": False,
    "enable_model_summary": False,
}  # fmt: skip
Losses = Callable[[], float]


@pytest.fixture(scope="module")
def lightning() -> Any:
    return pytorch_lightning()


@pytest.fixture(scope="module")
def here(sqlite_template: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(sqlite_template, tmp_path_factory.mktemp("lightning")) as here:
        yield here


def module_of(lightning: Any, trial: LeasedTrial, losses: Losses, **options: Any) -> Any:
    """A LightningModule that notes the LR of each update and logs what `losses` gives at each validation."""

    class Tiny(Model):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[list[float]] = []
            self.modes: list[bool] = []

        def configure_optimizers(self) -> dict[str, Any]:
            return configure_optimizers(trial, self, **options)

        def training_step(self, batch: torch.Tensor, _index: int) -> torch.Tensor:
            loss: torch.Tensor = self.head(self.backbone(batch)).pow(2).mean()
            return loss

        def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
            self.seen.append([group["lr"] for group in optimizer.param_groups])

        def validation_step(self, _batch: torch.Tensor, _index: int) -> None:
            self.modes.append(self.optimizers(use_pl_optimizer=False).param_groups[0].get("train_mode", False))  # type: ignore[operator]
            self.log("val_loss", torch.tensor(losses(), dtype=torch.float64))  # type: ignore[operator]

    return type("Mine", (Tiny, lightning.LightningModule), {})()


def fit(lightning: Any, trial: LeasedTrial, losses: Losses = lambda: 0.5, rows: int = 10, **options: Any) -> Any:
    """Train as a user would, on batches of two; return the module."""
    module = module_of(lightning, trial, losses)
    trainer = lightning.Trainer(
        **{"max_steps": HORIZON, **QUIET, **options}, callbacks=[TrialCallback(trial, "val_loss")]
    )
    loaders = [torch.utils.data.DataLoader(torch.ones(count, 2), batch_size=2) for count in (rows, 2)]
    trainer.fit(module, *loaders)
    return module


@pytest.mark.parametrize("accumulated", [1, 3])
def test_a_trial_is_trained_at_its_lr_and_reported(accumulated: int, here: Service, lightning: Any) -> None:
    """The schedule goes on once an update, also over accumulated batches; each validation is a report of its step."""
    wish = candidate(COSINE, lr_ratios={"backbone": 0.1})
    name = here.study(wish)
    losses = itertools.count(1.0, -0.01)

    with here.leased(name) as trial:
        module = fit(lightning, trial, lambda: next(losses), accumulate_grad_batches=accumulated)

    expected = expected_lr(wish, HORIZON)
    np.testing.assert_allclose(module.seen, np.stack([0.1 * expected, expected], axis=1), rtol=1e-9, atol=1e-15)
    done = here.trial(name)
    an_epoch = 5 if accumulated == 1 else 2
    assert done.state == "complete"
    # The first value is the sanity check's, which is no report.
    assert [(report.step, report.value) for report in done.curve or []] == [
        (step, pytest.approx(0.99 - 0.01 * number))
        for number, step in enumerate(range(an_epoch, HORIZON + 1, an_epoch))
    ]


def test_a_plateau_follows_the_validations(here: Service, lightning: Any) -> None:
    """How many there are follows from the Trainer, and what one decides is in force at the very next update."""
    wish = candidate(PLATEAU)
    name = here.study(wish)
    metrics = np.random.default_rng(5).normal(2.0, 0.3, size=20).tolist()
    fed = iter([9.9, *metrics])

    with here.leased(name) as trial:
        module = fit(lightning, trial, lambda: next(fed), rows=4)

    factors, expected = followed(wish, metrics, updates=2)
    assert len(set(factors)) > 2
    np.testing.assert_allclose(np.array(module.seen)[:, 0], expected, rtol=1e-9)


@pytest.mark.parametrize(
    "options",
    [
        {"max_epochs": 8},
        {"check_val_every_n_epoch": None, "val_check_interval": 7},
        {"check_val_every_n_epoch": 2, "val_check_interval": 0.4},
        {"check_val_every_n_epoch": 4, "rows": 34, "val_check_interval": 4, "accumulate_grad_batches": 4},
    ],
)
def test_validations_are_counted_before_the_training(options: dict[str, Any], here: Service, lightning: Any) -> None:
    """For a plateau as many are expected as there are, whatever the Trainer's intervals; the last is at the horizon."""
    name = here.study(candidate(PLATEAU))

    with here.leased(name) as trial:
        told = told_evaluations(trial)
        fit(lightning, trial, **options)

    steps = [report.step for report in here.trial(name).curve or []]
    assert (len(steps), steps[-1]) == (told[0], HORIZON)


def test_a_pruned_trial_stops_the_trainer(here: Service, lightning: Any) -> None:
    """At the validation whose report is answered so."""
    name = here.prunes(candidate(COSINE))

    with here.leased(name) as trial:
        module = fit(lightning, trial)

    assert len(module.seen) == 5
    assert here.trial(name, 6).state == "pruned"


def test_an_exception_fails_the_trial(here: Service, lightning: Any) -> None:
    """It goes on to the caller, and the trial has its traceback."""
    name = here.study(candidate(COSINE))

    with here.leased(name) as trial, pytest.raises(ZeroDivisionError):
        fit(lightning, trial, lambda: 1 / 0)

    failed = here.trial(name)
    assert failed.state == "failed"
    assert "fit(lightning, trial, lambda: 1 / 0)" in (failed.error or "")


def test_ctrl_c_gives_the_trial_back(here: Service, lightning: Any) -> None:
    """Lightning then ends the program; the next to ask has the trial."""
    name = here.study(candidate(COSINE))

    def interrupt() -> float:
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    try:
        with here.leased(name) as trial, pytest.raises(SystemExit):
            fit(lightning, trial, interrupt)
    finally:
        signal.signal(signal.SIGINT, before)

    given = here.trial(name)
    assert (given.state, given.attempts) == ("proposed", 0)


REFUSED = [
    ({"max_steps": 77}, "max_steps", "77 updates.*max_steps=trial.horizon_steps"),
    ({"max_steps": -1, "max_epochs": 3}, "max_steps", "15 updates"),
    ({"max_steps": -1, "max_epochs": -1}, "max_steps", "no fixed number of updates"),
    ({"check_val_every_n_epoch": 3}, "check_val_every_n_epoch", "the last of this training's 8 epochs"),
]


@pytest.mark.parametrize(("options", "field", "words"), REFUSED)
def test_another_end_than_the_horizons_is_refused(
    options: dict[str, Any], field: str, words: str, here: Service, lightning: Any
) -> None:
    """Before the first update, naming the Trainer's argument."""
    name = here.study(candidate(COSINE))

    with here.leased(name) as trial, pytest.raises(InvalidSpec, match=words) as refused:
        fit(lightning, trial, **options)

    assert refused.value.field == field
    assert here.trial(name).curve == []


def test_several_processes_are_refused() -> None:
    """Each would have leased a trial of its own."""
    trial: Any = object()
    trainer: Any = type("Trainer", (), {"world_size": 2})

    with pytest.raises(Unsupported, match="this training has 2"):
        TrialCallback(trial, "val_loss").setup(trainer, None, stage="fit")


def test_a_metric_that_is_not_logged_is_named(here: Service, lightning: Any) -> None:
    """With those that are."""
    name = here.study(candidate(COSINE))

    with here.leased(name) as trial:
        callback = TrialCallback(trial, "accuracy")
        trainer = lightning.Trainer(max_steps=HORIZON, **QUIET, callbacks=[callback])
        loader = torch.utils.data.DataLoader(torch.ones(2, 2))
        with pytest.raises(InvalidSpec, match=r"'accuracy' is not among the logged metrics \(val_loss\)"):
            trainer.fit(module_of(lightning, trial, lambda: 0.5), loader, loader)


def test_a_schedule_free_optimizer_shows_its_average_to_the_validation(here: Service, lightning: Any) -> None:
    """And goes on with its own weights: its updates refuse to be made otherwise."""
    pytest.importorskip("schedulefree")
    name = here.study(candidate({"kind": "constant"}, optimizer={"kind": "schedule_free_sgd"}))

    with here.leased(name) as trial:
        module = fit(lightning, trial)

    assert here.trial(name).state == "complete"
    assert set(module.modes) == {False}
    assert len(module.seen) == HORIZON


def test_the_package_that_is_imported_is_used(here: Service, lightning: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the two distributions of Lightning, without importing the other one."""
    other = ModuleType("lightning.pytorch")
    other.Callback = type("Callback", (), {})  # type: ignore[attr-defined]
    trial: Any = object()

    mine = TrialCallback(trial, "val_loss")
    monkeypatch.delitem(sys.modules, "pytorch_lightning")
    monkeypatch.setitem(sys.modules, "lightning.pytorch", other)
    theirs = TrialCallback(trial, "val_loss")

    assert isinstance(mine, lightning.Callback)
    assert isinstance(theirs, other.Callback)
    assert isinstance(theirs, TrialCallback)
    assert "pytorch_lightning" not in sys.modules


def test_without_lightning_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """When a callback is made, not before."""
    trial: Any = object()
    for name in ("lightning", "lightning.pytorch", "pytorch_lightning"):
        monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(ModuleNotFoundError, match="pip install lightning"):
        TrialCallback(trial, "val_loss")
