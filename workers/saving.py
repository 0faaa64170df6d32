"""The states of the trials in hand: saved at rungs and when the worker is asked to stop, taken up at a claim."""

from __future__ import annotations

from search_spaces.work import ClaimedTrial

from .bench import Bench
from .checkpoints import Checkpoints
from .engine import Attempt, TrainingState
from .held import LOST, RELEASED, HeldTrial


class Saving:
    """A bench's trials in a place for checkpoints; without a place nothing is saved and every trial begins at 0."""

    def __init__(self, bench: Bench, checkpoints: Checkpoints | None = None) -> None:
        self._bench = bench
        self._checkpoints = checkpoints

    def begin(self, attempt: Attempt) -> None:
        """Let a claimed trial go on from where it was saved, if that can be read."""
        start = self._load(attempt.claimed)
        if start is not None:
            attempt.start = start
            attempt.steps_done = 0 if "shorter" in start else start["step"]

    def save_if_due(self, held: HeldTrial) -> None:
        """Save a trial at a rung, unless that was done shortly before."""
        if self._checkpoints is not None and self._checkpoints.due(held.claimed, held.claimed_at):
            self.save(held)

    def save(self, held: HeldTrial) -> None:
        """Save where a trial stands; the store is told with the next verb."""
        if self._checkpoints is None or held.attempt.updates == held.saved_at:
            return
        state = self._bench.state(held.attempt)
        if state is not None:
            held.saved_at = held.attempt.updates
            held.checkpoint = self._checkpoints.save(held.claimed, state) or held.checkpoint

    def acknowledged(self, claimed: ClaimedTrial, name: str | None) -> None:
        """Note that the store knows a checkpoint."""
        if self._checkpoints is not None and name is not None:
            self._checkpoints.acknowledged(claimed, name)

    def gone(self, held: HeldTrial, event: str) -> None:
        """Forget a trial: what is saved of it goes, unless another worker is to go on with it."""
        if self._checkpoints is None:
            return
        if event in (LOST, RELEASED):
            self._checkpoints.left(held.claimed)
        else:
            self._checkpoints.ended(held.claimed)

    def _load(self, claimed: ClaimedTrial) -> TrainingState | None:
        return self._checkpoints.load(claimed) if self._checkpoints is not None else None
