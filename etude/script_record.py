"""The record of a script's trial, read while its processes run and after they have ended, however they ended."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict, deque
from pathlib import Path
from types import TracebackType

import numpy as np

from .script import layout
from .script_process import ProcessRecord
from .script_seen import Curves, Floats, ProcessSeen


class Record:
    """What the processes of one trial have written; every answer is as of now.

    `path` is the trial's JSON file, as `write_trial` returned it. Close it when done: it holds a page of memory open
    for every process that trains.
    """

    def __init__(self, path: Path) -> None:
        trial = json.loads(path.read_bytes())
        self._directory = Path(trial["record"])
        self._imposes = "lr_file" in trial
        self._known: dict[str, ProcessRecord] = {}
        self._lines: defaultdict[str, deque[int]] = defaultdict(deque)
        self._sizes: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)

    @property
    def updates(self) -> int:
        """Updates made so far: all steps of all optimizers of rank 0.

        Read from memory that the processes share, so it is never behind, never torn, and outlives `kill -9`.
        """
        return max((process.base + process.updates for process in self._leaders()), default=0)

    def line_step(self, matched: str) -> int | None:
        """Return the updates made when a metric was written, given the whole text that its pattern matched.

        Lines end at "\\n" and "\\r"; every match in a line counts (`re.finditer`). Equal texts are handed out in the
        order in which they were written, each once. None: not written by a process with Étude inside, for which
        `updates` as of now is the next best. A note is made before its line is written, so a line that was read has it.
        """
        self._refresh()
        waiting = self._lines[matched]
        return waiting.popleft() if waiting else None

    def file_step(self, path: Path, offset: int) -> int | None:
        """Return the updates made when a metric file had grown to `offset` bytes, the end of a line or record.

        None: not noted yet (the size is looked at before every update and as the process exits).
        """
        self._refresh()
        sizes = self._sizes[str(path.absolute())]
        return next((updates for size, updates in sizes if size >= offset), None)

    def processes(self) -> tuple[ProcessSeen, ...]:
        """Return every process that has imported torch, in the order of their start."""
        self._refresh()
        return tuple(process.seen() for process in sorted(self._known.values(), key=lambda one: one.started))

    def curves(self) -> Curves:
        """Return own LR, LR in force and time of every update of rank 0 so far."""
        leaders = self._leaders()
        length = max((process.base + process.updates for process in leaders), default=0)
        columns = np.full((3, length), np.nan)
        for process in leaders:
            found = self._in_units_of_the_largest(process)[:, : length - process.base]
            columns[:, process.base : process.base + found.shape[1]] = found
        return Curves(*columns)

    def _in_units_of_the_largest(self, process: ProcessRecord) -> Floats:
        """Return own LR, LR in force and seconds, of shape (3, updates)."""
        own, in_force, seconds, slots = process.rows().T
        shares = process.shares(slots.astype(np.intp), None if self._imposes else self.largest_lr)
        return np.stack([own / shares, in_force if self._imposes else in_force / shares, seconds])

    def own_lrs(self) -> tuple[tuple[float, ...], ...]:
        """Return the largest LR that the script set by optimizer and group, for `ScriptTrial.own_lrs`."""
        return tuple(
            tuple(group.largest_lr for group in optimizer.groups)
            for process in self._leaders()
            for optimizer in process.optimizers()
        )

    @property
    def largest_lr(self) -> float:
        """The largest LR that the script itself has set for any group: the initial LR of `current`; 0 before any."""
        return max((rate for groups in self.own_lrs() for rate in groups), default=0.0)

    def misfits(self) -> tuple[str, ...]:
        """Return what does not fit a trial, a sentence each: of rank 0's processes, and between them."""
        leaders = self._leaders()
        found = [words for process in leaders for words in process.misfits()]
        spans = sorted(process.span for process in leaders)
        if any(later[0] < earlier[1] for earlier, later in itertools.pairwise(spans)):
            found.append("Several processes of rank 0 trained at the same time; their updates are not one curve.")
        elif len(spans) > 1:
            found.append(f"{len(spans)} processes trained one after the other; the curve went on from one to the next.")
        return tuple(dict.fromkeys(found))

    def close(self) -> None:
        """Let go of the shared memory."""
        for process in self._known.values():
            process.close()

    def __enter__(self) -> Record:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _leaders(self) -> list[ProcessRecord]:
        """Return the processes of rank 0 that have stepped, in the order of their first updates."""
        self._refresh()
        trained = [process for process in self._known.values() if process.trains and process.rank == 0]
        return sorted(trained, key=lambda process: process.span)

    def _refresh(self) -> None:
        for file in self._directory.glob(f"*{layout.EVENTS}"):
            process = self._known.get(file.stem)
            if process is None:
                process = self._known[file.stem] = ProcessRecord(file)
            for event in process.refresh():
                self._note(event)

    def _note(self, event: dict[str, object]) -> None:
        match event:
            case {"event": "line", "text": str(text), "updates": int(updates)}:
                self._lines[text].append(updates)
            case {"event": "file", "path": str(path), "size": int(size), "updates": int(updates)}:
                sizes = self._sizes[path]
                if sizes and size < sizes[-1][0]:
                    sizes.clear()  # the file was written anew
                sizes.append((size, updates))
