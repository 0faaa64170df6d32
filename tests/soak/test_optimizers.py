"""Every optimizer learns: what is built of the catalogue trains, it does not just run."""

from __future__ import annotations

import pytest

from search_spaces.optimizers import BUILDABLE, OPTIMIZERS
from tests.learners import DENSE, SPARSE, accuracy


@pytest.mark.parametrize("kind", DENSE)
def test_it_learns_the_digits(kind: str) -> None:
    """Some candidate of its range names at least 90 % of the validation images of `digits-mlp` rightly."""
    assert accuracy(kind) >= 0.9


@pytest.mark.parametrize("kind", SPARSE)
def test_it_learns_from_sparse_gradients(kind: str) -> None:
    """Some candidate of its range tells at least 70 % of the validation snippets of `embedding` (by chance: 6 %)."""
    assert accuracy(kind, sparse=True) >= 0.7


def test_no_optimizer_is_left_out() -> None:
    """Each kind that can be built is tried on every sort of gradient that it is said to train on."""
    assert set(DENSE) == {kind for kind in BUILDABLE if OPTIMIZERS[kind].dense}
    assert set(SPARSE) == {kind for kind in BUILDABLE if OPTIMIZERS[kind].sparse}
