"""A script's metric from TensorBoard's event files; needs the package `tensorboard`, the extra of that name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from search_spaces.problems import NotAvailable

from .metrics import Reading

PATTERN = "events.out.tfevents.*"
NEEDED = "event files are read by the package tensorboard: pip install 'etude[tensorboard]'"


class EventReadings:
    """Scalars of one tag, in files that grow below a directory."""

    def __init__(self, directory: str, tag: str, since: float) -> None:
        """Watch a directory, and those below it, for files no older than `since`.

        Raises:
            NotAvailable: tensorboard is not installed.
        """
        self._loader = _loader()
        self._directory = Path(directory)
        self._tag = tag
        self._since = since
        self._files: dict[Path, Any] = {}
        self.unreadable = 0

    def hear(self, line: str) -> None:
        """What is printed holds no metric."""

    def take(self) -> list[Reading]:
        """Return the scalars that are new since the last call, by step."""
        for path in sorted(self._directory.rglob(PATTERN)):
            if path not in self._files and path.stat().st_mtime >= self._since:
                self._files[path] = self._loader(str(path))
        found = [reading for loader in self._files.values() for reading in self._new(loader)]
        return sorted(found, key=lambda reading: reading.step or 0)

    def _new(self, loader: Any) -> Iterator[Reading]:
        from tensorboard.util import tensor_util

        for event in loader.Load():
            for value in event.summary.value:
                if value.tag == self._tag:
                    yield Reading(float(tensor_util.make_ndarray(value.tensor).item()), step=int(event.step))


def _loader() -> Any:
    # TensorFlow is looked for by tensorboard, and takes seconds to import where it is there.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    except ImportError as error:
        raise NotAvailable(NEEDED) from error
    return EventFileLoader
