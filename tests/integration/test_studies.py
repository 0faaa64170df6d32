"""Studies in the store: exact budgets, names, idempotent submission, ownership, extension, deletion."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import optuna
import pytest
from sqlalchemy import text

from search_spaces.problems import Conflict, LeasesInFlight, NameTaken, NotFound
from search_spaces.results import Answer
from search_spaces.space import resolve_space
from search_spaces.study import BudgetSpec, resolve_study
from search_spaces.work import ClaimedTrial, Held, ReleaseItem, ReleaseRequest, RenewRequest
from store import Store
from store.proposals import history, recent_history
from store.studies import (
    begin_confirmation,
    change_state,
    conclude,
    delete_study,
    disown,
    extend_budget,
    get_study,
    list_studies,
    own,
    start,
    stored_answer,
    submit,
)
from store.trials import list_trials
from store.verbs import SqlVerbs
from tests.studies import (
    OFFER,
    add_proposals,
    claim,
    finish,
    report,
    report_item,
    run_study,
    stock_storage,
    stock_trials,
    study_spec,
)


def answer() -> Answer:
    return Answer(study="mine", status="final", verdict="undecided", sentence="Nobody knows.")


def test_a_name_is_taken_once(store: Store) -> None:
    """A second study of the same name is refused and leaves nothing behind."""
    run_study(store)

    with pytest.raises(NameTaken):
        run_study(store)

    assert len(list_studies(store).items) == 1


def test_a_name_that_stock_optuna_uses_is_taken(store: Store) -> None:
    """A study cannot take over an Optuna study of the same name, and nothing of it is stored."""
    with stock_storage(store.url) as storage:
        optuna.create_study(study_name="mine", storage=storage)

    with pytest.raises(NameTaken):
        run_study(store)

    assert list_studies(store).items == []


def test_a_retried_submission_makes_one_study(store: Store) -> None:
    """The same Idempotency-Key with the same spec is the same study; with another spec it is a conflict."""
    spec = study_spec()

    first = submit(store, spec, resolved=None, space=None, idempotency_key="k")
    second = submit(store, spec, resolved=None, space=None, idempotency_key="k")

    assert (first.name, first.created_at) == (second.name, second.created_at)
    with pytest.raises(Conflict):
        submit(store, study_spec("other"), resolved=None, space=None, idempotency_key="k")


def test_submissions_that_meet_make_one_study(store: Store) -> None:
    """Of several submissions of one name at once, one wins and the others are told."""

    def attempt(_n: int) -> str:
        try:
            return run_study(store).state
        except NameTaken:
            return "taken"

    with ThreadPoolExecutor(4) as pool:
        outcomes = sorted(pool.map(attempt, range(4)))

    assert outcomes == ["running", "taken", "taken", "taken"]


def test_a_queued_study_starts_when_its_task_is_known(store: Store) -> None:
    """Without an offer a study waits; started twice it is started once."""
    spec = study_spec()
    view = submit(store, spec, resolved=None, space=None)
    resolved, space = resolve_study(spec, OFFER), resolve_space(spec.space, 10)

    start(store, "mine", resolved, space)
    start(store, "mine", resolved, space)

    assert view.state == "queued"
    assert get_study(store, "mine").state == "running"
    assert get_study(store, "mine").horizon_steps == 100


def test_the_budget_is_exact(store: Store) -> None:
    """Proposals are unique by number and stay below the budget, whoever proposes how often."""
    run_study(store)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _n: add_proposals(store, count=10), range(4)))

    assert get_study(store, "mine").counts.proposed == 10
    with pytest.raises(ValueError, match="budget"):
        add_proposals(store, count=1, first=10)


def test_one_coordinator_owns_a_study(store: Store) -> None:
    """A study belongs to one owner until its lease ends or it is given up."""
    run_study(store)

    first = own(store, "a", 60)
    second = own(store, "b", 60)
    disown(store, "a")
    third = own(store, "b", 60)

    assert [len(first), len(second), len(third)] == [1, 0, 1]


def test_a_dead_owners_studies_move(store: Store) -> None:
    """When the owner's lease has ended, another coordinator takes its studies."""
    run_study(store)
    own(store, "a", 60)
    with store.begin() as connection:
        connection.execute(text("UPDATE etude_studies SET owner_until = 1.0"))

    assert [study.name for study in own(store, "b", 60)] == ["mine"]


def test_confirmation_and_conclusion(store: Store) -> None:
    """A study that confirms has a second Optuna study; concluding stores the answer once."""
    run_study(store)

    begin_confirmation(store, "mine")
    begin_confirmation(store, "mine")
    conclude(store, "mine", answer())
    conclude(store, "mine", answer().model_copy(update={"sentence": "late"}))

    kept = stored_answer(store, "mine")
    assert get_study(store, "mine").state == "done"
    assert kept is not None
    assert kept.sentence == "Nobody knows."
    assert stock_trials(store.url, "mine.confirmation") == []


def test_a_larger_budget_goes_on(store: Store) -> None:
    """A finished study runs again with more trials; the budget never shrinks."""
    run_study(store)
    begin_confirmation(store, "mine")
    conclude(store, "mine", answer())

    view = extend_budget(store, "mine", BudgetSpec(trials=12))

    assert (view.state, view.budget.trials) == ("running", 12)
    assert stored_answer(store, "mine") is None
    with pytest.raises(Conflict):
        extend_budget(store, "mine", BudgetSpec(trials=5))


def test_deleting_refuses_leases_in_flight(store: Store) -> None:
    """A study in training is not deleted; once stopped, everything of it goes, Optuna's rows too."""
    run_study(store)
    add_proposals(store, count=2)
    claim(SqlVerbs(store))

    with pytest.raises(LeasesInFlight):
        delete_study(store, "mine")
    change_state(store, "mine", "stopped")
    delete_study(store, "mine")

    with pytest.raises(NotFound):
        get_study(store, "mine")
    with stock_storage(store.url) as storage:
        assert optuna.get_all_study_names(storage) == []


def test_an_answer_may_be_kept(store: Store) -> None:
    """With its answer kept, a deleted study still answers and its name stays taken."""
    run_study(store)
    begin_confirmation(store, "mine")
    conclude(store, "mine", answer())

    delete_study(store, "mine", keep_answer=True)

    assert stored_answer(store, "mine") is not None
    with pytest.raises(NameTaken):
        run_study(store)


def test_a_study_that_stock_optuna_deletes_fails(store: Store) -> None:
    """A study removed under us is failed with the reason, its trials are lost to workers, others go on."""
    run_study(store)
    run_study(store, "other")
    add_proposals(store, count=2)
    verbs = SqlVerbs(store)
    trial = claim(verbs)[0]

    with stock_storage(store.url) as storage:
        optuna.delete_study(study_name="mine", storage=storage)
    left = own(store, "tests", 60)
    late = finish(verbs, trial)

    view = get_study(store, "mine")
    assert (view.state, view.reason) == ("failed", "removed outside Étude")
    assert [study.name for study in left] == ["other"]
    assert not late.accepted


def test_nothing_is_claimed_of_a_study_that_stock_optuna_has_deleted(store: Store) -> None:
    """Before the coordinator has seen it: workers pass it by, and a stranger's study keeps to itself."""
    run_study(store)
    run_study(store, "other")
    for name in ("mine", "other"):
        add_proposals(store, name, count=1)

    with stock_storage(store.url) as storage:
        optuna.delete_study(study_name="mine", storage=storage)
        optuna.create_study(study_name="stranger", storage=storage)
    claimed = claim(SqlVerbs(store), count=5)

    assert [trial.study for trial in claimed] == ["other"]
    assert stock_trials(store.url, "stranger") == []


def test_another_study_goes_on_after_stock_optuna_has_deleted_one_in_training(store: Store) -> None:
    """Before the coordinator has seen it: new trials get ids of their own, and not those of the deleted ones."""
    run_study(store)
    run_study(store, "other")
    verbs = SqlVerbs(store)
    add_proposals(store, count=3)
    lost = claim(verbs, 3)
    add_proposals(store, "other", count=3)

    with stock_storage(store.url) as storage:
        optuna.delete_study(study_name="mine", storage=storage)
    claimed = claim(verbs, 3)
    ended = [finish(verbs, trial) for trial in claimed]
    late = finish(verbs, lost[0])

    assert [(trial.study, trial.number) for trial in claimed] == [("other", 0), ("other", 1), ("other", 2)]
    assert [answer.accepted for answer in ended] == [True] * 3
    assert not late.accepted
    assert [row.state.name for row in stock_trials(store.url, "other")] == ["COMPLETE"] * 3


def held(trial: ClaimedTrial) -> Held:
    return Held(study=trial.study, number=trial.number, lease=trial.lease)


def test_what_is_said_of_trials_that_stock_optuna_has_deleted_is_refused(store: Store) -> None:
    """Before the coordinator has seen it: the lease is lost, and a stranger's trial of the same id is left alone."""
    run_study(store)
    add_proposals(store, count=4)
    verbs = SqlVerbs(store)
    reported, finished, renewed, released = claim(verbs, 4)

    with stock_storage(store.url) as storage:
        optuna.delete_study(study_name="mine", storage=storage)
        stranger = optuna.create_study(study_name="stranger", storage=storage)
        for _ in range(4):
            stranger.ask()
        answers = [
            report(verbs, report_item(reported, (reported.rungs[0], 0.5)))[0],
            finish(verbs, finished),
            verbs.renew(RenewRequest(worker="w1", items=[held(renewed)])).items[0],
            verbs.release(ReleaseRequest(worker="w1", items=[ReleaseItem(**held(released).model_dump())])).items[0],
        ]

        assert [(answer.accepted, answer.code) for answer in answers] == [(False, "lease_lost")] * 4
        rows = optuna.load_study(study_name="stranger", storage=storage).trials
        assert [(row.state.name, row.user_attrs, row.intermediate_values) for row in rows] == [("RUNNING", {}, {})] * 4


def test_a_confirmation_that_stock_optuna_deletes_fails_its_study(store: Store) -> None:
    """The search's trials stay, the study says why it cannot go on."""
    run_study(store)
    add_proposals(store, count=2)
    verbs = SqlVerbs(store)
    finish(verbs, claim(verbs)[0])
    begin_confirmation(store, "mine")
    add_proposals(store, count=2, purpose="confirmation")
    claim(verbs)

    with stock_storage(store.url) as storage:
        optuna.delete_study(study_name="mine.confirmation", storage=storage)
    nothing = claim(verbs)
    left = own(store, "tests", 60)

    view = get_study(store, "mine")
    assert (nothing, left) == ([], [])
    assert (view.state, view.reason) == ("failed", "removed outside Étude")
    assert (view.counts.complete, view.confirmation.leased, view.confirmation.proposed) == (1, 0, 0)


def test_a_finished_study_that_stock_optuna_deletes_keeps_its_answer(store: Store) -> None:
    """It stays done; a stranger that gets the id of the deleted one is not taken for it."""
    run_study(store)
    add_proposals(store, count=1)
    verbs = SqlVerbs(store)
    finish(verbs, claim(verbs)[0])
    begin_confirmation(store, "mine")
    conclude(store, "mine", answer())

    with stock_storage(store.url) as storage:
        for name in ("mine.confirmation", "mine"):
            optuna.delete_study(study_name=name, storage=storage)
        optuna.create_study(study_name="stranger", storage=storage).optimize(lambda trial: 1.0, n_trials=2)
    own(store, "tests", 60)

    view = get_study(store, "mine")
    assert (view.state, view.counts.complete, view.counts.foreign) == ("done", 0, 0)
    assert list_trials(store, "mine").items == []
    assert stored_answer(store, "mine") == answer()


def test_pages_of_studies(store: Store) -> None:
    """A list comes in pages, newest first, filtered by tag and state."""
    for n in range(5):
        run_study(store, f"s{n}", tags=["even"] if n % 2 == 0 else [])
    change_state(store, "s4", "stopped")

    first = list_studies(store, limit=2)
    second = list_studies(store, limit=2, cursor=first.next_cursor)
    even = list_studies(store, tag="even", state="running")

    assert [view.name for view in first.items + second.items] == ["s4", "s3", "s2", "s1"]
    assert [view.name for view in even.items] == ["s2", "s0"]


def test_recent_history_is_the_end_and_the_best_of_history(store: Store) -> None:
    """What proposals are drawn from is bounded: open ones, opponents, the best and the latest, in order."""
    run_study(store, budget={"trials": 60})
    add_proposals(store, count=2, origin="baseline:sgd-cosine")
    add_proposals(store, count=48, first=2)
    verbs = SqlVerbs(store)
    for trial in claim(verbs, count=48):
        finish(verbs, trial, value=abs(trial.number - 20.0))
    study_id = own(store, "tests", 60)[0].study_id

    whole = history(store, study_id)
    recent = recent_history(store, study_id, direction="minimize", best=3, latest=5)

    assert len(whole) == 50
    assert [past.seq for past in recent] == [0, 1, 19, 20, 21, 45, 46, 47, 48, 49]
    assert recent == [past for past in whole if past.seq in {past.seq for past in recent}]
