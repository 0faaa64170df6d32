"""A few optimizers learn, one from each source; all of them in tests/soak."""

from __future__ import annotations

import pytest

from tests.learners import accuracy


@pytest.mark.parametrize("kind", ["sgd", "muon", "schedule_free_adamw"])
def test_it_learns_the_digits(kind: str) -> None:
    """Some candidate of its range names at least 90 % of the validation images of `digits-mlp` rightly."""
    assert accuracy(kind) >= 0.9


@pytest.mark.parametrize("kind", ["sparse_adam", "adagrad"])
def test_it_learns_from_sparse_gradients(kind: str) -> None:
    """Some candidate of its range tells at least 70 % of the validation snippets of `embedding` (by chance: 6 %)."""
    assert accuracy(kind, sparse=True) >= 0.7
