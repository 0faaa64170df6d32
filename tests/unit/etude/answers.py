"""What a service answers, for tests of the client: models filled in, and a transport that plays a script."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from etude import Client
from search_spaces.baselines import BASELINES
from search_spaces.problems import NotFound, Problem
from search_spaces.results import Answer, Arm, Evidence, MetricName, StudyView, TrialView
from search_spaces.study import StudySpec

THEN = datetime(2025, 3, 1, 12, 0, tzinfo=UTC)
CANDIDATE = BASELINES["adamw-warmup-cosine"]
Step = httpx.Response | Exception


def study_view(state: str = "running", *, counts: dict[str, int] | None = None, **fields: Any) -> StudyView:
    """A study of 40 trials on `digits-noisy`."""
    spec = StudySpec.model_validate({"name": "mine", "task": {"name": "digits-noisy"}, "budget": {"trials": 40}})
    body: dict[str, Any] = {
        "name": "mine", "state": state, "spec": spec, "metric": "val_loss", "direction": "minimize",
        "budget": {"trials": 40, "used_trials": 0, "used_worker_seconds": 0.0}, "counts": counts or {},
        "created_at": THEN, "updated_at": THEN,
    }  # fmt: skip
    return StudyView.model_validate(body | fields)


def trial_view(number: int, value: float | None = 0.5, **fields: Any) -> TrialView:
    """A complete trial."""
    body: dict[str, Any] = {
        "study": "mine", "number": number, "state": "complete", "purpose": "search", "origin": "sampler",
        "candidate": CANDIDATE, "value": value, "steps_done": 100, "horizon_steps": 100, "worker_seconds": 2.0,
    }  # fmt: skip
    return TrialView.model_validate(body | fields)


def final_answer(**fields: Any) -> Answer:
    """A final answer with two arms."""
    arms = [
        Arm(
            name="sgd-cosine",
            role="baseline",
            candidate=BASELINES["sgd-cosine"],
            n=3,
            mean=0.3,
            standard_deviation=0.02,
        ),
        Arm(name="candidate-1", role="candidate", candidate=CANDIDATE, n=3, mean=0.2, standard_deviation=0.01),
    ]
    body: dict[str, Any] = {
        "study": "mine", "status": "final", "sentence": "Change to this.", "candidate": CANDIDATE, "horizon": 100,
        "metric": MetricName(name="val_loss", direction="minimize"), "seeds": [1, 2, 3],
        "evidence": Evidence(arms=arms, finalist="candidate-1", notes=["one note"]),
    }  # fmt: skip
    return Answer.model_validate(body | fields)


def says(model: Any, status: int = 200) -> httpx.Response:
    """A JSON answer of a model, or of plain data."""
    text = model.model_dump_json() if hasattr(model, "model_dump_json") else json.dumps(model)
    return httpx.Response(status, text=text, headers={"Content-Type": "application/json"})


def refuses(problem: Problem) -> httpx.Response:
    """The problem+json of an error."""
    return httpx.Response(problem.status, json=problem.document(), headers={"Content-Type": "application/problem+json"})


class Script:
    """A transport that answers one request after the other from a list and keeps the requests."""

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    def client(self, **options: Any) -> Client:
        """A client that speaks to this script."""
        return Client("http://service.test", transport=httpx.MockTransport(self), **options)

    @property
    def paths(self) -> list[str]:
        """Method and address of each request."""
        return [f"{request.method} {request.url.raw_path.decode()}" for request in self.requests]


def routes(table: dict[str, Callable[[httpx.Request], httpx.Response] | httpx.Response]) -> httpx.MockTransport:
    """A transport that answers by "METHOD /path"."""

    def answer(request: httpx.Request) -> httpx.Response:
        entry = table.get(f"{request.method} {request.url.path}")
        if entry is None and request.url.path.endswith("/events"):
            return refuses(NotFound("this service knows no events"))
        if entry is None:
            pytest.fail(f"nobody expected {request.method} {request.url.path}")
        return entry(request) if callable(entry) else httpx.Response(entry.status_code, content=entry.content)

    return httpx.MockTransport(answer)
