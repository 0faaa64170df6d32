"""What was already run: trials of a user's past that a study learns from, or tries first."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from .candidate import Candidate
from .model import Message, Model, Number
from .study import TaskSpec
from .work import LONGEST_HORIZON

Becomes = Literal["history", "proposal", "left_out"]
"""`history`: the sampler learns from it. `proposal`: its candidate is trained first. `left_out`: neither."""

MOST_AT_ONCE = 1000
"""Trials of one request."""


class PastTrial(Model):
    """A candidate that was trained before, elsewhere or in another study."""

    candidate: Candidate
    value: Number | None = None
    """The study's metric at the end; "nan" for a training that diverged. Unset: it is not known."""
    horizon_steps: Annotated[int, Field(ge=1, le=LONGEST_HORIZON)] | None = None
    """Optimizer updates of that training. Unset: it is not known."""
    task: TaskSpec | None = None
    """What it was trained on; unset: the study's own task, for which the sender vouches."""
    source: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """Where it comes from, in words: "results.csv:12"."""


class HistoryRequest(Model):
    """Past trials for a study."""

    trials: Annotated[list[PastTrial], Field(min_length=1, max_length=MOST_AT_ONCE)]


class HistoryItem(Message):
    """What became of one past trial."""

    trial: int
    """Its place in the request, from 0."""
    becomes: Becomes
    why: str
    new: bool = False
    """false: it was sent before, and nothing has changed; or it was left out."""


class HistoryAnswer(Message):
    """What became of every past trial of a request, in its order."""

    items: list[HistoryItem]


class HistoryView(Message):
    """A past trial that a study holds, as `GET /v1/studies/{name}/history` shows it."""

    place: int
    """0, 1, ... in the order in which they were taken."""
    origin: Literal["history", "imported"]
    """`imported`: a first proposal; the search's trial of it has this origin, too."""
    why: str
    candidate: Candidate
    value: Number | None = None
    horizon_steps: int | None = None
    task: TaskSpec | None = None
    source: str | None = None
    added_at: datetime
