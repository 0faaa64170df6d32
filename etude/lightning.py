"""A leased trial in Lightning, of the package `lightning` or `pytorch_lightning`, whichever the program uses.

class Model(LightningModule):
    def configure_optimizers(self):
        return configure_optimizers(self.trial, self)

for trial in client.study("mine").lease_trials():
    seed_everything(trial.seed)
    callback = TrialCallback(trial, "val_loss")
    Trainer(max_steps=trial.horizon_steps, callbacks=[callback]).fit(Model(trial), data)
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from search_spaces.problems import InvalidSpec
from search_spaces.schedules import Plateau

from .trainers import Hooks, framework, parameters_of, refuse_other_length, refuse_several_processes

if TYPE_CHECKING:
    from torch import Tensor

    from .ask import LeasedTrial

    Params = Iterable[Tensor] | Iterable[dict[str, Any]]

PACKAGES = ("lightning.pytorch", "pytorch_lightning")


class TrialCallback(Hooks):
    """Reports a trial after each validation, and stops the Trainer when the trial has ended. A Lightning Callback.

    The training ends at the horizon with a validation, which completes the trial. An exception fails the trial with
    its traceback, Ctrl-C gives it back. Schedule-Free optimizers show their average of the weights from each validation
    to the next batch, so also to a checkpoint that is saved there.

    Args:
        trial: what `lease_trials` gives.
        metric: the name under which the study's metric is logged in validation.

    Raises:
        ModuleNotFoundError: neither package is installed.
        InvalidSpec: from `fit`: `max_steps` is not the trial's horizon, or the metric is not logged.
        Unsupported: from `fit`: several processes train together.
    """

    def __init__(self, trial: LeasedTrial, metric: str) -> None:
        self.trial = trial
        self.metric = metric
        self._last_step = 0

    @classmethod
    def framework_class(cls) -> Any:
        """Return Lightning's `Callback`."""
        return framework(PACKAGES, "lightning").Callback

    def setup(self, trainer: Any, *_: Any, **__: Any) -> None:
        """Refuse a training by several processes."""
        refuse_several_processes(trainer.world_size)

    def on_train_start(self, trainer: Any, *_: Any) -> None:
        """Refuse a training of another length than the trial's, or without a validation at its end."""
        remedy = "Trainer(max_steps=trial.horizon_steps)"
        refuse_other_length(self.trial, trainer.estimated_stepping_batches, remedy)
        _refuse_unvalidated_end(trainer, self.trial.horizon_steps)

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        """Let a Schedule-Free optimizer go on with its own weights."""
        _turn(trainer.optimizers, "train")

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        """Stop at the horizon, and where the service has ended the trial meanwhile."""
        if self.trial.should_stop or trainer.global_step >= self.trial.horizon_steps:
            trainer.should_stop = True  # Lightning validates before it stops, in the midst of an epoch too

    def on_validation_start(self, trainer: Any, *_: Any) -> None:
        """Let a Schedule-Free optimizer show its average of the weights."""
        _turn(trainer.optimizers, "eval")

    def on_validation_end(self, trainer: Any, *_: Any) -> None:
        """Report the metric after so many updates."""
        step = trainer.global_step
        # Between two updates, as in the sanity check, there is nothing new to say.
        if trainer.sanity_checking or trainer.state.fn != "fit" or step <= self._last_step:
            return
        self._last_step = step
        if self.trial.report(step, self._value(trainer.callback_metrics)):
            trainer.should_stop = True

    def on_exception(self, _trainer: Any, _module: Any, exception: BaseException) -> None:
        """Fail the trial, or give it back where somebody has interrupted the program."""
        if isinstance(exception, Exception):
            self.trial.fail(exception)
        else:
            self.trial.release()

    def _value(self, metrics: Any) -> float:
        if self.metric not in metrics:
            logged = ", ".join(sorted(metrics)) or "none"
            raise InvalidSpec(f"{self.metric!r} is not among the logged metrics ({logged})", field="metric")
        return float(metrics[self.metric])


def configure_optimizers(
    trial: LeasedTrial, module: Any, params: Params | None = None, *, evaluations: int | None = None
) -> dict[str, Any]:
    """Return what `LightningModule.configure_optimizers` returns: the trial's optimizer and schedule, by updates.

    Args:
        trial: what `lease_trials` gives.
        module: the LightningModule; its submodules are the groups that the candidate's LR ratios name.
        params: tensors, or parameter groups as torch takes them; default: all of the module's.
        evaluations: how often the training is validated, which a plateau needs; default: by the Trainer's intervals.

    Raises:
        InvalidSpec: a plateau, and the Trainer does not know how often it validates: it goes by time, or the data have
            no length.
        Unsupported: the optimizer needs a package that is not installed.
    """
    if evaluations is None and isinstance(trial.candidate.schedule, Plateau):
        evaluations = _validations(module.trainer, trial.horizon_steps)
    given = parameters_of(module, trial) if params is None else params
    optimizer, scheduler = trial.build(given, evaluations=evaluations)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step", "frequency": 1}}


def _validations(trainer: Any, updates: int) -> int | None:
    """Return how often a training of so many updates is validated, at its end in any case; None if nobody can know."""
    trainer.fit_loop.setup_data()  # else the length of an epoch is not known yet
    length, every = trainer.num_training_batches, trainer.val_check_batch
    if every is None or math.inf in (length, every):
        return None
    batches = trainer.accumulate_grad_batches  # of an update
    an_epoch = math.ceil(length / batches)
    epochs = (updates - 1) // an_epoch  # before the last one
    last = min((updates - epochs * an_epoch) * batches, length)
    apart: int | None = trainer.check_val_every_n_epoch
    count: int = math.ceil((epochs * length + last) / every)
    return count if apart is None else epochs // apart * int(length // every) + math.ceil(last / every)


def _refuse_unvalidated_end(trainer: Any, updates: int) -> None:
    """Refuse a training whose last epoch is not validated: its end would not be reported."""
    length, apart = trainer.num_training_batches, trainer.check_val_every_n_epoch
    if apart is None or length == math.inf:
        return
    epochs = math.ceil(updates / math.ceil(length / trainer.accumulate_grad_batches))
    if epochs % apart:
        raise InvalidSpec(
            f"the last of this training's {epochs} epochs is not validated, so that its end cannot be reported",
            field="check_val_every_n_epoch",
        )


def _turn(optimizers: Iterable[Any], mode: str) -> None:
    """Turn the optimizers that have these modes to `train` or `eval`."""
    for optimizer in optimizers:
        if hasattr(optimizer, "train") and hasattr(optimizer, "eval"):
            getattr(optimizer, mode)()
