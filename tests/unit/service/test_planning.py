"""Plans before anything is spent: what pruning leaves, what it costs, and what could be seen."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from search_spaces.baselines import BASELINES
from search_spaces.results import Answer, Arm, Evidence
from search_spaces.study import PrunerSpec, StudySpec, resolve_study
from service.noise import ON_BOARD, SeedNoise
from service.planning import (
    MOST_SEEDS,
    known_noise,
    planned_detection,
    planned_seconds,
    planned_trainings,
    seeds_to_detect,
    trained_share,
)
from store.earlier import TimedTrials
from tests.studies import OFFER

from .made import search_for

TABLE = Path(__file__).parents[3] / "docs" / "tasks.md"


def share(**pruner: Any) -> float:
    spec = StudySpec.model_validate({"name": "mine", "task": {"name": "nothing"}, "pruner": pruner})
    return trained_share(spec.pruner, resolve_study(spec, OFFER))


def trainings(**fields: Any) -> Any:
    search = search_for(**fields)
    return planned_trainings(search.spec, search.resolved, search.opponents)


def test_the_share_that_pruning_leaves_is_that_of_the_rungs() -> None:
    """Four gentle cuts leave 0.4 of full training, one that keeps half at half 3/4, and no pruning all of it."""
    assert share(run_on=0.0) == pytest.approx(0.1 + 0.1 * 0.69 + 0.1 * 0.69**2 + 0.2 * 0.69**3 + 0.5 * 0.69**4)
    assert share(run_on=0.0) == pytest.approx(0.4, abs=0.01)
    assert share(kind="median", rungs=[0.5], run_on=0.0) == 0.75
    assert share(kind="median", rungs=[0.5], run_on=0.2) == pytest.approx(0.8)
    assert share(kind="none") == 1.0


def test_what_rungs_train_beside_is_planned_for() -> None:
    """Each branch adds its length to the stretch before it; each shorter schedule is a training from the start."""
    one = {"kind": "median", "rungs": [0.5], "startup_trials": 4}

    assert share(**one, run_on=0.0, fidelity="cooldown") == pytest.approx(0.5 + 0.05 + 0.25)
    assert share(**one, run_on=0.0, fidelity="rescaled") == pytest.approx(0.5 + 0.5)
    assert share(**one, run_on=1.0, fidelity="rescaled") == pytest.approx(1.5)
    assert trainings(budget={"trials": 4}, pruner={**one, "fidelity": "rescaled"}).search == 6.0


def test_baselines_are_trained_whole_and_the_rest_is_pruned() -> None:
    """Of 64 trials 9 are baselines, trained whole; 55 as far as the rungs leave; then every arm on each seed."""
    planned = trainings(budget={"trials": 64}, confirmation={"seeds": 7})

    assert planned.search == pytest.approx(9 + 55 * trained_share(PrunerSpec(), search_for().resolved), abs=0.01)
    assert (planned.tuning, planned.confirmation, planned.seeds) == (0, 5 * 7, 7)


def test_baselines_outside_the_space_are_tuned_aside() -> None:
    """Three trials for each of them, in the confirmation's share."""
    planned = trainings(budget={"trials": 64}, space={"optimizers": ["adam"]}, confirmation={"seeds": 7})

    assert planned.tuning == 9
    assert planned.certain == pytest.approx(planned.search + 9 + planned.confirmation)


def test_a_share_that_does_not_pay_drops_seeds_down_to_three() -> None:
    """`max_share` holds in the plan as in the confirmation."""
    fewer = trainings(budget={"trials": 64}, confirmation={"seeds": 7, "max_share": 0.8})
    least = trainings(budget={"trials": 64}, confirmation={"seeds": 7, "max_share": 0.01, "extras": False})

    assert (fewer.seeds, fewer.confirmation) == (5, 25)
    assert (least.seeds, least.extras) == (3, 0)


def test_seconds_go_by_trials_over_the_same_horizon_and_wall_time_by_workers() -> None:
    """0.01 s a step over 100 steps: 1 s a training; two workers need half of the total."""
    search = search_for()
    planned = planned_trainings(search.spec, search.resolved, search.opponents)
    timed = [TimedTrials("a", 200, [9.0]), TimedTrials("b", 100, [0.008, 0.012])]

    found = planned_seconds(planned, search.resolved, timed, 2, None)

    assert found is not None
    assert found.training == pytest.approx(1.0)
    assert found.total == pytest.approx(planned.certain)
    assert found.wall == pytest.approx(planned.certain / 2)
    assert found.source == "2 past trials of the task over 100 steps"


def test_seconds_of_other_horizons_serve_where_there_are_none_and_a_measurement_goes_first() -> None:
    """The source says which; without any of them nothing is made up, and without a worker there is no wall time."""
    search = search_for()
    planned = planned_trainings(search.spec, search.resolved, search.opponents)
    other = [TimedTrials("a", 200, [0.02])]

    elsewhere = planned_seconds(planned, search.resolved, other, 0, None)
    measured = planned_seconds(planned, search.resolved, other, 1, 0.5)

    assert elsewhere is not None
    assert (elsewhere.training, elsewhere.wall) == (2.0, None)
    assert "other horizons" in elsewhere.source
    assert measured is not None
    assert measured.training == 50.0
    assert planned_seconds(planned, search.resolved, [], 1, None) is None


def answer(horizon: int, *values: list[float]) -> Answer:
    known: dict[str, Any] = {"role": "candidate", "candidate": BASELINES["adam-constant"]}
    arms = [Arm(name=str(place), values=dict(enumerate(row)), **known) for place, row in enumerate(values)]
    return Answer(study="past", status="final", sentence="", horizon=horizon, evidence=Evidence(arms=arms))


def test_the_noise_is_that_of_past_confirmations_over_the_same_horizon() -> None:
    """Two confirmations of one horizon are pooled by their degrees of freedom; another horizon's is left out."""
    search = search_for()
    past = [answer(100, [0.0, 2.0]), answer(100, [0.0, 4.0]), answer(50, [0.0, 1000.0])]

    noise = known_noise(search.spec, search.resolved, past)

    assert noise is not None
    assert noise.deviation == pytest.approx(5**0.5)
    assert (noise.degrees, noise.source) == (2, "2 confirmations of the task")
    assert known_noise(search.spec, search.resolved, past[2:]) is None


def test_the_noise_of_tasks_on_board_is_that_of_the_documented_table() -> None:
    """Task, horizon, n and deviation are those of docs/tasks.md, line by line."""
    row = re.compile(r"^\| `([\w-]+)` \| [^|]+ \| (\d+) \| (\d+) \| ([\d.]+) \|", re.MULTILINE)

    documented = {(name, int(t)): (float(sd), int(n)) for name, t, n, sd in row.findall(TABLE.read_text())}

    assert documented == ON_BOARD


def test_a_task_on_board_with_parameters_of_its_own_is_another_task() -> None:
    """What was measured holds for the default parameters only."""
    for params, known in (({}, True), ({"noise": 0.1}, False)):
        spec = StudySpec.model_validate({"name": "mine", "task": {"name": "digits-noisy", "params": params}})
        offer = OFFER.model_copy(update={"horizon": OFFER.horizon.model_copy(update={"epochs": 51})})

        assert (known_noise(spec, resolve_study(spec, offer), []) is not None) is known


def test_what_can_be_detected_grows_with_the_noise_and_shrinks_with_pairing_and_seeds() -> None:
    """In the noise's unit; nothing to compare with, or no known noise, is no number."""

    def detected(noise: SeedNoise | None, **confirmation: Any) -> float | None:
        search = search_for(confirmation={"seeds": 7} | confirmation)
        planned = planned_trainings(search.spec, search.resolved, search.opponents)
        found = planned_detection(planned, search.opponents, search.spec, noise)
        return None if found is None else found.gain

    plain = detected(SeedNoise(0.01, 20, 0.0, "made"))

    assert plain is not None
    assert detected(SeedNoise(0.02, 20, 0.0, "made")) == pytest.approx(2 * plain)
    assert detected(SeedNoise(0.01, 20, 0.75, "made")) == pytest.approx(plain / 2)
    assert (detected(SeedNoise(0.01, 20, 0.0, "made"), seeds=9) or 1) < plain
    assert detected(None) is None
    assert detected(SeedNoise(0.01, 20, 0.0, "made"), baselines=[]) is None


@pytest.mark.parametrize(("seeds", "detected"), [(3, 6.90), (5, 3.17), (7, 2.30)])
def test_the_seeds_that_a_hope_would_take_are_near_those_that_detect_it(seeds: int, detected: float) -> None:
    """Nine seeds detect 1.92 standard deviations over three baselines (docs/verdict.md): few are not told as many."""
    assert abs((seeds_to_detect(1.92, detected, seeds, 2) or 0) - 9) <= 2


def test_a_hope_that_no_confirmation_can_see_names_no_number() -> None:
    """A confirmation has at most a hundred seeds."""
    assert seeds_to_detect(0.01, 1.92, 9, 2) is None
    assert StudySpec.model_validate({"name": "a", "task": {"name": "b"}, "confirmation": {"seeds": MOST_SEEDS}})
    with pytest.raises(ValueError, match="100"):
        StudySpec.model_validate({"name": "a", "task": {"name": "b"}, "confirmation": {"seeds": MOST_SEEDS + 1}})
