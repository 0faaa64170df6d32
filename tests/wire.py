"""A worker on a real store, over a wire that a test can cut and listen to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from search_spaces.problems import StoreUnavailable
from search_spaces.work import (
    Announcement,
    ClaimAnswer,
    ClaimRequest,
    FinishRequest,
    ReleaseRequest,
    RenewRequest,
    ReportRequest,
    VerbAnswer,
    Verbs,
)
from store import Store
from store.proposals import Past, history
from store.studies import own
from tests.small_task import CANDIDATE, SmallTask, fresh
from tests.studies import add_proposals, run_study
from workers.loop import Worker
from workers.timing import Timing

QUICK = Timing(
    report=60.0, ask=60.0, first_idle=0.01, longest_idle=0.02, first_retry=0.01, longest_retry=0.05, drain=0.0
)
"""Ends at the first claim that finds nothing; reports at rungs only."""


@dataclass
class Wire:
    """The verbs on a real store, over a wire that can be cut and listened to."""

    verbs: Verbs
    calls: list[tuple[str, Any]] = field(default_factory=list)
    cut: Callable[[str, int], bool] = lambda verb, nth: False
    """Whether the nth call of a verb (from 1) finds the store away."""
    lose_answers: bool = False
    """Whether a cut call has reached the store before it failed."""
    listener: Callable[[str, Any], None] = lambda verb, request: None

    def announce(self, worker: str, announcement: Announcement) -> None:
        self._through("announce", announcement, lambda: self.verbs.announce(worker, announcement))

    def claim(self, request: ClaimRequest) -> ClaimAnswer:
        return self._through("claim", request, lambda: self.verbs.claim(request))

    def renew(self, request: RenewRequest) -> VerbAnswer:
        return self._through("renew", request, lambda: self.verbs.renew(request))

    def report(self, request: ReportRequest) -> VerbAnswer:
        return self._through("report", request, lambda: self.verbs.report(request))

    def finish(self, request: FinishRequest) -> VerbAnswer:
        return self._through("finish", request, lambda: self.verbs.finish(request))

    def release(self, request: ReleaseRequest) -> VerbAnswer:
        return self._through("release", request, lambda: self.verbs.release(request))

    def close(self) -> None:
        """Stay open: the test reads the store."""

    def _through(self, verb: str, request: Any, call: Callable[[], Any]) -> Any:
        self.calls.append((verb, request))
        self.listener(verb, request)
        if not self.cut(verb, len(self.requests(verb))):
            return call()
        if self.lose_answers:
            call()
        raise StoreUnavailable("cut")

    def requests(self, verb: str) -> list[Any]:
        """What was asked of a verb, in order."""
        return [request for name, request in self.calls if name == verb]


def propose(store: Store, count: int = 1, name: str = "mine", **fields: Any) -> None:
    """Run a study without pruning, unless it is there, and propose the same candidate `count` times."""
    if not own(store, "tests", 60):
        run_study(store, name, pruner={"kind": "none"})
    add_proposals(store, name, count=count, **({"candidate": CANDIDATE, "seed": 1} | fields))


def trials(store: Store) -> list[Past]:
    """What has become of the proposals."""
    return history(store, own(store, "tests", 60)[0].study_id)


def work(wire: Wire, task: type[SmallTask] | None = None, **options: Any) -> Worker:
    """Work until there is nothing to do."""
    worker = Worker("w1", wire, {"nothing": task or fresh()}, **({"timing": QUICK} | options))
    worker.work()
    return worker
