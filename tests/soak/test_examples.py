"""The examples with Lightning and transformers search a whole study, with the parts really started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.machine import ROOT, started

# torchvision, if it is there, is imported first: its CUDA wheel fails beside a CPU torch (tests/frameworks.py).
PROGRAM = "import runpy, sys; from tests import frameworks; frameworks.{framework}(); sys.argv = sys.argv[1:]; "
PROGRAM += 'runpy.run_path(sys.argv[0], run_name="__main__")'


@pytest.mark.parametrize(
    ("example", "framework", "steps"),
    [("lightning_digits.py", "pytorch_lightning", 110), ("transformers_tiny.py", "transformers", 100)],
)
def test_an_example_is_searched(example: str, framework: str, steps: int, tmp_path: Path) -> None:
    """From its submission to its answer: the search, the confirmation, and the sentence in the end."""
    with started(tmp_path) as machine:
        environ = os.environ | {"ETUDE_URL": machine.settings.url, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", PROGRAM.format(framework=framework), str(ROOT / "examples" / example), "own"]
        done = subprocess.run(
            command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=280, check=False
        )
        study, answer = machine.client.get("own"), machine.client.best("own")
        trials = list(machine.client.trials("own"))

    assert done.returncode == 0, done.stdout + done.stderr
    assert (study.state, study.counts.ended, study.counts.failed) == ("done", 4, 0)
    assert {trial.steps_done for trial in trials if trial.state == "complete"} == {steps}
    assert answer.sentence in done.stdout
