"""What was recorded, as arrays: `python -m benchmarks.pruning.recorded` packs it into benchmarks/data/TASK.npz.

Of a pool only those candidates are packed of which everything is recorded. A value is not a number from where its
training diverged on.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search_spaces.candidate import Candidate
from search_spaces.schedules import rise_steps

from .pools import GROUNDS, drawn, quadratic_families, quadratic_space
from .quadratic import REGIMES, curves
from .record import DIRECTORY, PARTS, RUNGS, Row

DATA = Path(__file__).parents[1] / "data"
POOLS = ("openings", "families", "wide", "narrow")

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Recorded:
    """A pool's learning curves; n candidates, the metric is minimised. Two pools are one only if they are the same."""

    task: str
    pool: str
    steps: int
    """The horizon."""
    candidates: tuple[Candidate, ...]
    raw: Array
    """(n, 20) on the first seed, at each 1/20 of the horizon."""
    averages: Array
    """(n, 2, 19): of the running averages over 3 % and 10 % of the horizon."""
    cooldown: Array
    """(n, 4): at the end of branches from 0.1, 0.2, 0.3 and 0.5 of the horizon."""
    rescaled: Array
    """(n, 4): at the end of whole schedules of these lengths."""
    fresh: Array
    """(n, 20): raw, on the second seed; of the noisy quadratic the same, for its values are expectations."""
    fresh_averages: Array
    """(n, 2, 19)"""

    def __len__(self) -> int:
        return len(self.candidates)

    @cached_property
    def rises(self) -> NDArray[np.float64]:
        """(n,): the share of the horizon in which each candidate's learning rate first rises."""
        return np.array([rise_steps(one.schedule, self.steps) / self.steps for one in self.candidates])

    def taken(self, places: NDArray[np.intp]) -> Recorded:
        """Return some of the candidates."""
        arrays = {name: getattr(self, name)[places] for name in ARRAYS}
        return Recorded(self.task, self.pool, self.steps, tuple(self.candidates[i] for i in places), **arrays)

    def before(self, other: Recorded) -> Recorded:
        """Return these candidates and then those of another pool of the same task."""
        arrays = {name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in ARRAYS}
        return Recorded(self.task, self.pool, self.steps, self.candidates + other.candidates, **arrays)


ARRAYS = ("raw", "averages", "cooldown", "rescaled", "fresh", "fresh_averages")


def tasks() -> list[str]:
    """Return every task that something is recorded of, the noisy quadratic's regimes first."""
    return [*REGIMES, *(name for name in GROUNDS if (DATA / f"{name}.npz").is_file())]


@lru_cache(maxsize=32)
def recorded(task: str, pool: str) -> Recorded | None:
    """Return a pool's curves; None where none are recorded."""
    if task in REGIMES:
        return _computed(task, pool)
    with np.load(DATA / f"{task}.npz") as file:
        if f"{pool}.specs" not in file:
            return None
        return _of(task, pool, GROUNDS[task].steps, {name: file[f"{pool}.{name}"] for name in (*ARRAYS, "specs")})


def _of(task: str, pool: str, steps: int, arrays: Mapping[str, NDArray[Any]]) -> Recorded:
    specs = json.loads(arrays["specs"].tobytes())
    candidates = tuple(Candidate.model_validate(spec) for spec in specs)
    return Recorded(task, pool, steps, candidates, **{name: arrays[name] for name in ARRAYS})


# The noisy quadratic


def _computed(task: str, pool: str) -> Recorded | None:
    """Return a pool of the noisy quadratic, computed once and kept under var/pruning."""
    regime = REGIMES[task]
    if pool == "narrow":
        return _narrow(task)
    if pool == "openings":
        return None
    candidates = tuple(
        drawn(quadratic_space(), regime.candidates, [len(GROUNDS), 0]) if pool == "wide" else quadratic_families()
    )
    file = DIRECTORY / f"{task} {pool}.npz"
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, **curves(candidates, task))
    with np.load(file) as kept:
        found = {name: kept[name] for name in kept.files}
    found |= {"fresh": found["raw"], "fresh_averages": found["averages"]}
    return Recorded(task, pool, regime.steps, candidates, **found)


def _narrow(task: str) -> Recorded:
    """Return the part of the wide pool within four times the best learning rate."""
    wide = recorded(task, "wide")
    assert wide is not None
    rates = np.array([one.initial_lr for one in wide.candidates])
    best = np.argsort(wide.raw[:, -1])[: len(wide) // 20]
    centre = np.median(rates[best])
    part = wide.taken(np.flatnonzero((rates >= centre / 4) & (rates <= centre * 4)))
    return Recorded(task, "narrow", wide.steps, part.candidates, **{name: getattr(part, name) for name in ARRAYS})


# Packing


def packed(lines: Path, task: str) -> tuple[dict[str, NDArray[Any]], dict[str, tuple[int, float]]]:
    """Return the arrays of a recording, and for each pool its candidates and the processor's minutes they took."""
    from .record import Recording

    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    by_part = {(row["pool"], row["index"], row["part"], row["seed"]): row for row in rows}
    arrays: dict[str, NDArray[Any]] = {}
    said = {}
    for pool in POOLS:
        whole = [
            i for i in sorted({row["index"] for row in rows if row["pool"] == pool}) if _is_whole(by_part, pool, i)
        ]
        candidates = Recording(GROUNDS[task], None, lines).candidates(pool) if whole else []
        # Families are compared with one another: all or none.
        if not whole or (pool == "families" and len(whole) < len(candidates)):
            continue
        specs = [candidates[i].model_dump(mode="json", exclude_none=True) for i in whole]
        arrays[f"{pool}.specs"] = np.frombuffer(json.dumps(specs, separators=(",", ":")).encode(), dtype=np.uint8)
        full, fresh, shorter = ([by_part[pool, i, part, seed] for i in whole] for part, seed in PARTS)
        arrays |= {f"{pool}.{name}": _array(full, name) for name in ("raw", "averages", "cooldown")}
        arrays |= {f"{pool}.rescaled": _array(shorter, "rescaled")}
        arrays |= {f"{pool}.fresh": _array(fresh, "raw"), f"{pool}.fresh_averages": _array(fresh, "averages")}
        said[pool] = (len(whole), sum(row["seconds"] for row in (*full, *fresh, *shorter)) / 60)
    return arrays, said


def _is_whole(by_part: Mapping[tuple[str, int, str, int], Row], pool: str, index: int) -> bool:
    return all((pool, index, part, seed) in by_part for part, seed in PARTS)


def _array(rows: list[Row], name: str) -> Array:
    return np.array([row[name] for row in rows], dtype=np.float32)


def _files(directory: Path) -> Iterator[tuple[str, Path]]:
    for task in GROUNDS:
        if (file := directory / f"{task}.jsonl").is_file():
            yield task, file


def main(arguments: list[str] | None = None) -> int:
    """Pack what is recorded, and say how much of it there is."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pruning.recorded", description=__doc__)
    parser.add_argument("--directory", type=Path, default=DIRECTORY, help="where the lines are")
    flags = parser.parse_args(arguments)
    DATA.mkdir(exist_ok=True)
    print(f"curves of {RUNGS} rungs; candidates (minutes of one core)")
    for task, lines in _files(flags.directory):
        arrays, said = packed(lines, task)
        if not arrays:
            continue
        np.savez_compressed(DATA / f"{task}.npz", **arrays)
        size = (DATA / f"{task}.npz").stat().st_size / 1e6
        counts = ", ".join(f"{pool} {count} ({minutes:.1f})" for pool, (count, minutes) in said.items())
        print(f"{task}, T = {GROUNDS[task].steps}: {counts}; {size:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
