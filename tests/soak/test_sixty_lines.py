"""docs/etude-or-optuna.md: its 60 lines on the script that its page names."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.machine import ROOT


def test_the_sixty_lines_search_the_same_script() -> None:
    """They end with a best LR, and its score again on fresh seeds: other numbers than the best."""
    command = [
        sys.executable, "examples/optuna_sixty_lines.py", r"val_loss=(\S+)", "6", "--", sys.executable,
        "examples/train.py", "--epochs", "2",
    ]  # fmt: skip

    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=600)

    counted, best, again = ran.stdout.splitlines()
    assert counted.startswith("6 trials: ")
    score = float(re.findall(r"best (\S+)", best)[0])
    values = [float(value) for value in again.partition(": ")[2].split(", ")]
    assert len(values) == 3
    assert score not in values
