"""`etude demo` as `make demo` calls it: its trials by two workers in the promised time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from etude.demo import TRIALS
from search_spaces.results import Answer
from tests.machine import ROOT, free_settings

PROMISED_SECONDS = 180


def test_its_trials_come_to_an_answer_in_the_promised_time(tmp_path: Path) -> None:
    """Exit status 0 and a final answer within three minutes on two cores."""
    settings = free_settings(tmp_path)
    begun = time.monotonic()

    done = subprocess.run(
        [sys.executable, "-m", "etude", "demo"],
        cwd=ROOT,
        env=settings.environment(os.environ),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )

    seconds = time.monotonic() - begun
    assert done.returncode == 0, done.stderr
    assert seconds < PROMISED_SECONDS
    (place,) = (settings.data_dir / "demo").iterdir()
    answer = Answer.model_validate_json((place / "answer.json").read_text())
    assert answer.status == "final"
    trials = answer.evidence.trials
    assert trials.complete + trials.pruned + trials.failed == TRIALS
