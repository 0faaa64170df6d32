"""What a trial asks of the script's process: its JSON file, and the LR of every update."""

from __future__ import annotations

import json
import mmap
import os

from .layout import SCHEMA_VERSION, WORD_BYTES


class Trial:
    """A trial as the file at `path` says.

    Raises:
        RuntimeError: the file cannot be read: training on would say of a candidate what it never was trained with.
    """

    def __init__(self, path: str) -> None:
        try:
            with open(path, encoding="utf-8") as file:
                fields = json.load(file)
            _check_version(fields["schema_version"])
            self.injects: bool = fields["mode"] == "inject"
            self.record: str = fields["record"]
            self.patterns: list[str] = fields["patterns"]
            self.files: list[str] = fields["files"]
            self.own_lrs: list[list[float]] | None = fields.get("own_lrs")
            self.scale: float | None = fields.get("scale") if self.injects else None
            self.lr: memoryview[float] | None = (
                _rates(fields["lr_file"]) if self.injects and self.scale is None else None
            )
        except (OSError, ValueError, KeyError) as error:
            raise RuntimeError(f"etude: the trial in $ETUDE_TRIAL cannot be read: {error!r}") from error

    def rate(self, update: int) -> float:
        """Return the LR of an update, counted from 0; beyond the horizon the last one holds."""
        assert self.lr is not None
        return float(self.lr[update] if update < len(self.lr) else self.lr[-1])


def _check_version(version: int) -> None:
    if version != SCHEMA_VERSION:
        raise ValueError(f"schema_version is {version}, not {SCHEMA_VERSION}")


def _rates(path: str) -> memoryview[float]:
    """Map a raw file of float64: a long horizon costs no time and no memory."""
    file = os.open(path, os.O_RDONLY)
    try:
        content = mmap.mmap(file, 0, access=mmap.ACCESS_READ)
    finally:
        os.close(file)
    if len(content) % WORD_BYTES:
        raise ValueError("lr_file is cut short")
    return memoryview(content).cast("d")
