"""Étude's library: submit a study to a service, watch it, and train with its answer.

Importing it loads neither torch nor a database nor a web framework; `etude.torch` is imported by who asks for it.
"""

from __future__ import annotations

from search_spaces.candidate import Candidate
from search_spaces.problems import Problem
from search_spaces.results import Answer, StudyView, TrialView
from search_spaces.study import StudySpec

from .client import Client
from .http import ServiceUnreachable
from .studies import Study

__all__ = [
    "Answer",
    "Candidate",
    "Client",
    "Problem",
    "ServiceUnreachable",
    "Study",
    "StudySpec",
    "StudyView",
    "TrialView",
]
