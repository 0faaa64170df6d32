"""Searches by Ray Tune and Syne Tune, whose own objects propose and stop: this test needs the extra `peers`."""

from __future__ import annotations

import numpy as np
import pytest
from optuna.trial import TrialState

from benchmarks.pruning.grounds import Bowl
from benchmarks.pruning.peers import PEERS
from benchmarks.pruning.pools import drawn, quadratic_space, space
from benchmarks.pruning.searchers import Shown
from benchmarks.pruning.told import flat_of
from benchmarks.search_quality import searched

# Ray says so where a busy machine takes a second for a proposal.
pytestmark = pytest.mark.filterwarnings("ignore:Define-by-run function:UserWarning")
GOOD = np.linspace(1, 0.1, 20, dtype=np.float32)
NOTHING = np.full((2, 19), np.nan, dtype=np.float32)


@pytest.mark.parametrize("name", PEERS)
def test_a_search_proposes_candidates_of_the_space_and_stops_the_bad_ones(name: str) -> None:
    """A first training is finished, worse ones are stopped at the first report, a better one is finished."""
    everything = space()
    searcher = PEERS[name](everything, 510, 0, 64)
    spent, proposed = [], []

    for factor in (10, 20, 30, 40, 50, 60, 70, 1):
        proposed.append(searcher.propose())
        spent.append(searcher.take(Shown(proposed[-1], GOOD * factor, NOTHING)))

    assert all(everything.params_of(candidate) is not None for candidate in proposed)
    assert len({candidate.model_dump_json() for candidate in proposed}) == 8
    assert spent[0] == spent[-1] == (1.0, True)
    assert spent[1:-1] == [(0.05, False)] * 6


@pytest.mark.parametrize("name", PEERS)
def test_a_training_that_diverges_is_paid_for_up_to_there(name: str) -> None:
    """It is no complete one, however good it was, and the search goes on."""
    searcher = PEERS[name](quadratic_space(), 200, 0, 64)
    diverging = np.where(np.arange(20) < 2, GOOD / 10, np.nan).astype(np.float32)

    taken = searcher.take(Shown(searcher.propose(), diverging, NOTHING))
    next_one = searcher.take(Shown(searcher.propose(), GOOD / 100, NOTHING))

    assert taken == (0.15, False)
    assert next_one == (1.0, True)


@pytest.mark.parametrize("name", PEERS)
def test_a_search_is_reproducible_and_spends_its_compute(name: str) -> None:
    """The same seeds, side by side, search the same way; regrets only fall; the last trial alone may go beyond."""
    bowl = Bowl("quadratic B=4")

    first, again = (searched(bowl, name, [7, 8], 3) for _ in range(2))

    assert [one.points for one in first] == [one.points for one in again]
    assert first[0].points != first[1].points
    for one in first:
        regrets = [regret for _, regret in one.points]
        assert regrets == sorted(regrets, reverse=True)
        assert 3 <= one.spent < 4.1


def test_optuna_search_learns_of_what_was_trained() -> None:
    """Where another candidate was trained than was asked for, the trial that asked fails and the other is completed."""
    from benchmarks.pruning.with_ray import Guided, WithRay

    everything = space()
    (other,) = drawn(everything, 1, [5])
    guided = Guided(everything, 0)
    searcher = WithRay(everything, guided)

    asked = searcher.propose()
    searcher.take(Shown(other, GOOD, NOTHING))

    trials = guided.trials()
    params = everything.params_of(other)
    assert asked != other
    assert params is not None
    assert [trial.state for trial in trials] == [TrialState.FAIL, TrialState.COMPLETE]
    assert trials[1].params == pytest.approx(flat_of(everything, params))
    assert trials[1].value == pytest.approx(0.1)
