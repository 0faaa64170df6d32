"""A worker's settings: from the environment (ETUDE_...), and from the flags of `python -m workers`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from search_spaces.log import Format, Level


class WorkerSettings(BaseSettings):
    """Where a worker finds its work; where the database is, `store.settings` says."""

    model_config = SettingsConfigDict(env_prefix="ETUDE_", extra="ignore")

    url: str | None = None
    """A service to speak HTTP with; without one the worker speaks SQL."""
    shared: Path | None = None
    """A directory whose head is the service (`etude up --shared`), wherever that moves; `url` wins."""
    token: SecretStr | None = None
    """What the service knows the worker by."""
    lease_seconds: float = 60.0
    """How long a worker keeps a trial without a sign of life."""
    compile: bool = False
    """Whether packs by torch.compile are tried, too."""
    data_dir: Path = Path("var")
    checkpoints: str = ""
    """A directory or an fsspec URL, shared by workers that are to take trials up from one another; default:
    `checkpoints` under `data_dir`."""
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 5.0
    """Training between two checkpoints of a trial, which are made at rungs; 0: at every rung."""
    pulse_file: Path | None = None
    """A file whose time is set again and again while the worker trains, claims or waits for the store, for a probe."""
    metrics_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """Where a worker shows its own metrics (`--metrics-port`); 0: at a free port. Unset: nowhere."""
    metrics_host: str = "127.0.0.1"
    log_format: Format = "auto"
    """`pretty` for people, `json` for programs; `auto`: pretty in a terminal."""
    log_level: Level = "info"

    @property
    def checkpoints_url(self) -> str:
        """Where checkpoints are kept."""
        return self.checkpoints or str((self.data_dir / "checkpoints").absolute())
