"""The five verbs over SQL: what a worker with database rights holds, and what the service's work routes call."""

from __future__ import annotations

from search_spaces.work import (
    Announcement,
    ClaimAnswer,
    ClaimRequest,
    FinishRequest,
    ReleaseRequest,
    RenewRequest,
    ReportRequest,
    VerbAnswer,
)

from . import claims, finishing, reports, workers
from .engine import Store


class SqlVerbs:
    """`search_spaces.work.Verbs` on an opened store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def announce(self, worker: str, announcement: Announcement) -> None:
        """Store the worker's offer and its sign of life."""
        workers.announce(self.store, worker, announcement)

    def claim(self, request: ClaimRequest) -> ClaimAnswer:
        """Lease proposed trials to the worker."""
        return claims.claim(self.store, request)

    def renew(self, request: RenewRequest) -> VerbAnswer:
        """Prolong leases."""
        return claims.renew(self.store, request)

    def report(self, request: ReportRequest) -> VerbAnswer:
        """Store reports, settle rungs, decide on pruning, prolong leases."""
        return reports.report(self.store, request)

    def finish(self, request: FinishRequest) -> VerbAnswer:
        """End trials."""
        return finishing.finish(self.store, request)

    def release(self, request: ReleaseRequest) -> VerbAnswer:
        """Give trials back to be proposed again."""
        return claims.release(self.store, request)

    def close(self) -> None:
        """Close the store's connections."""
        self.store.close()
