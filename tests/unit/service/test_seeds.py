"""Which seeds trials train with."""

from __future__ import annotations

from search_spaces.space import resolve_space
from search_spaces.study import resolve_study
from service.opponents import opponents_of
from service.search import Search, next_proposals
from tests.studies import OFFER, study_spec


def test_search_trials_share_the_studys_seed() -> None:
    """Every trial of a search starts from the same weights and sees the same data order."""
    spec = study_spec(seed=7, budget={"trials": 40})
    space = resolve_space(spec.space, 40)
    search = Search(spec, resolve_study(spec, OFFER), space, opponents_of(spec, space, sparse=False))

    proposals = next_proposals(search, [], 20)

    assert len(proposals) == 20
    assert {proposal.seed for proposal in proposals} == {7}
