"""What was already run: what becomes of past trials over HTTP, and what the search makes of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from sqlalchemy import select

from etude.cli import main
from search_spaces.candidate import Candidate
from search_spaces.results import StudyView
from service.steps import search_of, step
from store import Store, open_store
from store.history import first_wishes, learned
from store.proposals import history as proposals_of
from store.studies import LiveStudy, change_state, delete_study, get_study, own, submit
from store.tables import proposals
from store.verbs import SqlVerbs
from tests.integration.service_http import serving
from tests.studies import claim, finish, run_study, study_spec

HISTORY = "/v1/studies/mine/history"
STEPS = 100
SPACE = {"optimizers": {"adamw": {}}, "schedules": ["cosine"], "warmup": False}


@pytest.fixture
def api(store: Store) -> Iterator[httpx.Client]:
    with serving(store) as client:
        yield client


@pytest.fixture(scope="module")
def refusing(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The API on a store with the study, for requests that store nothing."""
    file = shutil.copy(sqlite_template, tmp_path_factory.mktemp("refusing") / "etude.db")
    opened = open_store(f"sqlite:///{file}")
    run(opened)
    with serving(opened) as client:
        yield client
    opened.close()


def run(store: Store, **fields: Any) -> StudyView:
    """A study over AdamW and cosine without baselines in its search, of 20 trials over 100 steps."""
    body: dict[str, Any] = {"space": SPACE, "budget": {"trials": 20}, "confirmation": {"baselines": []}}
    return run_study(store, **(body | fields))


def candidate(lr: float = 0.001, kind: str = "adamw", **schedule: Any) -> dict[str, Any]:
    return {"optimizer": {"kind": kind}, "initial_lr": lr, "schedule": {"kind": "cosine", **schedule}}


def past(lr: float = 0.001, value: Any = 0.5, steps: int | None = STEPS, **fields: Any) -> dict[str, Any]:
    return {"candidate": candidate(lr), "value": value, "horizon_steps": steps} | fields


def send(api: httpx.Client, *trials: dict[str, Any]) -> list[dict[str, Any]]:
    answer = api.post(HISTORY, json={"trials": list(trials)})
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def live(store: Store) -> LiveStudy:
    return own(store, "tests", 60)[0]


def test_each_past_trial_is_judged_and_told_why(api: httpx.Client, store: Store) -> None:
    """Same task and horizon: history; another one of either: a proposal; no point of the space: left out."""
    run(store)
    sent = [
        past(0.001),
        past(0.002, steps=50),
        past(0.003, steps=None),
        past(0.004, task={"name": "other"}),
        past(0.005, value=None),
        past(0.006, candidate=candidate(kind="sgd")),
        past(0.007, candidate=candidate(0.007, end_factor=0.9)),
        past(0.008, value="nan"),
        past(0.009, value="nan", steps=50),
    ]

    items = send(api, *sent)

    assert [item["trial"] for item in items] == list(range(9))
    assert [item["becomes"] for item in items] == [
        "history", *["proposal"] * 4, "left_out", "left_out", "history", "left_out",
    ]  # fmt: skip
    assert [item["why"] for item in items[:6]] == [
        "the same task over 100 steps",
        "it was trained over 50 steps, the study trains over 100",
        "its horizon is not said; the study's is 100 steps",
        "it was trained on another task (other)",
        "it has no value",
        "optimizer is sgd, and the study searches adamw",
    ]
    assert "cosine.end_factor is 0.9, and the study searches" in items[6]["why"]
    assert items[8]["why"].endswith("and it diverged there")


def test_sending_again_takes_nothing_twice(api: httpx.Client, store: Store) -> None:
    """The answer is the same, and says that it is not new."""
    run(store)
    sent = [past(0.001), past(0.002, steps=50, source="a.csv:2")]

    first = send(api, *sent)
    again = send(api, *[trial | {"source": "b.csv:9"} for trial in sent], past(0.003))

    assert [item["new"] for item in first] == [True, True]
    assert [item["new"] for item in again] == [False, False, True]
    assert [(item["becomes"], item["why"]) for item in again[:2]] == [(i["becomes"], i["why"]) for i in first]
    assert len(api.get(HISTORY).json()["items"]) == 3


def test_past_trials_are_no_trials_of_the_study(api: httpx.Client, store: Store) -> None:
    """They are in no count, no list of trials and no score, cannot be claimed, and have an origin of their own."""
    run(store)

    send(api, past(0.001, value=0.01, source="results.csv:2"))

    view = get_study(store, "mine")
    assert (view.counts.ended, view.counts.foreign, view.budget.used_trials, view.best) == (0, 0, 0, None)
    assert api.get("/v1/studies/mine/trials").json()["items"] == []
    assert claim(SqlVerbs(store)) == []
    shown = api.get(HISTORY).json()["items"][0]
    assert (shown["origin"], shown["value"], shown["source"]) == ("history", 0.01, "results.csv:2")


def test_history_is_listed_page_by_page(api: httpx.Client, store: Store) -> None:
    """Each once, in the order of its value among those sent together; a diverged one is nan."""
    run(store)
    send(api, past(0.001, value=3.0), past(0.002, value=1.0), past(0.003, value="nan"))

    first = api.get(HISTORY, params={"limit": 2}).json()
    second = api.get(HISTORY, params={"limit": 2, "cursor": first["next_cursor"]}).json()

    assert [item["value"] for item in first["items"] + second["items"]] == [1.0, 3.0, "nan"]
    assert second["next_cursor"] is None


@pytest.mark.parametrize("lag", [None, 0])
def test_the_sampler_learns_from_history_and_says_so(api: httpx.Client, store: Store, lag: int | None) -> None:
    """Each proposal that is drawn after twelve past trials were sent names them among what it has seen."""
    run(store, sampler={"lag": lag} if lag is not None else {})
    before = learned(store, live(store).study_id, direction="minimize", best=150, latest=350)
    send(api, *[past(10 ** (-4 + 0.15 * index), value=abs(index - 6.0)) for index in range(12)])

    assert step(store, live(store))

    drawn = proposals_of(store, live(store).study_id)
    sent = learned(store, live(store).study_id, direction="minimize", best=150, latest=350)
    assert before == []
    assert [trial.value for trial in sent] == sorted(abs(index - 6.0) for index in range(12))
    assert {trial.origin for trial in drawn} == {"sampler"}
    assert _seen(store) >= {"history:0-11"}


def _seen(store: Store) -> set[str]:
    with store.read() as connection:
        return set(connection.execute(select(proposals.c.seen)).scalars())


@pytest.mark.parametrize("lag", [None, 0])
def test_first_proposals_are_tried_before_the_sampler_draws(api: httpx.Client, store: Store, lag: int | None) -> None:
    """Best first, each once, within the budget; the trials have the origin `imported` and may be pruned."""
    run(store, budget={"trials": 8}, sampler={"lag": lag} if lag is not None else {})
    send(api, past(0.002, value=0.9, steps=50), past(0.004, value=0.1, steps=50))

    _train(store)

    trials = [trial for trial in proposals_of(store, live(store).study_id) if trial.purpose == "search"]
    assert [trial.origin for trial in trials] == ["imported"] * 2 + ["sampler"] * 6
    assert [trial.candidate.initial_lr for trial in trials[:2] if trial.candidate] == [0.004, 0.002]
    shown = api.get("/v1/studies/mine/trials").json()["items"]
    assert [trial["origin"] for trial in shown][:2] == ["imported", "imported"]


def _train(store: Store) -> None:
    """Search to the end, every trial having the same value."""
    while live(store).state == "running":
        step(store, live(store))
        for trial in claim(SqlVerbs(store), count=4):
            finish(SqlVerbs(store), trial)


def test_an_imported_candidate_may_win(api: httpx.Client, store: Store) -> None:
    """The confirmation takes the best of the search, whoever proposed it."""
    run(store, budget={"trials": 2}, confirmation={"baselines": [], "top": 1, "seeds": 2})
    send(api, past(0.004, steps=50))
    while live(store).state == "running":
        step(store, live(store))
        for trial in claim(SqlVerbs(store), count=4):
            finish(SqlVerbs(store), trial, value=0.1 if trial.candidate.initial_lr == 0.004 else 0.9)

    step(store, live(store))

    confirmed = [trial for trial in proposals_of(store, live(store).study_id) if trial.purpose == "confirmation"]
    assert {trial.candidate.initial_lr for trial in confirmed if trial.candidate} == {0.004}


def test_first_proposals_take_a_quarter_of_the_budget(api: httpx.Client, store: Store) -> None:
    """The best ones are taken; the others, and those of a later request, are told that there is no room."""
    run(store, budget={"trials": 8})
    sent = [past(lr, value=value, steps=50) for lr, value in ((0.001, 3.0), (0.002, 1.0), (0.003, 2.0))]

    items = send(api, *sent)
    same_candidate = send(api, past(0.002, value=7.0, steps=60))

    assert [item["becomes"] for item in items] == ["left_out", "proposal", "proposal"]
    assert items[0]["why"].endswith("a quarter of the budget is first proposals already (2)")
    assert same_candidate[0]["why"].endswith("its candidate is a first proposal already")
    assert [wish.initial_lr for wish in first_wishes(store, live(store).study_id)] == [0.002, 0.003]
    assert search_of(store, live(store)).wishes[0] == Candidate.model_validate(candidate(0.002))


@pytest.mark.parametrize(
    ("trial", "field"),
    [
        (past(candidate=candidate(end_factor=-1.0)), "trials.1.candidate.schedule.end_factor"),
        (past(candidate=candidate() | {"schedule": {"kind": "cosine_"}}), "trials.1.candidate.schedule.kind"),
        (past(candidate=candidate(kind="adamw") | {"initial_lr": 0}), "trials.1.candidate.initial_lr"),
        (past(steps=0), "trials.1.horizon_steps"),
        (past(value="good"), "trials.1.value"),
        (past(loss=1.0), "trials.1.loss"),
        ({"value": 1.0}, "trials.1.candidate"),
    ],
)
def test_what_is_no_past_trial_is_refused_with_its_field(
    refusing: httpx.Client, trial: dict[str, Any], field: str
) -> None:
    """Nothing of the request is taken."""
    refused = refusing.post(HISTORY, json={"trials": [past(), trial]})

    kept = refusing.get(HISTORY).json()["items"]
    assert (refused.status_code, refused.json()["field"], kept) == (422, field, [])


def test_a_study_that_searches_no_more_takes_nothing(api: httpx.Client, store: Store) -> None:
    """409 with the reason; the same for one whose space is not known yet; 404 for none."""
    run(store)
    change_state(store, "mine", "stopped")
    submit(store, study_spec("later"), resolved=None, space=None)

    over = api.post(HISTORY, json={"trials": [past()]})
    waiting = api.post("/v1/studies/later/history", json={"trials": [past()]})
    missing = api.post("/v1/studies/none/history", json={"trials": [past()]})

    assert (over.status_code, waiting.status_code, missing.status_code) == (409, 409, 404)
    assert "is over (it is stopped)" in over.json()["detail"]
    assert "waits until a worker offers nothing" in waiting.json()["detail"]


def test_history_goes_with_its_study(api: httpx.Client, store: Store) -> None:
    """A deleted study leaves nothing, also where its answer is kept."""
    run(store)
    study_id = live(store).study_id
    send(api, past())
    change_state(store, "mine", "stopped")

    delete_study(store, "mine", keep_answer=True)

    assert learned(store, study_id, direction="minimize", best=1, latest=1) == []
    assert api.get(HISTORY).json()["items"] == []


def test_a_study_of_etude_is_carried_to_another_by_csv_and_by_its_store(
    api: httpx.Client, store: Store, tmp_path: Path
) -> None:
    """What the one has trained becomes history of the other, without a mapping and each only once."""
    run(store, budget={"trials": 4})
    step(store, live(store))
    [diverged] = claim(SqlVerbs(store))
    finish(SqlVerbs(store), diverged, value=None, state="failed", error="diverged")
    _train(store)
    run(store, name="next")
    etude = _command_line(str(api.base_url))
    etude("export", "mine", "--format", "csv", "--output", str(tmp_path / "mine.csv"))

    by_csv = etude("import", "csv", str(tmp_path / "mine.csv"), "--into", "next", "--json")
    by_store = etude("import", "optuna", store.url, "mine", "--into", "next", "--json")

    assert [item["becomes"] for item in by_csv + by_store] == ["history"] * 8
    assert [item["new"] for item in by_csv + by_store] == [True] * 4 + [False] * 4
    values = [past["value"] for past in api.get("/v1/studies/next/history").json()["items"]]
    assert values == [0.5, 0.5, 0.5, "nan"]


def _command_line(url: str) -> Callable[..., list[dict[str, Any]]]:
    def etude(*arguments: str) -> list[dict[str, Any]]:
        done = CliRunner().invoke(main, ["--url", url, *arguments], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        items: list[dict[str, Any]] = json.loads(done.stdout).get("items", []) if done.stdout else []
        return items

    return etude
