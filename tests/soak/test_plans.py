"""The query plans again, with 100,000 trials in the table."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from store import Store
from tests.integration.test_plans import (
    full_store,
    test_claim_goes_by_index,
    test_kept_plans_go_by_index,
    test_pages_by_state_and_counts_go_by_index,
    test_pages_of_trials_go_by_index,
    test_recent_history_goes_by_index,
    test_report_and_finish_go_by_index,
)
from tests.postgres import Postgres

__all__ = [
    "test_claim_goes_by_index",
    "test_kept_plans_go_by_index",
    "test_pages_by_state_and_counts_go_by_index",
    "test_pages_of_trials_go_by_index",
    "test_recent_history_goes_by_index",
    "test_report_and_finish_go_by_index",
]


@pytest.fixture(scope="module")
def full(postgres: Postgres) -> Iterator[Store]:
    """A store with 100,000 finished trials in one study."""
    with full_store(postgres, 100_000) as store:
        yield store
