"""A worker that trains nothing: the verbs are real, the losses come from a formula of candidate, step and seed."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from search_spaces.candidate import Candidate
from search_spaces.work import (
    Announcement,
    ClaimedTrial,
    ClaimRequest,
    FinishItem,
    FinishRequest,
    Report,
    ReportItem,
    ReportRequest,
    TaskVersion,
    Verbs,
)
from service.coordinator import Coordinator
from store import Store
from store.studies import get_study
from store.verbs import SqlVerbs
from tests.studies import OFFER

ENDED = ("done", "stopped", "failed")
Loss = Callable[[Candidate, int], float]


def bowl(candidate: Candidate, seed: int) -> float:
    """A loss that is least at an initial LR of 0.003, with a noise of 0.01 by seed and a bonus for rmsprop."""
    noise = random.Random(seed).gauss(0, 0.01)
    own = random.Random(f"{seed}:{candidate.initial_lr}").gauss(0, 0.002)
    return 1 + abs(math.log10(candidate.initial_lr) - math.log10(0.003)) + noise + own


@dataclass
class SimulatedWorker:
    """Claims, reports at every rung, obeys prune, and finishes with what `loss` says; nan means diverged."""

    verbs: Verbs
    loss: Loss = bowl
    name: str = "simulated"
    slots: int = 4
    seconds: float = 2.0
    """Worker-seconds that a whole training is said to take."""
    flat_from: int = 10**9
    """The step from which a curve does not fall any more."""
    claims: itertools.count[int] = field(default_factory=itertools.count)

    def announce(self) -> None:
        """Offer the made-up task."""
        self.verbs.announce(self.name, Announcement(slots=self.slots, tasks=[OFFER]))

    def claim(self) -> list[ClaimedTrial]:
        """Claim as many trials as there are slots."""
        tasks = [TaskVersion(name=OFFER.name, version=OFFER.version)]
        claim_id = f"{self.name}-{next(self.claims)}"
        return self.verbs.claim(ClaimRequest(worker=self.name, claim_id=claim_id, tasks=tasks, count=self.slots)).items

    def round(self) -> int:
        """Claim, train and end what there is; return how many trials there were."""
        trials = self.claim()
        for trial in trials:
            self.train(trial)
        return len(trials)

    def train(self, trial: ClaimedTrial) -> None:
        """Take one trial to its end."""
        loss = self.final(trial)
        for step in sorted({*trial.rungs, *range(10, trial.horizon_steps, 10)}):
            report = Report(step=step, value=loss + 1 - min(step, self.flat_from) / trial.horizon_steps)
            item = ReportItem(
                study=trial.study, number=trial.number, lease=trial.lease, reports=[report], worker_seconds=0.1
            )
            answer = self.verbs.report(ReportRequest(worker=self.name, items=[item])).items[0]
            if answer.directive == "prune":
                return
        self.verbs.finish(FinishRequest(worker=self.name, items=[self._end(trial, loss)]))

    def final(self, trial: ClaimedTrial) -> float:
        """Return the loss at the end of a training."""
        return self.loss(trial.candidate, trial.seed)

    def _end(self, trial: ClaimedTrial, loss: float) -> FinishItem:
        held = {"study": trial.study, "number": trial.number, "lease": trial.lease}
        if math.isnan(loss):
            return FinishItem(**held, state="failed", error="diverged", worker_seconds=self.seconds)
        return FinishItem(
            **held,
            state="complete",
            value=loss,
            steps_done=trial.horizon_steps,
            worker_seconds=self.seconds,
            metrics={"accuracy": 0.9, "test_loss": loss + 0.1},
            reports=[Report(step=trial.horizon_steps, value=loss)],
        )


def simulated(store: Store, loss: Loss = bowl, **fields: int | str) -> SimulatedWorker:
    """A worker on the verbs over SQL, announced."""
    worker = SimulatedWorker(SqlVerbs(store), loss, **fields)  # type: ignore[arg-type]
    worker.announce()
    return worker


def drive(
    store: Store,
    worker: SimulatedWorker,
    name: str,
    *,
    coordinator: Callable[[], Coordinator],
    until: Callable[[], bool] | None = None,
    rounds: int = 500,
) -> str:
    """Let coordinator and worker take turns until the study has ended or `until` says so; return its state."""
    for _ in range(rounds):
        coordinator().round()
        worker.round()
        state = get_study(store, name).state
        if state in ENDED or (until is not None and until()):
            return state
    raise AssertionError(f"{name} has not ended: {get_study(store, name)}")
