"""Pages of trials: ours and foreign ones in one order, by state and by purpose."""

from __future__ import annotations

import optuna
import pytest

from search_spaces.problems import NotFound
from store import Store
from store.proposals import recent_history
from store.studies import get_study, own
from store.trials import get_trial, list_trials
from store.verbs import SqlVerbs
from tests.studies import add_proposals, claim, finish, run_study, stock_storage


@pytest.fixture
def mixed(store: Store) -> Store:
    """A study whose trials 0, 1, 4 and 5 are ours (5 is leased) and 2, 3 and 6 are stock Optuna's (3 was pruned)."""
    run_study(store)
    add_proposals(store, count=4)
    verbs = SqlVerbs(store)
    for trial in claim(verbs, count=2):
        finish(verbs, trial, value=float(trial.number))
    add_foreign(store, 2)
    finish(verbs, claim(verbs)[0], value=None, state="failed", error="diverged")
    claim(verbs)
    add_foreign(store, 1)
    return store


def add_foreign(store: Store, count: int) -> None:
    """Let stock Optuna add trials of its own; every second one is pruned."""

    def objective(trial: optuna.Trial) -> float:
        if trial.number % 2:
            raise optuna.TrialPruned
        return trial.suggest_float("x", 0, 1)

    with stock_storage(store.url) as storage:
        optuna.load_study(study_name="mine", storage=storage).optimize(objective, n_trials=count)


def numbers(store: Store, **asked: str | None) -> list[int]:
    """Numbers of the trials of every page of two, in order."""
    found, cursor = [], None
    while True:
        page = list_trials(store, "mine", limit=2, cursor=cursor, **asked)
        found += [trial.number for trial in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return found


def test_foreign_trials_stand_in_their_place_on_every_page(mixed: Store) -> None:
    """Page by page, each trial comes once and in the order of the numbers, whoever added it."""
    assert numbers(mixed) == [0, 1, 2, 3, 4, 5, 6]
    assert [trial.origin for trial in list_trials(mixed, "mine", limit=3, cursor="1").items] == [
        "foreign", "foreign", "sampler",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("state", "expected"), [("complete", [0, 1, 2, 6]), ("pruned", [3]), ("failed", [4]), ("leased", [5])]
)
def test_a_state_is_that_of_foreign_trials_too(mixed: Store, state: str, expected: list[int]) -> None:
    """`?state=` finds trials of ours and of stock Optuna's."""
    assert numbers(mixed, state=state) == expected


def test_another_purpose_has_no_foreign_trials(mixed: Store) -> None:
    """Confirmation and tuning are rows of another Optuna study."""
    assert numbers(mixed, purpose="confirmation") == []


def test_a_foreign_trial_is_shown_by_its_number(mixed: Store) -> None:
    """With the params that stock Optuna drew, and no curve; a number that nobody has is not found."""
    trial = get_trial(mixed, "mine", 2)

    assert (trial.origin, trial.state, trial.curve, list(trial.params)) == ("foreign", "complete", [], ["x"])
    with pytest.raises(NotFound):
        get_trial(mixed, "mine", 7)


def test_a_study_counts_ours_and_the_foreign_apart(mixed: Store) -> None:
    """The budget is that of ours: what stock Optuna added is counted in `foreign` alone."""
    view = get_study(mixed, "mine")

    assert (view.counts.complete, view.counts.failed, view.counts.leased, view.counts.foreign) == (2, 1, 1, 3)
    assert (view.budget.used_trials, view.best and view.best.trial) == (3, 0)


def test_the_latest_foreign_trials_are_history(mixed: Store) -> None:
    """Proposals are drawn from the last of them, in order."""
    study_id = own(mixed, "tests", 60)[0].study_id

    past = recent_history(mixed, study_id, direction="minimize", best=1, latest=2)

    assert [trial.number for trial in past if trial.origin == "foreign"] == [3, 6]
