"""A worker's settings: from the environment (ETUDE_...), and from the flags of `python -m workers`."""

from __future__ import annotations

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class WorkerSettings(BaseSettings):
    """Where a worker finds its work; where the database is, `store.settings` says."""

    model_config = SettingsConfigDict(env_prefix="ETUDE_", extra="ignore")

    url: str | None = None
    """A service to speak HTTP with; without one the worker speaks SQL."""
    token: SecretStr | None = None
    """What the service knows the worker by."""
    lease_seconds: float = 60.0
    """How long a worker keeps a trial without a sign of life."""
