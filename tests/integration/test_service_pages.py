"""The pages over HTTP: every state of a study reads well, nothing that a user wrote is markup, nothing else may run."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from markupsafe import escape

from benchmarks.picture import caption, picture
from search_spaces.results import Answer
from service.coordinator import Coordinator
from service.routes import pages
from service.submission import resolve_submission
from store import Store, open_store
from store.drawn import claim_times, curves_of
from store.studies import change_state, delete_study, fail, submit
from store.trials import get_trial
from store.verbs import SqlVerbs
from store.workers import offers
from tests.integration.service_http import serving
from tests.integration.service_simulation import drive, simulated
from tests.studies import add_proposals, claim, finish, report, report_item, run_study, study_spec

ROW = '<tr><th scope="row">'
FOREIGN_SITE = "https://other.example"
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7 * 7 }}'


@pytest.fixture(scope="module")
def store(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    file = tmp_path_factory.mktemp("pages") / "etude.db"
    shutil.copy(sqlite_template, file)
    opened = open_store(f"sqlite:///{file}")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def api(store: Store) -> Iterator[httpx.Client]:
    with serving(store) as client:
        client.timeout = 60  # the first figure imports what draws it
        yield client


@pytest.fixture(scope="module")
def done(store: Store) -> str:
    """A study that a simulated worker has taken to its verdict."""
    worker = simulated(store)
    spec = study_spec("done", budget={"trials": 12}, confirmation={"seeds": 3}, tags=["finished"])
    resolved, space = resolve_submission(spec, offers(store)) or (None, None)
    submit(store, spec, resolved=resolved, space=space)
    coordinator = Coordinator(store, owner="pages")
    assert drive(store, worker, "done", coordinator=lambda: coordinator) == "done"
    return "done"


def page_of(api: httpx.Client, name: str, status: int = 200) -> str:
    answer = api.get(f"/v1/studies/{name}/report")
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "text/html; charset=utf-8")
    return answer.text


def test_a_report_of_a_finished_study_has_verdict_curves_evidence_and_code(api: httpx.Client, done: str) -> None:
    """The answer's first sentence leads; every arm is in the table; the code is that of the code route, escaped."""
    answer = api.get(f"/v1/studies/{done}/best").json()
    code = api.get(f"/v1/studies/{done}/best/code?framework=optax").text

    page = page_of(api, done)

    lead = re.search(r'<p id="headline" class="lead">(.*?)</p>', page)
    assert lead is not None
    assert lead[1] == str(escape(answer["sentences"][0]["text"]))
    assert all(f"{arm['name']}" in page for arm in answer["evidence"]["arms"])
    assert str(escape(code)) in page
    assert {"lr-title", "learning-title", "arms-title", "gains-by-seed-title", "sensitivity-title"} <= set(
        re.findall(r'<title id="([^"]+)"', page)
    )
    numbers = re.findall(r'<details id="numbers-([^"]+)">', page)
    assert numbers == ["lr", "learning", "gains-by-seed"]
    assert "<h3>Families</h3>" in page
    assert "<h3>Importance</h3>" in page
    assert 'data-live="false"' in page


def test_a_page_shows_no_score_of_the_search_as_its_result(api: httpx.Client, done: str) -> None:
    """The best search score stands in the JSON of the study; in no text of its pages."""
    best = api.get(f"/v1/studies/{done}").json()["best"]["value"]

    texts = [re.sub(r"<svg.*?</svg>", "", page, flags=re.S) for page in (page_of(api, done), api.get("/").text)]

    assert [f"{best:.4g}" in text for text in texts] == [False, False]


def test_a_page_is_complete_in_itself_and_its_policy_lets_nothing_else_run(api: httpx.Client, done: str) -> None:
    """No resource is named; inline scripts and styles are those of the policy, and no style is an attribute."""
    answer = api.get(f"/v1/studies/{done}/report")
    policy = answer.headers["Content-Security-Policy"]

    inline = re.findall(r"<(?:script|style)>(.*?)</(?:script|style)>", answer.text, flags=re.S)
    hashes = {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in inline}

    assert len(inline) == 4
    assert hashes <= set(re.findall(r"sha256-([^']+)", policy))
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert not re.search(r"<[^>]+\s(?:src|style|on\w+)=", answer.text)
    assert not re.search(
        r"(?:https?:)?//(?!www\.w3\.org/2000/svg)\w", re.sub(r"<pre.*?</pre>", "", answer.text, flags=re.S)
    )
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_what_users_and_workers_wrote_is_text(api: httpx.Client, store: Store) -> None:
    """Task, tags, parameters and the reason of a failure are escaped on both pages, and are no template."""
    spec = study_spec("hostile", task={"name": HOSTILE, "params": {HOSTILE: HOSTILE}}, tags=[HOSTILE[:100]])
    submit(store, spec, resolved=None, space=None)
    fail(store, "hostile", HOSTILE)

    for page in (page_of(api, "hostile"), api.get("/").text):
        assert "<script>alert" not in page
        assert "<img" not in page
        assert "{{ 7 * 7 }}" in page
        assert "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize("state", ["queued", "running", "paused", "stopped", "failed"])
def test_a_study_reads_well_before_anything_is_confirmed(api: httpx.Client, store: Store, state: str) -> None:
    """The page says how it stands and why; while it can change it says where its events are."""
    name = f"now-{state}"
    if state == "queued":
        submit(store, study_spec(name, task={"name": "nobody-offers"}), resolved=None, space=None)
    else:
        run_study(store, name)
    if state in ("paused", "stopped"):
        change_state(store, name, state)
    if state == "failed":
        fail(store, name, "the data are gone")

    page = page_of(api, name)

    words = {"queued": "waits", "running": "under way", "paused": "paused", "stopped": "stopped", "failed": "are gone"}
    assert words[state] in page
    assert ('data-live="true"' in page) == (state in ("queued", "running", "paused"))
    assert f'data-events="/v1/studies/{name}/events"' in page


def test_a_running_study_shows_what_is_in_training_and_what_was_pruned(api: httpx.Client, store: Store) -> None:
    """An open trial with its last step, scores over the initial LR, and the rungs at which trials fell behind."""
    run_study(store, "busy", pruner={"startup_trials": 1, "run_on": 0.0, "keep": 0.4})
    add_proposals(store, "busy", count=4, prunable=True)
    verbs = SqlVerbs(store)
    first, second, third, last = claim(verbs, count=4)
    report(verbs, report_item(first, (10, 0.1), (20, 0.1)))
    finish(verbs, first, 0.1)
    report(verbs, report_item(second, (10, 0.2)))
    report(verbs, report_item(third, (10, 0.9)))
    report(verbs, report_item(last, (10, 0.05)))

    page = page_of(api, "busy")

    assert re.search(rf'<th scope="row">{last.number}</th><td class="number">10 of 100</td>', page)
    assert "sensitivity-title" in page
    assert re.search(r'<th scope="row">step 10</th><td class="number">[12]</td>', page)


def test_a_study_that_is_not_there_is_said_to_be_missing(api: httpx.Client) -> None:
    """404, as a page, under the same policy."""
    answer = api.get("/v1/studies/no-such/report")

    assert "there is no study named no-such" in page_of(api, "no-such", 404)
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_an_answer_that_was_kept_is_still_shown(api: httpx.Client, store: Store, done: str) -> None:
    """After DELETE with keep_answer the page shows the verdict and the code, without trials."""
    worker = simulated(store)
    spec = study_spec("kept", budget={"trials": 6}, confirmation={"seeds": 2, "baselines": ["sgd-cosine"]})
    resolved, space = resolve_submission(spec, offers(store)) or (None, None)
    submit(store, spec, resolved=resolved, space=space)
    coordinator = Coordinator(store, owner="pages")
    drive(store, worker, "kept", coordinator=lambda: coordinator)
    delete_study(store, "kept", keep_answer=True)

    page = page_of(api, "kept")

    assert 'data-framework="pytorch"' in page
    assert "arms-title" in page


def test_the_start_page_lists_filters_and_pages(
    api: httpx.Client, store: Store, done: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Links to every report with the pace of its trials; by state and by tag; older ones on the next page."""
    everything = api.get("/").text
    by_tag = api.get("/?state=&tag=finished").text
    by_state = api.get("/?state=queued").text
    monkeypatch.setattr(pages, "SHOWN_STUDIES", 1)
    first = api.get("/?tag=finished&state=done").text
    newest = api.get("/").text
    older = re.search(r'<a href="(/\?[^"]+)" rel="next">', newest)

    assert f'<a href="/v1/studies/{done}/report">{done}</a>' in everything
    assert "<polyline" in by_tag
    assert by_tag.count(ROW) == 1
    assert f"/v1/studies/{done}/report" not in by_state
    assert 'rel="next"' not in first
    assert older is not None
    assert api.get(older[1].replace("&amp;", "&")).text.count(ROW) == 1


def test_a_page_of_another_site_cannot_submit(api: httpx.Client) -> None:
    """Its `Origin` gives it away, and a form's type is not JSON's: what it sends is refused, and nothing is stored."""
    body = '{"name": "forged", "task": {"name": "nothing"}}'

    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        refused = api.post("/v1/studies", content=body, headers={"Content-Type": kind, "Origin": FOREIGN_SITE})
        nameless = api.post("/v1/studies", content=body, headers={"Content-Type": kind})
        assert (refused.status_code, nameless.status_code) == (403, 422)
    preflight = api.options("/v1/studies", headers={"Origin": FOREIGN_SITE, "Access-Control-Request-Method": "POST"})

    assert "Access-Control-Allow-Origin" not in preflight.headers
    assert api.get("/v1/studies/forged").status_code == 404


def test_curves_of_many_trials_are_those_of_each(store: Store, done: str) -> None:
    """Read together they hold what reading one by one gives."""
    numbers = [0, 1, 2]

    together = curves_of(store, "done.confirmation", numbers)

    assert together == {number: get_trial(store, "done.confirmation", number).curve for number in numbers}
    assert curves_of(store, "done.confirmation", []) == {}


def test_claim_times_show_the_pace_of_studies(store: Store, done: str) -> None:
    """As many times as were asked for, never falling; a study without trials has none."""
    times = claim_times(store, {done: 12, "now-queued": 0}, points=5)

    assert len(times[done]) == 5
    assert times[done] == sorted(times[done])
    assert list(times) == [done]


def test_the_picture_of_an_answer_serves_light_and_dark_pages(api: httpx.Client, done: str) -> None:
    """One file for both; every baseline with its gains, and the verdict's words as its title and caption."""
    answer = Answer.model_validate(api.get(f"/v1/studies/{done}/best").json())

    drawn = picture(answer).decode()

    assert "prefers-color-scheme:dark" in drawn
    assert 'href="http' not in drawn
    assert all(arm.name in drawn for arm in answer.evidence.arms if arm.role == "baseline")
    assert f"<title>{escape(caption(answer))}</title>" in drawn
    assert caption(answer).startswith(answer.sentences[0].text)
