"""Plans that are replayed from past trials, and what they may cost."""

from __future__ import annotations

import pytest

from search_spaces.baselines import BASELINES
from service.asking import Allowance, Plan, Replay, Sparing, Trainings, Wanted, is_extra
from store.proposals import Past

CANDIDATE = BASELINES["adam-constant"]


def wanted(origin: str = "ladder:lr", seed: int = 1, steps: int = 100) -> Wanted:
    return Wanted(origin, CANDIDATE, seed, steps)


def ended(one: Wanted, value: float | None = 0.5, seconds: float = 2.0) -> Past:
    """What has become of a training."""
    return Past(
        seq=0, number=0, purpose=one.purpose, origin=one.origin, state="failed" if value is None else "complete",
        params={}, candidate=one.candidate, value=value, seed=one.seed, worker_seconds=seconds,
        horizon_steps=one.horizon_steps,
    )  # fmt: skip


def two_steps() -> Plan[str]:
    """Ask for one training, then for another."""
    if not (yield [wanted("ladder:first")]):
        return "nothing to be had"
    if not (yield [wanted("ladder:second")]):
        return "one of two"
    return "both"


CONFIRMED = [ended(wanted("confirmation:current", seed)) for seed in range(3)]


@pytest.mark.parametrize("trained", [0, 1, 2])
def test_a_plan_goes_as_far_as_past_trials_do(trained: int) -> None:
    """Replayed from its beginning it asks for what comes next, and for nothing that is there."""
    origins = ["ladder:first", "ladder:second"]
    past = [ended(wanted(origin)) for origin in origins[:trained]]
    replay = Replay(Trainings(past), Allowance(CONFIRMED, past))

    result = replay.result(two_steps())

    assert result == ("both" if trained == 2 else None)
    assert [one.origin for one in replay.missing] == origins[trained : trained + 1]


@pytest.mark.parametrize(("later", "asked"), [(2, ["ladder:lr"]), (3, [])])
def test_a_training_can_be_asked_for_only_if_those_after_it_can_be_had(later: int, asked: list[str]) -> None:
    """Of three trainings' worth one and two more fit, one and three more do not: then nothing is taken."""
    after = [wanted("ladder:after", seed) for seed in range(later)]
    replay = Replay(Trainings([]), Allowance(CONFIRMED, []))

    def sparing() -> Plan[str]:
        return "asked" if (yield Sparing([wanted()], after)) else "left"

    assert replay.result(sparing()) == (None if asked else "left")
    assert [one.origin for one in replay.missing] == asked


def test_what_two_plans_ask_for_is_trained_once() -> None:
    """The same training is one, and is paid for once."""
    replay = Replay(Trainings([]), Allowance(CONFIRMED[:1], []))

    assert [replay.result(two_steps()), replay.result(two_steps())] == [None, None]
    assert len(replay.missing) == 1


@pytest.mark.parametrize(
    ("past", "seconds_left", "allowed"),
    [
        ([], None, True),
        ([ended(wanted(steps=201))], None, False),
        ([ended(wanted(steps=10), seconds=5.0)], None, False),
        ([], 1.9, False),
        ([], 2.1, True),
    ],
    ids=["as much as the confirmation", "too many steps", "too many seconds", "before the deadline", "in time"],
)
def test_extras_cost_no_more_than_the_confirmation(past: list[Past], seconds_left: float | None, allowed: bool) -> None:
    """Three trainings of 100 steps and 2 s pay for as many steps and seconds, less what is spent, until a deadline."""
    allowance = Allowance(CONFIRMED, past, seconds_left)

    assert allowance.take([wanted("ladder:more")]) is allowed


def test_free_trainings_do_not_count() -> None:
    """What is not an extra, such as the test split, is asked for even where nothing is left."""
    replay = Replay(Trainings([]), Allowance([], []))

    assert replay.result(two_steps()) == "nothing to be had"
    assert replay.result(two_steps(), free=True) is None
    assert len(replay.missing) == 1


def test_extras_are_told_by_their_origin() -> None:
    """The confirmation's own rows and the tuning of baselines are none."""
    origins = ("confirmation:current", "baseline:sgd-cosine", "test:current", "ladder:lr:0.3", "savings:winner:50")

    assert [is_extra(ended(wanted(origin))) for origin in origins] == [False, False, True, True, True]
