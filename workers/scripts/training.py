"""One training of a script: its processes, its metric as it appears, and how it came to its end."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from collections import deque
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np

from etude.script_files import LR_FILE, RECORD_DIRECTORY, Record, ScriptTrial, environment, write_trial
from search_spaces.candidate import Candidate
from search_spaces.schedules import curve
from search_spaces.script_command import SCRIPT, Asked, command_words, environment_of
from search_spaces.script_spec import ScriptSpec, SeedMeans, StdoutMetric

from ..engine import Evaluation
from .metrics import Reading, metric_path, readings
from .output import BoundedLog, Listener
from .process import OUTSIDE, ScriptProcess

Own = tuple[tuple[float, ...], ...]
LOG = "output.log"
LAUNCHER_SAYS = re.compile(r"exitcode\s*:\s*-(\d+)|terminated with signal (SIG[A-Z]+)")
"""How torchrun and torch.multiprocessing say that a rank was ended by a signal; the root cause stands last."""


class ScriptTraining:
    """A started script; `look` takes in what is new, `end` and `close` leave nothing of it running."""

    def __init__(
        self,
        spec: ScriptSpec,
        asked: Asked,
        *,
        directory: Path,
        seed: SeedMeans | None = None,
        own_lrs: Own | None = None,
        largest_lr: float | None = None,
        study: str = "",
        number: int = 0,
        purpose: str = "search",
        news: Event | None = None,
    ) -> None:
        """Start the script, with a directory of the trial's own in which its output and record are kept.

        `own_lrs` and `largest_lr` are what the script set by itself when it was counted; `news` is set at whatever it
        prints.

        Raises:
            OSError: the directory cannot be written, or the script's own is not there.
        """
        self._spec = spec
        self._asked = asked
        self._directory = directory
        self._news = news or Event()
        self._began_at = time.time()
        self._points: deque[Evaluation] = deque()
        self.seen: list[Evaluation] = []
        """Every value of the metric so far, with the updates made."""
        directory.mkdir(parents=True, exist_ok=True)
        place = Path(spec.directory)
        told = self._trial(study, number, purpose, own_lrs, largest_lr)
        self._imposed = told.lr if told.mode == "inject" else None
        trial = write_trial(directory, told)
        self.record = Record(trial)
        self._readings = readings(spec.metric, place, directory, self._began_at - 1)
        self._log = BoundedLog(directory / LOG, spec.log_bytes)
        environ = {**os.environ, "PYTHONUNBUFFERED": "1", **environment_of(spec, asked, seed)}
        try:
            self.process = ScriptProcess(
                command_words(spec, asked, seed), directory=place, environ=environment(environ, trial),
                grace_seconds=spec.grace_seconds,
            )  # fmt: skip
        except OSError:
            self._log.close()
            self.record.close()
            raise
        self._listener = Listener(self.process.output, self._log, self._hear)

    # What it is told

    def _trial(
        self, study: str, number: int, purpose: str, own_lrs: Own | None, largest_lr: float | None
    ) -> ScriptTrial:
        candidate, horizon = self._asked.candidate, self._asked.horizon_steps
        own = candidate is None or (candidate.schedule.kind == SCRIPT and self._spec.mode != "inject")
        known: dict[str, Any] = {
            "study": study, "number": number, "purpose": purpose, "seed": self._asked.seed or 0,
            "horizon_steps": horizon,
        }  # fmt: skip
        metric = self._spec.metric
        if isinstance(metric, StdoutMetric):
            known["patterns"] = (metric.pattern,)
        else:
            known["files"] = (metric_path(metric.path, Path(self._spec.directory), self._directory),)
        if own or candidate is None:
            return ScriptTrial(mode="count", **known)
        known["candidate"] = candidate.model_dump(mode="json", exclude_none=True)
        if self._spec.mode == "inject" and candidate.schedule.kind == SCRIPT:
            # What the script sets by itself at that very update, times the LR factor.
            return ScriptTrial(
                mode="inject", scale=candidate.initial_lr / (largest_lr or candidate.initial_lr), **known
            )
        lr = lr_curve(candidate, horizon) if horizon is not None and candidate.schedule.kind != "plateau" else None
        return ScriptTrial(mode=self._spec.mode, lr=lr, own_lrs=own_lrs, **known)

    # What it shows

    @property
    def updates(self) -> int:
        """Updates made so far: counted, or at the latest value of the metric."""
        latest = self.seen[-1].step if self.seen else 0
        return self.record.updates or latest

    @property
    def unreadable(self) -> int:
        """Places where a metric should be and no number was."""
        return self._readings.unreadable

    @property
    def over(self) -> bool:
        """Whether nothing of it is left running and all of its output is read."""
        return self.process.gone and self._listener.over

    def look(self) -> None:
        """Take in the values of the metric that are new."""
        for reading in self._readings.take():
            evaluation = Evaluation(self._step(reading), reading.value, {})
            self.seen.append(evaluation)
            self._points.append(evaluation)

    def take(self) -> Evaluation | None:
        """Return the oldest value that was not taken yet; None where there is none."""
        return self._points.popleft() if self._points else None

    def tail(self) -> str:
        """Return the end of what it has printed."""
        return self._log.tail().strip()

    def whole_text(self) -> str:
        """Return everything that it has printed and that is kept."""
        return self._log.tail(self._spec.log_bytes)

    def _hear(self, line: str) -> None:
        self._readings.hear(line)
        self._news.set()

    def _step(self, reading: Reading) -> int:
        """Return the updates made at a value: as counted inside the script in (a), else as the script says."""
        counted = self._counted(reading)
        steps = (counted, reading.step) if self._spec.mode == "inject" else (reading.step, counted)
        if isinstance(reading.step, int) and not (reading.text or reading.file):
            steps = (reading.step, counted)  # an event file's own step: it is written long after its update
        return next((step for step in steps if step is not None), len(self.seen) + 1)

    def _counted(self, reading: Reading) -> int | None:
        found = self.record.line_step(reading.text) if reading.text else None
        if reading.file:
            found = self.record.file_step(Path(reading.file), reading.end)
        return found if found is not None else self.record.updates or None

    # How it ends

    @property
    def was_killed(self) -> bool:
        """Whether somebody else has ended it, or one of its ranks, by a signal: the trial is not to blame."""
        if self.process.was_killed:
            return True
        if self.process.status in (0, None) or self.process.asked_at is not None:
            return False
        said = LAUNCHER_SAYS.findall(self.tail())
        return bool(said) and _number(*said[-1]) in OUTSIDE

    def failure(self) -> str | None:
        """Return why an ended script has no result, with the end of its output; None where it has one."""
        status, error = self.process.status, self.process.error
        if error is not None:
            return error
        if status is None:
            return self._with_tail("the script's supervisor was killed")
        if status < 0:
            return self._with_tail(f"the script was ended by {signal.Signals(-status).name}")
        if status > 0:
            return self._with_tail(f"the script ended with exit status {status}")
        if not self.seen:
            return self._with_tail(self.no_metric())
        return self._misfit()

    def no_metric(self) -> str:
        """Say that the metric was never seen, and where it was looked for."""
        metric = self._spec.metric
        if isinstance(metric, StdoutMetric):
            where = f"nothing that the script prints matches {metric.pattern}"
        else:
            where = f"no {metric.field} was written to {metric.path}"
        unread = f"; {self.unreadable} times what should be a number was none" if self.unreadable else ""
        return f"the script ended well, but {where}{unread}"

    def _misfit(self) -> str | None:
        """Say that an ended script has not made the updates of its horizon, with room for skipped ones."""
        made, horizon = self.updates, self._asked.horizon_steps
        if self._spec.mode == "inject" and not self.record.updates:
            return "no update was counted inside the script, so no learning rate was set: see docs/scripts.md"
        replaced = self._first_replaced()
        if replaced is not None:
            return (
                f"lr_replaced: at update {replaced} the script trained with a learning rate of its own, which it sets "
                "within the update: the mode inject does not fit it"
            )
        if horizon is None or abs(made - horizon) <= max(SLACK_STEPS, SLACK_SHARE * horizon):
            return None
        return f"horizon_mismatch: the script has made {made} updates, and the study's horizon is {horizon}"

    def _first_replaced(self) -> int | None:
        """Return the first update whose LR in force was not the one imposed; None where that is not known of any."""
        if self._imposed is None:
            return None
        in_force = self.record.curves().in_force
        imposed = np.asarray(self._imposed, dtype=np.float64)[: len(in_force)]
        seen = in_force[: len(imposed)]
        wrong = ~np.isnan(seen) & ~np.isclose(seen, imposed, rtol=SAME_LR, atol=0.0)
        return int(np.argmax(wrong)) if wrong.any() else None

    def _with_tail(self, reason: str) -> str:
        shown = self.tail()
        kept = f"{reason} (its output: {self._directory / LOG})"
        return _storable(f"{shown}\n{kept}" if shown else kept)

    def end(self) -> None:
        """Ask its processes to end; returns at once."""
        self.process.end()

    def close(self) -> None:
        """Leave nothing running and let go of files; its output is kept, its record is not."""
        self.process.kill()
        self._listener.join()
        self.process.close()
        self._log.close()
        self.record.close()
        shutil.rmtree(self._directory / RECORD_DIRECTORY, ignore_errors=True)
        (self._directory / LR_FILE).unlink(missing_ok=True)


SAME_LR = 1e-6
"""Relative difference that rounding makes between two LRs, where an optimizer holds its own as float32."""
SLACK_STEPS, SLACK_SHARE = 2, 0.02
"""Updates that may be missing at the end: those that a gradient scaler has skipped."""


def lr_curve(candidate: Candidate, horizon: int) -> list[float]:
    """Return the LR of every update."""
    return [float(lr) for lr in candidate.initial_lr * curve(candidate.schedule, horizon)]


def _number(digits: str, name: str) -> signal.Signals | None:
    try:
        return signal.Signals(int(digits)) if digits else signal.Signals[name]
    except (KeyError, ValueError):
        return None


def _storable(text: str) -> str:
    """Write as escapes what no database column takes."""
    return text.replace("\x00", "\\x00")
