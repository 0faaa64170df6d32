"""How long a training loop of one's own waits for the answer to a report: processes over HTTP against one service.

    python -m benchmarks.reporting

Each process trains nothing: it reports, and sleeps between two reports as an update would take. The service is started
here, with its coordinator, on SQLite or on the store of --database-url.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from etude import Client
from etude.parts import Parts
from etude.ports import free_port
from etude.settings import PartsSettings

ROOT = Path(__file__).resolve().parents[1]
STUDY = "reporting"
STEPS = 100
GOAL_SECONDS = 0.020


def train_nothing(url: str, seconds: float, pause: float) -> None:
    """Report every step of one trial after the other, and print how long each report took."""
    took: list[float] = []
    give_up = time.monotonic() + seconds
    with Client(url).study(STUDY).lease_trials() as trials:
        for trial in trials:
            for step in range(1, STEPS + 1):
                time.sleep(pause)
                begun = time.perf_counter()
                stop = trial.report(step, 1.0 / step + trial.number % 7)
                if step < STEPS:  # the last one ends the trial, which nobody waits for to go on training
                    took.append(time.perf_counter() - begun)
                if stop or time.monotonic() > give_up:
                    break
            if time.monotonic() > give_up:
                break
    print(json.dumps(took))


def measure(settings: PartsSettings, processes: int, seconds: float, pause: float) -> list[float]:
    """Return the seconds of every report that the processes made."""
    with Parts(settings, ROOT) as parts, Client(settings.url) as client:
        parts.start_service()
        client.submit(
            name=STUDY, task="external", trials=100_000, horizon={"steps": STEPS}, sampler={"kind": "random"},
            objective={"metric": "loss", "direction": "minimize"},
        )  # fmt: skip
        child = [sys.executable, "-m", "benchmarks.reporting", "--child", settings.url]
        options = ["--seconds", str(seconds), "--pause", str(pause)]
        running = [
            subprocess.Popen([*child, *options], cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(processes)
        ]
        said = [process.communicate()[0] for process in running]
        client.stop(STUDY)
    return [took for text in said for took in json.loads(text)]


def main() -> None:
    """Measure, and print the quantiles beside the goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each process reports")
    parser.add_argument("--pause", type=float, default=0.1, help="seconds between two reports of a process")
    parser.add_argument("--database-url", help="a store other than SQLite in a temporary directory")
    parser.add_argument("--child", metavar="URL", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        train_nothing(options.child, options.seconds, options.pause)
        return
    with tempfile.TemporaryDirectory() as place:
        settings = PartsSettings(Path(place), options.database_url, port=free_port(), dashboard_port=free_port())
        took = measure(settings, options.processes, options.seconds, options.pause)
    cuts = statistics.quantiles(took, n=100)
    rate = len(took) / options.seconds
    print(f"Python {sys.version.split()[0]}, load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    print(f"{options.processes} processes, {len(took)} reports, {rate:.0f} a second")
    words = ", ".join(
        f"{name} {1000 * cut:.1f}" for name, cut in (("p50", cuts[49]), ("p95", cuts[94]), ("p99", cuts[98]))
    )
    print(f"report to answer, ms: {words}, max {1000 * max(took):.1f}; goal: p95 under {1000 * GOAL_SECONDS:.0f}")


if __name__ == "__main__":
    main()
