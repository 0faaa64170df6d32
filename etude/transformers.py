"""A leased trial in the Trainer of Hugging Face's transformers.

for trial in client.study("mine").lease_trials():
    with trial:
        args = TrainingArguments(max_steps=trial.horizon_steps, seed=trial.seed, eval_strategy="steps", eval_steps=50)
        set_seed(trial.seed)
        model = make_model()
        pair, callback = optimizers(trial, model, args), TrialCallback(trial)
        Trainer(model, args, optimizers=pair, callbacks=[callback], ...).train()

The Trainer tells a callback nothing of exceptions, `with trial` does: one fails the trial, Ctrl-C gives it back.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from search_spaces.problems import InvalidSpec

from .trainers import Hooks, framework, parameters_of, refuse_other_length, refuse_several_processes

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

    from .ask import LeasedTrial
    from .torch import ScheduledLR

    Params = Iterable[Tensor] | Iterable[dict[str, Any]]

REMEDY = "TrainingArguments(max_steps=trial.horizon_steps)"


class TrialCallback(Hooks):
    """Reports a trial at each evaluation, and stops the Trainer when the trial has ended. A TrainerCallback.

    The evaluation after the last update completes the trial.

    Args:
        trial: what `lease_trials` gives.
        metric: the study's metric, as the evaluation names it, with or without the prefix `eval_`.

    Raises:
        ModuleNotFoundError: transformers is not installed.
        InvalidSpec: from `train`: `max_steps` is not the trial's horizon, or the metric is not evaluated.
        Unsupported: from `train`: several processes train together.
    """

    def __init__(self, trial: LeasedTrial, metric: str = "eval_loss") -> None:
        self.trial = trial
        self.metric = metric if metric.startswith("eval_") else f"eval_{metric}"
        self._trains = False
        self._last_step = 0
        self._others: list[str] = []

    @classmethod
    def framework_class(cls) -> Any:
        """Return transformers' `TrainerCallback`."""
        return framework(["transformers"], "transformers accelerate").TrainerCallback

    def on_train_begin(self, args: Any, state: Any, *_: Any, **__: Any) -> None:
        """Refuse a training of another length than the trial's, or by several processes."""
        refuse_several_processes(args.world_size)
        refuse_other_length(self.trial, state.max_steps, REMEDY)
        self._trains = True

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Refuse to go on where the evaluation before had no such metric."""
        self._refuse_other_metrics()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        """Stop where the service has ended the trial meanwhile; evaluate at the horizon."""
        if self.trial.should_stop:
            control.should_training_stop = True
        elif args.eval_strategy == "steps" and state.global_step == self.trial.horizon_steps:
            control.should_evaluate = True  # older versions do so only where `eval_steps` divides it
        return control

    def on_evaluate(self, _args: Any, state: Any, control: Any, metrics: Mapping[str, float], **_: Any) -> Any:
        """Report the metric after so many updates."""
        if not self._trains or state.global_step <= self._last_step:
            return control
        if self.metric not in metrics:  # of several data sets, each has its own evaluation
            self._others += metrics
            return control
        self._last_step, self._others = state.global_step, []
        if self.trial.report(state.global_step, metrics[self.metric]):
            control.should_training_stop = True
        return control

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Take no evaluation after the training for one of it."""
        self._trains = False
        self._refuse_other_metrics()

    def _refuse_other_metrics(self) -> None:
        if self._others:
            evaluated = ", ".join(sorted(set(self._others)))
            raise InvalidSpec(f"{self.metric!r} is not among the evaluated metrics ({evaluated})", field="metric")


def optimizers(
    trial: LeasedTrial, model: Any, args: Any, params: Params | None = None, *, evaluations: int | None = None
) -> tuple[Optimizer, ScheduledLR]:
    """Return what the Trainer takes as `optimizers`: the trial's optimizer and schedule, stepped once an update.

    The Trainer clips gradients to `max_grad_norm`, 1.0 unless it is set; the candidate says nothing of that.

    Args:
        trial: what `lease_trials` gives.
        model: what is trained; its submodules are the groups that the candidate's LR ratios name.
        args: the TrainingArguments.
        params: tensors, or parameter groups as torch takes them; default: all of the model's.
        evaluations: how often the training is evaluated, which a plateau needs; default: by `eval_steps`.

    Raises:
        InvalidSpec: `max_steps` is not the trial's horizon; or a plateau, and the arguments do not say how often
            they evaluate.
        Unsupported: the optimizer needs a package that is not installed.
    """
    refuse_other_length(trial, args.max_steps, REMEDY)
    given = parameters_of(model, trial) if params is None else params
    return trial.build(given, evaluations=evaluations or _evaluations(args))


def _evaluations(args: Any) -> int | None:
    """Return how often a training with `max_steps` is evaluated, at its end in any case; None if nobody can know."""
    if args.eval_strategy != "steps":
        return None
    every = args.eval_steps if args.eval_steps >= 1 else math.ceil(args.max_steps * args.eval_steps)
    delayed = math.ceil(args.eval_delay / every) - 1 if args.eval_delay else 0
    return int(math.ceil(args.max_steps / every) - max(delayed, 0))
