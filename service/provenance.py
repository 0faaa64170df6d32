"""What an answer was made from and with."""

from __future__ import annotations

import platform
from functools import lru_cache
from importlib.metadata import version

from search_spaces.results import Provenance, TrainedOn
from search_spaces.study import StudySpec

PACKAGES = ("etude", "optuna")


@lru_cache(maxsize=1)
def own_versions() -> dict[str, str]:
    """Return the versions of what this process computes answers with."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def provenance_of(spec: StudySpec, machines: list[TrainedOn]) -> Provenance:
    """Return the provenance of an answer that is computed now."""
    return Provenance(spec=spec, versions=own_versions(), machines=machines)
