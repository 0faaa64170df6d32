"""A directory that machines share: in it stands who serves a search, and what its client and its workers show.

    heads/00000003/head.json   what the third head says of itself, rewritten with each of its heartbeats
    copies/00000003.db         its latest copy of the store
    checkpoints/               states of trainings, for whoever goes on with them
    admin-token, work-token    what clients and workers show; mode 0600

Only its owner reads it. Files appear under their names whole: they are written beside and renamed.
"""

from __future__ import annotations

import json
import os
import stat
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from search_spaces.problems import StoreUnavailable

from .settings import WrongSetting

SHARED = "ETUDE_SHARED"


@dataclass(frozen=True)
class Head:
    """What the machine that serves says of itself."""

    generation: int
    """1 for the first head of a directory, and one more for each that follows."""
    holder: str
    """Tells two candidates apart, whatever their machines are called."""
    host: str
    beat: int = 0
    """Grows with each sign of life."""
    url: str | None = None
    """Address of the service; None while it is being started."""
    store: str = ""
    """File of the store on the head's own disk."""
    ended: str | None = None
    """Why it has left in order: `stopped` or `drained`."""


@dataclass(frozen=True)
class SharedDirectory:
    """The layout of a directory that machines share."""

    path: Path

    @property
    def heads(self) -> Path:
        """A directory for each head there has been."""
        return self.path / "heads"

    @property
    def copies(self) -> Path:
        """Copies of the store, by the generation of their head."""
        return self.path / "copies"

    @property
    def checkpoints(self) -> Path:
        """States of trainings."""
        return self.path / "checkpoints"

    @property
    def admin_token(self) -> Path:
        """What clients show."""
        return self.path / "admin-token"

    @property
    def work_token(self) -> Path:
        """What workers show."""
        return self.path / "work-token"

    def make(self) -> None:
        """Make what is missing, for its owner alone.

        Raises:
            WrongSetting: it cannot be made, it is somebody else's, or others may look into it.
        """
        for place in (self.path, self.heads, self.copies, self.checkpoints):
            make_private(place)

    def generation(self) -> int:
        """Return the generation of the latest head, 0 before the first.

        Raises:
            StoreUnavailable: the directory cannot be read just now.
        """
        try:
            return max((int(place.name) for place in self.heads.iterdir() if place.name.isdecimal()), default=0)
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise StoreUnavailable(f"{self.path} cannot be read: {error.strerror}") from error

    def head(self) -> Head | None:
        """Return what the latest head says of itself, None where there is none or it has said nothing yet."""
        try:
            said = json.loads(self.record(self.generation()).read_text(encoding="utf-8"))
            return Head(**said)
        except (OSError, ValueError, TypeError):
            return None

    def record(self, generation: int) -> Path:
        """Return the file in which a head says what it is."""
        return self.heads / f"{generation:08d}" / "head.json"

    def say(self, head: Head) -> None:
        """Write what a head says of itself."""
        write_whole(self.record(head.generation), json.dumps(asdict(head)).encode())

    def serving(self) -> tuple[int, str]:
        """Return the generation of the head that serves, and its address.

        Raises:
            StoreUnavailable: nobody serves just now.
        """
        head = self.head()
        if head is None or head.url is None or head.ended is not None:
            raise StoreUnavailable(f"nobody serves {self.path} just now; `etude up --shared {self.path}` does")
        return head.generation, head.url

    def url(self) -> str:
        """Return the address of the service.

        Raises:
            StoreUnavailable: nobody serves just now.
        """
        return self.serving()[1]


def shared_directory(environ: Mapping[str, str]) -> SharedDirectory | None:
    """Return the directory that ETUDE_SHARED names, if it names one."""
    named = environ.get(SHARED)
    return SharedDirectory(Path(named).absolute()) if named else None


def make_private(place: Path) -> None:
    """Make a directory for its owner alone, unless it is there.

    Raises:
        WrongSetting: it cannot be made, it is somebody else's, or others may look into it.
    """
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = place.stat()
    except OSError as error:
        raise WrongSetting(f"{place} cannot be used: {error.strerror}") from error
    if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise WrongSetting(f"{place} holds tokens or a store and has to be yours alone: chmod 700 {place}")


def write_whole(file: Path, content: bytes) -> None:
    """Write a file that only its owner reads, so that nobody ever sees half of it."""
    part = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        part.replace(file)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
