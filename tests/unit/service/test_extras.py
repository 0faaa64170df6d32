"""What is known after a verdict, from past trials made by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from service.conclusion import confirmed_study
from service.confirmed import Confirmed
from service.extras import Extras, extras_of, optimum_of, proposals_of

from .made import trained
from .test_answer import concluded, view


def confirmed(candidate: float = 1.0, baseline: float = 2.0, **metrics: float) -> Confirmed:
    """A judged study whose trainings have recorded `metrics`, before anything follows the verdict."""
    search, plan, past = concluded(candidate, baseline)
    before = [replace(one, metrics=metrics) for one in past if not one.origin.startswith("test:")]
    return confirmed_study(search, view("confirming"), plan, before)


def evaluated(before: Confirmed, **fields: object) -> Extras:
    """What is known once the trainings for the test split have ended like this."""
    wanted = [one for one in extras_of(before).wanted if one.origin.startswith("test:")]
    after = [trained(one, **fields) for one in proposals_of(before, wanted)]  # type: ignore[arg-type]
    return extras_of(replace(before, past=[*before.past, *after]))


def test_a_test_split_that_cannot_be_read_is_a_note() -> None:
    """Both trainings fail: no scores, the reason in words, and nothing more of it is asked for."""
    extras = evaluated(confirmed(), value=None, state="failed", error="Traceback\nKeyError: 'test'")

    assert extras.test == []
    assert extras.notes[0] == "candidate-1 has no score on the test split: KeyError: 'test'"
    assert not any(one.origin.startswith("test:") for one in extras.wanted)


def test_a_training_that_reports_no_score_is_a_note() -> None:
    """A worker that knows nothing of the test split ends the trial without its metrics."""
    extras = evaluated(confirmed(), metrics={"accuracy": 0.9})

    assert extras.notes[0] == "candidate-1 has no score on the test split: its training reported none"


def test_where_no_test_split_is_nothing_is_trained_for_it() -> None:
    """A task without one is asked for no evaluation."""
    known = confirmed()
    known = replace(known, search=replace(known.search, has_test_split=False))

    assert not any(one.origin.startswith("test:") for one in extras_of(known).wanted)


def test_a_loop_of_ones_own_is_not_redrawn() -> None:
    """Its length is the user's: ladder, yes, steps saved, no, and the answer says why."""
    known = confirmed()
    known = replace(known, search=replace(known.search, redrawable=False))

    extras = extras_of(known)

    assert extras.steps_saved is not None
    assert (extras.steps_saved.confirmed, extras.steps_saved.steps) == (False, 0)
    assert extras.steps_saved.reason == "a loop or a script of your own is not trained over other horizons than its own"
    assert {one.horizon_steps for one in extras.wanted} == {100}


@pytest.mark.parametrize(("candidate", "distance"), [(1.0, 0.5), (0.25, -0.25)])
def test_the_distance_to_a_known_optimum(candidate: float, distance: float) -> None:
    """The mean of the answer's candidate less the best value to expect; below 0 where it does better."""
    found = optimum_of(confirmed(candidate, optimum_loss=0.5))

    assert found is not None
    assert (found.value, found.distance) == (0.5, pytest.approx(distance, abs=0.01))
    assert found.share == pytest.approx(2 * distance, abs=0.02)


def test_most_tasks_know_no_optimum() -> None:
    """Nothing is said of it then."""
    assert optimum_of(confirmed()) is None
