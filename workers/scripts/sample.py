"""A candidate that a script should be able to train: what its flags are tried with."""

from __future__ import annotations

from search_spaces.candidate import Candidate
from search_spaces.script_space import resolve_script_space
from search_spaces.script_spec import ScriptSpec
from search_spaces.study import SpaceSpec


def sample_candidate(spec: ScriptSpec) -> Candidate:
    """Return a point at the low ends of what a study of a script searches; its first kinds.

    Raises:
        InvalidSpec: nothing is left open to a search.
    """
    offered = spec.offered(initial_lr=spec.initial_lr, seeding="repeats")
    candidate, _ = resolve_script_space(SpaceSpec(), 1000, offered).suggest(lambda _name, range_: range_.ends[0])
    return candidate
