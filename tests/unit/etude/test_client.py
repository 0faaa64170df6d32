"""The client: what it sends, what it makes of answers, and how it bears outages."""

from __future__ import annotations

import json
import math

import httpx
import pytest

from etude import Client, ServiceUnreachable, StudySpec
from etude.client import spec_fields
from etude.settings import WrongSetting
from search_spaces.problems import (
    HorizonTooShort,
    InvalidSpec,
    NameTaken,
    NotFound,
    Problem,
    StoreUnavailable,
    Unsupported,
)
from tests.unit.etude.answers import Script, final_answer, refuses, says, study_view, trial_view

REFUSED = httpx.ConnectError("connection refused")
CUT = httpx.ReadError("connection cut")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etude.http.FIRST_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr("etude.waiting.LOOK_SECONDS", 0.0)
    monkeypatch.setattr("etude.events.FIRST_PAUSE_SECONDS", 0.0)


def test_submit_posts_the_spec_and_returns_the_study() -> None:
    """A spec given as fields arrives as JSON, and the study answers under the name that the service gave."""
    script = Script(says(study_view("queued"), 201))

    study = script.client().submit(name="mine", task="digits-noisy", trials=40)

    assert study.name == "mine"
    assert script.paths == ["POST /v1/studies"]
    assert json.loads(script.requests[0].content) == {
        "name": "mine", "task": {"name": "digits-noisy"}, "budget": {"trials": 40},
    }  # fmt: skip


def test_submit_sends_a_whole_spec_that_reads_back_the_same() -> None:
    """A StudySpec loses nothing on the way, whatever has been left at its default."""
    spec = StudySpec.model_validate({"name": "mine", "task": {"name": "t"}, "current": final_answer().candidate})
    script = Script(says(study_view("queued"), 201))

    script.client().submit(spec)

    assert StudySpec.model_validate_json(script.requests[0].content) == spec


def test_fields_win_over_the_spec_and_the_rest_of_the_budget_stays() -> None:
    """`trials` changes one number of the budget only."""
    spec = {"name": "mine", "task": {"name": "t"}, "budget": {"trials": 8, "worker_seconds": 60.0}}

    body = spec_fields(spec, trials=16, seed=3)

    assert body["budget"] == {"trials": 16, "worker_seconds": 60.0}
    assert body["seed"] == 3
    assert spec["budget"] == {"trials": 8, "worker_seconds": 60.0}


def test_a_lost_answer_to_submit_is_asked_for_again_under_the_same_key() -> None:
    """The Idempotency-Key of every attempt is the same, so that a study is made once."""
    script = Script(CUT, says({}, 502), says(study_view("queued"), 201))

    script.client().submit(name="mine", task="t")

    keys = {request.headers["Idempotency-Key"] for request in script.requests}
    assert len(script.requests) == 3
    assert len(keys) == 1


def test_two_submissions_have_different_keys() -> None:
    """Submitting twice is meant twice."""
    script = Script(says(study_view("queued"), 201), says(study_view("queued"), 201))
    client = script.client()

    client.submit(name="mine", task="t")
    client.submit(name="mine", task="t")

    first, second = (request.headers["Idempotency-Key"] for request in script.requests)
    assert first != second


@pytest.mark.parametrize(
    "problem",
    [
        InvalidSpec("low 2 is above high 1", field="space.optimizers"),
        HorizonTooShort("needs 20 steps", field="horizon", least_steps=20),
        NameTaken("mine is in use", field="name"),
        NotFound("no study of that name"),
        Unsupported("hyperband"),
    ],
    ids=lambda problem: problem.code,
)
def test_a_refusal_is_raised_as_its_class_in_the_servers_words(problem: Problem) -> None:
    """The client raises what the service raised, at the first attempt."""
    script = Script(refuses(problem))

    with pytest.raises(type(problem)) as caught:
        script.client().view("mine")

    assert type(caught.value) is type(problem)
    assert (caught.value.detail, caught.value.field) == (problem.detail, problem.field)
    assert caught.value.extra == problem.extra | {"request_id": script.requests[0].headers["X-Request-Id"]}


def test_an_error_that_is_no_problem_document_names_the_status() -> None:
    """What stands between client and service may answer in HTML."""
    script = Script(httpx.Response(404, text="<html>not here</html>"))

    with pytest.raises(Problem, match="HTTP status 404"):
        script.client().view("mine")


def test_reading_is_tried_again_through_an_outage() -> None:
    """Connection losses and 5xx are passed over as long as attempts are left."""
    script = Script(REFUSED, CUT, refuses(StoreUnavailable()), says(study_view()))

    view = script.client().view("mine")

    assert view.name == "mine"


def test_the_last_failure_is_raised_when_attempts_are_spent() -> None:
    """Six attempts and no more: first the outage of the network, then that of the store."""
    silent, storeless = Script(*[REFUSED] * 6), Script(*[refuses(StoreUnavailable("no room"))] * 6)

    with pytest.raises(ServiceUnreachable, match=r"http://service\.test.*ETUDE_URL"):
        silent.client().view("mine")
    with pytest.raises(StoreUnavailable, match="no room"):
        storeless.client().view("mine")

    assert (len(silent.requests), len(storeless.requests)) == (6, 6)


def test_deleting_is_sent_again_only_where_it_cannot_have_arrived() -> None:
    """A DELETE whose answer is lost may have worked."""
    refused, cut = Script(REFUSED, httpx.Response(204)), Script(CUT)

    refused.client().delete("mine")
    with pytest.raises(ServiceUnreachable):
        cut.client().delete("mine")

    assert (len(refused.requests), len(cut.requests)) == (2, 1)


def test_pages_are_followed_to_the_last() -> None:
    """The iterator asks for the next page by the cursor, with the same filters."""
    script = Script(
        says({"items": [json.loads(trial_view(0).model_dump_json())], "next_cursor": "abc"}),
        says({"items": [json.loads(trial_view(1).model_dump_json())], "next_cursor": None}),
    )

    numbers = [trial.number for trial in script.client().trials("mine", state="complete")]

    assert numbers == [0, 1]
    assert script.paths == [
        "GET /v1/studies/mine/trials?state=complete&limit=100",
        "GET /v1/studies/mine/trials?state=complete&limit=100&cursor=abc",
    ]


def test_nan_is_read_from_its_name() -> None:
    """A diverged value crosses JSON, which has no NaN."""
    script = Script(says({"items": [json.loads(trial_view(0, value=math.nan).model_dump_json())]}))

    trial = next(iter(script.client().trials("mine")))

    assert trial.value is not None
    assert math.isnan(trial.value)


def test_verbs_send_the_state_they_are_named_for() -> None:
    """pause, resume and stop are the three states of PATCH."""
    script = Script(*[says(study_view())] * 4, httpx.Response(204))
    study = script.client().study("mine")

    study.pause()
    study.resume()
    study.stop()
    study.delete(keep_answer=True)

    assert [json.loads(request.content) for request in script.requests[1:4]] == [
        {"state": "paused"}, {"state": "running"}, {"state": "stopped"},
    ]  # fmt: skip
    assert script.paths[-1] == "DELETE /v1/studies/mine?keep_answer=true"


def test_a_study_that_is_not_there_is_said_at_once() -> None:
    """`study` looks."""
    script = Script(refuses(NotFound("no study named mine")))

    with pytest.raises(NotFound, match="no study named mine"):
        script.client().study("mine")


def test_wait_returns_the_answer_once_the_study_is_done() -> None:
    """At a service without events it looks, passes through the states and an outage, then asks for the answer."""
    script = Script(
        refuses(NotFound("there is nothing at /v1/studies/mine/events")),
        says(study_view("queued")),
        *[REFUSED] * 6,
        says(study_view("confirming")),
        says(study_view("done")),
        says(final_answer()),
    )

    answer = script.client().wait("mine", progress=False)

    assert answer == final_answer()
    assert script.paths[-1] == "GET /v1/studies/mine/best"


def test_wait_gives_up_at_its_timeout_and_leaves_the_study_alone() -> None:
    """The study goes on: nothing is stopped."""
    script = Script(says(study_view("confirming")))

    with pytest.raises(TimeoutError, match="mine is still confirming"):
        script.client().wait("mine", progress=False, timeout=0)

    assert script.paths == ["GET /v1/studies/mine"]


def test_preview_sends_the_schedule_and_returns_the_curve() -> None:
    """A curve can be looked at before anything is trained."""
    script = Script(says({"lr": [0.1, 0.05]}))

    lr = script.client().preview({"kind": "linear"}, initial_lr=0.1, total_steps=2)

    assert lr == [0.1, 0.05]
    assert json.loads(script.requests[0].content) == {
        "schedule": {"kind": "linear"}, "initial_lr": 0.1, "total_steps": 2,
    }  # fmt: skip


def test_address_and_token_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """ETUDE_URL and ETUDE_TOKEN serve where nothing is given."""
    monkeypatch.setenv("ETUDE_URL", "http://gpu-1:9000/")
    monkeypatch.setenv("ETUDE_TOKEN", "secret")
    script = Script(says(study_view()))

    with Client(transport=httpx.MockTransport(script)) as client:
        client.view("mine")

    assert client.url == "http://gpu-1:9000"
    assert script.requests[0].headers["Authorization"] == "Bearer secret"


@pytest.mark.parametrize("url", ["gpu-1:9000", "http://", "ftp://gpu-1", "http://gpu-1:many", "http://gpu-1:0"])
def test_what_is_no_address_is_refused_before_anything_is_sent(url: str) -> None:
    """Nothing gets better by sending it again."""
    with pytest.raises(WrongSetting, match="is no address of a service: http://HOST:PORT is meant"):
        Client(url)
