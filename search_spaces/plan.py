"""What a study would do and cost, as `POST /v1/studies?dry_run=true` answers; shared with the client."""

from __future__ import annotations

from typing import Any, Literal

from .model import Message
from .space import Space
from .target import Target


class PlannedTrial(Message):
    """A baseline that the search would start with."""

    name: str
    lr_factor: float


class PlannedTrainings(Message):
    """Trainings over the whole horizon, or as many in steps."""

    search: float
    """Full-training equivalents: what pruning is expected to leave of the budget's trials."""
    tuning: int
    """Of baselines outside the space; one more each, should the best factor be at an edge."""
    confirmation: int
    """On as many seeds as `confirmation.max_share` is expected to pay for."""
    seeds: int
    extras: int
    """At most, and after a winner only: ladder and steps saved; 0 where `confirmation.extras` is false."""

    @property
    def certain(self) -> float:
        """What is trained whatever comes of it."""
        return self.search + self.tuning + self.confirmation


class PlannedSeconds(Message):
    """Worker-seconds, by what past trials have cost."""

    training: float
    """Of one full training."""
    search: float
    confirmation: float
    """With the tuning of baselines."""
    extras: float
    """At most, and after a winner only."""
    total: float
    """Of search and confirmation."""
    wall: float | None = None
    """Seconds until the answer with the workers that are live now; null without one."""
    source: str
    """What the times are known from, in words."""


class PlannedDetection(Message):
    """What the confirmation could see."""

    gain: float
    """In the metric's unit, with a target in steps: a gain as large as this is shown with a chance of 80 %."""
    noise: float
    """Standard deviation between seeds that it follows from."""
    correlation: float
    """The share of its variance that candidates have in common on a seed."""
    source: str
    """What the noise is known from, in words."""


class StudyPlan(Message):
    """What a valid spec would do and cost; nothing is stored."""

    name: str
    state: Literal["queued", "running"]
    """The state that the study would start in: queued, as long as nobody has offered its task."""
    metric: str | None = None
    direction: str | None = None
    horizon_steps: int | None = None
    target: Target | None = None
    """What is to be reached in the fewest steps; null without a target."""
    rungs: list[int] = []
    space: Space | None = None
    trials: int
    first_trials: list[PlannedTrial] = []
    confirmation_trainings: int | None = None
    """At most: `confirmation.max_share` may drop seeds. With a target of up to four horizons on each seed."""
    workers: int = 0
    """Live workers that offer the task."""
    slots: int = 0
    """Trials that they train at once."""
    trainings: PlannedTrainings | None = None
    """null while nobody has offered the task."""
    seconds: PlannedSeconds | None = None
    """null where no past trial of the task tells it."""
    detects: PlannedDetection | None = None
    """null where the noise between seeds is not known."""
    warnings: list[str] = []

    def __getitem__(self, name: str) -> Any:
        """Return a field as plain JSON: what `Client.plan` answered in 0.1."""
        return self.model_dump(mode="json")[name]
