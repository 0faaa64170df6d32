"""A search for the fewest steps to a target, on a real store: what is drawn, trained, judged and said."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from search_spaces.artefact import artefact_of
from search_spaces.baselines import BASELINES
from search_spaces.candidate import Candidate
from search_spaces.problems import HorizonTooShort, InvalidSpec
from search_spaces.results import Answer
from search_spaces.schedules import curve
from search_spaces.space import Space
from search_spaces.study import ResolvedStudy, StudySpec
from search_spaces.work import ClaimedTrial, OfferedTask
from service.coordinator import Coordinator
from service.pages.report import report_of
from service.planning import plan_study
from service.submission import offer_of, resolve_submission
from store import Store, open_store
from store.studies import get_study, stored_answer, submit
from store.trials import list_trials
from store.verbs import SqlVerbs
from store.workers import offers
from tests.integration.service_simulation import SimulatedWorker, drive
from tests.studies import study_spec
from workers.tasks.noisy_quadratic import NoisyQuadratic, QuadraticParams, problem
from workers.training import Training

CURRENT = BASELINES["sgd-cosine"]
TARGET = 1.0
SLOPE = 0.8
"""How much the loss grows when the logarithm of the horizon falls by 1."""
OF_OPTIMIZER = {"sgd": 0.6, "adamw": 0.5, "adam": 0.0}


def least_loss(initial_lr: float, optimizer: str, horizon: float) -> float:
    """The loss at the end of a training over so many steps, without noise: 0.7 with adam at 0.003 over 100 steps."""
    distance = 0.3 * abs(math.log10(initial_lr / 0.003))
    return 0.7 + distance + OF_OPTIMIZER[optimizer] + SLOPE * math.log(100 / horizon)


class Redrawing(SimulatedWorker):
    """A worker whose losses know of the horizon."""

    def final(self, trial: ClaimedTrial) -> float:
        """Return the loss."""
        noise = random.Random(f"{trial.seed}:{trial.candidate.initial_lr}").gauss(0, 0.02)
        candidate = trial.candidate
        return least_loss(candidate.initial_lr, candidate.optimizer.kind, trial.horizon_steps) + noise


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path / 'etude.db'}")
    yield opened
    opened.close()


def with_target(target: float = TARGET, **fields: object) -> dict[str, object]:
    return {
        "budget": {"trials": 24},
        "objective": {"target": target},
        "space": {"optimizers": ["adam", "sgd"], "schedules": ["cosine", "linear"]},
        "current": CURRENT.model_copy(update={"initial_lr": 0.02}).model_dump(mode="json"),
        "confirmation": {"seeds": 5, "max_share": 9, "baselines": ["current", "sgd-cosine"]},
    } | fields


def answered(store: Store, worker: type[SimulatedWorker] = Redrawing, **fields: object) -> Answer:
    """The answer of a study with a target, each of whose steps a new coordinator takes."""
    training = worker(SqlVerbs(store))
    training.announce()
    spec = study_spec(**with_target(**fields))  # type: ignore[arg-type]
    resolved, space = resolve_submission(spec, offers(store)) or (None, None)
    submit(store, spec, resolved=resolved, space=space)
    # Nothing is kept between two steps but the name that the study is owned under.
    assert drive(store, training, "mine", coordinator=lambda: Coordinator(store, owner="one")) == "done"
    answer = stored_answer(store, "mine")
    assert answer is not None
    return answer


def steps_with(candidate: Candidate) -> float:
    """The steps in which a candidate gets to the target, by the closed form."""
    return 100 * math.exp((least_loss(candidate.initial_lr, candidate.optimizer.kind, 100) - TARGET) / SLOPE)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Answer]]:
    """A study that has ended with a winner."""
    opened = open_store(f"sqlite:///{tmp_path_factory.mktemp('targets') / 'etude.db'}")
    yield opened, answered(opened)
    opened.close()


def test_the_budget_is_spent_on_trials_of_many_horizons_none_of_them_pruned(found: tuple[Store, Answer]) -> None:
    """Exactly 24 trials, each over its own horizon between a tenth of T and T, baselines over T; no rung."""
    store, _ = found

    trials = list_trials(store, "mine", limit=100).items
    drawn = [trial for trial in trials if trial.origin == "sampler"]
    assert len(trials) == get_study(store, "mine").counts.complete == 24
    assert all(10 <= (trial.horizon_steps or 0) <= 100 and trial.rungs == {} for trial in trials)
    assert all(trial.horizon_steps == round(100 * float(trial.params["horizon.fraction"])) for trial in drawn)
    assert len({trial.horizon_steps for trial in drawn}) > 5
    assert {trial.horizon_steps for trial in trials if trial.origin != "sampler"} == {100}


def test_the_value_of_a_trial_is_in_steps_and_its_metric_is_kept(found: tuple[Store, Answer]) -> None:
    """Below its horizon by less than a step where it got there, above T where not, by its shortfall; also in Optuna."""
    store, answer = found

    rows = [
        trial
        for purpose in ("search", "confirmation")
        for trial in list_trials(store, "mine", purpose=purpose, limit=500).items
    ]
    there = [trial for trial in rows if trial.metrics["loss"] <= TARGET]
    assert there
    assert all(0 <= (trial.horizon_steps or 0) - (trial.value or 0) < 1 for trial in there)
    missed = sorted((trial for trial in rows if trial not in there), key=lambda trial: trial.metrics["loss"])
    values = [trial.value or 0 for trial in missed]
    assert values == sorted(values)
    assert 100 < values[0] < values[-1] < 200
    assert get_study(store, "mine").direction == answer.metric.direction == "minimize"  # type: ignore[union-attr]


def test_the_answer_s_steps_are_the_computed_ones(found: tuple[Store, Answer]) -> None:
    """Within 3 % for every arm that gets there within T, each schedule redrawn; others count as T: a note says so."""
    _, answer = found

    assert answer.verdict == "winner"
    for arm in answer.evidence.arms:
        assert arm.mean == pytest.approx(min(100, steps_with(arm.candidate)), rel=0.03)
    assert any("current did not get to loss <= 1 within 100 steps" in note for note in answer.evidence.notes)
    assert answer.horizon == math.ceil(next(arm.mean for arm in answer.evidence.arms if arm.name == "candidate-1") or 0)
    assert answer.evidence.difference is not None
    assert answer.evidence.difference.gain == pytest.approx(100 - steps_with(answer.candidate), abs=3)  # type: ignore[arg-type]


def test_the_confirmation_trains_four_horizons_at_most_on_fresh_seeds(found: tuple[Store, Answer]) -> None:
    """The same first horizon for every arm and seed; then by what was reached; the test split at the steps found."""
    store, answer = found

    rows = list_trials(store, "mine", purpose="confirmation", limit=500).items
    tested = [row for row in rows if row.origin.startswith("test:")]
    trained = Counter((row.origin, row.seed) for row in rows if row not in tested)
    assert set(trained) == {(f"confirmation:{arm.name}", seed) for arm in answer.evidence.arms for seed in answer.seeds}
    assert max(trained.values()) <= 4
    assert sum(row.horizon_steps == 32 for row in rows) == len(trained)
    assert {row.origin: row.horizon_steps for row in tested}["test:candidate-1"] == answer.horizon


def test_every_word_speaks_of_steps(found: tuple[Store, Answer]) -> None:
    """Sentences, metric, artefact, page and plan have the unit; a plateau would follow the metric behind it."""
    store, answer = found

    view = get_study(store, "mine")
    said = {sentence.topic: sentence.text for sentence in answer.sentences}
    document = artefact_of(answer)
    plan = plan_study(store, *_planned(store), step_seconds=None)
    report = report_of(store, view, answer)
    assert said["advice"] == "Change: the search found what gets to loss <= 1 in fewer updates than yours."
    assert said["candidate"].endswith(f"over {answer.horizon} updates.")
    assert f"It gets to loss <= 1 in {answer.horizon} updates instead of more than 100 with yours" in said["difference"]
    assert "fewer), on 5 fresh seeds" in said["difference"]
    assert (document["horizon"], document["metric"]["name"]) == (answer.horizon, "steps to loss <= 1")
    assert document["target"] == {"metric": "loss", "direction": "minimize", "value": 1.0, "horizon_steps": 100}
    assert any("steps to loss &lt;= 1" in figure.svg for figure in report.confirmation_figures)
    learning = next(figure for figure in report.figures if figure.name == "learning")
    assert learning.caption.startswith("loss while training over 32 steps")
    assert (plan.metric, plan.rungs, plan.confirmation_trainings) == ("steps to loss <= 1", [], 80)
    assert plan.detects is not None
    assert plan.detects.gain == pytest.approx(answer.evidence.detectable_gain, rel=0.5)


def _planned(store: Store) -> tuple[StudySpec, tuple[ResolvedStudy, Space] | None, OfferedTask | None]:
    spec = study_spec("next", **with_target())  # type: ignore[arg-type]
    return spec, resolve_submission(spec, offers(store)), offer_of(offers(store), spec.task)


def test_where_nothing_gets_there_yours_is_kept(store_url: str) -> None:
    """On both databases: no candidate within T, so there is no finalist with a value, and the answer says why."""
    store = open_store(store_url)
    answer = answered(
        store, objective={"target": 0.1}, budget={"trials": 4}, confirmation={"seeds": 2, "top": 1, "baselines": []}
    )
    store.close()

    assert (answer.verdict, answer.evidence.difference) == ("undecided", None)
    assert answer.sentence.startswith("Keep ")
    assert "no candidate of the search got to loss <= 0.1 within 100 updates on every seed" in answer.sentence
    assert answer.horizon == 100


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("pruner", {"pruner": {"kind": "median"}}),
        ("objective.target", {"task": {"name": "external"}, "horizon": {"steps": 100}}),
    ],
)
def test_what_cannot_go_with_a_target_is_refused(store: Store, field: str, fields: dict[str, Any]) -> None:
    """Pruning across horizons, and loops whose horizon is their own: the field is named."""
    objective = {"target": TARGET, "metric": "loss", "direction": "minimize"}
    spec = study_spec(**with_target(**(fields | {"objective": objective})))  # type: ignore[arg-type]

    with pytest.raises(InvalidSpec) as refused:
        resolve_submission(spec, offers(store))

    assert refused.value.field == field


def test_a_horizon_with_no_room_for_its_shortest_trainings_is_refused(store: Store) -> None:
    """A tenth of 20 steps is too short for what the space holds: the least T that would do is said, and does."""
    Redrawing(SqlVerbs(store)).announce()
    wish = with_target(space={"optimizers": ["adam"], "schedules": ["one_cycle"]})

    with pytest.raises(HorizonTooShort) as refused:
        resolve_submission(study_spec(**wish, horizon={"steps": 20}), offers(store))  # type: ignore[arg-type]

    fitting = study_spec(**wish, horizon={"steps": refused.value.least_steps})  # type: ignore[arg-type]
    assert resolve_submission(fitting, offers(store)) is not None


class Bowl(SimulatedWorker):
    """A worker that trains the noisy quadratic, with every example of its noise drawn."""

    task = NoisyQuadratic({"dimensions": 20})

    def final(self, trial: ClaimedTrial) -> float:
        """Return the loss at the end of a training."""
        training = Training(self.task, trial.candidate, horizon_steps=trial.horizon_steps, seed=trial.seed)
        *_, last = training.evaluations(lambda: False)
        return last.value


def test_on_the_noisy_quadratic_the_steps_are_those_of_the_closed_form(store: Store) -> None:
    """A real study of plain SGD: each arm's mean is within a tenth of the least T whose expected loss is the target."""
    bowl = problem(QuadraticParams(dimensions=20))
    plain = {"momentum": {"choices": [0.0]}, "nesterov": {"choices": [False]}, "weight_decay": {"choices": [0.0]}}
    constant = {"optimizer": {"kind": "sgd", "momentum": 0.0}, "initial_lr": 0.15, "schedule": {"kind": "constant"}}

    answer = answered(
        store,
        Bowl,
        objective={"target": 0.22},
        budget={"trials": 6},
        current=constant,
        space={
            "optimizers": {"sgd": plain | {"lr": {"low": 0.4, "high": 1.2, "log": True}}},
            "schedules": {"linear": {"end_factor": {"choices": [0.0]}}}, "warmup": False,
        },
        confirmation={"seeds": 3, "top": 1, "baselines": [], "max_share": 20},
    )  # fmt: skip

    assert answer.verdict == "winner"
    for arm in answer.evidence.arms:
        rates = [arm.candidate.initial_lr * curve(arm.candidate.schedule, steps) for steps in range(10, 101)]
        needed = next(len(rate) for rate in rates if bowl.losses(rate)[-1] <= 0.22)
        assert arm.mean == pytest.approx(needed, rel=0.1)
