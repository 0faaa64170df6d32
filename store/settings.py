"""Where the store is: ETUDE_DATABASE_URL, else an SQLite file under ETUDE_DATA_DIR."""

from __future__ import annotations

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict


class StoreSettings(BaseSettings):
    """Settings of everything that opens the store, read from the environment."""

    model_config = SettingsConfigDict(env_prefix="ETUDE_", extra="ignore")

    database_url: str = ""
    """An SQLAlchemy URL; default: etude.db under `data_dir`."""
    data_dir: Path = Path("var")
    lease_seconds: float = 60.0
    """How long a worker keeps a trial without a sign of life."""

    @property
    def url(self) -> str:
        """The store's URL."""
        return self.database_url or f"sqlite:///{(self.data_dir / 'etude.db').absolute()}"
