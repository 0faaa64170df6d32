"""What other libraries are told of a training, and what is said where one of them is missing."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from benchmarks.pruning.peers import PEERS
from benchmarks.pruning.pools import drawn, quadratic_space, space
from benchmarks.pruning.searchers import Shown
from benchmarks.pruning.told import WORST, candidate_of, flat_of, is_complete, reports
from search_spaces.candidate import Candidate
from search_spaces.ranges import Scalar

NOTHING = np.full((2, 19), np.nan, dtype=np.float32)


def shown(raw: list[float]) -> Shown:
    """Return a training of any candidate with these metrics."""
    return Shown(drawn(quadratic_space(), 1, [0])[0], np.array(raw, dtype=np.float32), NOTHING)


def params(candidate: Candidate) -> dict[str, Scalar]:
    """Return a candidate's parameters in the default space."""
    return space().params_of(candidate) or {}


def test_every_rung_is_reported() -> None:
    """Twenty reports, the last of which is said to be; no loss is told above the worst."""
    raw = [1e30] + [2.0] * 18 + [1.0]

    told = list(reports(shown(raw)))

    assert [number for number, _, _ in told] == list(range(1, 21))
    assert [value for _, value, _ in told] == [WORST] + [2.0] * 18 + [1.0]
    assert [last for _, _, last in told] == [False] * 19 + [True]
    assert is_complete(shown(raw), 20)
    assert not is_complete(shown(raw), 19)


def test_a_training_that_diverges_reports_the_worst_loss_and_ends() -> None:
    """Neither library has a place for nan."""
    raw = [3.0, 2.0] + [float("nan")] * 18

    told = list(reports(shown(raw)))

    assert told == [(1, 3.0, False), (2, 2.0, False), (3, WORST, True)]
    assert not is_complete(shown(raw), 20)


def test_flat_parameters_describe_the_candidate() -> None:
    """From candidates to flat parameters and back; parameters that do not apply change nothing."""
    everything = space()
    candidates = drawn(everything, 40, [1])
    every = {name: value for one in candidates for name, value in flat_of(everything, params(one)).items()}

    again = [candidate_of(everything, every | flat_of(everything, params(one))) for one in candidates]

    assert [everything.params_of(candidate) for candidate, _ in again] == [params(one) for one in candidates]


@pytest.mark.parametrize("name", PEERS)
def test_a_library_that_is_missing_is_named_with_its_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody needs it who does not ask for its searches."""
    for module in ("ray", "syne_tune"):
        monkeypatch.setitem(sys.modules, module, None)
    for module in ("with_ray", "with_syne_tune"):
        monkeypatch.delitem(sys.modules, f"benchmarks.pruning.{module}", raising=False)

    with pytest.raises(ModuleNotFoundError, match=rf"{name.partition(',')[0]} is not installed .*\[peers\]"):
        PEERS[name](quadratic_space(), 200, 0, 64)
