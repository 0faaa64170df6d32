"""A study whose task is somebody's training script: its opponents, its horizon and its confirmation."""

from __future__ import annotations

from typing import Any

import pytest

from search_spaces.problems import InvalidSpec
from search_spaces.study import StudySpec
from search_spaces.work import OfferedHorizon, OfferedScript, OfferedTask
from service.confirmation import plan_confirmation
from service.opponents import first_tries, opponents_of
from service.search import Search
from service.submission import resolve
from tests.unit.service.made import sampled

SCRIPT = OfferedScript(mode="inject", initial_lr=0.02)
OFFER = OfferedTask(
    name="train",
    version="1",
    metric="val_loss",
    direction="minimize",
    horizon=OfferedHorizon(epochs=3, steps_per_epoch=100),
    script=SCRIPT,
)


def search_for(script: OfferedScript = SCRIPT, **fields: Any) -> Search:
    spec = StudySpec.model_validate({"name": "mine", "task": {"name": "train"}} | fields)
    resolved, space = resolve(spec, OFFER.model_copy(update={"script": script}))
    opponents = opponents_of(spec, space, sparse=False, script=script)
    return Search(spec, resolved, space, opponents, seeding=script.seeding)


def test_the_script_as_it_is_comes_first() -> None:
    """`current` is what the script does by itself: the first trial, and the first arm that is confirmed."""
    search = search_for()

    tries = first_tries(search.opponents, 64)

    assert [one.name for one in tries[:3]] == ["current", "script-warmup-cosine", "script-linear-to-zero"]
    assert tries[0].candidate.model_dump(exclude_none=True)["initial_lr"] == 0.02
    assert tries[0].candidate.schedule.kind == "script"
    assert [one.factor for one in tries] == [1.0, 1.0, 1.0, 0.3, 0.3, 3.0, 3.0]
    arms = plan_confirmation(search, [sampled(search.space, 0)]).arms
    assert [arm.name for arm in arms] == ["candidate-1", "current", "script-warmup-cosine", "script-linear-to-zero"]


def test_another_horizon_is_refused() -> None:
    """A script that nothing tells its length trains as long as it does."""
    with pytest.raises(InvalidSpec, match="the script itself makes 300 updates") as raised:
        search_for(horizon={"steps": 150})

    assert raised.value.field == "horizon"
    assert search_for(SCRIPT.model_copy(update={"fixed_horizon": False}), horizon={"steps": 150})


@pytest.mark.parametrize(
    ("seeding", "seeds", "words"), [("seeded", 9, None), ("repeats", 9, "repeated"), ("fixed", 1, "no confirmation")]
)
def test_a_script_without_seeds_is_refused_a_confirmation_on_them(seeding: Any, seeds: int, words: str | None) -> None:
    """Where trainings differ by themselves they are repeated; where they are all alike, once is all there is."""
    search = search_for(SCRIPT.model_copy(update={"seeding": seeding}))

    plan = plan_confirmation(search, [sampled(search.space, 0, worker_seconds=100.0) for _ in range(30)])

    assert len(plan.seeds) == seeds
    assert any(words in note for note in plan.notes) if words else plan.notes == []


def test_what_a_script_does_is_for_scripts_only() -> None:
    """A task that is no script has no script's optimizer."""
    current = {"optimizer": {"kind": "script"}, "initial_lr": 0.1, "schedule": {"kind": "script"}}
    spec = StudySpec.model_validate({"name": "mine", "task": {"name": "train"}, "current": current})

    with pytest.raises(InvalidSpec, match="scripts only") as raised:
        resolve(spec, OFFER.model_copy(update={"script": None}))

    assert raised.value.field == "current.optimizer"
