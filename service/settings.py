"""Settings of the service's processes, from the environment (`ETUDE_...`) and flags."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from search_spaces.log import Format, Level
from search_spaces.work import LARGEST_BODY_BYTES
from store.settings import with_password

VERBS_AT_ONCE = 7
"""Connections for the verbs, and so as many of each verb at once, but claims: more would only wait for one."""
READS_AT_ONCE = 5
"""Connections for everything else."""
LOOPBACK_NAMES = frozenset({"localhost", "ip6-localhost"})


class Settings(BaseSettings):
    """What a process of the service must know before it starts."""

    model_config = SettingsConfigDict(env_prefix="ETUDE_", extra="ignore", frozen=True)

    database_url: str | None = None
    """Where the store is; default: an SQLite file in `data_dir`."""
    database_password_file: Path | None = None
    """A file that holds the password of `database_url`, which then names none."""
    data_dir: Path = Path("var")
    host: str = "127.0.0.1"
    """Address to listen on; other than loopback only where the store has tokens."""
    port: int = Field(default=8000, ge=0, le=65535)
    """0 takes a free one and prints it."""
    dashboard_port: int = Field(default=8080, ge=0, le=65535)
    lease_seconds: float = Field(default=60.0, gt=0, le=86_400)
    """How long a claim or a report keeps a trial."""
    pulse_file: Path | None = None
    """A file whose time a coordinator or a clock sets at every round, for a probe."""

    admin_token: SecretStr | None = None
    """An admin token that the operator chooses: it is put into the store, as a hash, when the service starts."""
    admin_token_file: Path | None = None
    """A file that holds it, instead."""
    body_bytes: int = Field(default=LARGEST_BODY_BYTES, ge=1024, le=LARGEST_BODY_BYTES)
    """How large a request's body may be; workers' packs may need all of it."""
    token_requests_per_second: float = Field(default=500.0, gt=0, allow_inf_nan=False)
    """Requests a second that one token may send to one process, after a burst of two seconds' worth."""
    token_trials: int = Field(default=10_000, ge=1)
    """Trials that a study submitted with a token may have."""
    token_studies: int = Field(default=100, ge=1)
    """Studies under way that were submitted with one token."""
    session_seconds: float = Field(default=12 * 3600.0, gt=0, le=30 * 86_400.0)
    """How long a person who has logged in stays so."""

    drain_seconds: float = Field(default=0.0, ge=0, le=600)
    """How long a service that was asked to stop says that it is not ready and serves on, for a balancer to notice."""
    log_format: Format = "auto"
    """`pretty` for people, `json` for programs; `auto`: pretty in a terminal."""
    log_level: Level = "info"
    """`debug` shows the requests of workers and probes, too."""

    webhook_hosts: str = ""
    """Hosts that recurrences may tell of their nights, `hooks.example.com, ci.example.com:8443`; none by default."""
    webhook_networks: str = ""
    """Networks beyond the public internet in which those hosts may be, `10.0.0.0/8`; none by default."""

    webhook_key: SecretStr | None = None
    """Seals URLs and secrets of webhooks in the store: at least 32 letters; several, the newest first, by spaces."""
    webhook_key_file: Path | None = None
    """A file that holds it, instead; beside an SQLite store one is made where neither is set."""

    @field_validator("webhook_networks")
    @classmethod
    def _networks(cls, written: str) -> str:
        for network in words(written):
            ipaddress.ip_network(network)
        return written

    @property
    def store_url(self) -> str:
        """URL of the store, with its password: `database_url`, else the SQLite file in `data_dir`.

        Raises:
            InvalidSpec: the password's file is of no use.
        """
        return with_password(self.place, self.database_password_file)

    @property
    def place(self) -> str:
        """URL of the store as it is set; a password that lies in a file is not in it."""
        return self.database_url or f"sqlite:///{self.data_dir / 'etude.db'}"


def words(written: str) -> list[str]:
    """Divide a list that is written with commas.

    >>> words("a.example, b.example:8443,")
    ['a.example', 'b.example:8443']
    """
    return [word.strip() for word in written.split(",") if word.strip()]


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches `host`.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0"), is_loopback("example.org")
    (True, True, False, False)
    """
    if host in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
