"""Past trials: how they are judged by a study, and what the sampler makes of them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from search_spaces.history import PastTrial
from search_spaces.space import resolve_space
from search_spaces.study import StudySpec, resolve_study
from service.past_trials import judge, rank
from service.search import next_proposals
from store.history import HISTORY, Receiver
from store.proposals import Past
from tests.studies import OFFER

from .made import sampled, search_for

LR_ONLY: dict[str, Any] = {
    "space": {"optimizers": {"adam": {}}, "schedules": ["constant"], "warmup": False},
    "confirmation": {"baselines": []},
}


def receiver(**fields: Any) -> Receiver:
    body: dict[str, Any] = {"name": "mine", "task": {"name": "nothing", "params": {"noise": 0.1}}}
    spec = StudySpec.model_validate(body | LR_ONLY | fields)
    return Receiver(1, spec, resolve_study(spec, OFFER), resolve_space(spec.space, spec.budget.trials))


def past(lr: float = 0.001, **fields: Any) -> PastTrial:
    candidate = {"optimizer": {"kind": "adam"}, "initial_lr": lr, "schedule": {"kind": "constant"}}
    return PastTrial.model_validate({"candidate": candidate, "value": 0.5, "horizon_steps": 100} | fields)


@pytest.mark.parametrize(
    ("task", "why"),
    [
        ({"name": "nothing", "params": {"noise": 0.1}}, None),
        ({"name": "nothing", "params": {"noise": 0.1}, "version": "1"}, None),
        ({"name": "nothing", "params": {"noise": 0.1}, "version": "2"}, "version 2"),
        ({"name": "nothing"}, "other parameters"),
        ({"name": "something", "params": {"noise": 0.1}}, "something"),
    ],
)
def test_the_same_task_is_the_same_name_parameters_and_version(task: dict[str, Any], why: str | None) -> None:
    """A version that is not said may be any."""
    judged = judge(receiver(), past(task=task))

    assert judged.becomes == ("history" if why is None else "proposal")
    assert why is None or judged.why == f"it was trained on another task ({why})"


def test_what_is_known_up_to_rounding_is_put_onto_the_space() -> None:
    """So that the stored candidate is the one that its parameters make."""
    study = receiver()
    high = study.space.optimizers["adam"]["lr"].ends[-1]
    assert isinstance(high, float)

    judged = judge(study, past(lr=high * (1 + 1e-12)))

    assert judged.trial.candidate.initial_lr == high
    assert judged.params == study.space.params_of(judged.trial.candidate)


@pytest.mark.parametrize(("direction", "order"), [("minimize", [0, 1, 2, 3]), ("maximize", [1, 0, 2, 3])])
def test_the_best_come_first(direction: str, order: list[int]) -> None:
    """Those without a value, or with none that is finite, come last."""
    study = receiver()
    study = replace(study, resolved=study.resolved.model_copy(update={"direction": direction}))
    trials = [past(value=0.1), past(value=0.2), past(value=None), past(value="nan")]

    assert sorted(range(4), key=lambda place: rank(study, trials[place])) == order


def sent(count: int, best: float) -> list[Past]:
    """Past trials spread evenly over the logarithm of the LR, the better the closer to `best`."""
    space = search_for(**LR_ONLY).space
    trials = []
    for place in range(count):
        lr = 10 ** (-4.9 + 3.3 * place / (count - 1))
        known = sampled(space, place)
        params = known.params | {"adam.lr": lr}
        value = abs(math.log10(lr / best))
        trials.append(replace(known, seq=None, origin=HISTORY, params=params, value=value, candidate=None))
    return trials


@pytest.mark.parametrize("lag", [None, 0])
@pytest.mark.parametrize("best", [1e-4, 1e-2])
def test_the_first_points_are_drawn_by_what_was_sent(best: float, lag: int | None) -> None:
    """A new search begins where the past trials were good, with its very first proposals."""
    search = search_for(**LR_ONLY, budget={"trials": 40}, sampler={"lag": lag})
    history = sent(60, best)

    new = [next_proposals(replace_seed(search, seed), history, 1)[0] for seed in range(16)]

    distances = [abs(math.log10(one.candidate.initial_lr / best)) for one in new]
    assert np.median(distances) < 0.5 * np.median([trial.value or 0.0 for trial in history])
    assert {one.seen for one in new} == {"history:0-59"}


def replace_seed(search: Any, seed: int) -> Any:
    return replace(search, spec=search.spec.model_copy(update={"seed": seed}))


def test_what_diverged_is_kept_away_from() -> None:
    """High LRs that diverged before are not drawn."""
    low = [trial for trial in sent(60, 1e-4) if trial.params["adam.lr"] < 1e-3]
    high = [trial for trial in sent(60, 1e-4) if trial.params["adam.lr"] >= 1e-3]
    diverged = [replace(trial, state="failed", value=None, error="diverged") for trial in high]
    even = [replace(trial, value=1.0) for trial in low]
    search = search_for(**LR_ONLY, budget={"trials": 40})

    new = [next_proposals(replace_seed(search, seed), [*even, *diverged], 1)[0] for seed in range(12)]

    assert sum(one.candidate.initial_lr < 1e-3 for one in new) >= 9
