"""The coordinator on a real store: exact budgets, baselines first, restarts, and an answer at the end."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import optuna
import pytest

from search_spaces.baselines import BASELINES
from search_spaces.candidate import Candidate
from search_spaces.study import StudySpec
from service.coordinator import Coordinator
from service.sampling import STARTUP_TRIALS
from service.submission import resolve_submission
from store import Store, open_store
from store.proposals import Past, history
from store.studies import change_state, extend_budget, get_study, own, stored_answer, submit
from store.trials import list_trials
from store.workers import offers
from tests.integration.service_simulation import ENDED, SimulatedWorker, bowl, drive, simulated
from tests.studies import study_spec


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path / 'etude.db'}")
    yield opened
    opened.close()


def submitted(store: Store, **fields: object) -> StudySpec:
    body = {"budget": {"trials": 24}, "confirmation": {"seeds": 3}} | fields
    spec = study_spec(**body)
    resolved, space = resolve_submission(spec, offers(store)) or (None, None)
    submit(store, spec, resolved=resolved, space=space)
    return spec


def past_of(store: Store, name: str = "mine") -> list[Past]:
    with_id = [study for study in own(store, "one", 60) if study.name == name]
    return history(store, with_id[0].study_id)


def is_baseline(candidate: Candidate) -> bool:
    """Whether it is a baseline at whatever LR."""
    return any(
        (candidate.optimizer, candidate.schedule) == (known.optimizer, known.schedule) for known in BASELINES.values()
    )


def one(store: Store) -> Coordinator:
    return Coordinator(store, owner="one")


def test_a_study_ends_with_exactly_its_budget_and_an_answer(store_url: str) -> None:
    """On both databases: 24 trials of Étude's own, in our API and in stock Optuna, then a stored final answer."""
    store = open_store(store_url)
    worker = simulated(store)
    submitted(store)
    coordinator = one(store)

    state = drive(store, worker, "mine", coordinator=lambda: coordinator)

    view, answer = get_study(store, "mine"), stored_answer(store, "mine")
    storage = optuna.storages.RDBStorage(store.engine.url.render_as_string(hide_password=False))
    stock = optuna.load_study(study_name="mine", storage=storage)
    assert state == "done"
    assert view.counts.ended == 24
    assert view.counts.complete + view.counts.pruned == 24
    assert len(stock.trials) == 24
    assert answer is not None
    assert answer.status == "final"
    assert answer.verdict in ("winner", "no_winner", "undecided")
    assert len(answer.seeds) == 3
    assert {arm.n for arm in answer.evidence.arms} == {3}
    assert {name for score in answer.evidence.test_scores for name in score.metrics} == {"test_loss"}
    storage.engine.dispose()
    store.close()


def test_baselines_come_first_and_are_not_pruned(store: Store) -> None:
    """The first nine proposals are the three baselines at three LR factors, and all of them run to their end."""
    worker = simulated(store)
    submitted(store)
    coordinator = one(store)

    drive(store, worker, "mine", coordinator=lambda: coordinator)

    first = list_trials(store, "mine", limit=9).items
    origins = [f"baseline:{name}" for name in list(BASELINES)[:3]]
    assert sorted(trial.origin for trial in first) == sorted(3 * origins)
    assert {trial.state for trial in first} == {"complete"}


def test_a_baseline_best_at_an_edge_gets_one_trial_more(store: Store) -> None:
    """adamw at 0.003 is the best of its three factors, so 0.01 follows within the allowance."""
    worker = simulated(store)
    submitted(store)
    coordinator = one(store)

    drive(store, worker, "mine", coordinator=lambda: coordinator)

    tried = [t for t in list_trials(store, "mine").items if t.origin == "baseline:adamw-warmup-cosine"]
    assert sorted(round(t.candidate.initial_lr, 6) for t in tried) == [0.0003, 0.001, 0.003, 0.01]


def test_current_is_the_first_trial_and_confirmed_as_it_is(store: Store) -> None:
    """`current` is proposed once at factor 1, and stands in the confirmation with its own LR."""
    worker = simulated(store)
    current = BASELINES["adamw-linear-to-zero"].with_lr(0.7)
    submitted(store, current=current.model_dump(mode="json"))
    coordinator = one(store)

    drive(store, worker, "mine", coordinator=lambda: coordinator)

    first, answer = list_trials(store, "mine", limit=1).items[0], stored_answer(store, "mine")
    assert first.origin == "current"
    assert answer is not None
    assert [arm.candidate for arm in answer.evidence.arms if arm.name == "current"] == [current]


def test_a_baseline_outside_the_space_is_tuned_beside_the_confirmation(store: Store) -> None:
    """With adam alone in the space the SGD baseline is tuned by rows of the confirmation, and the budget is kept."""
    worker = simulated(store)
    submitted(store, space={"optimizers": ["adam"]}, confirmation={"seeds": 2, "baselines": ["sgd-cosine"]})
    coordinator = one(store)

    drive(store, worker, "mine", coordinator=lambda: coordinator)

    tuning = list_trials(store, "mine", purpose="tuning").items
    answer = stored_answer(store, "mine")
    assert [round(t.candidate.initial_lr, 3) for t in tuning] == [0.03, 0.1, 0.3, 0.01]
    assert get_study(store, "mine").counts.ended == 24
    assert answer is not None
    arm = next(arm for arm in answer.evidence.arms if arm.name == "sgd-cosine")
    assert (round(arm.candidate.initial_lr, 3), arm.tuned) == (0.01, True)


@pytest.mark.parametrize("kill_after", [1, 3, 6, 8])
def test_a_coordinator_that_is_replaced_at_any_moment_changes_nothing(store: Store, kill_after: int) -> None:
    """Coordinators that take over every few rounds still end with 24 trials and one confirmation."""
    worker = simulated(store)
    submitted(store)
    owners = itertools.count()
    replaced: list[Coordinator] = []

    def latest() -> Coordinator:
        turn = next(owners)
        if turn % kill_after == 0:
            replaced.append(Coordinator(store, owner="one"))  # nothing is kept but the name it owned under
        return replaced[-1]

    state = drive(store, worker, "mine", coordinator=latest)

    view, answer = get_study(store, "mine"), stored_answer(store, "mine")
    assert (state, view.counts.ended) == ("done", 24)
    assert answer is not None
    assert view.confirmation.complete == 3 * len(answer.evidence.arms) + len(answer.evidence.test_scores)


def test_two_coordinators_on_one_study_propose_it_once(store: Store) -> None:
    """While one owns the study the other is given nothing; its lease over, the other goes on to the same end."""
    worker = simulated(store)
    submitted(store)
    first, second = Coordinator(store, owner="one"), Coordinator(store, owner="two")
    first.round()

    other_changed = second.round()
    worker.round()
    first.round()

    assert other_changed is False
    assert drive(store, worker, "mine", coordinator=lambda: first) == "done"
    assert get_study(store, "mine").counts.ended == 24


def test_proposals_do_not_run_ahead_of_the_workers(store: Store) -> None:
    """The queue holds what the live slots can take, never less than two and never beyond the budget."""
    simulated(store, slots=5)
    submitted(store)
    coordinator = one(store)

    for _ in range(3):
        coordinator.round()

    assert get_study(store, "mine").counts.proposed == 5


@pytest.mark.parametrize(
    ("fields", "most"), [({}, 24), ({"pruner": {"kind": "none"}}, 12), ({"sampler": {"lag": 12}}, 12)]
)
def test_packs_do_not_make_the_search_blind(store: Store, fields: dict[str, object], most: int) -> None:
    """However many slots: half of the budget of 48 in flight where TPE learns at rungs, else a quarter."""
    worker = simulated(store, slots=64)
    submitted(store, budget={"trials": 48}, **fields)
    coordinator = one(store)
    in_flight = []

    for _ in range(4):
        coordinator.round()
        counts = get_study(store, "mine").counts
        in_flight.append(counts.proposed + counts.leased)
        worker.claim()

    assert in_flight == [most] * 4


def test_the_first_proposals_of_a_small_search_do_not_wait(store: Store) -> None:
    """As many as are drawn evenly in any case are in flight at once, and no more as those end."""
    worker = simulated(store, slots=32)
    submitted(store, budget={"trials": 16}, pruner={"kind": "none"})
    coordinator = one(store)
    coordinator.round()
    first = get_study(store, "mine").counts.proposed

    worker.round()
    coordinator.round()

    counts = get_study(store, "mine").counts
    assert first == STARTUP_TRIALS
    assert counts.proposed + counts.leased == max(4, STARTUP_TRIALS - counts.ended)


def test_a_random_search_fills_the_packs(store: Store) -> None:
    """Where the sampler learns nothing, the slots decide, up to the budget."""
    simulated(store, slots=20)
    submitted(store, sampler={"kind": "random"})

    one(store).round()

    assert get_study(store, "mine").counts.proposed == 20


def test_workers_that_train_one_trial_always_find_the_next(store: Store) -> None:
    """In a small search with many workers, each has a trial in hand and one ready, though that is over its share."""
    workers = [simulated(store, name=f"w{number}", slots=1) for number in range(5)]
    submitted(store)
    coordinator = one(store)
    coordinator.round()

    claimed = [len(worker.claim()) for worker in workers]
    coordinator.round()

    assert claimed == [1] * 5
    assert get_study(store, "mine").counts.proposed == 5


def test_a_queued_study_starts_when_its_task_is_offered(store: Store) -> None:
    """Submitted before any worker was there, it runs after the first announcement."""
    submitted(store)
    coordinator = one(store)
    coordinator.round()
    before = get_study(store, "mine").state

    simulated(store)
    coordinator.round()

    assert (before, get_study(store, "mine").state) == ("queued", "running")


def test_what_a_late_offer_refutes_fails_the_study_with_the_reason(store: Store) -> None:
    """A queued study of a metric that the task does not have is failed, and says which it has."""
    submitted(store, objective={"metric": "accuracy"})
    coordinator = one(store)

    simulated(store)
    coordinator.round()

    view = get_study(store, "mine")
    assert view.state == "failed"
    assert view.reason is not None
    assert "decides by loss" in view.reason


def test_a_search_of_which_nothing_completes_fails_with_the_last_error(store: Store) -> None:
    """When every trial diverges there is nothing to confirm: the study is failed and says so."""
    worker = simulated(store, loss=lambda _candidate, _seed: math.nan)
    submitted(store)
    coordinator = one(store)

    state = drive(store, worker, "mine", coordinator=lambda: coordinator)

    assert state == "failed"
    assert get_study(store, "mine").reason == "none of 24 trials ran to its end; the last error was: diverged"


def test_a_diverged_confirmation_is_nan_and_no_winner(store: Store) -> None:
    """Candidates that diverge on one fresh seed are no winners, however good the other seeds are."""
    confirming: list[int] = []

    def diverging(candidate: Candidate, seed: int) -> float:
        if confirming and seed == confirming[0] and not is_baseline(candidate):
            return math.nan
        return bowl(candidate, seed)

    worker = simulated(store, loss=diverging)
    submitted(store)
    coordinator = one(store)
    drive(
        store, worker, "mine", coordinator=lambda: coordinator,
        until=lambda: get_study(store, "mine").state == "confirming",
    )  # fmt: skip
    coordinator.round()
    confirming.append(next(past.seed for past in past_of(store) if past.purpose == "confirmation"))

    drive(store, worker, "mine", coordinator=lambda: coordinator)

    answer = stored_answer(store, "mine")
    assert answer is not None
    assert answer.verdict in ("no_winner", "undecided")
    assert answer.candidate is not None
    assert is_baseline(answer.candidate)
    assert any("gave no value on 1 of 3 seeds" in note for note in answer.evidence.notes)
    assert any(math.isnan(value) for arm in answer.evidence.arms for value in arm.values.values())


def test_max_share_drops_seeds_down_to_three_and_says_so(store: Store) -> None:
    """Seven seeds of five arms cost more than a tenth of the search: three are left, and a note says why."""
    worker = simulated(store)
    submitted(store, confirmation={"seeds": 7, "max_share": 0.1})
    coordinator = one(store)

    drive(store, worker, "mine", coordinator=lambda: coordinator)

    answer = stored_answer(store, "mine")
    assert answer is not None
    assert len(answer.seeds) == 3
    assert any("3 of 7 seeds" in note for note in answer.evidence.notes)


def test_a_paused_study_gets_no_proposals(store: Store) -> None:
    """Paused, nothing is proposed; resumed, it goes on to its end."""
    worker = simulated(store)
    submitted(store)
    coordinator = one(store)
    change_state(store, "mine", "paused")

    changed = coordinator.round()

    assert changed is False
    change_state(store, "mine", "running")
    assert drive(store, worker, "mine", coordinator=lambda: coordinator) == "done"


def test_an_extended_budget_searches_on_and_confirms_on_other_seeds(store: Store) -> None:
    """After 24 trials and an answer, 30 make six more trials and a new answer on fresh seeds."""
    worker = simulated(store)
    spec = submitted(store)
    coordinator = one(store)
    drive(store, worker, "mine", coordinator=lambda: coordinator)
    first = stored_answer(store, "mine")

    extend_budget(store, "mine", spec.budget.model_copy(update={"trials": 30}))
    drive(store, worker, "mine", coordinator=lambda: coordinator)

    second = stored_answer(store, "mine")
    assert get_study(store, "mine").counts.ended == 30
    assert first is not None
    assert second is not None
    assert not set(first.seeds) & set(second.seeds)


def test_worker_seconds_end_a_search_before_its_trials(store: Store) -> None:
    """A budget of 20 worker-seconds ends a search of two-second trials long before 24 of them."""
    worker: SimulatedWorker = simulated(store)
    submitted(store, budget={"trials": 24, "worker_seconds": 20})
    coordinator = one(store)

    state = drive(store, worker, "mine", coordinator=lambda: coordinator)

    assert state in ENDED
    assert 8 <= get_study(store, "mine").counts.ended <= 16


def test_a_deadline_leaves_time_for_the_confirmation(store: Store) -> None:
    """A minute away, with trainings of 30 s each on four workers, the search ends early and the study is confirmed."""
    worker, *_ = [simulated(store, seconds=30, name=f"w{number}") for number in range(4)]
    deadline = datetime.now(UTC) + timedelta(minutes=1)
    submitted(store, budget={"trials": 24, "deadline": deadline.isoformat()})
    coordinator = one(store)

    state = drive(store, worker, "mine", coordinator=lambda: coordinator)

    assert state == "done"
    assert get_study(store, "mine").counts.ended < 12


def test_a_lag_makes_the_search_the_same_whatever_the_number_of_slots(tmp_path: Path) -> None:
    """Without pruning, lag 3 gives the same 24 candidates to a worker of one slot and to one of four."""
    drawn = []
    for slots in (1, 4):
        store = open_store(f"sqlite:///{tmp_path / f'{slots}.db'}")
        worker = simulated(store, slots=slots)
        submitted(store, sampler={"lag": 3}, pruner={"kind": "none"})
        coordinator = one(store)
        drive(store, worker, "mine", coordinator=lambda each=coordinator: each)
        drawn.append([trial.candidate for trial in list_trials(store, "mine").items])
        store.close()

    assert drawn[0] == drawn[1]
