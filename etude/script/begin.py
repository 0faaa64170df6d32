"""Begins in a process of a trial, right after the script has imported torch."""

from __future__ import annotations

import atexit
import importlib
import os
import platform
import sys
import time
import traceback
from typing import Any

from .growth import Growth
from .layout import TRIAL_VARIABLE
from .record import Writer
from .steps import Updates
from .streams import Lines
from .trial import Trial

TRACEBACK_LINES = 20


def begin(torch: Any) -> None:
    """Begin the trial that `$ETUDE_TRIAL` names, until the process ends.

    Raises:
        RuntimeError: the trial cannot be read, or this torch has no hooks for all optimizers (before 2.0).
    """
    inside = Inside(torch, Trial(os.environ[TRIAL_VARIABLE]))
    inside.register()
    atexit.register(inside.end)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=inside.forked)


class Inside:
    """The parts of one process: updates, metric lines, metric files, and how it ends."""

    def __init__(self, torch: Any, trial: Trial) -> None:
        self._torch, self._trial = torch, trial
        self._writer = Writer(trial.record)
        self.updates = Updates(torch, trial, self._writer)
        self._lines = Lines(trial.patterns, self._line, lambda: self.updates.made)
        self._growth = Growth(trial.files, self._file)
        self._handles: list[Any] = []
        self._introduced = False
        self._introduce()
        self._lines.watch()

    def register(self) -> None:
        """Stand before and behind the steps of all optimizers."""
        module = importlib.import_module("torch.optim.optimizer")  # torch.optim itself does not name it
        if not hasattr(module, "register_optimizer_step_pre_hook"):
            raise RuntimeError(f"etude: torch {self._torch.__version__} has no hooks for all optimizers, 2.0 has")
        self._handles = [
            module.register_optimizer_step_pre_hook(self.before),
            module.register_optimizer_step_post_hook(self.updates.after),
        ]

    def remove(self) -> None:
        """Leave the optimizers alone from now on."""
        for handle in self._handles:
            handle.remove()

    def before(self, optimizer: Any, _args: Any, _kwargs: Any) -> None:
        """Look at what the script has written since the last update, then begin the next one."""
        if not self._introduced:
            self._introduce()
        self._lines.watch()
        self._growth.look(self.updates.made)
        self.updates.before(optimizer, sys._getframe(1))

    def forked(self) -> None:
        """Begin anew in a forked child, which has a record of its own as soon as it has something to record."""
        self._writer = Writer(self._trial.record)
        self._introduced = False
        self.updates.forked(self._writer)

    def end(self) -> None:
        """Note how the process has ended; an exception that nobody caught is still known to Python."""
        if self._writer.pid != os.getpid():
            return  # a fork that Python did not see
        self._lines.end()
        self._growth.look(self.updates.made, last=True)
        error = getattr(sys, "last_value", None)
        if error is None:
            self._writer.event("end", how="exit")
            return
        words = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        self._writer.event("end", how="exception", error="\n".join(words.splitlines()[-TRACEBACK_LINES:]))

    def _introduce(self) -> None:
        self._introduced = True
        self._writer.event(
            "process", pid=os.getpid(), time=time.time(), arguments=getattr(sys, "orig_argv", sys.argv),
            torch=self._torch.__version__, python=platform.python_version(),
        )  # fmt: skip

    def _line(self, text: str, updates: int) -> None:
        if not self._introduced:
            self._introduce()
        self._writer.event("line", text=text, updates=updates)

    def _file(self, path: str, size: int, updates: int) -> None:
        self._writer.event("file", path=path, size=size, updates=updates)
