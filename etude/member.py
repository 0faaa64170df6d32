"""One machine of several that share a directory: its workers, and its readiness to be the head."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from search_spaces.problems import Problem, StoreUnavailable

from .client import Client
from .election import TAKEOVER_SECONDS, Office, Watch, take_office
from .errors import ServiceUnreachable
from .head import STORE, Serving, answer_seconds
from .parts import PartFailed, Parts
from .ports import free_port
from .settings import PartsSettings, WrongSetting
from .shared import SHARED, SharedDirectory
from .tokens import read_token

LOOK_SECONDS = 0.2
STUDIES_SECONDS = 5.0
"""Between two looks whether a study is under way."""
LIVE = ("queued", "running", "confirming")
DRAINED = "drained"
WORKER_PAUSE_SECONDS = 10.0
"""Before a worker that has died is started again."""


@dataclass
class Member:
    """Trains, and serves when nobody else does; leaving the `with` block gives everything back in order."""

    shared: SharedDirectory
    settings: PartsSettings
    """`host` is where the service listens; `data_dir` is on this machine's own disk."""
    advertised: str
    root: Path
    environ: Mapping[str, str]
    say: Callable[[str], None]
    worker_flags: Sequence[Sequence[str]] = ()
    """Of each worker."""
    drain: float | None = None
    """Ends after so many seconds without a study under way; None: never."""
    takeover_seconds: float = TAKEOVER_SECONDS
    _serving: Serving | None = None
    _dead: dict[int, float] = field(default_factory=dict)
    _live_at: float = 0.0
    _studies_at: float = 0.0
    _drained: bool = False
    _was_live: bool = False
    """Whether a study was under way when last anybody could be asked."""
    _followed: int = 0
    _complained: bool = False

    def __enter__(self) -> Member:
        self.shared.make()
        self._workers = Parts(self.settings, self.root, environ=self.environ)
        self._watch = Watch(self.shared, self.takeover_seconds)
        self._live_at = time.monotonic()
        for number in range(len(self.worker_flags)):
            self._start_worker(number)
        return self

    def __exit__(self, *_error: object) -> None:
        """Workers first: they give their trials back to the head, which may be this machine's."""
        try:
            self._workers.stop()
        finally:
            self._resign(DRAINED if self._drained else "stopped")

    def work(self) -> None:
        """Train and stand ready until drained.

        Raises:
            PartFailed: the service of this machine does not start.
        """
        while not self._has_drained():
            self._look_after_workers()
            try:
                self._stand() if self._serving is None else self._serve(self._serving)
            except (OSError, StoreUnavailable) as error:  # a file system that is away comes back
                self._complain(str(error))
            else:
                self._complained = False
            time.sleep(LOOK_SECONDS)

    @property
    def is_head(self) -> bool:
        """Whether this machine serves."""
        return self._serving is not None

    # The head

    def _stand(self) -> None:
        """Become the head where there is none."""
        head = self.shared.head()
        if head is not None and head.url is not None and head.generation > self._followed:
            self._followed = head.generation
            self.say(f"head       {head.url} ({head.host})")
        vacant = self._watch.vacancy()
        if vacant is None:
            return
        store = str(self.settings.data_dir / "head" / STORE)
        office = take_office(self.shared, vacant, store, takeover_seconds=self.takeover_seconds)
        if office is not None:
            self._begin(office)

    def _begin(self, office: Office) -> None:
        place = replace(self.settings, data_dir=self.settings.data_dir / "head", port=free_port(self.settings.host))
        parts = Parts(place, self.root, environ=self.environ)
        self._serving = Serving(office, self.shared, place, self.advertised, parts)
        try:
            self._serving.start()
        except OSError:
            self._resign("failed")
            raise
        self._followed, self._live_at = office.head.generation, time.monotonic()
        self.say(f"head       {office.head.url} (this machine; generation {office.head.generation})")

    def _serve(self, serving: Serving) -> None:
        """Give a sign of life; stop serving where another may have begun, or the service has died."""
        lost = serving.office.lost()
        if lost is not None:
            self.say(f"stops serving: {lost}")
            self._resign(None)
            return
        try:
            serving.parts.check()
        except PartFailed as failed:
            self.say(str(failed))
            self._resign("failed")
            return
        if serving.office.due:
            serving.office.beat()

    def _complain(self, words: str) -> None:
        """Say what is wrong, once for as long as it is."""
        if not self._complained:
            self.say(f"the shared directory is of no use just now: {words}")
        self._complained = True

    def _resign(self, why: str | None) -> None:
        serving, self._serving = self._serving, None
        if serving is not None:
            serving.stop(why)

    # The workers

    def _start_worker(self, number: int) -> None:
        name = f"{socket.gethostname()}-{os.getpid()}-{number + 1}"
        around = {SHARED: str(self.shared.path), "ETUDE_CHECKPOINTS": str(self.shared.checkpoints)}
        flags = self.worker_flags[number]
        # Machines may be tasks on one: their logs lie side by side.
        self._workers.start(f"{os.getpid()}-worker-{number + 1}", "workers", "--name", name, *flags, environ=around)

    def _look_after_workers(self) -> None:
        now = time.monotonic()
        for part in [part for part in self._workers if part.exit_status is not None]:
            number = int(part.name.rpartition("-")[2]) - 1
            self.say(f"{part.name} ended with status {part.exit_status}; its log: {part.log}")
            self._workers.kill(part)
            self._dead[number] = now + WORKER_PAUSE_SECONDS
        for number in [number for number, again in self._dead.items() if now >= again]:
            del self._dead[number]
            self._start_worker(number)

    # The end

    def _has_drained(self) -> bool:
        if self.drain is None:
            return False
        now = time.monotonic()
        if now < self._studies_at:
            return False
        self._studies_at = now + STUDIES_SECONDS
        live = self._is_study_live()
        if live is not None:
            self._was_live = live
        if live is not False:
            self._live_at = now
        self._drained = now - self._live_at >= self.drain or (live is None and self._head_has_drained())
        return self._drained

    def _head_has_drained(self) -> bool:
        """Tell whether the head that this machine has worked for ended for lack of work, as far as is known here."""
        head = self.shared.head()
        if head is None or head.generation != self._followed:
            return False
        return head.ended == DRAINED and not self._was_live

    def _is_study_live(self) -> bool | None:
        """Tell whether a study is under way; None where nobody can be asked."""
        with suppress(ServiceUnreachable, Problem, WrongSetting):
            token = read_token(self.shared.admin_token)
            with Client(self.shared.url(), token, attempts=1, timeout=answer_seconds(self.takeover_seconds)) as client:
                return any(view.state in LIVE for view in client.list())
        return None
