"""What one update of a task costs a worker, found by training short trials through the service."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from search_spaces.problems import Conflict, HorizonTooShort

from .pace import ENDED
from .studies import Study

if TYPE_CHECKING:
    from search_spaces.results import TrialView

    from .client import Client

SHORT_SHARE, LEAST_STEPS = 0.05, 50
"""A short trial takes this share of the horizon, and no fewer steps."""
LOOK_SECONDS = 0.2
TRIALS = 2
KEPT_FIELDS = ("task", "space", "current", "limits")
"""What of a spec decides what a step costs."""


def measure(
    client: Client,
    spec: Mapping[str, Any],
    horizon_steps: int,
    *,
    timeout: float = 600.0,
    sleep: Callable[[float], None] = time.sleep,
) -> float:
    """Train short trials of a study's task on a live worker and return the worker-seconds of a step.

    They are a study of its own, ahead of all others, and deleted with all that is known of it at the end. The first
    trial warms the worker up: data are read, and how trials are packed is measured. The second, alone as well, is what
    is measured; many trials in one pack cost less.

    Args:
        client: of the service whose worker trains it.
        spec: the study that is to be planned, as JSON.
        horizon_steps: T of that study.
        timeout: seconds within which they have to end.
        sleep: waits between two looks.

    Raises:
        Conflict: a trial failed, or said nothing of its cost.
        TimeoutError: no worker has trained them within `timeout` seconds.
    """
    with _short_study(client, spec, min(horizon_steps, max(LEAST_STEPS, round(SHORT_SHARE * horizon_steps)))) as study:
        trial = _last_ended(study, timeout, sleep)
    if trial.state != "complete" or trial.worker_seconds <= 0:
        raise Conflict(f"the short trial is {trial.state} and tells no cost{': ' + trial.error if trial.error else ''}")
    return trial.worker_seconds / trial.steps_done


@contextmanager
def _short_study(client: Client, spec: Mapping[str, Any], steps: int) -> Iterator[Study]:
    """Submit a study of short trials; stop and delete it at the end, whatever came of it."""
    wish = {
        **{name: spec[name] for name in KEPT_FIELDS if name in spec},
        "name": f"measured-{uuid.uuid4().hex[:12]}",
        "budget": {"trials": TRIALS},
        "sampler": {"kind": "random", "lag": 0},  # one after the other
        "pruner": {"kind": "none"},
        "confirmation": {"seeds": 2, "top": 1},
        "priority": 1000,
        "tags": ["measured"],
    }
    try:
        study = client.submit(wish, horizon={"steps": steps})
    except HorizonTooShort as problem:
        study = client.submit(wish, horizon={"steps": problem.least_steps})
    try:
        yield study
    finally:
        if study.view().state not in ENDED:
            study.stop()
        study.delete()


def _last_ended(study: Study, timeout: float, sleep: Callable[[float], None]) -> TrialView:
    """Wait for the last trial, or for the first that fails."""
    end = time.monotonic() + timeout
    while True:
        ended = [trial for trial in study.trials() if trial.state not in ("proposed", "leased")]
        if len(ended) == TRIALS or any(trial.state != "complete" for trial in ended):
            return ended[-1]
        view = study.view()
        if view.state in ENDED:
            raise Conflict(f"the study of the short trials has {view.state}: {view.reason}")
        if time.monotonic() > end:
            raise TimeoutError(f"no worker has trained them within {timeout:g} s: {view.reason or view.state}")
        sleep(LOOK_SECONDS)
