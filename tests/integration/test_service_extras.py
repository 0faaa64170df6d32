"""What follows a verdict, on a real store: the ladder, the steps saved, the test split; faults between them."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text

from search_spaces.baselines import BASELINES
from search_spaces.results import Answer
from search_spaces.work import ClaimedTrial, Report, ReportItem, ReportRequest
from service.coordinator import Coordinator
from service.stopping import conclude_early
from service.submission import resolve_submission
from store import Store, open_store
from store.proposals import Past, history
from store.studies import get_study, own, stored_answer, submit
from store.trials import list_trials
from store.verbs import SqlVerbs
from store.workers import offers
from tests.integration.service_http import serving
from tests.integration.service_simulation import SimulatedWorker, drive
from tests.studies import study_spec

CURRENT = BASELINES["sgd-cosine"]
SPACE = {"optimizers": ["adam", "sgd"], "schedules": ["cosine", "linear"]}
SLOPE = 0.8
"""How much a loss grows when the logarithm of the horizon falls by 1."""
OF_OPTIMIZER = {"sgd": 0.6, "adamw": 0.3, "adam": 0.0}


@dataclass
class Redrawing(SimulatedWorker):
    """A worker whose losses know of the horizon: least with adam at an LR of 0.003."""

    lost: str = ""
    """What diverges: `redrawn`, every training of another horizon; `lr`, current at its best LR on fresh seeds."""

    def final(self, trial: ClaimedTrial) -> float:
        """Return the loss."""
        candidate = trial.candidate
        if self.lost == "redrawn" and trial.horizon_steps < 100:
            return math.nan
        if self.lost == "lr" and candidate == CURRENT.with_lr(0.03) and trial.purpose == "confirmation":
            return math.nan
        distance = 0.3 * abs(math.log10(candidate.initial_lr / 0.003))
        noise = random.Random(trial.seed).gauss(0, 0.01)
        own = random.Random(f"{trial.seed}:{candidate.initial_lr}:{trial.horizon_steps}").gauss(0, 0.004)
        redrawn = SLOPE * math.log(100 / trial.horizon_steps)
        return 1 + distance + OF_OPTIMIZER[candidate.optimizer.kind] + redrawn + noise + own


def redrawing(store: Store, **fields: object) -> Redrawing:
    worker = Redrawing(SqlVerbs(store), **fields)  # type: ignore[arg-type]
    worker.announce()
    return worker


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path / 'etude.db'}")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def confirmed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Answer]]:
    """A study that has ended with a winner over `current`."""
    opened = open_store(f"sqlite:///{tmp_path_factory.mktemp('extras') / 'etude.db'}")
    yield opened, answered(opened, redrawing(opened))
    opened.close()


def submitted(store: Store, **fields: object) -> None:
    body = {"budget": {"trials": 24}, "space": SPACE, "confirmation": {"seeds": 5, "max_share": 9}} | fields
    spec = study_spec(**body)
    resolved, space = resolve_submission(spec, offers(store)) or (None, None)
    submit(store, spec, resolved=resolved, space=space)


def answered(store: Store, worker: SimulatedWorker, **fields: object) -> Answer:
    submitted(store, **({"current": CURRENT.model_dump(mode="json")} | fields))
    coordinator = Coordinator(store, owner="one")
    assert drive(store, worker, "mine", coordinator=lambda: coordinator) == "done"
    answer = stored_answer(store, "mine")
    assert answer is not None
    return answer


def test_a_winner_s_gain_is_split_into_rungs_that_add_up(store_url: str) -> None:
    """On both databases: LR, schedule, optimizer, each on all seeds with its interval; together the whole gain."""
    store = open_store(store_url)
    answer = answered(store, redrawing(store))
    store.close()

    rungs, arms = answer.evidence.ladder or [], {arm.name: arm for arm in answer.evidence.arms}
    assert answer.verdict == "winner"
    assert [(rung.name, rung.against, rung.n) for rung in rungs] == [
        ("lr", "current", 5), ("schedule", "ladder:lr", 5), ("optimizer", "ladder:schedule", 5),
    ]  # fmt: skip
    assert rungs[0].candidate.optimizer == CURRENT.optimizer
    assert rungs[1].candidate.optimizer.kind == "sgd"
    assert rungs[2].candidate == answer.candidate
    means = [arms[name].mean for name in ("current", answer.evidence.finalist or "")]
    assert sum(rung.gain for rung in rungs) == pytest.approx((means[0] or 0) - (means[1] or 0))
    assert all(rung.interval[0] < rung.gain < rung.interval[1] and rung.distinguishable for rung in rungs)


def test_the_claimed_saving_is_the_computed_one(confirmed: tuple[Store, Answer]) -> None:
    """A loss that grows by 0.8 a halving of log T says at which horizon the gain is used up: within 10 %."""
    _, answer = confirmed

    saved, arms = answer.evidence.steps_saved, {arm.name: arm for arm in answer.evidence.arms}
    assert saved is not None
    ladder = answer.evidence.ladder or []
    gain = sum(rung.gain for rung in ladder[1:])
    assert saved.confirmed
    assert saved.reference == "ladder:lr"
    assert saved.share == pytest.approx(1 - math.exp(-gain / SLOPE), rel=0.1)
    assert (saved.steps, saved.horizon_steps) == (100 * saved.share, 100 - saved.steps)
    assert saved.margin is not None
    assert saved.bound is not None
    assert saved.bound > -saved.margin
    assert saved.n == len(arms["current"].values)


def test_every_training_of_the_extras_is_a_row_that_says_what_it_is(confirmed: tuple[Store, Answer]) -> None:
    """The confirmation's list holds them by origin, horizon and seed; nothing of them counts in the budget."""
    store, answer = confirmed

    rows = list_trials(store, "mine", purpose="confirmation", limit=500).items
    tuning = list_trials(store, "mine", purpose="tuning", limit=500).items
    extras = [row for row in rows if not row.origin.startswith("confirmation:")]
    horizons = {row.origin: row.horizon_steps for row in extras}
    assert horizons["savings:reference:0.5"] == 50
    assert horizons["savings:reference:0.7"] == 70
    assert {horizons["ladder:lr"], horizons["ladder:schedule"], horizons["test:candidate-1"]} == {100}
    assert {row.origin for row in tuning if row.origin.startswith("ladder")} == {
        "ladder:lr:0.3", "ladder:lr:3", "ladder:lr:0.1", "ladder:lr:0.03", "ladder:lr:0.01",
    }  # fmt: skip
    assert {row.seed for row in extras} == set(answer.seeds)
    assert len(rows) - len(extras) == len(answer.seeds) * len(answer.evidence.arms)
    assert get_study(store, "mine").counts.ended == 24
    assert 0 < answer.compute.extras <= answer.compute.confirmation


def test_the_test_split_is_evaluated_once_for_each_of_two(confirmed: tuple[Store, Answer]) -> None:
    """The chosen candidate and the best baseline have one training with an evaluation, and no other trial has."""
    store, answer = confirmed

    best = answer.evidence.difference.against if answer.evidence.difference else ""
    rows = list_trials(store, "mine", purpose="confirmation", limit=500).items
    assert [score.arm for score in answer.evidence.test_scores] == ["candidate-1", best]
    assert all(score.metrics.keys() == {"test_loss"} for score in answer.evidence.test_scores)
    assert sum(row.origin.startswith("test:") for row in rows) == 2


def test_an_lr_far_off_is_followed_as_far_as_a_hundredfold(store: Store, tmp_path: Path) -> None:
    """LRs beyond ten times yours are tried as long as they are better; where the last one is the best, that is said."""
    mine = CURRENT.model_copy(update={"initial_lr": 1e-4})
    far = CURRENT.model_copy(update={"initial_lr": 1e-5})
    fields = {"budget": {"trials": 8}, "confirmation": {"seeds": 7, "baselines": ["current"], "max_share": 20}}

    found = answered(store, redrawing(store), current=mine.model_dump(mode="json"), **fields)
    other = open_store(f"sqlite:///{tmp_path / 'other.db'}")
    beyond = answered(other, redrawing(other), current=far.model_dump(mode="json"), **fields)
    other.close()

    assert (found.evidence.ladder or [])[0].candidate == mine.with_lr(30)
    assert not any("nothing beyond it was tried" in note for note in found.evidence.notes)
    assert (beyond.evidence.ladder or [])[0].candidate == far.with_lr(100)
    assert "the best LR tried for yours is 100 times its own, and nothing beyond it was tried" in beyond.evidence.notes


def test_an_lr_is_not_followed_further_than_its_seeds_can_be_paid_for(store: Store) -> None:
    """Eight trainings' worth: four seeds at the best LR so far come before a factor beyond ten."""
    far = CURRENT.model_copy(update={"initial_lr": 1e-5})
    fields = {"current": far.model_dump(mode="json"), "budget": {"trials": 8}}
    confirmation = {"seeds": 4, "top": 1, "baselines": ["current"], "max_share": 20}

    answer = answered(store, redrawing(store), confirmation=confirmation, **fields)

    assert (answer.evidence.ladder or [])[0].candidate == far.with_lr(10)
    assert "the best LR tried for yours is 10 times its own, and nothing beyond it was tried" in answer.evidence.notes


def test_without_current_the_ladder_begins_at_the_best_baseline(store: Store) -> None:
    """Its LR is tuned already, so there is no rung for it; the search has nothing with its optimizer: said."""
    answer = answered(store, redrawing(store), current=None, confirmation={"seeds": 3, "max_share": 9})

    rungs = answer.evidence.ladder or []
    assert [(rung.name, rung.against) for rung in rungs] == [("optimizer", "adamw-warmup-cosine")]
    assert any("adamw: schedule and optimizer share one rung" in note for note in answer.evidence.notes)
    assert answer.evidence.steps_saved is not None
    assert answer.evidence.steps_saved.reference == "adamw-warmup-cosine"


def test_extras_can_be_left_out(store: Store) -> None:
    """`confirmation.extras: false` trains nothing for ladder and steps saved, and says so; the test split stays."""
    answer = answered(store, redrawing(store), confirmation={"seeds": 3, "max_share": 9, "extras": False})

    assert answer.verdict == "winner"
    assert (answer.evidence.ladder, answer.evidence.steps_saved) == (None, None)
    assert any("confirmation.extras is false" in note for note in answer.evidence.notes)
    assert len(answer.evidence.test_scores) == 2


def test_what_would_cost_more_than_the_confirmation_is_left_out(store: Store) -> None:
    """Three arms on two seeds pay for the search of the LR and little else: the answer says what was too dear."""
    small = {"seeds": 2, "top": 1, "baselines": ["sgd-cosine"], "max_share": 9}
    answer = answered(store, redrawing(store), confirmation=small)

    trained = [
        trial
        for purpose in ("tuning", "confirmation")
        for trial in list_trials(store, "mine", purpose=purpose, limit=500).items
        if trial.origin.startswith(("ladder:", "savings:"))
    ]
    assert sum(trial.horizon_steps or 0 for trial in trained) <= 3 * 2 * 100
    told = [*answer.evidence.notes, (answer.evidence.steps_saved.reason if answer.evidence.steps_saved else "") or ""]
    assert any("too dear beside the confirmation" in note for note in told)


def test_a_space_of_bad_candidates_ends_without_a_winner(store: Store) -> None:
    """All LRs are far too large: keep the best baseline, which alone is evaluated on the test split."""
    bad = {"optimizers": {"sgd": {"lr": {"low": 5.0, "high": 10.0, "log": True}}}, "schedules": ["constant"]}
    answer = answered(store, redrawing(store), current=None, space=bad)

    assert (answer.verdict, answer.candidate) == ("no_winner", BASELINES["adamw-warmup-cosine"].with_lr(3))
    assert answer.sentence.startswith("Keep adamw-warmup-cosine")
    assert (answer.evidence.ladder, answer.evidence.steps_saved) == (None, None)
    assert [score.arm for score in answer.evidence.test_scores] == ["adamw-warmup-cosine"]


def told(answer: Answer) -> dict[str, object]:
    """An answer without what it cost."""
    plain = answer.model_dump(exclude={"compute", "sentence", "sentences"})
    return plain | {"sentences": [each for each in answer.sentences if each.topic != "cost"]}


def test_coordinators_that_take_over_at_every_step_come_to_the_same_answer(tmp_path: Path) -> None:
    """Killed between the verdict and the extras, and after each of their trainings, nothing is trained twice."""
    answers = []
    for place, kill_after in enumerate((10**6, 1)):
        store = open_store(f"sqlite:///{tmp_path / f'{place}.db'}")
        worker, turns = redrawing(store, slots=1), itertools.count()
        submitted(store, current=CURRENT.model_dump(mode="json"), sampler={"lag": 1})
        kept = [Coordinator(store, owner="one")]

        def latest(
            store: Store = store, turns: Iterator[int] = turns, kept: list[Coordinator] = kept, each: int = kill_after
        ) -> Coordinator:
            if next(turns) % each == 0:
                kept.append(Coordinator(store, owner="one"))
            return kept[-1]

        drive(store, worker, "mine", coordinator=latest, rounds=1000)
        answer = stored_answer(store, "mine")
        assert answer is not None
        rows = list_trials(store, "mine", purpose="confirmation", limit=500).items
        keys = [(row.origin, row.seed) for row in rows]
        assert len(keys) == len(set(keys))
        answers.append(told(answer))
        store.close()

    assert answers[0] == answers[1]
    assert answers[0]["verdict"] == "winner"


def test_a_worker_that_dies_in_the_extras_costs_a_lease(store: Store) -> None:
    """What it held is trained by another once the lease has expired, and the answer is whole."""
    worker, dying = redrawing(store), redrawing(store, name="dying")
    submitted(store, current=CURRENT.model_dump(mode="json"))
    coordinator = Coordinator(store, owner="one")
    held: list[ClaimedTrial] = []

    def in_extras() -> bool:
        coordinator.round()
        if not held and any(trial.origin.startswith("ladder") for trial in waiting(store)):
            held.extend(dying.claim())
        return bool(held)

    drive(store, worker, "mine", coordinator=lambda: coordinator, until=in_extras)
    expire_leases(store)
    drive(store, worker, "mine", coordinator=lambda: coordinator)

    answer = stored_answer(store, "mine")
    attempts = [row.attempts for row in list_trials(store, "mine", purpose="tuning", limit=500).items]
    attempts += [row.attempts for row in list_trials(store, "mine", purpose="confirmation", limit=500).items]
    assert answer is not None
    assert len(answer.evidence.ladder or []) == 3
    assert sum(attempts) == len(held) > 0


def waiting(store: Store) -> list[Past]:
    """Proposals that nobody has claimed yet."""
    study = next(iter(own(store, "one", 60)), None)
    return [] if study is None else [past for past in history(store, study.study_id) if past.state == "proposed"]


def expire_leases(store: Store) -> None:
    """Let time pass over every lease."""
    with store.begin() as connection:
        connection.execute(text("UPDATE etude_proposals SET lease_expires_at = 0 WHERE state = 'leased'"))


def test_extras_that_diverge_are_told_and_hold_nothing_up(store: Store) -> None:
    """Redrawn trainings all diverge: no saving is claimed, the ladder stands, the study is done."""
    answer = answered(store, redrawing(store, lost="redrawn"))

    saved = answer.evidence.steps_saved
    assert saved is not None
    assert not saved.confirmed
    assert saved.reason == "the reference did not end well at 50 steps"
    assert len(answer.evidence.ladder or []) == 3


def test_a_rung_that_diverges_is_left_out(store: Store) -> None:
    """The LR's rung fails on the fresh seeds: the ladder goes past it and says so."""
    answer = answered(store, redrawing(store, lost="lr"))

    assert [(rung.name, rung.against) for rung in answer.evidence.ladder or []] == [
        ("schedule", "current"), ("optimizer", "ladder:schedule"),
    ]  # fmt: skip
    assert any("with its LR tuned did not end well on every seed" in note for note in answer.evidence.notes)


def test_what_a_known_schedule_gives_is_no_gain_of_another_optimizer(store: Store) -> None:
    """`current` is SGD at a poor LR: before adam's rung is the tuned `sgd-cosine`, not trained again."""
    answer = answered(
        store,
        redrawing(store),
        current=BASELINES["sgd-step"].with_lr(10.0).model_dump(mode="json"),
        space={"optimizers": ["adam"], "schedules": ["cosine"]},
    )

    rungs = {rung.name: rung for rung in answer.evidence.ladder or []}
    assert (rungs["schedule"].origin, rungs["optimizer"].against) == ("sgd-cosine", "sgd-cosine")
    assert not any(
        trial.origin.startswith("ladder:schedule")
        for trial in list_trials(store, "mine", purpose="confirmation", limit=200).items
    )


def in_extras(store: Store, worker: Redrawing) -> None:
    """Take the study to where workers hold trainings of its ladder."""
    submitted(store, current=CURRENT.model_dump(mode="json"), budget={"trials": 8})
    coordinator = Coordinator(store, owner="one")

    def ladder_is_there() -> bool:
        coordinator.round()
        return any(trial.origin.startswith("ladder") for trial in waiting(store))

    drive(store, worker, "mine", coordinator=lambda: coordinator, until=ladder_is_there)


@pytest.mark.parametrize("paused", [False, True])
def test_a_study_stopped_in_the_extras_keeps_its_verdict(store: Store, paused: bool) -> None:
    """It is done at once, by one PATCH, with what is known by then; what was in training is told to stop."""
    worker = redrawing(store)
    in_extras(store, worker)
    held = worker.claim()
    with serving(store) as http:
        if paused:
            http.patch("/v1/studies/mine", json={"state": "paused"}).raise_for_status()

        patched = http.patch("/v1/studies/mine", json={"state": "stopped", "reason": "enough"})

    answer = stored_answer(store, "mine")
    report = Report(step=10, value=1.0)
    items = [ReportItem(study=one.study, number=one.number, lease=one.lease, reports=[report]) for one in held]
    told = worker.verbs.report(ReportRequest(worker=worker.name, items=items)).items
    assert (patched.status_code, patched.json()["state"], patched.json()["reason"]) == (200, "done", "enough")
    assert answer is not None
    assert (answer.verdict, answer.status, len(answer.evidence.test_scores)) == ("winner", "final", 0)
    assert answer.evidence.notes[-1] == (
        "left out, as the study was stopped: the scores on the test split, the gain ladder, steps saved"
    )
    assert held
    assert {each.directive for each in told} == {"stop"}


def test_a_study_stopped_before_its_verdict_is_stopped(store: Store) -> None:
    """While the confirmation trains there is no verdict to keep."""
    worker = redrawing(store)
    submitted(store, current=CURRENT.model_dump(mode="json"), budget={"trials": 4})
    coordinator = Coordinator(store, owner="one")
    confirming = lambda: get_study(store, "mine").confirmation.complete > 0  # noqa: E731
    drive(store, worker, "mine", coordinator=lambda: coordinator, until=confirming)

    concluded = conclude_early(store, "mine", None)

    assert (concluded, get_study(store, "mine").state) == (False, "confirming")
