"""What Étude inside a script costs: one script, with and without it, as processes that alternate.

    python -m benchmarks.injection

The script trains a small network in updates of about 5 ms: AdamW with two parameter groups, a scheduler of its own, a
metric printed every 10 updates and a metric file that is watched. Compared are medians over the updates of a process,
of the wall clock and of the CPU time of the training thread, and medians of those over the rounds: CPU time tells more
on a machine that is busy. What one update costs in microseconds is measured apart, in one process whose blocks of
updates of next to nothing alternate.
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
BLOCK_UPDATES = 200
CLOCKS = ("wall", "CPU")
SCRIPT = [sys.executable, "-m", "benchmarks.injection", "--train"]


class Training:
    """What the script trains: a network of three layers, each of width x width, on one batch."""

    def __init__(self, updates: int, width: int) -> None:
        import torch

        torch.set_num_threads(1)
        self._model = torch.nn.Sequential(*[torch.nn.Linear(width, width) for _ in range(3)])
        weights, biases = [one.weight for one in self._model], [one.bias for one in self._model]
        groups = [{"params": weights}, {"params": biases, "weight_decay": 0.0}]
        self._optimizer = torch.optim.AdamW(groups, lr=1e-3)
        self._scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(self._optimizer, updates)
        self._x = torch.randn(width, width)

    def update(self) -> float:
        """Make one update and return the loss before it."""
        loss = self._model(self._x).square().mean()
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        self._scheduler.step()
        return loss.item()


def train(updates: int, width: int, log: Path) -> None:
    """Be the script: train, and print last the median seconds of an update, of the clock and of the CPU."""
    training, walls, cpu = Training(updates, width), [], []
    for update in range(updates):
        begun, used = time.perf_counter(), time.thread_time()
        loss = training.update()
        if update % 10 == 0:
            print(f"val_loss={loss}")
            log.write_text(f"{update}\n")
        walls.append(time.perf_counter() - begun)
        cpu.append(time.thread_time() - used)
    print(*(statistics.median(seconds[updates // 10 :]) for seconds in (walls, cpu)))


def one_update(blocks: int, updates: int) -> list[float]:
    """Return by pair of blocks what Étude adds to an update of next to nothing, in CPU seconds."""
    import torch

    from etude.script.begin import Inside
    from etude.script.trial import Trial

    training, differences = Training(blocks * updates, 2), []
    with tempfile.TemporaryDirectory() as place:
        inside = Inside(torch, Trial(str(write_trial(Path(place), a_trial(blocks * updates, Path(place))))))
        _block(training, updates)
        for _ in range(blocks):
            without = _block(training, updates)
            inside.register()
            differences.append(_block(training, updates) - without)
            inside.remove()
    return differences


def _block(training: Training, updates: int) -> float:
    seconds = []
    for _ in range(updates):
        used = time.thread_time()
        training.update()
        seconds.append(time.thread_time() - used)
    return statistics.median(seconds)


def a_trial(updates: int, place: Path) -> ScriptTrial:
    """Return a trial with everything that can be asked for inside."""
    candidate = {"optimizer": {"kind": "script"}, "initial_lr": 1e-3, "schedule": {"kind": "linear"}}
    return ScriptTrial(
        mode="inject", candidate=candidate, lr=np.linspace(1e-3, 0, updates), horizon_steps=updates,
        own_lrs=[[1e-3, 1e-3]], patterns=[r"val_loss=(\S+)"], files=[str(place / "log.csv")],
    )  # fmt: skip


def medians(updates: int, width: int, place: Path, *, inside: bool) -> tuple[float, float]:
    """Run the script once, with Étude inside or without, and return its median wall and CPU seconds per update."""
    place.mkdir()
    environ = environment(os.environ, write_trial(place, a_trial(updates, place)), inside=inside)
    command = [*SCRIPT, "--updates", str(updates), "--width", str(width), "--log", str(place / "log.csv")]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    assert inside == any((place / "record").glob("*.page")), "Étude was inside where it should not be, or the reverse"
    wall, cpu = done.stdout.splitlines()[-1].split()
    return float(wall), float(cpu)


def compare(updates: int, width: int, rounds: int) -> None:
    """Measure the processes in turn and print both sides."""
    sides: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    with tempfile.TemporaryDirectory() as place:
        for number in range(rounds):
            for inside in (False, True) if number % 2 else (True, False):
                directory = Path(place) / f"{number}-{inside}"
                sides[inside].append(medians(updates, width, directory, inside=inside))
    for i, clock in enumerate(CLOCKS):
        show(clock, *([pair[i] for pair in sides[side]] for side in sides))


def show(clock: str, without: list[float], within: list[float]) -> None:
    """Print the medians of both sides by one clock, and the difference by round, in microseconds."""
    first, second = statistics.median(without), statistics.median(within)
    rounds = ", ".join(f"{1e6 * (b - a):+.0f}" for a, b in zip(without, within, strict=True))
    share = second / first - 1
    print(f"{clock:5}{1e6 * first:9.0f} µs without,{1e6 * second:9.0f} with: {share:+.2%}; by round {rounds}")


def main() -> None:
    """Compare, or be the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--updates", type=int, default=600)
    parser.add_argument("--width", type=int, default=352, help="of the network; 352 makes 5 ms on one core of 2024")
    parser.add_argument("--blocks", type=int, default=40, help="pairs of blocks, for the cost of one update")
    parser.add_argument("--train", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--log", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        train(options.updates, options.width, options.log)
        return
    print(f"Python {sys.version.split()[0]}, load {os.getloadavg()[0]:.1f}, {options.rounds} rounds")
    compare(options.updates, options.width, options.rounds)
    differences = [1e6 * one for one in one_update(options.blocks, BLOCK_UPDATES)]
    median, quarters = statistics.median(differences), statistics.quantiles(differences)
    print(
        f"one update: {median:+.1f} µs CPU, quartiles {quarters[0]:+.1f} and {quarters[2]:+.1f}, n = {len(differences)}"
    )
    print(f"{median / 1e6 / OF_SECONDS:.2%} of 5 ms; the goal is {GOAL_SHARE:.0%}")


if __name__ == "__main__":
    main()
