"""What Étude inside a script costs: one script, with and without it, as processes that alternate.

    python -m benchmarks.injection

The script trains a small network in updates of about 5 ms: AdamW with two parameter groups, a scheduler of its own, a
metric printed every 10 updates and a metric file that is watched. A second pair has updates of next to nothing and
says what one costs in microseconds. Compared are medians over the updates of a process, of the wall clock and of the
CPU time of the training thread, and medians of those over the rounds: CPU time tells more on a machine that is busy.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from etude.script_files import ScriptTrial, environment, write_trial

GOAL_SHARE = 0.02
OF_SECONDS = 0.005
CLOCKS = ("wall", "CPU")
SCRIPT = [sys.executable, "-m", "benchmarks.injection", "--train"]


def train(updates: int, width: int, log: Path) -> None:
    """Be the script: train, and print last the median seconds of an update, of the clock and of the CPU."""
    import torch

    torch.set_num_threads(1)
    model = torch.nn.Sequential(*[torch.nn.Linear(width, width) for _ in range(3)])
    weights, biases = [one.weight for one in model], [one.bias for one in model]
    optimizer = torch.optim.AdamW([{"params": weights}, {"params": biases, "weight_decay": 0.0}], lr=1e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    x, walls, cpu = torch.randn(width, width), [], []
    for update in range(updates):
        begun, used = time.perf_counter(), time.thread_time()
        loss = model(x).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        if update % 10 == 0:
            print(f"val_loss={loss.item()}")
            log.write_text(f"{update}\n")
        walls.append(time.perf_counter() - begun)
        cpu.append(time.thread_time() - used)
    print(*(statistics.median(seconds[updates // 10 :]) for seconds in (walls, cpu)))


def medians(updates: int, width: int, place: Path, *, inside: bool) -> tuple[float, float]:
    """Run the script once, with Étude inside or without, and return its median wall and CPU seconds per update."""
    place.mkdir()
    log = place / "log.csv"
    candidate = {"optimizer": {"kind": "script"}, "initial_lr": 1e-3, "schedule": {"kind": "linear"}}
    trial = ScriptTrial(
        mode="inject", candidate=candidate, lr=np.linspace(1e-3, 0, updates), horizon_steps=updates,
        own_lrs=[[1e-3, 1e-3]], patterns=[r"val_loss=(\S+)"], files=[str(log)],
    )  # fmt: skip
    environ = environment(os.environ, write_trial(place, trial), inside=inside)
    command = [*SCRIPT, "--updates", str(updates), "--width", str(width), "--log", str(log)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    assert inside == any((place / "record").glob("*.page")), "Étude was inside where it should not be, or the reverse"
    wall, cpu = done.stdout.splitlines()[-1].split()
    return float(wall), float(cpu)


def compare(title: str, updates: int, width: int, rounds: int) -> float:
    """Measure in turn, print both sides, and return what Étude adds to an update, in CPU seconds."""
    sides: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    with tempfile.TemporaryDirectory() as place:
        for number in range(rounds):
            for inside in (False, True) if number % 2 else (True, False):
                directory = Path(place) / f"{number}-{inside}"
                sides[inside].append(medians(updates, width, directory, inside=inside))
    print(f"{title}, microseconds each:")
    return [added(name, *([pair[i] for pair in sides[side]] for side in sides)) for i, name in enumerate(CLOCKS)][-1]


def added(clock: str, without: list[float], within: list[float]) -> float:
    """Print medians and the difference by round of one clock, and return the difference of the medians in seconds."""
    first, second = statistics.median(without), statistics.median(within)
    rounds = ", ".join(f"{1e6 * (b - a):+.0f}" for a, b in zip(without, within, strict=True))
    print(
        f"  {clock:5}{1e6 * first:9.0f} without,{1e6 * second:9.0f} with: {second / first - 1:+.2%}; by round {rounds}"
    )
    return second - first


def main() -> None:
    """Compare, or be the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--updates", type=int, default=600)
    parser.add_argument("--width", type=int, default=352, help="of the network; 352 makes 5 ms on one core of 2024")
    parser.add_argument("--train", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--log", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        train(options.updates, options.width, options.log)
        return
    print(f"Python {sys.version.split()[0]}, load {os.getloadavg()[0]:.1f}, {options.rounds} rounds")
    compare("updates as they are", options.updates, options.width, options.rounds)
    seconds = compare("updates of next to nothing", 5 * options.updates, 2, options.rounds)
    print(f"{seconds / OF_SECONDS:.2%} of 5 ms, by the CPU time of the second pair; the goal is {GOAL_SHARE:.0%}")


if __name__ == "__main__":
    main()
