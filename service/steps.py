"""One step of one study, by its state: queued, running, confirming. Every step is idempotent."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from search_spaces.log import bind
from search_spaces.problems import Problem, StoreUnavailable
from search_spaces.study import EXTERNAL_TASK
from store import Store
from store.history import first_wishes, learned
from store.origins import trained_on
from store.proposals import Past, history, propose, queue, recent_history, taken_places
from store.states import ENDED_TRIAL, OPEN_TRIAL
from store.studies import LiveStudy, begin_confirmation, conclude, fail, get_study, start
from store.workers import live_slots, offers

from .conclusion import answer_of, confirmed_study
from .confirmation import (
    confirmation_proposals,
    is_over,
    plan_confirmation,
    training_seconds,
    tuning_proposals,
)
from .extras import extras_of, proposals_of
from .opponents import opponents_of
from .provenance import provenance_of
from .sampling import BEST_KEPT, LATEST_KEPT, STARTUP_TRIALS
from .search import Search, next_proposals
from .submission import offer_of, resolve
from .warm_start import start_warm

log = bind(__name__)

LEAST_QUEUE = 2
"""Proposals kept ready while no worker is there to say how many it takes."""
BLIND_SHARE, RUNG_SHARE = 0.25, 0.5
"""Of a search's trials, how many may be in flight at once while its sampler learns: at their ends only, or at rungs."""
REFILL_SHARE = 0.25
"""Of the proposals that should be ready, how many are missing before more are drawn; where few are, each is."""


def step(store: Store, study: LiveStudy) -> bool:
    """Take a study as far as its trials allow now; tell whether anything changed."""
    if study.state == "queued":
        return _start(store, study)
    if study.state == "running":
        return _search(store, study)
    if study.state == "confirming":
        return _confirm(store, study)
    return False


def _start(store: Store, study: LiveStudy) -> bool:
    """Start a queued study once a worker has offered its task; what the offer refutes fails it."""
    offer = offer_of(offers(store), study.spec.task)
    if offer is None:
        return False
    try:
        resolved, space = resolve(study.spec, offer)
    except StoreUnavailable:
        raise
    except Problem as problem:
        fail(store, study.name, str(problem))
        log.info("study_failed", study=study.name, reason=str(problem))
        return True
    start(store, study.name, resolved, space)
    log.info("study_started", study=study.name, task_version=resolved.task_version)
    return True


def search_of(store: Store, study: LiveStudy) -> Search:
    """Return a started study as its search, with the baselines that its task can train."""
    assert study.resolved is not None
    assert study.space is not None
    version = study.resolved.task_version
    matching = [o for o in offers(store) if o.name == study.spec.task.name and o.version == version]
    sparse = any(offer.sparse_gradients for offer in matching)
    script = next((offer.script for offer in matching if offer.script is not None), None)
    opponents = opponents_of(study.spec, study.space, sparse=sparse, script=script)
    wishes = first_wishes(store, study.study_id)
    seeding = "seeded" if script is None else script.seeding
    return Search(
        study.spec,
        study.resolved,
        study.space,
        opponents,
        wishes,
        seeding,
        has_test_split=any(offer.test_split and offer.script is None for offer in matching),
        redrawable=script is None and study.spec.task.name != EXTERNAL_TASK,
    )


# Searching


def _search(store: Store, study: LiveStudy) -> bool:
    counts = queue(store, study.study_id).get("search", {})
    budget = study.spec.budget.trials
    if _ended(counts) >= budget or _is_spent(store, study):
        return _end_search(store, study)
    if study.spec.warm_start.studies and not counts:
        start_warm(store, study)
    missing = _missing(study, counts, _live_slots(store, study))
    if missing <= 0 or sum(counts.values()) >= budget:
        return False
    search = search_of(store, study)
    new = next_proposals(search, _seen(store, study), missing, taken_places(store, study.study_id))
    return propose(store, study.study_id, new) > 0


def _seen(store: Store, study: LiveStudy) -> list[Past]:
    """Read what proposals are made of: with a lag all that it names, else no more than the sampler keeps.

    Past trials that the study was sent come before its own.
    """
    assert study.resolved is not None
    direction = study.resolved.direction
    sent = learned(store, study.study_id, direction=direction, best=BEST_KEPT, latest=LATEST_KEPT)
    if study.spec.sampler.lag is not None:
        return sent + history(store, study.study_id)
    kept = recent_history(store, study.study_id, direction=direction, best=BEST_KEPT, latest=LATEST_KEPT)
    return sent + kept


def _ended(counts: Mapping[str, int]) -> int:
    return sum(counts.get(state, 0) for state in ENDED_TRIAL)


def _missing(study: LiveStudy, counts: Mapping[str, int], slots: Sequence[int]) -> int:
    """Return how many proposals to add, from those there are by state and the slots of each live worker.

    What live workers can take at once should be ready. But a proposal that is made before results come in is blind:
    were a pack of 64 filled at once, TPE would draw a search of 64 trials without having seen any of them, and be
    nothing but a random search. So where the sampler learns, a share of the budget is in flight; the packs take trials
    of other studies beside it. Workers that train one trial at a time always find the next one.
    """
    proposed, leased = (counts.get(state, 0) for state in OPEN_TRIAL)
    ready = max(LEAST_QUEUE, sum(slots))
    if study.spec.sampler.kind != "random":
        one_by_one = len(slots) + max(LEAST_QUEUE, len(slots))
        # The first ones are drawn evenly in any case: they need not wait for each other.
        most = max(one_by_one, math.ceil(_share(study) * study.spec.budget.trials), STARTUP_TRIALS - _ended(counts))
        ready = min(ready, most - leased)
    # A refill costs the reading of the history whatever its size: it waits until a share of the queue is gone.
    return ready - proposed if ready - proposed >= REFILL_SHARE * ready else 0


def _share(study: LiveStudy) -> float:
    """Return the share of the budget that may be in flight.

    Half of it where trials have rungs, which the sampler sees at once (docs/benchmarks.md: half was as good as a
    quarter without that; half without that no better than drawing evenly).
    """
    assert study.resolved is not None
    learns_at_rungs = study.resolved.rungs and study.spec.sampler.lag is None
    return RUNG_SHARE if learns_at_rungs else BLIND_SHARE


def _live_slots(store: Store, study: LiveStudy) -> list[int]:
    assert study.resolved is not None
    return live_slots(store, study.spec.task.name, study.resolved.task_version)


def _is_spent(store: Store, study: LiveStudy) -> bool:
    """Tell whether worker-seconds or time have run out before the trials."""
    budget = study.spec.budget
    if budget.worker_seconds is not None:
        used = get_study(store, study.name).budget.used_worker_seconds
        if used >= budget.worker_seconds:
            return True
    if budget.deadline is None:
        return False
    past = history(store, study.study_id)
    workers = len(_live_slots(store, study))
    left_for_confirmation = _confirmation_seconds(search_of(store, study), past, workers)
    return datetime.now(UTC) + timedelta(seconds=left_for_confirmation) >= budget.deadline


def _confirmation_seconds(search: Search, past: Sequence[Past], workers: int) -> float:
    """Estimate how long a confirmation would take from now on.

    By the number of workers, not of slots: trials that are packed share their worker's seconds.
    """
    return plan_confirmation(search, past).size * training_seconds(past) / max(1, workers)


def _end_search(store: Store, study: LiveStudy) -> bool:
    past = history(store, study.study_id)
    ours = [trial for trial in past if trial.purpose == "search" and trial.seq is not None]
    if any(trial.state == "complete" for trial in ours):
        begin_confirmation(store, study.name)
        log.info("search_over", study=study.name, trials=len(ours))
    else:
        fail(store, study.name, _nothing_complete(ours))
        log.info("study_failed", study=study.name, reason="no trial is complete", trials=len(ours))
    return True


def _nothing_complete(ours: Sequence[Past]) -> str:
    if not ours:
        return "its deadline or worker-seconds were spent before a trial was claimed"
    errors = [trial.error for trial in ours if trial.error]
    last = f"; the last error was: {errors[-1].strip().splitlines()[-1]}" if errors else ""
    return f"none of {len(ours)} trials ran to its end{last}"


# Confirming


def _confirm(store: Store, study: LiveStudy) -> bool:
    """Tune the baselines outside the space, confirm, train what follows the verdict, conclude: each after the other."""
    counts = queue(store, study.study_id)
    if any(counts.get(purpose, {}).get(state) for purpose in counts for state in OPEN_TRIAL):
        return False
    search = search_of(store, study)
    past = history(store, study.study_id)
    tuning = tuning_proposals(search, past)
    if tuning:
        return propose(store, study.study_id, tuning) > 0
    plan = plan_confirmation(search, past)
    if not is_over(plan, past):
        return propose(store, study.study_id, confirmation_proposals(plan, past)) > 0
    confirmed = confirmed_study(search, get_study(store, study.name), plan, past)
    extras = extras_of(confirmed, _seconds_left(store, study))
    if extras.wanted:
        return propose(store, study.study_id, proposals_of(confirmed, extras.wanted)) > 0
    provenance = provenance_of(study.spec, trained_on(store, study.study_id))
    answer = answer_of(confirmed, extras).model_copy(update={"provenance": provenance})
    conclude(store, study.name, answer)
    log.info("study_done", study=study.name, verdict=answer.verdict)
    return True


def _seconds_left(store: Store, study: LiveStudy) -> float | None:
    """Return the worker-seconds until the deadline; None where the study has none."""
    if study.spec.budget.deadline is None:
        return None
    left = (study.spec.budget.deadline - datetime.now(UTC)).total_seconds()
    return max(0.0, left) * max(1, len(_live_slots(store, study)))
