"""Étude's library: submit a study to a service, watch it, and train with its answer.

Importing it loads neither torch nor a database nor a web framework; `etude.torch` is imported by who asks for it. What
is named here is loaded when it is asked for, so that `import etude` costs a program nothing that it does not use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search_spaces.candidate import Candidate
    from search_spaces.problems import Problem
    from search_spaces.results import Answer, StudyView, TrialView
    from search_spaces.study import StudySpec

    from .client import Client
    from .errors import ServiceUnreachable
    from .saved import SavedAnswer, load
    from .studies import Study

__all__ = [
    "Answer",
    "Candidate",
    "Client",
    "Problem",
    "SavedAnswer",
    "ServiceUnreachable",
    "Study",
    "StudySpec",
    "StudyView",
    "TrialView",
    "load",
]

_HOMES = {
    "Answer": "search_spaces.results",
    "Candidate": "search_spaces.candidate",
    "Client": "etude.client",
    "Problem": "search_spaces.problems",
    "SavedAnswer": "etude.saved",
    "ServiceUnreachable": "etude.errors",
    "Study": "etude.studies",
    "StudySpec": "search_spaces.study",
    "StudyView": "search_spaces.results",
    "TrialView": "search_spaces.results",
    "load": "etude.saved",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
