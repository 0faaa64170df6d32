"""Where the states of trainings are kept, so that another worker goes on where one stopped or died.

A directory, or any URL that fsspec opens, shared by the workers that are to take trials up from one another; one file
a trial and step. The store knows a file by its name alone: each worker looks for it in its own place, so that nobody
can make a worker read anywhere else. Files hold tensors and plain values, and nothing in them is executed.

What is kept is what the store refers to, or a copy of it that may take its place. A file goes some time after a newer
one is acknowledged, and when its trial has ended; those that a dead worker or a deleted study left behind go when they
are a week old.
"""

from __future__ import annotations

import hashlib
import io
import re
import time
import uuid
from collections.abc import Iterable, Set
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import fsspec
import torch

from search_spaces.log import bind
from search_spaces.problems import Unsupported
from search_spaces.work import ClaimedTrial

from .engine import TrainingState

FORMAT = 1
"""Of the files; one of another format is not read."""
KEPT_FOR = timedelta(days=7)
"""After so long a file that nobody has asked for is taken for left behind."""
SWEPT_EVERY = 86_400.0
"""Seconds."""
STUDY = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}", re.ASCII)
"""What a study's name, or that of its confirmation, may be to become part of a file's name."""
NAME = re.compile(
    rf"(?P<study>{STUDY.pattern})@(?P<number>\d{{1,12}})@(?P<step>\d{{1,12}})-[0-9a-f]{{12}}\.pt", re.ASCII
)
PART = re.compile(rf"\.{NAME.pattern}\.[0-9a-f]{{32}}", re.ASCII)
"""A file that is being written."""

Key = tuple[str, int]
"""A trial: study and number."""


class Checkpoints:
    """Saves and loads states in one place; what goes wrong there is logged, and the training goes on without."""

    def __init__(self, url: str, *, seconds: float = 5.0, kept_seconds: float = 0.0) -> None:
        """Look up the place; nothing is made there yet.

        Args:
            url: a path, or a URL of a kind that fsspec knows (s3://bucket/folder, with its package installed).
            seconds: of training between two states of a trial; 0 saves at every rung. Making a few seconds of
                training again is cheaper than saving them.
            kept_seconds: how long a file stays once the store knows a newer one: as old a copy of the store may be
                gone on from, which knows this one.

        Raises:
            Unsupported: fsspec cannot open such a URL, or lacks the package for it.
        """
        try:
            self._files, self._root = fsspec.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise Unsupported(f"checkpoints cannot be kept at {url}: {error}", field="ETUDE_CHECKPOINTS") from error
        self._seconds = seconds
        self._kept_seconds = kept_seconds
        self._saved_at: dict[Key, float] = {}
        self._known: dict[Key, dict[str, float | None]] = {}
        """For each trial in hand, the files that this worker has saved or was told of, oldest first; and since when the
        store knows a newer one (monotonic seconds)."""
        self._swept_at: float | None = None
        self._failing = False
        self._log = bind(__name__)

    def due(self, claimed: ClaimedTrial, began: float) -> bool:
        """Tell whether a trial at a rung is to be saved; `began` is when this worker took it (monotonic seconds)."""
        return time.monotonic() - self._saved_at.get(_key(claimed), began) >= self._seconds

    def save(self, claimed: ClaimedTrial, state: TrainingState) -> str | None:
        """Save a state and return the name to tell the store; None where that failed, which is logged once."""
        self._sweep_at_times()
        buffer = io.BytesIO()
        try:
            name = _name(claimed, state["step"])
            torch.save({"format": FORMAT, **state}, buffer)
            self._write(name, buffer.getbuffer())
        except Exception as error:  # noqa: BLE001 -- each kind of storage raises its own; training matters more
            self._say_failing(claimed, error)
            return None
        self._failing = False
        self._saved_at[_key(claimed)] = time.monotonic()
        self._know(claimed)[name] = None
        return name

    def load(self, claimed: ClaimedTrial) -> TrainingState | None:
        """Return the state that a claimed trial goes on from; None where it has none that can be had here."""
        if claimed.checkpoint is None:
            return None
        try:
            return self._read(claimed)
        except Exception as error:  # noqa: BLE001 -- whatever is wrong with it, the trial can begin again
            self._log_of(claimed).warning("checkpoint_not_read", checkpoint=claimed.checkpoint, reason=_reason(error))
            return None

    def acknowledged(self, claimed: ClaimedTrial, name: str) -> None:
        """Forget what the file that the store now knows has replaced for long enough."""
        known = self._know(claimed)
        if name not in known:
            return
        now = time.monotonic()
        for older in list(known)[: list(known).index(name)]:
            since = known[older]
            if since is None:
                since = known[older] = now
            if now - since >= self._kept_seconds:
                self._delete([older])
                del known[older]

    def ended(self, claimed: ClaimedTrial) -> None:
        """Forget a trial that the store has ended, with its files."""
        self._delete(self._know(claimed))
        self.left(claimed)

    def left(self, claimed: ClaimedTrial) -> None:
        """Forget a trial that was given back or lost, and leave its files to who goes on."""
        self._known.pop(_key(claimed), None)
        self._saved_at.pop(_key(claimed), None)

    def sweep(self) -> None:
        """Delete files of a week ago and older, half ones included; other files are never touched."""
        self._swept_at = time.monotonic()
        oldest = datetime.now(UTC) - KEPT_FOR
        paths: list[str] = []
        with suppress(Exception):  # a place that cannot be listed now is listed tomorrow
            self._files.invalidate_cache()
            paths = self._files.ls(self._root, detail=False)
        for path in paths:
            name = path.rsplit("/", 1)[-1]
            with suppress(Exception):  # it may be gone meanwhile
                if (NAME.fullmatch(name) or PART.fullmatch(name)) and self._files.modified(path) < oldest:
                    self._delete([name])

    def _sweep_at_times(self) -> None:
        if self._swept_at is None or time.monotonic() - self._swept_at > SWEPT_EVERY:
            self.sweep()

    def _write(self, name: str, content: memoryview) -> None:
        """Write beside and rename, so that a file under its name is whole."""
        part = self._path(f".{name}.{uuid.uuid4().hex}")
        self._files.makedirs(self._root, exist_ok=True)
        try:
            with self._files.open(part, "wb") as file:
                file.write(content)
            self._files.mv(part, self._path(name))
        except BaseException:
            with suppress(Exception):
                self._files.rm_file(part)
            raise

    def _read(self, claimed: ClaimedTrial) -> TrainingState:
        name = str(claimed.checkpoint)
        if not _is_own(claimed):
            raise ValueError("it is no file of this trial's")
        content = self._files.cat_file(self._path(name))
        saved: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        if saved.pop("format", None) != FORMAT or not _is_state(saved.keys()):
            raise ValueError("it is of another format")
        self._know(claimed)
        return cast(TrainingState, saved)

    def _know(self, claimed: ClaimedTrial) -> dict[str, float | None]:
        told: dict[str, float | None] = {claimed.checkpoint: None} if claimed.checkpoint and _is_own(claimed) else {}
        return self._known.setdefault(_key(claimed), told)

    def _delete(self, names: Iterable[str]) -> None:
        for name in names:
            with suppress(Exception):  # it may be gone; if it is not, it goes when it is old
                self._files.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _say_failing(self, claimed: ClaimedTrial, error: Exception) -> None:
        if not self._failing:
            self._log_of(claimed).warning("checkpoint_not_saved", reason=_reason(error))
        self._failing = True

    def _log_of(self, claimed: ClaimedTrial) -> Any:
        return self._log.bind(study=claimed.study, trial=claimed.number)


def _is_state(keys: Set[str]) -> bool:
    return TrainingState.__required_keys__ <= keys <= TrainingState.__required_keys__ | TrainingState.__optional_keys__


def _key(claimed: ClaimedTrial) -> Key:
    return claimed.study, claimed.number


def _is_own(claimed: ClaimedTrial) -> bool:
    """Tell whether the checkpoint that a claim names is one of the trial's: any worker can have said anything."""
    found = NAME.fullmatch(claimed.checkpoint or "")
    return found is not None and (found["study"], int(found["number"])) == _key(claimed)


def _name(claimed: ClaimedTrial, step: int) -> str:
    """Name a trial's file; the lease in it (hashed: it is a secret) keeps two workers' files apart."""
    if STUDY.fullmatch(claimed.study) is None:
        raise ValueError(f"{claimed.study!r} cannot be part of a file's name")
    return f"{claimed.study}@{claimed.number}@{step}-{hashlib.sha256(claimed.lease.encode()).hexdigest()[:12]}.pt"


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
