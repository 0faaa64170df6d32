"""Processes that train trials by a script of their own, while the service under them is killed and started again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from etude import Study
from search_spaces.results import TrialView
from tests.dying import die_with_parent
from tests.machine import ROOT, Machine

SCRIPT = ROOT / "tests" / "acceptance" / "own_script.py"
Said = dict[str, Any]


@contextmanager
def scripts(machine: Machine, place: Path, count: int, *arguments: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Start `count` of them; what is left of them at the end of the block is killed."""
    environ = os.environ | {"ETUDE_URL": machine.settings.url, "PYTHONPATH": str(ROOT)}
    running: list[subprocess.Popen[bytes]] = []
    try:
        for number in range(count):
            with (place / f"script-{number}.log").open("wb") as out, (place / f"script-{number}.err").open("wb") as err:
                command = [sys.executable, str(SCRIPT), *arguments]
                process = subprocess.Popen(
                    command,
                    env=environ,
                    stdout=out,
                    stderr=err,
                    preexec_fn=die_with_parent,  # noqa: PLW1509 - one system call, no Python locks
                )
            running.append(process)
        yield running
    finally:
        for process in running:
            process.kill()
            process.wait()


def said(place: Path) -> list[Said]:
    """What all of them have reported, in the order of each, with the number of the process."""
    found: list[Said] = []
    for log in sorted(place.glob("script-*.log")):
        whole = (
            line for line in log.read_text().splitlines(keepends=True) if line.startswith("{") and line[-1] == "\n"
        )
        found += [json.loads(line) | {"process": log.stem} for line in whole]
    return found


def restart(machine: Machine) -> None:
    """Kill the service as a crash does, and start it again."""
    service = next(part for part in machine.parts if part.name == "service")
    machine.parts.kill(service)
    machine.parts.start_service()


def missing(study: Study, reported: Sequence[Said]) -> list[Said]:
    """Reports that a script was told to go on after and that the study does not have."""
    curves: dict[tuple[str, int], dict[int, float]] = {}
    for key in {(one["study"], one["number"]) for one in reported}:
        curves[key] = {report.step: report.value for report in study.client.trial(*key).curve or []}
    return [
        one
        for one in reported
        if not one["stop"] and curves[one["study"], one["number"]].get(one["step"]) != one["value"]
    ]


def every_trial(study: Study) -> list[TrialView]:
    """Those of the search and of its confirmation."""
    return [*study.trials(), *study.trials(purpose="confirmation"), *study.trials(purpose="tuning")]
