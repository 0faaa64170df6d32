"""`etude search` as a process on a script that can be held, and what it has left running."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil

from tests.machine import ROOT
from tests.scripts import FAST

TRAIN = """
import os, sys, time
lr = float(sys.argv[sys.argv.index("--lr") + 1]) if "--lr" in sys.argv else 0.5
seed = int(sys.argv[sys.argv.index("--seed") + 1])
if os.path.exists("hold"):
    open(f"{os.getpid()}.pid", "w").close()
    time.sleep(600)
for step in range(10, 101, 10):
    loss = lr + 1 / step + 0.001 * (seed * 7919 % 100) / 100 + 0.0001 * (int(1000 * lr) % 7) * (seed % 3)
    print(f"step={step} val_loss={loss:.6f}", flush=True)
"""
SCRIPT = {
    "command": [*FAST, "train.py"],
    "metric": {"source": "stdout", "pattern": r"step=(?P<step>\d+) val_loss=(?P<value>\S+)"},
    "metric_name": "val_loss",
    "mode": "flags",
    "flags": "--lr {initial_lr} --optimizer {optimizer} --scheduler {schedule}",
    "optimizers": {"sgd": "sgd"},
    "schedules": {"constant": "constant", "cosine": "cosine"},
    "initial_lr": 0.5,
    "seed": {"flags": "--seed {seed}"},
    "grace_seconds": 0.5,
}
"""Its own LR is far too high: whatever else is tried wins."""


def started(directory: Path, *arguments: str, script: str = "script.yaml") -> subprocess.Popen[str]:
    (directory / "train.py").write_text(TRAIN)
    (directory / "script.yaml").write_text(json.dumps(SCRIPT))
    (directory / "study.yaml").write_text("confirmation: {seeds: 3, top: 1}\n")
    command = [sys.executable, "-m", "etude", "search", "--script", script, *arguments]
    environ = {key: value for key, value in os.environ.items() if not key.startswith("ETUDE_")}
    return subprocess.Popen(
        command, cwd=directory, env=environ | {"PYTHONPATH": str(ROOT)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def left_running(directory: Path) -> list[psutil.Process]:
    """Whatever was started in or for a directory and still lives."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = " ".join(process.info["cmdline"] or [])
        if str(directory) in words or process.info["cwd"] == str(directory):
            found.append(process)
    return found
