"""The files that one process of a script's trial writes, read by Étude."""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from .script import layout
from .script_seen import Floats, GroupSeen, OptimizerSeen, ProcessSeen

Event = dict[str, Any]


class ProcessRecord:
    """One process: its events as far as they are whole, its page of numbers, its rows."""

    def __init__(self, events: Path) -> None:
        self._events = events
        self._offset = 0
        self._memory: mmap.mmap | None = None
        self._words: NDArray[np.uint64] = np.zeros(layout.PAGE_WORDS, dtype=np.uint64)
        self._process: Event = {}
        self._begun: Event = {}
        self._ended: Event = {}
        self._groups: list[Event] = []
        self._misfits: list[str] = []

    @property
    def started(self) -> float:
        """When it imported torch, in seconds since the epoch."""
        return float(self._process.get("time", 0.0))

    @property
    def trains(self) -> bool:
        """Whether it has begun an update."""
        return self._memory is not None

    @property
    def rank(self) -> int:
        """Its rank; 0 where there is only one process."""
        return self._word(layout.RANK)

    @property
    def base(self) -> int:
        """Updates of its rank by earlier processes."""
        return self._word(layout.BASE)

    @property
    def updates(self) -> int:
        """Updates that it has made itself."""
        return self._word(layout.UPDATES)

    @property
    def span(self) -> tuple[float, float]:
        """Its first and latest update, in seconds of a clock that all processes of a machine share."""
        floats = self._words.view(np.float64)
        return float(floats[layout.BEGUN]), float(floats[layout.LATEST])

    def refresh(self) -> list[Event]:
        """Read what was written since the last time and return the new events."""
        if self._memory is None:
            self._open_page()
        new = list(self._new_events())
        for event in new:
            self._take(event)
        return new

    def rows(self) -> Floats:
        """Return the rows of the updates made, of shape (updates, ROW_WORDS); fewer where they could not be written.

        `script.layout` says what is in a row.
        """
        count = self.updates  # before the rows: a row is written first, then counted
        file = self._events.with_suffix(layout.ROWS)
        values = np.fromfile(file, count=count * layout.ROW_WORDS) if file.is_file() else np.empty(0)
        return values[: len(values) // layout.ROW_WORDS * layout.ROW_WORDS].reshape(-1, layout.ROW_WORDS)

    def shares(self, slots: NDArray[np.intp], largest: float | None) -> Floats:
        """Return what these groups' LRs are of the largest: by the trial's ratios, or with `largest` as they were.

        1 where that is not known, so that the LR stays as it is.
        """
        table = np.zeros(int(slots.max(initial=0)) + 1)
        for event in self._groups:
            for slot, one in enumerate(event["groups"], event["slot"]):
                if slot < len(table):
                    rate = one["ratio"] if largest is None else self._group(slot, one).largest_lr / (largest or 1.0)
                    table[slot] = rate
        return np.where(table > 0, table, 1.0)[slots]

    def seen(self) -> ProcessSeen:
        """Return what is known of it."""
        first = self._process
        return ProcessSeen(
            name=self._events.stem,
            pid=first.get("pid", 0),
            arguments=tuple(first.get("arguments", ())),
            torch=first.get("torch", ""),
            python=first.get("python", ""),
            rank=self.rank,
            local_rank=self._begun.get("local_rank"),
            world_size=self._word(layout.WORLD) or 1,
            updates=self.updates,
            base=self.base,
            seconds_per_step=self._seconds_per_step(),
            optimizers=self.optimizers(),
            torch_seed=self._begun.get("torch_seed"),
            end=self._ended.get("how"),
            error=self._ended.get("error"),
            misfits=self.misfits(),
        )

    def close(self) -> None:
        """Let go of the page, keeping its numbers as they are now."""
        self._words = self._words.copy()
        if self._memory is not None:
            self._memory.close()

    def _word(self, index: int) -> int:
        return int(self._words[index])

    def _open_page(self) -> None:
        file = self._events.with_suffix(layout.PAGE)
        if not file.exists():  # it appears whole, by a rename
            return
        with file.open("rb") as page:
            self._memory = mmap.mmap(page.fileno(), 0, access=mmap.ACCESS_READ)
        self._words = np.frombuffer(self._memory, dtype=np.uint64)

    def _new_events(self) -> Iterator[Event]:
        with self._events.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return  # it is being written, or its process was killed as it wrote
                self._offset += len(line)
                with suppress(ValueError):  # cut short by a full disk, with the next one behind it
                    yield cast(Event, json.loads(line))

    def _take(self, event: Event) -> None:
        match event["event"]:
            case "process":
                self._process = event
            case "begin":
                self._begun = event
            case "groups":
                self._groups.append(event)
            case "misfit":
                self._misfits.append(event["words"])
            case "end":
                self._ended = event

    def _seconds_per_step(self) -> float | None:
        seconds = self.rows()[:, 2]
        return float(np.median(np.diff(seconds))) if len(seconds) > 1 else None

    def optimizers(self) -> tuple[OptimizerSeen, ...]:
        """Return the optimizers that have stepped in it, in the order of their first updates."""
        found: dict[int, OptimizerSeen] = {}
        for event in self._groups:
            index = event["optimizer"]
            groups = tuple(self._group(event["slot"] + i, one) for i, one in enumerate(event["groups"]))
            before = found[index].groups if index in found else ()
            updates = self._word(layout.FIRST_OPTIMIZER + index) if index < layout.MOST_OPTIMIZERS else 0
            found[index] = OptimizerSeen(event["kind"], updates, before + groups, event["resumed_step"])
        return tuple(found[index] for index in sorted(found))

    def _group(self, slot: int, one: Event) -> GroupSeen:
        floats = self._words.view(np.float64)
        kept = slot < layout.MOST_GROUPS
        largest = float(floats[layout.FIRST_GROUP + slot]) if kept else one["initial_lr"] or 0.0
        return GroupSeen(one["initial_lr"], one["ratio"], largest)

    def misfits(self) -> tuple[str, ...]:
        """Return what of it does not fit a trial, a sentence each."""
        counted = {
            layout.BEYOND: "Updates beyond the last LR of the trial, made with that last one: {}.",
            layout.CHANGED: "Updates within which the script set its own LR, after ours was imposed: {}.",
            layout.LOST: "Entries of the record that could not be written: {}.",
        }
        said = [words.format(self._word(index)) for index, words in counted.items() if self._word(index)]
        resumed = [one.resumed_step for one in self.optimizers() if one.resumed_step]
        if resumed:
            said.append(
                f"The script loaded an optimizer's state; the curve began at 0, not at its update {max(resumed)}."
            )
        return (*self._misfits, *said)
