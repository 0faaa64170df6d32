"""What the loop trains with: an engine holds trials of one task and takes them from stop to stop.

There are three: `solo.Solo` trains one trial after another, `packing.Pack` many as one computation, and
`scripts.ScriptEngine` starts somebody's training script for each; `branches.Branching` around the first two trains
what rungs ask for beside. The loop does not know which it holds. A trial can
be left at any step, saved (a script cannot), and entered again elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypedDict

from search_spaces.work import ClaimedTrial, ReportKind

Interrupted = Callable[[], bool]
"""Looked at between two steps: True ends the stretch early."""


@dataclass(frozen=True)
class Evaluation:
    """What a stop has shown."""

    step: int
    """Updates made."""
    value: float
    """The decision metric on the validation split."""
    further: dict[str, float]
    """The other validation metrics, by their full names."""
    averaged: float | None = None
    """At a rung that compares by it: the decision metric of the better running average of the weights."""
    averages: tuple[float, ...] = ()
    """There: the decision metric of each running average."""
    cooldown: float | None = None
    """The same of a branch whose LR was brought down to zero."""
    kind: ReportKind = "raw"
    """`rescaled` where it is that of a whole schedule that ends at a rung."""


class _Kept(TypedDict, total=False):
    averages: list[dict[str, Any]]
    """The running averages of parameters and floating buffers by name, as `workers.averaging` keeps them."""
    evaluation: dict[str, Any]
    """What the stop at `step` has shown (`step`, `value`, `further`), where a branch from it is still to be trained."""
    shorter: int
    """The rung at which its schedule ends, where it is of a training before the trial's own."""


class TrainingState(_Kept):
    """A training between two updates, in tensors, numbers and text alone: `torch.load(weights_only=True)` reads it.

    It is the same whether the trial was packed or alone, so that either takes it up.
    """

    step: int
    """Updates made."""
    model: dict[str, Any]
    """Parameters and buffers by their names in the task's model, on the CPU."""
    optimizer: dict[str, Any]
    """`state`: torch's, by parameter index; `param_groups`: torch's, or None where the candidate says it all."""
    scheduler: dict[str, Any]
    """As `etude.torch.ScheduledLR.state_dict` gives it."""


@dataclass(eq=False)
class Attempt:
    """One claimed trial in training, and what is known of it; the engine writes, the loop reads."""

    claimed: ClaimedTrial
    start: TrainingState | None = None
    """Where it goes on from; None: from the model's seed."""
    steps_done: int = 0
    """Updates made."""
    extra_steps: int = 0
    """Updates made beside its own training since it was claimed: on branches, and with shorter schedules."""
    evaluation: Evaluation | None = None
    """The latest."""
    metrics: dict[str, float] = field(default_factory=dict)
    """The other metrics at the latest evaluation; of a trial with `test` those of the test split too."""
    complete: bool = False
    """Whether the horizon is reached and everything is measured."""
    error: str | None = None
    """Why it failed: `diverged`, `horizon_mismatch: ...`, or the end of a traceback; None while nothing did."""

    given_back: bool = False
    """Whether it ended through no fault of its own, so that the store is to propose it again."""

    @property
    def updates(self) -> int:
        """All that it has cost: updates of its own training and beside it."""
        return self.steps_done + self.extra_steps

    @property
    def value(self) -> float | None:
        """The decision metric at the latest evaluation."""
        return self.evaluation.value if self.evaluation else None

    @property
    def reason(self) -> str | None:
        """The last line of the error, which says what it was."""
        return self.error.strip().rsplit("\n", 1)[-1] if self.error else None


class Engine(Protocol):
    """Trials of one task with one set of parameters, in training together or in turn."""

    @property
    def size(self) -> int:
        """How many trials it trains at best at once; it may shrink when memory runs out."""

    @property
    def attempts(self) -> list[Attempt]:
        """The trials in it: entered, neither left nor ended."""

    def enter(self, attempt: Attempt) -> None:
        """Take a trial in; it begins, or goes on from `attempt.start`, when its turn comes."""

    def leave(self, attempt: Attempt) -> None:
        """Let a trial go: pruned, stopped or lost."""

    def advance(self, interrupted: Interrupted) -> list[Attempt]:
        """Train until some trials stop: each has a new evaluation, is complete or given back, or has an error.

        A trial that is complete, given back or has an error has left. Empty when interrupted before any stop. What a
        task raises becomes the `error` of the trial that it concerns and never ends the engine.
        """

    def state(self, attempt: Attempt) -> TrainingState | None:
        """Return where a trial stands, between two updates; None while it has made none."""
