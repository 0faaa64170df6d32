"""Trials for a training loop of your own: leased one after the other, reported, and ended whatever happens.

for trial in client.study("mine").lease_trials():
    torch.manual_seed(trial.seed)
    model = make_model()
    optimizer, scheduler = trial.build(model.parameters())
    for step in range(1, trial.horizon_steps + 1):
        train(model, optimizer)
        scheduler.step()
        if step % 100 == 0 and trial.report(step, validate(model)):
            break  # pruned, or complete: the service knows

A report at the horizon completes the trial. An exception that ends the program fails the trial with its traceback,
Ctrl-C gives it back. Inside `with trial:` both happen as the block is left, also where the exception is caught outside.
"""

from __future__ import annotations

import logging
import math
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from search_spaces.candidate import Candidate
from search_spaces.problems import InvalidSpec, Problem, StoreUnavailable, Unsupported
from search_spaces.schedules import curve
from search_spaces.study import Direction
from search_spaces.work import ClaimAnswer, ClaimedTrial, Purpose

from . import leaving
from .errors import TrialLeftOpen
from .http import ServiceUnreachable
from .keeping import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, Keeper, Kept, reason_of
from .pace import ENDED

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

    from .client import Client
    from .torch import ScheduledLR

log = logging.getLogger(__name__)

Said = TypeVar("Said")
DIVERGED = "diverged"
Catch = tuple[type[Exception], ...]


class LeasedTrial:
    """A trial that is yours to train, until it has ended or its lease is lost."""

    def __init__(self, keeper: Keeper, kept: Kept, direction: str | None, catch: Catch = ()) -> None:
        self._keeper = keeper
        self._kept = kept
        self._direction = direction
        self._catch = catch
        self._scheduler: ScheduledLR | None = None

    def __repr__(self) -> str:
        return f"LeasedTrial({self.study!r}, {self.number})"

    @property
    def study(self) -> str:
        """The study's name; `{name}.confirmation` for a trial of its confirmation."""
        return self._claimed.study

    @property
    def number(self) -> int:
        """The trial's number in that study."""
        return self._claimed.number

    @property
    def candidate(self) -> Candidate:
        """What to train with: optimizer, initial LR, schedule."""
        return self._claimed.candidate

    @property
    def horizon_steps(self) -> int:
        """T, the updates of this training."""
        return self._claimed.horizon_steps

    @property
    def rungs(self) -> list[int]:
        """Steps at which trials are compared; a report at each of them lets the service prune in time."""
        return self._claimed.rungs

    @property
    def seed(self) -> int:
        """What to seed weights and data order with; the confirmation's trials differ in nothing else."""
        return self._claimed.seed

    @property
    def purpose(self) -> Purpose:
        """`search`, `tuning` or `confirmation`."""
        return self._claimed.purpose

    @property
    def task_params(self) -> Mapping[str, Any]:
        """The study's `task.params`."""
        return self._claimed.task.params

    @property
    def should_stop(self) -> bool:
        """Whether the training is to stop: the trial has ended, was pruned, or is no longer yours."""
        return self._kept.ended is not None

    def learning_rates(self) -> NDArray[np.float64]:
        """Return the LR of every update, for frameworks without an adapter: (horizon_steps,) float64.

        Raises:
            Unsupported: the schedule follows the metric, so it has no curve of its own.
        """
        return self.candidate.initial_lr * curve(self.candidate.schedule, self.horizon_steps)

    def build(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        total_steps: int | None = None,
        *,
        evaluations: int | None = None,
    ) -> tuple[Optimizer, ScheduledLR]:
        """Return the candidate's torch optimizer and scheduler; call both `step`s once an update.

        Args:
            params: tensors, or parameter groups as torch takes them.
            total_steps: the updates of your loop, which have to be the study's horizon; default: just that.
            evaluations: how often `report` will be called; a plateau needs it, and is fed by `report`.

        Raises:
            InvalidSpec: your loop is of another length than the study's trials.
            Unsupported: the optimizer needs a package that is not installed.
            ImportError: torch is not installed.
        """
        try:
            from .torch import build
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise ImportError("build() needs torch: pip install torch; learning_rates() does without") from error
        if total_steps not in (None, self.horizon_steps):
            raise InvalidSpec(
                f"this training has {total_steps} updates, the study's trials have {self.horizon_steps}",
                field="total_steps",
            )
        direction: Direction = "maximize" if self._direction == "maximize" else "minimize"
        optimizer, self._scheduler = build(
            self.candidate, params, self.horizon_steps, evaluations=evaluations, direction=direction
        )
        return optimizer, self._scheduler

    def report(self, step: int, value: float) -> bool:
        """Report the study's metric after `step` updates; True where the training is to stop.

        At the horizon the trial is complete with this value; nan or an infinity fails it as diverged. While the service
        is away reports are kept, the training goes on, and they are sent once it is back.

        Raises:
            ValueError: the step lies outside 1 ... horizon_steps.
            Problem: the service refuses the report.
        """
        if not 1 <= step <= self.horizon_steps:
            raise ValueError(f"step {step} is not in 1 ... {self.horizon_steps}, the horizon of this trial")
        value = float(value)
        if self.should_stop:
            return True
        if self._scheduler is not None:
            self._scheduler.observe(value)
        self._kept.report(step, value)
        if not math.isfinite(value):
            self._kept.fail(DIVERGED)
        elif step == self.horizon_steps:
            self._kept.complete(value, {})
        self._keeper.speak()
        return self.should_stop

    def complete(self, value: float, metrics: Mapping[str, float] | None = None) -> None:
        """End the trial as trained to its horizon with this value; for a loop that does not report there.

        `metrics` are recorded beside it. Nothing happens to a trial that has ended.

        Raises:
            ValueError: the value is not finite.
        """
        if not math.isfinite(value):
            raise ValueError(f"a trial cannot be complete with {value}: fail() says that it diverged")
        self._kept.complete(float(value), {name: float(number) for name, number in (metrics or {}).items()})
        self._keeper.speak()

    def fail(self, error: str | BaseException = DIVERGED) -> None:
        """End the trial as failed, with a reason in words or an exception; it counts in the budget."""
        self._kept.fail(error if isinstance(error, str) else reason_of(error))
        self._keeper.speak()

    def release(self) -> None:
        """Give the trial back: another process, or the next turn, begins it anew. No attempt is counted."""
        self._kept.release()
        self._keeper.speak()

    def __enter__(self) -> LeasedTrial:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """End the trial as the block has ended; an exception of `lease_trials(catch=...)` goes no further."""
        if error is None:
            self._refuse_open()
            return False
        if isinstance(error, Exception):
            self.fail(error)
        else:
            self.release()
        return isinstance(error, self._catch)

    @property
    def _claimed(self) -> ClaimedTrial:
        return self._kept.claimed

    def _refuse_open(self) -> None:
        if self._kept.ended is None:
            last = self._kept.last_step
            self.release()
            raise TrialLeftOpen(
                f"trial {self.number} of {self.study} was left after a report at step {last} of {self.horizon_steps}: "
                "report at the last step, or call complete(value), fail(reason) or release(). It is given back"
            )


class LeasedTrials(Iterator[LeasedTrial]):
    """The trials of a study, leased one at a time to this process until the study has ended.

    Waits where there is nothing to train just now, and through outages. `close()`, the end of a `with` block, or
    letting go of it gives the open trial back.
    """

    def __init__(
        self,
        client: Client,
        study: str,
        *,
        limit: int | None = None,
        worker: str | None = None,
        catch: Catch = (),
        patience_seconds: float = 3600.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._study = study
        self._left = limit
        self._catch = catch
        self._patience = patience_seconds
        self._sleep = sleep
        self._direction = self._patiently(lambda: client.get(study)).direction
        self._keeper = Keeper(client.verbs(), worker or f"{socket.gethostname()}-{os.getpid()}")
        self._claim_id: str | None = None
        self._trial: LeasedTrial | None = None
        leaving.remember(self._keeper)

    def __iter__(self) -> LeasedTrials:
        return self

    def __next__(self) -> LeasedTrial:
        if self._keeper.closed:
            raise StopIteration
        if self._trial is not None:
            self._trial._refuse_open()
            self._patiently(self._said)
            self._trial = None
        claimed = None if self._left == 0 else self._claim()
        if claimed is None:
            self.close()
            raise StopIteration
        self._left = None if self._left is None else self._left - 1
        self._trial = LeasedTrial(self._keeper, self._keeper.take(claimed), self._direction, self._catch)
        return self._trial

    def close(self) -> None:
        """Give the open trial back and end; what is unsaid is said within half a minute."""
        leaving.settle(self._keeper)

    def __enter__(self) -> LeasedTrials:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        leaving.settle(self._keeper, error)

    def __del__(self) -> None:
        keeper = getattr(self, "_keeper", None)
        if keeper is not None:
            # Not at once: an exception that ends the program drops the loop first, and is known a moment later.
            keeper.drop()

    def _claim(self) -> ClaimedTrial | None:
        """Lease a trial, as soon as there is one; None once the study has ended."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            items = self._patiently(self._ask).items
            if items:
                return items[0]
            if self._patiently(lambda: self._client.get(self._study)).state in ENDED:
                return None
            self._sleep(pause)
            pause = min(LONGEST_PAUSE_SECONDS, 2 * pause)

    def _ask(self) -> ClaimAnswer:
        # A claim whose answer is lost is repeated under the same id, which gets the same answer.
        self._claim_id = self._claim_id or uuid.uuid4().hex
        answer = self._client.ask(self._study, worker=self._keeper.worker, claim_id=self._claim_id)
        self._claim_id = None
        return answer

    def _said(self) -> None:
        if not self._keeper.speak(even_now=True):
            raise ServiceUnreachable("what was said of the last trial has not been heard")

    def _patiently(self, call: Callable[[], Said]) -> Said:
        """Call through an outage, for as long as patience lasts."""
        give_up, pause = time.monotonic() + self._patience, FIRST_PAUSE_SECONDS
        while True:
            try:
                return call()
            except (ServiceUnreachable, Problem) as problem:
                if not _may_pass(problem) or time.monotonic() >= give_up:
                    raise
                if pause == FIRST_PAUSE_SECONDS:
                    log.warning("waiting for the service, for up to %.0f s: %s", self._patience, problem)
            self._sleep(pause)
            pause = min(LONGEST_PAUSE_SECONDS, 2 * pause)


def _may_pass(problem: Exception) -> bool:
    if isinstance(problem, ServiceUnreachable | StoreUnavailable):
        return True
    return isinstance(problem, Problem) and problem.status >= 500 and not isinstance(problem, Unsupported)
