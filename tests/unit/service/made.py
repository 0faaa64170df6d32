"""Searches and histories made by hand, without a store."""

from __future__ import annotations

import random
from typing import Any

from search_spaces.candidate import Candidate
from search_spaces.space import Space, resolve_space
from search_spaces.study import ResolvedStudy, StudySpec, resolve_study
from service.opponents import opponents_of
from service.search import Search
from store.proposals import NewProposal, Past
from tests.studies import OFFER, draw


def search_for(**fields: Any) -> Search:
    """A search of the made-up task; `fields` are those of its spec."""
    spec = StudySpec.model_validate({"name": "mine", "task": {"name": "nothing"}} | fields)
    resolved: ResolvedStudy = resolve_study(spec, OFFER)
    space = resolve_space(spec.space, spec.budget.trials)
    return Search(spec, resolved, space, opponents_of(spec, space, sparse=False), has_test_split=True)


def random_point(space: Space, seed: int) -> tuple[Candidate, dict[str, Any]]:
    """A point of the space, drawn evenly."""
    dice = random.Random(seed)
    return space.suggest(lambda _name, allowed: draw(allowed, dice))


def random_history(space: Space, count: int, **fields: Any) -> list[Past]:
    """That many complete trials at random points; the value is the seed's noise."""
    return [sampled(space, seq, value=random.Random(seq).random(), **fields) for seq in range(count)]


def sampled(space: Space, seq: int, **fields: Any) -> Past:
    """One trial of the sampler's at a random point."""
    candidate, params = random_point(space, seq)
    known: dict[str, Any] = {
        "seq": seq, "number": seq, "purpose": "search", "origin": "sampler", "state": "complete",
        "params": params, "candidate": candidate, "value": 0.5, "seed": seq, "worker_seconds": 2.0,
        "horizon_steps": 100,
    }  # fmt: skip
    return Past(**(known | fields))


def trained(new: NewProposal, value: float | None = 0.5, **fields: Any) -> Past:
    """What becomes of a proposal that runs to its end."""
    known: dict[str, Any] = {
        "seq": new.seq, "number": new.seq, "purpose": new.purpose, "origin": new.origin, "state": "complete",
        "params": new.params or {}, "candidate": new.candidate, "value": value, "seed": new.seed,
        "worker_seconds": 2.0, "horizon_steps": new.horizon_steps or 100,
    }  # fmt: skip
    return Past(**(known | fields))
