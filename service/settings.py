"""Settings of the service's processes, from the environment (`ETUDE_...`) and flags."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

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
    data_dir: Path = Path("var")
    host: str = "127.0.0.1"
    """Address to listen on; only loopback addresses until requests carry tokens."""
    port: int = Field(default=8000, ge=0, le=65535)
    """0 takes a free one and prints it."""
    dashboard_port: int = Field(default=8080, ge=0, le=65535)
    lease_seconds: float = Field(default=60.0, gt=0, le=86_400)
    """How long a claim or a report keeps a trial."""

    webhook_hosts: str = ""
    """Hosts that recurrences may tell of their nights, `hooks.example.com, ci.example.com:8443`; none by default."""
    webhook_networks: str = ""
    """Networks beyond the public internet in which those hosts may be, `10.0.0.0/8`; none by default."""

    @field_validator("webhook_networks")
    @classmethod
    def _networks(cls, written: str) -> str:
        for network in words(written):
            ipaddress.ip_network(network)
        return written

    @field_validator("host")
    @classmethod
    def _loopback_only(cls, host: str) -> str:
        if not is_loopback(host):
            raise ValueError(
                f"{host} can be reached from other machines, and this version has no tokens: "
                "everybody there could read and delete studies. Use 127.0.0.1, ::1 or localhost"
            )
        return host

    @property
    def store_url(self) -> str:
        """URL of the store: `database_url`, else the SQLite file in `data_dir`."""
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
