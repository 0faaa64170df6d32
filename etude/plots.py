"""Pictures of a study, with matplotlib: the LR of a schedule, and what trials have reported."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import BaseModel

from search_spaces.describe import describe
from search_spaces.problems import InvalidSpec
from search_spaces.results import Answer, TrialView

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .client import Client

Drawn: TypeAlias = str | BaseModel | Mapping[str, Any]
"""What a learning rate is drawn of: a study's name, an answer, a candidate, a trial or a schedule."""


def plot_schedule(
    client: Client, drawn: Drawn, total_steps: int | None, *, initial_lr: float | None, ax: Axes | None
) -> Axes:
    """Draw the LR over the updates; see `Client.plot_schedule`."""
    lr = _learning_rates(client, drawn, total_steps, initial_lr)
    ax = ax or _new_axes()
    # Each value holds for one whole update.
    ax.step(range(len(lr)), lr, where="post")
    ax.set_xlabel("update")
    ax.set_ylabel("learning rate")
    ax.set_ylim(bottom=0.0)
    ax.set_title(_title(drawn))
    return ax


def plot_curves(client: Client, name: str, *, trials: Sequence[int] | None, most: int, ax: Axes | None) -> Axes:
    """Draw the reports of trials over the updates; see `Client.plot_curves`."""
    study = client.get(name)
    numbers = _best(client, name, study.direction == "maximize", most) if trials is None else trials
    ax = ax or _new_axes()
    for number in numbers:
        trial = client.trial(name, number)
        reports = [report for report in trial.curve or [] if report.kind == "raw"]
        words = describe(trial.candidate) if trial.candidate else trial.state
        ax.plot([report.step for report in reports], [report.value for report in reports], label=f"{number}: {words}")
    ax.set_xlabel("update")
    ax.set_ylabel(study.metric or "value")
    ax.set_title(name)
    if numbers:
        ax.legend(fontsize="x-small")
    return ax


def _learning_rates(client: Client, drawn: Drawn, total_steps: int | None, initial_lr: float | None) -> list[float]:
    """Ask the service for the LR of every update: it judges every spec, and knows what a plateau has followed."""
    if isinstance(drawn, str | Answer):
        return client.curve(drawn if isinstance(drawn, str) else drawn.study, steps=total_steps)
    if isinstance(drawn, TrialView) and drawn.lr is not None and total_steps in (None, len(drawn.lr)):
        return drawn.lr
    if isinstance(drawn, TrialView):
        total_steps = total_steps or drawn.horizon_steps
        drawn = _there(drawn.candidate)
    if total_steps is None:
        raise InvalidSpec("for how many updates? A schedule alone does not know", field="total_steps")
    schedule, own_lr = _part(drawn, "schedule"), _part(drawn, "initial_lr")
    if schedule is None:
        return client.preview(drawn, 1.0 if initial_lr is None else initial_lr, total_steps)
    return client.preview(schedule, own_lr if initial_lr is None else initial_lr, total_steps)


def _part(drawn: BaseModel | Mapping[str, Any], name: str) -> Any:
    return drawn.get(name) if isinstance(drawn, Mapping) else getattr(drawn, name, None)


def _there(candidate: BaseModel | None) -> BaseModel:
    if candidate is None:
        raise InvalidSpec("a trial that stock Optuna has added has no candidate", field="candidate")
    return candidate


def _best(client: Client, name: str, maximize: bool, most: int) -> list[int]:
    trials = [trial for trial in client.trials(name, state="complete") if math.isfinite(_score(trial))]
    trials.sort(key=lambda trial: -_score(trial) if maximize else _score(trial))
    return [trial.number for trial in trials[:most]]


def _score(trial: TrialView) -> float:
    return math.nan if trial.value is None else trial.value


def _title(drawn: Drawn) -> str:
    if isinstance(drawn, str):
        return drawn
    if isinstance(drawn, TrialView):
        return f"{drawn.study} {drawn.number}"
    return str(_part(drawn, "study") or _part(drawn, "kind") or "")


def _new_axes() -> Axes:
    try:
        from matplotlib import pyplot as plt
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install matplotlib") from error
    return plt.subplots()[1]
