"""Where data sets are that do not come with a package. Nothing is downloaded but by `python -m workers.tasks.fetch`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from .. import vision


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class DataSettings(BaseSettings):
    """Settings of the tasks that read files, from the environment; a worker's operator sets them, no study can."""

    model_config = SettingsConfigDict(env_prefix="ETUDE_", extra="ignore")

    data_dir: Path = Path("var")
    data_sets: Path | None = None
    """torchvision's root: the folder that holds MNIST/raw, cifar-10-batches-py and so on."""
    image_folders: dict[str, Path] = {}
    """Folders for the task `image-folder`, as JSON: name -> path. Studies know the names only."""
    loader_processes: int = Field(default_factory=lambda: min(2, _cores()), ge=0)
    """Processes of a DataLoader that read pictures; 0: the worker reads them itself."""

    @property
    def root(self) -> Path:
        """Where torchvision's data sets are: `data_sets`, or a folder of that name under `data_dir`."""
        return self.data_sets or self.data_dir / "data_sets"


def lacking(files: Iterable[str], fetched_as: str) -> str | None:
    """Return why a data set of these files (paths under the root) cannot be read, or None when it can."""
    if not vision.installed():
        return vision.MISSING
    root = DataSettings().root
    missing = [file for file in files if not (root / file).is_file()]
    if not missing:
        return None
    return f"{missing[0]} is not under {root} (ETUDE_DATA_SETS): run python -m workers.tasks.fetch {fetched_as}"
