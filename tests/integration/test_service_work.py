"""The verbs over HTTP, trials as people read them, and the answer's curve."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from etude.work import HttpVerbs
from search_spaces.results import Answer, TrialView
from search_spaces.work import LARGEST_BODY_BYTES, ReportRequest, TaskVersion
from service.coordinator import Coordinator
from store import Store, open_store
from store.studies import stored_answer
from store.trials import get_trial
from tests.integration.service_http import serving
from tests.integration.service_simulation import drive, simulated
from tests.integration.test_service_studies import MINE, announce
from tests.studies import OFFER, add_proposals, claim, finish, report_item, run_study

SMALL = MINE | {"budget": {"trials": 4}, "confirmation": {"seeds": 2}}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path / 'etude.db'}")
    yield opened
    opened.close()


@pytest.fixture
def api(store: Store) -> Iterator[httpx.Client]:
    """The API with a running study whose first proposals are there."""
    with serving(store) as client:
        announce(client, OFFER)
        assert client.post("/v1/studies", json=SMALL).status_code == 201
        Coordinator(store, owner="tests").round()
        yield client


def ask(api: httpx.Client, claim_id: str = "c1", count: int = 1) -> list[dict[str, Any]]:
    response = api.post("/v1/studies/mine/trials", json={"count": count, "claim_id": claim_id, "worker": "loop"})
    assert response.status_code == 200
    items: list[dict[str, Any]] = response.json()["items"]
    return items


def test_a_claim_over_http_is_a_claim(api: httpx.Client) -> None:
    """The claim route leases a trial with its candidate, rungs and seed; the same claim_id gets it again."""
    body = {
        "worker": "w1", "claim_id": "c1", "tasks": [TaskVersion(name="nothing", version="1").model_dump()],
    }  # fmt: skip

    first, second = (api.post("/v1/work/claim", json=body).json()["items"] for _ in range(2))

    assert first == second
    assert (first[0]["study"], first[0]["number"], first[0]["rungs"]) == ("mine", 0, [10, 20, 30, 50])


def test_a_late_item_is_told_so_and_the_others_go_on(api: httpx.Client) -> None:
    """The verbs answer 200 with `lease_lost` for one item and accept the other."""
    trial = ask(api)[0]
    held = {key: trial[key] for key in ("study", "number", "lease")}
    items = [held | {"reports": [{"step": 1, "value": 2.0}]}, held | {"lease": "another's"}]

    answers = api.post("/v1/work/report", json={"worker": "loop", "items": items}).json()["items"]

    assert [answer["accepted"] for answer in answers] == [True, False]
    assert answers[1]["code"] == "lease_lost"


def test_a_loop_outside_our_workers_trains_a_trial(api: httpx.Client) -> None:
    """Ask, report, finish by the single-trial routes; the same result sent again gets the same answer."""
    trial = ask(api)[0]
    at = f"/v1/studies/mine/trials/{trial['number']}"
    result = {"lease": trial["lease"], "state": "complete", "value": 0.5, "steps_done": 100}

    reported = api.post(f"{at}/reports", json={"lease": trial["lease"], "reports": [{"step": 10, "value": 1.5}]})
    renewed = api.post(f"{at}/reports", json={"lease": trial["lease"], "reports": []})
    ended = [api.put(f"{at}/result", json=result).json() for _ in range(2)]

    shown = api.get(at).json()
    assert reported.json()["directive"] == "continue"
    assert renewed.json()["lease_expires_at"] is not None
    assert ended[0]["accepted"] is True
    assert ended[0] == ended[1]
    assert (shown["state"], shown["value"], shown["rungs"]) == ("complete", 0.5, {"10": 1.5})
    assert shown["curve"][0] == {"step": 10, "value": 1.5, "kind": "raw"}
    assert len(shown["lr"]) == 100


def test_an_external_study_is_trained_by_whoever_asks(store: Store) -> None:
    """The task `external` has no offer: its study runs at once, and asking leases its trials."""
    spec = MINE | {
        "task": {"name": "external"}, "horizon": {"steps": 500},
        "objective": {"metric": "f1", "direction": "maximize"},
    }  # fmt: skip
    with serving(store) as api:
        state = api.post("/v1/studies", json=spec).json()["state"]
        Coordinator(store, owner="tests").round()

        trials = ask(api, count=5)

    assert state == "running"
    assert [(trial["number"], trial["horizon_steps"]) for trial in trials] == [(0, 500), (1, 500)]


def test_a_trial_can_be_given_back(api: httpx.Client) -> None:
    """`released` puts it back, and the next to ask gets the same number."""
    trial = ask(api)[0]

    api.put(f"/v1/studies/mine/trials/{trial['number']}/result", json={"lease": trial["lease"], "state": "released"})

    assert ask(api, claim_id="c2")[0]["number"] == trial["number"]


def test_a_single_trial_route_answers_409_to_a_lost_lease(api: httpx.Client) -> None:
    """Reports, renewals and results with another lease are 409 `lease_lost`."""
    number = ask(api)[0]["number"]
    at = f"/v1/studies/mine/trials/{number}"

    answers = [
        api.post(f"{at}/reports", json={"lease": "old", "reports": [{"step": 1, "value": 1}]}),
        api.post(f"{at}/reports", json={"lease": "old"}),
        api.put(f"{at}/result", json={"lease": "old", "state": "failed"}),
    ]

    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(409, "lease_lost")}


def test_a_complete_trial_has_a_value(api: httpx.Client) -> None:
    """`complete` without a finite value is 422, and the trial stays the caller's."""
    trial = ask(api)[0]
    at = f"/v1/studies/mine/trials/{trial['number']}"

    refused = api.put(f"{at}/result", json={"lease": trial["lease"], "state": "complete", "value": "nan"})

    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_spec")
    assert api.get(at).json()["state"] == "leased"


def test_a_nan_crosses_http_as_text(api: httpx.Client) -> None:
    """A report of nan is stored and shown as the string "nan"."""
    trial = ask(api)[0]
    at = f"/v1/studies/mine/trials/{trial['number']}"

    api.post(f"{at}/reports", json={"lease": trial["lease"], "reports": [{"step": 1, "value": "nan"}]})

    assert api.get(at).json()["curve"] == [{"step": 1, "value": "nan", "kind": "raw"}]


def test_trials_are_listed_by_state_and_purpose(api: httpx.Client, store: Store) -> None:
    """The search's by default, the confirmation's by its purpose or by the confirmation's name."""
    worker, coordinator = simulated(store), Coordinator(store, owner="tests")
    drive(store, worker, "mine", coordinator=lambda: coordinator)

    search = api.get("/v1/studies/mine/trials").json()["items"]
    complete = api.get("/v1/studies/mine/trials", params={"state": "complete"}).json()["items"]
    confirming = api.get("/v1/studies/mine/trials", params={"purpose": "confirmation"}).json()["items"]
    by_name = api.get("/v1/studies/mine.confirmation/trials").json()["items"]

    assert [trial["number"] for trial in search] == [0, 1, 2, 3]
    assert {trial["state"] for trial in complete} == {"complete"}
    assert {trial["study"] for trial in confirming} == {"mine.confirmation"}
    assert by_name == confirming


def test_the_answer_is_served_before_and_after_the_verdict(api: httpx.Client, store: Store) -> None:
    """200 always: null while nothing is complete, then the stored answer; no search score is in it."""
    before = api.get("/v1/studies/mine/best").json()
    no_curve = api.get("/v1/studies/mine/best/curve")
    worker, coordinator = simulated(store), Coordinator(store, owner="tests")
    drive(store, worker, "mine", coordinator=lambda: coordinator)

    after = Answer.model_validate(api.get("/v1/studies/mine/best").json())

    assert (before["status"], before["candidate"], before["verdict"]) == ("searching", None, None)
    assert (no_curve.status_code, no_curve.json()["code"]) == (409, "conflict")
    assert after == stored_answer(store, "mine")


def test_the_answer_s_curve_is_drawn_at_any_length(api: httpx.Client, store: Store) -> None:
    """JSON at the study's horizon and for 7 steps, CSV with a row a step, and an SVG picture."""
    worker, coordinator = simulated(store), Coordinator(store, owner="tests")
    drive(store, worker, "mine", coordinator=lambda: coordinator)
    at = "/v1/studies/mine/best/curve"

    whole, short = api.get(at).json(), api.get(at, params={"steps": 20}).json()
    csv, svg = api.get(f"{at}.csv"), api.get(f"{at}.svg")

    assert (whole["steps"], len(whole["lr"]), len(short["lr"])) == (100, 100, 20)
    assert csv.text.splitlines()[:2] == ["step,lr", f"0,{whole['lr'][0]!r}"]
    assert len(csv.text.splitlines()) == 101
    assert svg.headers["Content-Type"] == "image/svg+xml"
    assert "<svg" in svg.text


def test_workers_are_shown_with_what_they_hold(api: httpx.Client) -> None:
    """An announced worker is live; a trial that it claimed is counted."""
    body = {"worker": "w1", "claim_id": "c1", "tasks": [{"name": "nothing", "version": "1"}]}
    api.post("/v1/work/claim", json=body)

    worker = api.get("/v1/workers").json()["items"][0]

    assert (worker["worker"], worker["live"], worker["leased"], worker["slots"]) == ("w1", True, 1, 2)
    assert not math.isnan(worker["tasks"][0]["horizon"]["epochs"])


def test_a_plateau_is_drawn_by_what_its_training_reported(store: Store) -> None:
    """Reports every 10 steps that stop falling at 40: with no patience the LR is cut from step 50 on, and again."""
    with serving(store) as api:
        announce(api, OFFER)
        space = {"optimizers": ["adam"], "schedules": {"plateau": {"patience": {"choices": [0.0]}}}, "warmup": False}
        api.post("/v1/studies", json=SMALL | {"space": space, "confirmation": {"seeds": 2, "baselines": []}})
        worker, coordinator = simulated(store, flat_from=40), Coordinator(store, owner="tests")
        drive(store, worker, "mine", coordinator=lambda: coordinator)

        answer = Answer.model_validate(api.get("/v1/studies/mine/best").json())
        curve = api.get("/v1/studies/mine/best/curve").json()["lr"]
        double = api.get("/v1/studies/mine/best/curve", params={"steps": 200}).json()["lr"]
        confirmed = api.get("/v1/studies/mine.confirmation/trials").json()["items"]
        number = next(one["number"] for one in confirmed if TrialView.model_validate(one).candidate == answer.candidate)
        trial = api.get(f"/v1/studies/mine.confirmation/trials/{number}").json()

    assert answer.candidate is not None
    factor = answer.candidate.schedule.factor  # type: ignore[union-attr]
    cuts = [1.0] * 50 + [factor] * 10 + [factor**2] * 10
    assert curve[:70] == pytest.approx([answer.candidate.initial_lr * cut for cut in cuts])
    assert double[::2] == curve
    assert trial["lr"] == curve


def test_what_was_kept_through_a_long_outage_is_heard(store: Store) -> None:
    """More reports than one request holds arrive whole, of a trial that goes on and of one that ends."""
    run_study(store, horizon={"steps": 20_000}, pruner={"kind": "none"})
    add_proposals(store, count=2)
    points = [(step, 1 / step) for step in range(1, 19_001)]
    with serving(store) as client, closing(HttpVerbs(str(client.base_url))) as verbs:
        on, over = claim(verbs, count=2)
        kept = ReportRequest(worker="w1", items=[report_item(on, *points), report_item(over, (1, 1.0))])
        assert len(kept.model_dump_json()) > LARGEST_BODY_BYTES

        answers = verbs.report(kept).items
        ended = finish(verbs, over, 0.5, steps_done=20_000, reports=report_item(over, *points).reports)

    assert [answer.directive for answer in [*answers, ended]] == ["continue"] * 3
    assert [(point.step, point.value) for point in get_trial(store, "mine", on.number).curve or []] == points
    assert len(get_trial(store, "mine", over.number).curve or []) == len(points)
    assert get_trial(store, "mine", over.number).state == "complete"
