"""Searches that repeat: a study template with a cron expression, and what became of each night."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, Field, StrictBool, field_validator, model_validator

from .candidate import Candidate
from .model import Message, Model
from .results import Difference, MetricName, Verdict
from .searched import refuse
from .study import StudyTemplate

RunState = Literal["waiting", "running", "skipped", "done", "stopped", "failed"]
Overlap = Literal["skip", "queue"]
CatchUp = Literal["once", "none"]
Adopt = Literal["never", "winner"]
WebhookFormat = Literal["json", "slack", "markdown"]

RecurrenceName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,39}$")]
ClockTime = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
"""A time of the day, "06:00"."""


class WebhookSpec(Model):
    """Whom to tell when the verdict changes or a night fails."""

    url: Annotated[str, Field(min_length=1, max_length=2000, pattern=r"^https?://[!-~]+$")]
    """Its host has to be on the operator's list (ETUDE_WEBHOOK_HOSTS)."""
    format: WebhookFormat = "json"
    """`json`: the night as the runs show it. `slack`: a text. `markdown`: a summary, for a CI's page."""
    secret: Annotated[str, Field(min_length=16, max_length=200)] | None = None
    """Signs each message (HMAC-SHA256); never shown again."""


class RecurrenceSpec(Model):
    """A study that is submitted again at each due time."""

    name: RecurrenceName
    template: StudyTemplate
    """The study of every night; `budget.trials` is what a night may spend."""
    cron: Annotated[str, Field(min_length=1, max_length=100)]
    """Five fields, minute to day of the week, or one of @hourly, @daily, @weekly and @monthly."""
    zone: Annotated[str, Field(min_length=1, max_length=60)] = "UTC"
    """The IANA time zone in whose local time `cron` and `done_by` are meant."""
    start: AwareDatetime | None = None
    """No due time before it."""
    end: AwareDatetime | None = None
    """No due time after it."""
    paused: StrictBool = False
    max_concurrent: Annotated[int, Field(ge=1, le=100)] = 1
    """How many nights' studies may be under way at once."""
    overlap: Overlap = "skip"
    """What becomes of a due time beyond that: it is skipped, or waits for its turn."""
    done_by: ClockTime | None = None
    """The local time by which a night, confirmation included, has to be over: its study's deadline."""
    keep: Annotated[int, Field(ge=1, le=1000)] = 14
    """Nights whose studies are kept with their trials; of older ones only the answers are."""
    catch_up: CatchUp = "once"
    """After a time without a clock: submit the latest due time that was missed, or none of them."""
    adopt: Adopt = "never"
    """`winner`: the candidate of a night whose verdict is `winner` is the schedule in use from then on."""
    warm_nights: Annotated[int, Field(ge=0, le=30)] = 3
    """Earlier nights that a night starts from; 0: it knows nothing of them."""
    widen: StrictBool = True
    """Whether a range at whose edge last night's finalist sat is made wider."""
    webhook: WebhookSpec | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise refuse("end", "it is not after the start")
        return self

    @field_validator("template")
    @classmethod
    def _leaves_to_the_nights_what_is_theirs(cls, template: StudyTemplate) -> StudyTemplate:
        if template.budget.deadline is not None:
            raise refuse("budget.deadline", "each night has a deadline of its own: use done_by")
        if template.warm_start.studies:
            raise refuse("warm_start.studies", "a night starts from those before it: warm_nights says from how many")
        return template


class RecurrenceChange(Model):
    """What changes of a recurrence; what is left out stays, and null takes away what may be missing."""

    template: StudyTemplate | None = None
    cron: str | None = None
    zone: str | None = None
    start: AwareDatetime | None = None
    end: AwareDatetime | None = None
    paused: StrictBool | None = None
    max_concurrent: int | None = None
    overlap: Overlap | None = None
    done_by: str | None = None
    keep: int | None = None
    catch_up: CatchUp | None = None
    adopt: Adopt | None = None
    warm_nights: int | None = None
    widen: StrictBool | None = None
    webhook: WebhookSpec | None = None


class WebhookView(Message):
    """A webhook as it is shown: neither its secret nor the path of its URL, which may be one."""

    host: str
    format: WebhookFormat
    signed: bool


class RecurrenceView(Message):
    """A recurrence as `GET /v1/recurrences/{name}` shows it."""

    name: str
    template: StudyTemplate
    cron: str
    zone: str
    start: datetime | None = None
    end: datetime | None = None
    paused: bool
    max_concurrent: int
    overlap: Overlap
    done_by: str | None = None
    keep: int
    catch_up: CatchUp
    adopt: Adopt
    warm_nights: int
    widen: bool
    webhook: WebhookView | None = None
    in_use: Candidate | None = None
    """The schedule in use, with which each night compares: the template's `current`, or an adopted winner."""
    in_use_from: str | None = None
    """The study that it was adopted from; null: the template says it."""
    widened: dict[str, Any] = {}
    """Ranges that are wider than the template's, by parameter."""
    next_due_at: datetime | None = None
    """null: paused, or at its end."""
    missed: int = 0
    """Due times, in all, at which no clock ran and that were not caught up."""
    created_at: datetime
    updated_at: datetime
    links: dict[str, str] = {}


class RunView(Message):
    """One night, as `GET /v1/recurrences/{name}/runs` shows it."""

    recurrence: str
    due_at: datetime
    """For one that was asked for: the minute in which it was."""
    study: str | None = None
    state: RunState
    reason: str | None = None
    """Why it was skipped, was stopped or has failed."""
    asked_for: bool = False
    """By `POST .../runs`, instead of its time having come."""
    missed: int = 0
    """Due times before it that were missed; it stands for them."""
    in_use: Candidate | None = None
    """The schedule in use that night."""
    verdict: Verdict | None = None
    """Of its study: whether the candidate beats the best baseline, the schedule in use among them."""
    sentence: str | None = None
    candidate: Candidate | None = None
    """The one that the night's answer names."""
    candidate_text: str | None = None
    metric: MetricName | None = None
    difference: Difference | None = None
    """The gain of the night's finalist over the schedule in use on the same seeds, positive when better."""
    notes: list[str] = []
    """What the night started from, what did not fit, which ranges were made wider."""
    pruned: bool = False
    """Its study is beyond `keep`: only the answer is left."""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    links: dict[str, str] = {}


class RunRequest(Model):
    """Asks for a night now."""

    claim_id: Annotated[str, Field(min_length=1, max_length=200)]
    """The asker's own: asking again with it gives the same night."""


def night_name(recurrence: str, due_at: datetime) -> str:
    """Name of a night's study, by its due time in UTC.

    >>> from datetime import UTC
    >>> night_name("nightly", datetime(2030, 1, 31, 2, 30, tzinfo=UTC))
    'nightly.20300131t0230z'
    """
    return f"{recurrence}.{due_at:%Y%m%dt%H%Mz}"
