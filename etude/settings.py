"""Where the parts are and keep their data: the ETUDE_ variables, read in one place.

`etude` reads them from the environment itself, so that installing the client brings no settings library.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8000
DEFAULT_DASHBOARD_PORT = 8080
CLIENT_VARIABLES = {"ETUDE_URL", "ETUDE_TOKEN", "ETUDE_TOKEN_FILE", "ETUDE_SHARED"}


class WrongSetting(ValueError):
    """A variable holds what it cannot mean; the text names it."""


@dataclass(frozen=True)
class PartsSettings:
    """What the parts on this machine are started with."""

    data_dir: Path
    database_url: str | None = None
    """Default: the SQLite file etude.db in `data_dir`."""
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    dashboard_port: int = DEFAULT_DASHBOARD_PORT

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> PartsSettings:
        """Read the settings; a relative data directory is taken from the working directory.

        Raises:
            WrongSetting: a port is no number in 1 ... 65535.
        """
        return cls(
            data_dir=Path(environ.get("ETUDE_DATA_DIR") or "var").absolute(),
            database_url=environ.get("ETUDE_DATABASE_URL") or None,
            host=environ.get("ETUDE_HOST") or DEFAULT_HOST,
            port=_port(environ, "ETUDE_PORT", DEFAULT_PORT),
            dashboard_port=_port(environ, "ETUDE_DASHBOARD_PORT", DEFAULT_DASHBOARD_PORT),
        )

    @property
    def url(self) -> str:
        """Address of the service."""
        return f"http://{_written(self.host)}:{self.port}"

    @property
    def dashboard_url(self) -> str:
        """Address of the Optuna dashboard."""
        return f"http://{_written(self.host)}:{self.dashboard_port}/dashboard/"

    @property
    def store_url(self) -> str:
        """URL of the store, as stock Optuna reads it."""
        return self.database_url or f"sqlite:///{self.data_dir / 'etude.db'}"

    @property
    def logs(self) -> Path:
        """Directory of the parts' logs."""
        return self.data_dir / "logs"

    def on_ports(self, port: int, dashboard_port: int) -> PartsSettings:
        """Return the same settings with other ports."""
        return replace(self, port=port, dashboard_port=dashboard_port)

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return `environ` for the parts.

        The client's variables are left out: with ETUDE_URL a worker would go to that service, not to this store.
        """
        kept = {key: value for key, value in environ.items() if key not in CLIENT_VARIABLES}
        return (
            {"ETUDE_LOG_FORMAT": "pretty"}
            | kept
            | {  # their logs are files that a person reads
                "ETUDE_DATABASE_URL": self.store_url,
                "ETUDE_DATA_DIR": str(self.data_dir),
                "ETUDE_HOST": self.host,
                "ETUDE_PORT": str(self.port),
                "ETUDE_DASHBOARD_PORT": str(self.dashboard_port),
            }
        )


def default_url(environ: Mapping[str, str]) -> str:
    """Address of the service that a client is meant to use.

    >>> default_url({}), default_url({"ETUDE_PORT": "9000"}), default_url({"ETUDE_URL": "http://gpu-1:8000"})
    ('http://127.0.0.1:8000', 'http://127.0.0.1:9000', 'http://gpu-1:8000')

    Raises:
        StoreUnavailable: ETUDE_SHARED names a directory that nobody serves just now.
    """
    if environ.get("ETUDE_URL"):
        return environ["ETUDE_URL"]
    from .shared import shared_directory

    shared = shared_directory(environ)
    return PartsSettings.from_environment(environ).url if shared is None else shared.url()


def checked_url(url: str) -> str:
    """Return the address of a service as it is given.

    >>> checked_url("https://gpu-1.example/etude")
    'https://gpu-1.example/etude'

    Raises:
        WrongSetting: it is no address of a web server.
    """
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # such as a port that is no number
        whole = False
    if not whole:
        raise WrongSetting(f"{url!r} is no address of a service: http://HOST:PORT is meant (--url or ETUDE_URL)")
    return url


def seconds_from(environ: Mapping[str, str], name: str, default: float) -> float:
    """Return a length of time, more than 0, that a variable sets.

    Raises:
        WrongSetting: it holds none.
    """
    text = environ.get(name) or str(default)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise WrongSetting(f"{name} is {text!r}, which is no length of time in seconds")
    return seconds


def _port(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name) or str(default)
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise WrongSetting(f"{name} is {text!r}, which is no port: a number in 1 ... 65535 is meant")
    return int(text)


def _written(host: str) -> str:
    return f"[{host}]" if ":" in host else host
