"""A dead attempt's trial goes on: what the next attempt is given, and what it says again changes nothing."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from search_spaces.work import ClaimedTrial, ReleaseItem, ReleaseRequest
from store import Store
from store.claims import sweep_expired
from store.trials import get_trial
from store.verbs import SqlVerbs
from tests.studies import add_proposals, claim, finish, report, report_item, run_study


@pytest.fixture
def verbs(store: Store) -> SqlVerbs:
    """The verbs over SQL, and a study with one proposal."""
    run_study(store)
    add_proposals(store, count=1)
    return SqlVerbs(store)


def die(store: Store) -> None:
    """Let every lease be over, as if its worker had died."""
    with store.begin() as connection:
        connection.execute(text("UPDATE etude_proposals SET lease_expires_at = 1.0 WHERE state = 'leased'"))


def next_attempt(store: Store, verbs: SqlVerbs) -> ClaimedTrial:
    """The trial as another worker claims it after the first one's death."""
    die(store)
    return claim(verbs, worker="next")[0]


def test_a_claim_gives_the_checkpoint_back(store: Store, verbs: SqlVerbs) -> None:
    """The next worker gets the latest checkpoint, and the step that was reported with it."""
    trial = claim(verbs)[0]
    report(verbs, report_item(trial, (10, 2.0), checkpoint="at-10"))
    report(verbs, report_item(trial, (12, 1.8), (20, 1.5), checkpoint="at-20"))
    report(verbs, report_item(trial, (25, 1.4)))

    after = next_attempt(store, verbs)

    assert (trial.checkpoint, trial.resume_step) == (None, 0)
    assert (after.checkpoint, after.resume_step) == ("at-20", 20)


def test_a_checkpoint_without_a_report(store: Store, verbs: SqlVerbs) -> None:
    """A worker that is asked to stop saves between two reports: the last one's step is what is known."""
    trial = claim(verbs)[0]
    report(verbs, report_item(trial, (10, 2.0)))
    gift = ReleaseItem(study="mine", number=0, lease=trial.lease, checkpoint="at-14", resumed_step=0)
    verbs.release(ReleaseRequest(worker="w1", items=[gift]))

    after = claim(verbs)[0]

    assert (after.checkpoint, after.resume_step) == ("at-14", 10)
    report(verbs, report_item(after, checkpoint="at-18"))
    assert next_attempt(store, verbs).resume_step == 10


def test_a_release_without_a_checkpoint_keeps_the_one_there(store: Store, verbs: SqlVerbs) -> None:
    """A worker that could not save takes nothing away."""
    trial = claim(verbs)[0]
    report(verbs, report_item(trial, (10, 2.0), checkpoint="at-10"))
    report(verbs, report_item(trial, (20, 2.0)))
    verbs.release(ReleaseRequest(worker="w1", items=[ReleaseItem(study="mine", number=0, lease=trial.lease)]))

    after = claim(verbs)[0]

    assert (after.checkpoint, after.resume_step) == ("at-10", 10)


def test_the_trial_says_where_it_went_on(store: Store, verbs: SqlVerbs) -> None:
    """Each attempt says at which step it began: a trial shows the latest's, by whichever verb it comes."""
    trial = claim(verbs)[0]
    shown = [get_trial(store, "mine", 0).resumed_step]
    report(verbs, report_item(trial, (10, 2.0), checkpoint="at-10", resumed_step=0))
    again = next_attempt(store, verbs)
    report(verbs, report_item(again, (20, 1.0), resumed_step=10))
    shown.append(get_trial(store, "mine", 0).resumed_step)
    last = next_attempt(store, verbs)
    gift = ReleaseItem(study="mine", number=0, lease=last.lease, resumed_step=0)
    verbs.release(ReleaseRequest(worker="next", items=[gift]))
    shown.append(get_trial(store, "mine", 0).resumed_step)
    finish(verbs, claim(verbs)[0], resumed_step=10)

    view = get_trial(store, "mine", 0)

    assert [*shown, view.resumed_step] == [None, 10, 0, 10]
    assert (view.attempts, view.resume_step) == (2, 10)


def test_what_is_reported_again_is_there_once(store: Store, verbs: SqlVerbs) -> None:
    """An attempt that goes on from an earlier step repeats reports: the curve is that of one training."""
    trial = claim(verbs)[0]
    points = [(step, 1 / step) for step in range(5, 45, 5)]
    report(verbs, report_item(trial, *points[:6], checkpoint="at-10"))
    after = next_attempt(store, verbs)

    answers = [report(verbs, report_item(after, *part))[0] for part in (points[2:4], points[4:])]

    view = get_trial(store, "mine", 0)
    assert all(answer.accepted for answer in answers)
    assert [(point.step, point.value) for point in view.curve or []] == points
    assert view.rungs == {10: 1 / 10, 20: 1 / 20, 30: 1 / 30}


def test_a_rung_is_decided_once(store: Store, verbs: SqlVerbs) -> None:
    """A rung that the dead attempt has passed keeps its value and its decision, whatever is reported now."""
    add_proposals(store, count=7, first=1)
    trials = [claim(verbs)[0], *claim(verbs, count=7)]
    report(verbs, *(report_item(trial, (10, float(trial.number))) for trial in trials))
    with store.begin() as connection:
        connection.execute(text("UPDATE etude_proposals SET lease_expires_at = 1.0 WHERE number = 0"))
    after = claim(verbs, worker="next")[0]

    answer = report(verbs, report_item(after, (10, 100.0)))[0]

    assert (after.number, answer.directive) == (0, "continue")
    assert get_trial(store, "mine", 0).rungs == {10: 0.0}


def test_long_curves_are_never_cut(store: Store, verbs: SqlVerbs) -> None:
    """Begun again from step 0 and dead again half-way, a trial still has every point that was acknowledged."""
    trial = claim(verbs)[0]
    for start in range(1, 400, 50):
        report(verbs, report_item(trial, *((step, step / 7) for step in range(start, start + 50))))
    after = next_attempt(store, verbs)
    for start in range(1, 200, 50):
        report(verbs, report_item(after, *((step, step / 7) for step in range(start, start + 50))))

    curve = get_trial(store, "mine", 0).curve or []

    assert [(point.step, point.value) for point in curve] == [(step, step / 7) for step in range(1, 401)]


def test_repeating_a_rung_is_no_progress(store: Store, verbs: SqlVerbs) -> None:
    """The third death without a new rung ends the trial, though the later attempts report the old rung again."""
    report(verbs, report_item(claim(verbs)[0], (10, 1.0), checkpoint="at-5"))
    for _ in range(2):
        report(verbs, report_item(next_attempt(store, verbs), (10, 1.0), (15, 1.0)))

    die(store)
    sweep_expired(store)

    view = get_trial(store, "mine", 0)
    assert (view.state, view.attempts) == ("failed", 3)
