"""The head of a shared directory: it serves from its own disk, and leaves copies for the next."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

from search_spaces.problems import NameTaken, Problem, Unauthorized

from .client import Client
from .election import BEATS, Office
from .errors import ServiceUnreachable
from .parts import Parts
from .settings import PartsSettings
from .shared import SharedDirectory, make_private, write_whole
from .tokens import read_token
from .work import HttpVerbs

STORE, MARK = "etude.db", "generation"
"""Files on the head's disk: the store, and the generation that it is of."""
START_SECONDS = 300.0
STOP_SECONDS = 60.0
ANSWER_SECONDS, ANSWER_SHARE = 5.0, 1 / 3
"""The longest wait for an answer, and its share of the time after which a silent head is taken for dead: whoever waits
gives no sign of life."""
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - addresses to listen on, and how to reach them here


@dataclass
class Serving:
    """The service of a head, from its first moment to its last copy."""

    office: Office
    shared: SharedDirectory
    settings: PartsSettings
    """Where it listens; `data_dir` is on this machine's own disk."""
    advertised: str
    """Name or address by which other machines reach this one."""
    parts: Parts
    _left: Event = field(default_factory=Event)

    def start(self) -> None:
        """Serve what the last head has left; the address is written once the service answers.

        Raises:
            PartFailed: the service does not start.
            OSError: the shared directory cannot be written.
        """
        admin_token(self.shared)
        make_private(self.settings.data_dir)
        restoring, mark = self._restoring(), self.settings.data_dir / MARK
        mark.unlink(missing_ok=True)  # until the store is the one that was left, nobody may take it for that
        copy = self.shared.copies / f"{self.office.head.generation:08d}.db"
        self.parts.start(
            "service", "service", "--copy-to", str(copy), *restoring,
            environ={
                "ETUDE_ADMIN_TOKEN_FILE": str(self.shared.admin_token),
                "ETUDE_DATA_DIR": str(self.settings.data_dir),
                "ETUDE_DATABASE_URL": f"sqlite:///{self.settings.data_dir / STORE}",
            },
        )  # fmt: skip
        Thread(target=self._fence, name="fence", daemon=True).start()
        self.parts.wait_until(self._answers, "the service is not ready", seconds=START_SECONDS)
        mark.write_text(str(self.office.head.generation), encoding="ascii")
        self._provide_work_token()
        self.office.beat(url=self._url(self.advertised))
        for old in self._copies()[:-2]:
            old.unlink(missing_ok=True)

    def stop(self, why: str | None) -> None:
        """End the service, which then makes its last copy; told `why`, the next head need not wait for a silence."""
        self.parts.stop(STOP_SECONDS)
        self._left.set()
        if why is not None:
            with suppress(OSError):
                self.office.beat(ended=why)

    def _fence(self) -> None:
        """End the service once the last sign of life is too old, also while whoever gives them hangs in a write."""
        while not self._left.wait(self.office.takeover_seconds / BEATS):
            if self.office.overdue:
                for part in list(self.parts):
                    part.end_group()
                return

    def _answers(self) -> bool:
        if self.office.due:
            self.office.beat()
        try:
            with self.client() as client:
                list(client.tokens.list())
        except (ServiceUnreachable, Problem):
            return False
        return True

    def client(self) -> Client:
        """Return a client of the service, from this machine."""
        return Client(
            self._url(self._here),
            read_token(self.shared.admin_token),
            attempts=1,
            timeout=answer_seconds(self.office.takeover_seconds),
        )

    @property
    def _here(self) -> str:
        return EVERYWHERE.get(self.settings.host, self.settings.host)

    def _url(self, host: str) -> str:
        return f"http://[{host}]:{self.settings.port}" if ":" in host else f"http://{host}:{self.settings.port}"

    def _copies(self) -> list[Path]:
        return sorted(self.shared.copies.glob("[0-9]*.db"))

    def _restoring(self) -> list[str]:
        """Return the flags that put the last head's copy in place; none where its own store is here, and newer."""
        last, mark = self.office.head.generation - 1, self.settings.data_dir / MARK
        is_here = mark.exists() and mark.read_text(encoding="ascii") == str(last)
        left = self._copies()
        return ["--restore-from", str(left[-1])] if left and not is_here else []

    def _provide_work_token(self) -> None:
        """See that the workers' token opens the store that was gone on from; else make another."""
        if self._is_known():
            return
        with self.client() as client, suppress(NameTaken):
            made = client.tokens.create(f"workers-{self.office.head.generation}", ["work"])
            write_whole(self.shared.work_token, made.token.encode())

    def _is_known(self) -> bool:
        if not self.shared.work_token.exists():
            return False
        seconds = answer_seconds(self.office.takeover_seconds)
        verbs = HttpVerbs(self._url(self._here), read_token(self.shared.work_token), timeout=seconds)
        try:
            verbs.backlog(["none"])
        except Unauthorized:
            return False
        finally:
            verbs.close()
        return True


def answer_seconds(takeover_seconds: float) -> float:
    """Return how long a head may wait for its own service, or a candidate for a head, in seconds.

    >>> answer_seconds(30.0), answer_seconds(6.0)
    (5.0, 2.0)
    """
    return min(ANSWER_SECONDS, ANSWER_SHARE * takeover_seconds)


def admin_token(shared: SharedDirectory) -> str:
    """Return the clients' token, made by the first head of the directory."""
    if not shared.admin_token.exists():
        write_whole(shared.admin_token, f"etude_{secrets.token_urlsafe(32)}".encode())
    return read_token(shared.admin_token)


def local_directory(shared: SharedDirectory, environ: Mapping[str, str], temporary: Path) -> Path:
    """Return where this machine keeps what it writes for itself: a disk of its own.

    ETUDE_DATA_DIR where it is set, else a place in the directory for temporary files, one for each shared one.
    """
    if environ.get("ETUDE_DATA_DIR"):
        return Path(environ["ETUDE_DATA_DIR"]).absolute()
    digest = hashlib.sha256(str(shared.path).encode()).hexdigest()[:12]
    return temporary / f"etude-{os.getuid()}-{digest}"
