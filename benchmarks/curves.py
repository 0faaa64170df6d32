"""How long a curve of a million steps takes, kind by kind: `python -m benchmarks.curves`."""

from __future__ import annotations

import platform
import statistics
import time

import numpy as np
from pydantic import TypeAdapter

from search_spaces.schedules import AnySchedule, Schedule, curve
from service.gallery import EXAMPLES

STEPS = 1_000_000
ROUNDS = 5


def milliseconds(schedule: Schedule) -> float:
    """Median processor time of one curve: what else the machine does is not counted."""
    spent = []
    for _ in range(ROUNDS):
        began = time.process_time()
        curve(schedule, STEPS)
        spent.append(1000 * (time.process_time() - began))
    return statistics.median(spent)


def main() -> None:
    """Print a row a kind; a plateau has no curve without its metrics."""
    versions = f"python {platform.python_version()}, numpy {np.__version__}"
    print(f"{STEPS} steps, medians of {ROUNDS} in processor time, {versions}")
    print("| kind | ms |\n|---|---|")
    for kind, spec in EXAMPLES.items():
        if kind != "plateau":
            print(f"| {kind} | {milliseconds(TypeAdapter(AnySchedule).validate_json(spec)):.1f} |")


if __name__ == "__main__":
    main()
