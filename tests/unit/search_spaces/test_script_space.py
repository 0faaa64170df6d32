"""What a task that is a script can be searched for."""

from __future__ import annotations

import random

import pytest

from search_spaces.baselines import BASELINES, SCRIPT_BASELINES
from search_spaces.candidate import Candidate
from search_spaces.problems import InvalidSpec
from search_spaces.schedules import Cosine
from search_spaces.script_space import resolve_script_space, script_candidates, script_default, unreachable
from search_spaces.study import SpaceSpec
from search_spaces.work import OfferedScript
from tests.studies import draw

INJECT = OfferedScript(mode="inject", initial_lr=0.02)
FLAGS = OfferedScript(
    mode="flags",
    optimizers={"sgd": ["momentum"], "adamw": []},
    schedules={"cosine": [], "linear": ["end_factor"]},
    warmup=["fraction"],
    restarts=[],
)
FILE = OfferedScript(mode="file")


def spec(**fields: object) -> SpaceSpec:
    return SpaceSpec.model_validate(fields)


def test_inject_keeps_the_optimizer() -> None:
    """In (a) every point has the script's own optimizer, at 0.01 to 100 times its LR, and may keep its schedule."""
    space = resolve_script_space(spec(), 64, INJECT)

    assert list(space.optimizers) == ["script"]
    assert space.optimizers["script"]["lr"].ends == [0.0002, 2.0]
    assert "script" in space.schedules
    assert "plateau" not in space.schedules
    default = script_default(INJECT)
    assert default is not None
    assert space.params_of(default) == {"optimizer": "script", "script.lr": 0.02, "schedule": "script"}


def test_the_file_may_give_the_range_of_the_lr() -> None:
    """Where the script's file says between which LRs, these are searched; a study says it louder."""
    said = INJECT.model_copy(update={"lr_low": 1e-4, "lr_high": 1e-2})

    space = resolve_script_space(spec(), 64, said)
    louder = resolve_script_space(spec(optimizers={"script": {"lr": {"low": 1e-3, "high": 2e-3}}}), 64, said)

    assert space.optimizers["script"]["lr"].ends == [1e-4, 1e-2]
    assert louder.optimizers["script"]["lr"].ends == [1e-3, 2e-3]


def test_flags_search_only_what_they_carry() -> None:
    """In (b) a parameter without a flag keeps its default, and what the script does not know is not tried."""
    space = resolve_script_space(spec(), 64, FLAGS)

    assert list(space.optimizers) == ["sgd", "adamw"]
    assert list(space.optimizers["sgd"]) == ["lr", "momentum"]
    assert list(space.optimizers["adamw"]) == ["lr"]
    assert list(space.schedules) == ["linear", "cosine"]
    for seed in range(20):
        dice = random.Random(seed)
        candidate, _ = space.suggest(lambda _name, allowed, dice=dice: draw(allowed, dice))
        assert unreachable(candidate, FLAGS) is None


@pytest.mark.parametrize(
    ("script", "fields", "field", "words"),
    [
        (INJECT, {"optimizers": ["sgd"]}, "space.optimizers.sgd", "keeps its own optimizer"),
        (INJECT, {"schedules": ["plateau"]}, "space.schedules.plateau", "follows the metric"),
        (FILE, {"schedules": ["plateau"]}, "space.schedules.plateau", "follows the metric"),
        (FLAGS, {"optimizers": ["lion"]}, "space.optimizers.lion", "does not know lion: sgd, adamw"),
        (FLAGS, {"schedules": ["wsd"]}, "space.schedules.wsd", "does not know wsd"),
        (FLAGS, {"schedules": ["script", "cosine"]}, "space.schedules.script", "in the mode inject only"),
        (FILE, {"schedules": ["script"]}, "space.schedules.script", "in the mode inject only"),
        (FLAGS, {"optimizers": ["script"]}, "space.optimizers.script", "name those to try"),
        (FLAGS, {"restarts": True}, "space.restarts", "makes no restarts"),
        (
            FLAGS, {"schedules": {"cosine": {"end_factor": {"low": 0.0, "high": 0.1}}}},
            "space.schedules.cosine.end_factor", "no flag carries",
        ),
        (OfferedScript(mode="inject"), {}, "space.optimizers.script.lr", "not known"),
    ],
)  # fmt: skip
def test_what_does_not_reach_the_script_is_refused(
    script: OfferedScript, fields: dict[str, object], field: str, words: str
) -> None:
    """A space that asks for more than the script can be told names the field and the reason."""
    with pytest.raises(InvalidSpec, match=words) as raised:
        resolve_script_space(spec(**fields), 64, script)

    assert raised.value.field == field


def test_baselines_on_the_scripts_own_optimizer() -> None:
    """In (a) the opponents are a warm-up cosine and linear-to-zero at the script's own LR."""
    found = script_candidates(INJECT)

    assert tuple(found) == SCRIPT_BASELINES
    assert {candidate.optimizer.kind for candidate in found.values()} == {"script"}
    assert {candidate.initial_lr for candidate in found.values()} == {0.02}
    assert found["script-warmup-cosine"].schedule.warmup is not None
    with pytest.raises(InvalidSpec, match="keeps its own optimizer"):
        resolve_script_space(spec(), 64, INJECT, baselines=["sgd-cosine"])


def test_baselines_that_flags_cannot_say_are_left_out() -> None:
    """In (b) a baseline whose parameters have no flag would be trained as something else: it is no opponent."""
    bare = Candidate(optimizer=BASELINES["sgd-cosine"].optimizer, initial_lr=0.1, schedule=Cosine())

    known = script_candidates(FLAGS)

    assert "adamw-warmup-cosine" in known
    assert "sgd-cosine" not in known
    assert unreachable(bare, FLAGS) == "sgd.nesterov cannot be set"
    with pytest.raises(InvalidSpec, match=r"nesterov cannot be set"):
        resolve_script_space(spec(), 64, FLAGS, baselines=["sgd-cosine"])
