"""`etude train`: a training script as it is, trained with the schedule that was found for it.

What `etude search` has kept beside its store (the answer, the script's file, what was seen of it), or an answer's file
and a command, becomes one trial of the script, which is started in the foreground: it keeps the terminal, its signals
and its exit status.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from search_spaces.candidate import Candidate
from search_spaces.results import Answer
from search_spaces.script_command import SCRIPT, Asked, command_words, environment_of
from search_spaces.script_spec import ScriptSpec, read_script_spec

from .saved import KeepableAnswer, SavedAnswer, load
from .script_files import Record, ScriptTrial, environment, write_trial

SCRIPT_FILE, SEEN_FILE, ANSWER_FILE = "script.json", "seen.json", "best.json"
SIGNALLED = 128
"""What a shell adds to the number of the signal that ended its command."""
Say = Callable[[str], None]


class CannotTrain(RuntimeError):
    """An answer does not go with a script in this way; the text says what would."""


@dataclass(frozen=True)
class OwnRates:
    """What a script sets by itself: its largest LR, and the largest of every optimizer and group; None is unknown."""

    largest: float | None = None
    by_group: Sequence[Sequence[float]] | None = None


@dataclass(frozen=True)
class KeptSearch:
    """What a search has left for a training."""

    answer: SavedAnswer
    script: ScriptSpec | None = None
    """None: only the answer is kept, and the command is the user's."""
    own: OwnRates = OwnRates()


def keep(place: Path, answer: Answer, seen: Mapping[str, Any]) -> bool:
    """Keep a search's answer and what was seen of its script; False where there is no candidate to keep.

    Raises:
        OSError: they cannot be written.
    """
    if answer.candidate is None or answer.horizon is None:
        return False
    KeepableAnswer.model_validate(answer.model_dump()).save(place / ANSWER_FILE)
    told = {"largest_lr": seen.get("largest_lr"), "own_lrs": seen.get("own_lrs") or None}
    (place / SEEN_FILE).write_text(json.dumps(told), encoding="utf-8")
    return True


def read_kept(answer: Path) -> KeptSearch:
    """Read an answer's file, or the directory that a search has left.

    Raises:
        InvalidSpec: it is no kept answer, or was changed since.
        Unsupported: a later version of Étude wrote it.
        OSError: it is not there.
    """
    if not answer.is_dir():
        return KeptSearch(load(answer))
    seen = json.loads((answer / SEEN_FILE).read_text(encoding="utf-8"))
    script = read_script_spec(json.loads((answer / SCRIPT_FILE).read_text(encoding="utf-8")))
    return KeptSearch(load(answer / ANSWER_FILE), script, OwnRates(seen["largest_lr"], seen["own_lrs"]))


def train(kept: KeptSearch, script: ScriptSpec, *, total_steps: int, first_step: int, say: Say) -> int:
    """Train a script with the answer redrawn for `total_steps` updates, from update `first_step` on.

    Returns the script's exit status, as a shell has it. In the mode `inject` 1 where no update was seen.

    Raises:
        CannotTrain: the answer does not go with the script.
        HorizonTooShort: the schedule does not fit into so few updates.
        Unsupported: the schedule follows the metric, and its LRs are not known before.
        OSError: the command or its directory is not there.
    """
    candidate = kept.answer.candidate
    _check(candidate, script, first_step, total_steps)
    with tempfile.TemporaryDirectory(prefix="etude-") as directory:
        trial = _trial(kept, script, total_steps, first_step)
        path = write_trial(Path(directory), trial)
        asked = Asked(candidate, total_steps, None, directory)
        inside = script.mode == "inject"
        environ = environment({**os.environ, **environment_of(script, asked, None)}, path, inside=inside)
        status = _in_foreground(command_words(script, asked, None), Path(script.directory), environ)
        if not inside:
            return status
        with Record(path) as record:
            return _told(record, total_steps - first_step, status, say)


def _check(candidate: Candidate, script: ScriptSpec, first_step: int, total_steps: int) -> None:
    if script.mode == "inject" and candidate.optimizer.kind != SCRIPT:
        raise CannotTrain(
            f"the answer's optimizer is {candidate.optimizer.kind}, and only the learning rate can be set from "
            "outside: build it with etude.load(...).build(...), or pass it with --flags"
        )
    if first_step and (script.mode == "flags" or candidate.schedule.kind == SCRIPT):
        raise CannotTrain("--first-step: goes with a learning rate that is given for every update")
    if first_step >= total_steps:
        raise CannotTrain(f"--first-step: below the {total_steps} updates of the training")


def _trial(kept: KeptSearch, script: ScriptSpec, total_steps: int, first_step: int) -> ScriptTrial:
    candidate = kept.answer.candidate
    known: dict[str, Any] = {
        "study": kept.answer.artefact.study, "purpose": "training", "mode": script.mode,
        "candidate": candidate.model_dump(mode="json", exclude_none=True),
    }  # fmt: skip
    if candidate.schedule.kind == SCRIPT:
        scale = candidate.initial_lr / _largest(kept.own) if script.mode == "inject" else None
        return ScriptTrial(horizon_steps=total_steps, scale=scale, **known)
    if script.mode == "flags":
        return ScriptTrial(horizon_steps=total_steps, **known)
    lr = kept.answer.curve(total_steps)[first_step:]
    return ScriptTrial(horizon_steps=len(lr), lr=lr, own_lrs=kept.own.by_group, **known)


def _largest(own: OwnRates) -> float:
    if own.largest is None:
        raise CannotTrain(
            "the answer is a multiple of what the script sets by itself: say the script's own largest learning rate "
            "with --initial-lr"
        )
    return own.largest


def _in_foreground(command: Sequence[str], directory: Path, environ: Mapping[str, str]) -> int:
    """Start a command and wait for it; a Ctrl-C is its own affair, SIGTERM and SIGHUP are passed on to it."""
    with _signals_to() as passed_on:
        process = subprocess.Popen(command, cwd=directory, env=dict(environ))
        passed_on.append(process)
        status = process.wait()
    return SIGNALLED - status if status < 0 else status


@contextmanager
def _signals_to() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        for process in processes:
            process.send_signal(number)

    def leave_it(_number: int, _frame: FrameType | None) -> None:
        """The terminal has sent it to the script as well."""

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGHUP)}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, leave_it)
    try:
        yield processes
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def _told(record: Record, wanted: int, status: int, say: Say) -> int:
    """Say what does not fit; return the exit status."""
    for words in record.misfits():
        say(f"note: {words}")
    made = record.updates
    if not made:
        say("no update was counted inside the script, so no learning rate was set")
        return status or 1
    if not status and made != wanted:
        say(
            f"the script has made {made} updates, and the schedule was drawn for {wanted}: another training of this "
            f"length is drawn by --total-steps {made}"
        )
    return status
