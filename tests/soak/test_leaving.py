"""A worker that is asked to leave, seen over HTTP; tests/unit/workers/test_main.py looks at the process alone."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.machine import started, until


def test_sigterm_gives_the_trial_back_at_once(tmp_path: Path) -> None:
    """A worker asked to stop ends with 0, and its trial can be claimed again without an attempt counted."""
    with started(tmp_path) as machine:
        first = machine.worker("first")
        study = machine.client.submit(
            name="asked", task="digits-noisy", trials=2, horizon={"epochs": 2_000}, pruner={"kind": "none"}
        )
        held = machine.until(lambda: next(iter(study.trials(state="leased")), None))
        assert held is not None

        first.send(signal.SIGTERM)

        until(lambda: first.exit_status is not None)
        back = machine.client.trial("asked", held.number)
        assert first.exit_status == 0
        assert (back.state, back.attempts) == ("proposed", 0)
