"""Trials per hour, packed against one by one: `taskset -c 1 python -m benchmarks.packing`, or `--device cuda`.

Four sides train the same task in turn, for a slice each, half of the trials with SGD and momentum, half with AdamW:
a plain loop as a person writes it with torch.optim and LambdaLR, the same loop with torch.compile (`--compile`; on a
GPU by default), this repository's training of one trial (`workers.solo`), and packs (`workers.packing`). Trials per
hour are updates per second over the updates of a trial of the task's own length; every side evaluates once an epoch.
With one CPU thread time is the process's CPU time, so that others on the machine do not count (`--wall`: they do).
Images are synthetic, of the data sets' number and shape. It needs torch and this repository, and scikit-learn for
digits; without that, random digits of the same shape are used.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from etude.task import Split, Task
from search_spaces.work import Packing
from workers.machine import device_name
from workers.packing.measure import MOST_ON_CPU, MOST_ON_GPU, packed, trial_of
from workers.packing.pack import Pack
from workers.packing.ways import Way
from workers.solo import Solo
from workers.tasks import TASKS
from workers.tasks.classification import Examples
from workers.tasks.digits import DigitsMlp
from workers.tasks.images import ImageTask, synthetic

NAMES = ("digits-mlp", "mnist-cnn", "cifar10-resnet", "charlm")
LAID_OUT = 10_000
"""Updates that the schedules of all sides span."""
WARM_UP = 3
LONG = 0.1
"""Seconds after which an engine is not asked for another update before the clock is looked at."""
PLAIN, COMPILED, ALONE = "plain loop", "plain loop, torch.compile", "one by one"
Clock = Callable[[], float]
Slice = Callable[[float, Clock], float]
"""Trains for so many seconds of a clock at least; returns the updates per second, those of each trial counted."""


def main() -> None:
    """Measure task by task and print a table of each."""
    flags = _parser().parse_args()
    torch.set_num_threads(flags.threads)
    on_gpu = torch.device(flags.device).type == "cuda"
    compiles = on_gpu if flags.compile is None else flags.compile
    largest = flags.largest or (MOST_ON_GPU if on_gpu else MOST_ON_CPU)
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    print(f"{device_name(flags.device)}, {flags.threads} thread(s), {versions}")
    clock = time.process_time if not on_gpu and flags.threads == 1 and not flags.wall else time.perf_counter
    spent = "CPU" if clock is time.process_time else "wall"
    print(f"medians of {flags.rounds} slices of {flags.seconds} s ({spent} time), in turn (least to most)")
    for name in flags.tasks.split(","):
        _table(_task(name, flags.device), largest, flags.rounds, flags.seconds, clock, compiles=compiles)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.packing", description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tasks", default=",".join(NAMES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="of a slice, at least")
    parser.add_argument("--wall", action="store_true", help="time by the wall's clock where one thread has a CPU clock")
    parser.add_argument("--largest", type=int, help="pack (default: 64, on a GPU 512)")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, help="try torch.compile, too")
    quick = {"rounds": 1, "seconds": 0.02, "largest": 4, "tasks": "digits-mlp"}
    parser.add_argument(
        "--quick", action=_Quick, nargs=0, quick=quick, help="a look whether it runs: one short slice, small packs"
    )
    return parser


class _Quick(argparse.Action):
    """Sets what a smoke run takes; flags after it still count."""

    def __init__(self, *, quick: dict[str, Any], **given: Any) -> None:
        super().__init__(**given)
        self._quick = quick

    def __call__(self, _parser: Any, flags: argparse.Namespace, *_: Any) -> None:
        vars(flags).update(self._quick)


# Tasks


class RandomDigits(DigitsMlp):
    """`digits-mlp` on random images, where scikit-learn and its digits are not at hand."""

    name = "digits-mlp-synthetic"

    def epoch(self, epoch: int, seed: int) -> Examples:
        """Return random images and labels of the training split's shape."""
        return _random_digits(1077, epoch + 1000 * seed, self.device)

    def examples(self, split: Split) -> list[Examples]:
        """Return random images and labels of the validation split's shape."""
        return [_random_digits(360, len(split), self.device)]


def _random_digits(count: int, seed: int, device: str) -> Examples:
    drawn = torch.Generator().manual_seed(seed)
    images, labels = torch.rand(count, 64, generator=drawn), torch.randint(10, (count,), generator=drawn)
    return images.to(device), labels.to(device)


def _task(name: str, device: str) -> Task:
    kind = TASKS[name]
    if issubclass(kind, ImageTask):
        kind = synthetic(kind)
    elif kind is DigitsMlp and kind.available() is not None:
        kind = RandomDigits
    return kind(device=device)


# Sides


def _synchronise(device: str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def _plain(task: Task, kind: str, *, compiles: bool = False) -> Slice:
    """Return a plain loop: torch.optim with its defaults, a linear schedule, batches by index, evaluated each epoch."""
    torch.manual_seed(0)
    model = task.model(0)
    if task.channels_last:
        model = model.to(memory_format=torch.channels_last)
    optimizer: Optimizer
    if kind == "sgd":
        optimizer = SGD(model.parameters(), lr=1e-4, momentum=0.9)
    else:
        optimizer = AdamW(model.parameters(), lr=1e-5)
    schedule = LambdaLR(optimizer, lambda step: max(0.0, 1 - step / LAID_OUT))

    loss_of = torch.compile(task.loss, mode="reduce-overhead") if compiles else task.loss
    autocasts, kind_of_device = task.precision == "bf16", torch.device(task.device).type
    made = 0

    def one() -> int:
        nonlocal made
        batch = task.batch(made % LAID_OUT, 0)
        with torch.autocast(kind_of_device, torch.bfloat16) if autocasts else nullcontext():
            loss = loss_of(model, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        made += 1
        if made % task.steps_per_epoch == 0:
            model.eval()
            with torch.no_grad():
                task.evaluate(model, "validation")
            model.train()
        return 1

    return _sliced(one, task)


def _sliced(advance: Callable[[], int], task: Task) -> Slice:
    """Return slices of what makes some updates a call, after a warm-up."""
    for _ in range(WARM_UP):
        advance()

    def train(seconds: float, clock: Clock) -> float:
        _synchronise(task.device)
        begun, updates = clock(), 0
        while clock() - begun < seconds:
            updates += advance()
        _synchronise(task.device)
        return updates / (clock() - begun)

    return train


def _engine(engine: Solo | Pack, task: Task, size: int) -> Slice:
    """Return an engine's training, several updates a call, from whose stops it goes on."""
    for number in range(size):
        engine.enter(trial_of(task, number, LAID_OUT * task.steps_per_epoch))

    def some() -> int:
        begun, looks = time.perf_counter(), 0

        def enough() -> bool:
            nonlocal looks
            looks += 1
            return looks > 8 or (looks > 1 and time.perf_counter() - begun > LONG)

        before = engine.attempts[0].steps_done
        for attempt in engine.advance(enough):
            if attempt.error is not None:
                raise RuntimeError(attempt.error)
        if isinstance(engine, Pack) and not engine.is_whole:
            raise MemoryError(f"packs of {size} do not fit")
        return size * (engine.attempts[0].steps_done - before)

    return _sliced(some, task)


def _alternating(kinds: Sequence[Slice]) -> Slice:
    """Return trials of both optimizers in turn, an equal number of updates each: the harmonic mean."""
    return lambda seconds, clock: statistics.harmonic_mean([one(seconds / len(kinds), clock) for one in kinds])


# Measuring


def _sides(task: Task, packing: Packing, way: Way, largest: int, *, compiles: bool) -> dict[str, Slice]:
    both = ("sgd", "adamw")
    sides = {PLAIN: _alternating([_plain(task, kind) for kind in both])}
    if compiles:
        sides[COMPILED] = _alternating([_plain(task, kind, compiles=True) for kind in both])
    sides[ALONE] = _engine(Solo(task), task, 1)
    sizes = {2**power for power in range(1, largest.bit_length())} | ({packing.size} - {1})
    for size in sorted(sizes):
        try:
            sides[f"pack of {size}"] = _engine(Pack(task, size, way), task, size)
        except (MemoryError, torch.OutOfMemoryError):
            break
    return sides


def _table(task: Task, largest: int, rounds: int, seconds: float, clock: Clock, *, compiles: bool) -> None:
    begun = time.perf_counter()
    opening = packed(task, largest, compiles=compiles)
    took = time.perf_counter() - begun
    engine = opening.make()
    way = engine.way if isinstance(engine, Pack) else "by hand"
    sides = _sides(task, opening.packing, way, largest, compiles=compiles)
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            rates[name].append(side(seconds, clock))
    chosen = f"The worker picks {opening.packing.size} in {took:.1f} s: {opening.packing.reason}"
    print(f"\n{task.name}, batch {task.batch_size}. {chosen}\n")
    print("| side | us an update of a trial | trials per hour | x plain loop | x one by one |\n|---|---|---|---|---|")
    picked = ALONE if opening.packing.size == 1 else f"pack of {opening.packing.size}"
    for name in rates:
        print(_row(name, rates, task, is_picked=name == picked), flush=True)


def _row(name: str, rates: dict[str, list[float]], task: Task, *, is_picked: bool) -> str:
    own = rates[name]
    hourly = 3600 * statistics.median(own) / (task.epochs * task.steps_per_epoch)
    ratios = (
        _spread([a / b for a, b in zip(own, rates[other], strict=True)]) if name != other else "1"
        for other in (PLAIN, ALONE)
    )
    shown = f"**{name}** (picked)" if is_picked else name
    return f"| {shown} | {1e6 / statistics.median(own):.0f} | {hourly:.0f} | {' | '.join(ratios)} |"


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
