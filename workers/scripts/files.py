"""Script files as a worker reads them, and what it remembers of the scripts it has looked at."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from search_spaces.model import Message
from search_spaces.problems import InvalidSpec
from search_spaces.script_spec import ScriptSpec, read_script_spec

from .measured import script_version

KNOWN = "scripts"
"""Below the data directory: what was measured of each version of a script."""
TRIALS = "script-trials"
"""Below the data directory: what the trials' scripts have printed."""


def read_script_file(file: Path) -> ScriptSpec:
    """Read a script file; its directory is taken from where the file lies.

    Raises:
        InvalidSpec: it cannot be read, or a field of it is wrong, which it names.
    """
    try:
        fields: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidSpec(f"{file} cannot be read: {error.strerror}", field="script") from error
    except yaml.YAMLError as error:
        raise InvalidSpec(f"{file} is neither YAML nor JSON: {error}", field="script") from error
    if not isinstance(fields, dict):
        raise InvalidSpec(f"{file} holds no script: fields such as name, command and metric are meant", field="script")
    return in_directory(fields, file.absolute().parent)


def in_directory(fields: Mapping[str, Any], place: Path) -> ScriptSpec:
    """Read a script's fields; its directory is taken from `place`.

    Raises:
        InvalidSpec: a field is wrong, which it names.
    """
    spec = read_script_spec(fields)
    directory = (place / spec.directory).resolve()
    if not directory.is_dir():
        raise InvalidSpec(f"there is no directory {directory}", field="directory")
    return spec.model_copy(update={"directory": str(directory)})


Known = TypeVar("Known", bound=Message)


def remembered(spec: ScriptSpec, data_dir: Path, model: type[Known]) -> Known | None:
    """Return what was seen of this version of a script; None where nothing was."""
    file = _place(spec, data_dir)
    return model.model_validate_json(file.read_bytes()) if file.is_file() else None


def remember(spec: ScriptSpec, seen: Message, data_dir: Path) -> None:
    """Keep what was seen of a version of a script; the file appears whole or not at all."""
    file = _place(spec, data_dir)
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(f".{os.getpid()}")
    unfinished.write_text(seen.model_dump_json(indent=1), encoding="utf-8")
    unfinished.replace(file)


def _place(spec: ScriptSpec, data_dir: Path) -> Path:
    return data_dir / KNOWN / f"{spec.name}-{script_version(spec)}.json"
