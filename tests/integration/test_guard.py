"""The service behind tokens: who gets in, with which scope, how fast, and what a browser does instead."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from etude.work import HttpVerbs
from search_spaces.problems import Forbidden, StoreUnavailable
from search_spaces.tokens import SCOPES, TokenRequest
from search_spaces.tokens import Scope as TokenScope
from search_spaces.work import Announcement, ClaimRequest, TaskVersion
from service.app import create_app
from service.guard import Guard
from service.keyring import FRESH_SECONDS
from service.limits import Rates
from service.scopes import OPEN, RULES, rule_for, scope_of
from service.sessions import form_of
from service.settings import Settings
from store import Store, open_store
from store.tokens import create_token, list_tokens, revoke_token
from tests.integration.service_http import serving
from tests.studies import OFFER

HERE = "http://127.0.0.1"
STUDY = {
    "task": {"name": "external"},
    "objective": {"metric": "loss", "direction": "minimize"},
    "horizon": {"steps": 100},
    "budget": {"trials": 3},
}
ASKS: dict[TokenScope, tuple[str, str]] = {
    "read": ("GET", "/v1/studies"),
    "submit": ("DELETE", "/v1/studies/none"),
    "work": ("POST", "/v1/work/claim"),
    "admin": ("GET", "/v1/tokens"),
}


class Hand:
    """A clock that is moved by hand, in seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Guarded:
    """An application with a token of each scope."""

    app: FastAPI
    store: Store
    tokens: dict[TokenScope, str]
    clock: Hand

    def client(self, scope: TokenScope | None = None, base_url: str = HERE) -> TestClient:
        """Return a client that shows the token of a scope, or none."""
        headers = {} if scope is None else {"Authorization": f"Bearer {self.tokens[scope]}"}
        return TestClient(self.app, base_url=base_url, headers=headers, follow_redirects=False)


@pytest.fixture
def bare(tmp_path: Path, sqlite_template: Path) -> Iterator[Store]:
    """A store without tokens."""
    file = shutil.copy(sqlite_template, tmp_path / "etude.db")
    opened = open_store(f"sqlite:///{file}", upgrade=False)
    yield opened
    opened.close()


@pytest.fixture
def guarded(bare: Store) -> Guarded:
    return behind_tokens(bare, Settings(token_studies=1, token_trials=10))


def behind_tokens(store: Store, settings: Settings) -> Guarded:
    """Make a token of each scope and the application on their store."""
    made = {scope: create_token(store, TokenRequest(name=scope, scopes=[scope])).token for scope in reversed(SCOPES)}
    app, clock = create_app(store, settings), Hand()
    app.state.keyring.clock = clock
    return Guarded(app, store, made, clock)


def log_in(client: TestClient, token: str, **more: str) -> httpx.Response:
    """Send the form."""
    return client.post("/login", data={"token": token, "next": "/v1/workers", **more})


def test_the_table_names_every_operation(guarded: Guarded) -> None:
    """What changes anything has a row of its own, and no row is about nothing; reads without one need `read`."""
    paths = guarded.app.openapi()["paths"]
    operations = {(method.upper(), path) for path, methods in paths.items() for method in methods}

    rows = {(rule.method, rule.path) for rule in RULES}
    unlisted = operations - rows

    assert rows <= operations
    assert {method for method, _ in unlisted} == {"GET"}
    assert all((rule := rule_for(*operation)) and (rule.method, rule.path) == operation for operation in rows)
    assert {scope_of(method, path) for method, path in unlisted} == {"read"}


def test_every_path_but_the_open_ones_needs_a_token(guarded: Guarded) -> None:
    """401 with the challenge, as a problem: pages of the API, the API's description and unknown paths, too."""
    stranger = guarded.client()
    paths = {*(rule.path for rule in RULES), "/v1/studies", "/", "/docs", "/metrics", "/openapi.json", "/v1/nothing"}

    for path in paths - OPEN:
        answer = stranger.get(path)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized"), path
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert answer.json()["request_id"] == answer.headers["X-Request-Id"]
    assert [stranger.get(path).status_code for path in sorted(OPEN)] == [200, 200, 405, 503]  # no coordinator


def test_a_scope_allows_what_it_says_and_only_admin_allows_everything(guarded: Guarded) -> None:
    """403 names the scope that is needed."""
    for held, (needed, (method, path)) in itertools.product(SCOPES, ASKS.items()):
        answer = guarded.client(held).request(method, path)

        allowed = held in (needed, "admin")
        assert (answer.status_code != 403) == allowed, (held, needed)
        if not allowed:
            assert answer.json()["code"] == "forbidden"
            assert f'scope="{needed}"' in answer.headers["WWW-Authenticate"]


def test_what_is_no_token_opens_nothing(guarded: Guarded) -> None:
    """401 whatever stands in the header; nothing of it comes back."""
    admin = guarded.tokens["admin"]
    wrong = ("Bearer etude_wrong", "bearer x y", "Basic YTpi", "Bearer \xe9", "etude_", "Bearer " + "x" * 9000)
    for header in (*wrong, f"Bearer {admin}x", f"Bearer {admin[:-1]}", f"Basic {admin}"):
        answer = guarded.client().get("/v1/studies", headers={"Authorization": header.encode("latin-1")})

        assert answer.status_code == 401
        assert header not in answer.text


def test_a_token_is_compared_in_constant_time(guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole hashes, of one length whatever was sent, and not the letters of a token one after the other."""
    compared: list[tuple[bytes, bytes]] = []

    def noted(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr("service.keyring.hmac.compare_digest", noted)
    assert guarded.client("read").get("/v1/studies").is_success

    assert [(len(one), len(other)) for one, other in compared] == [(32, 32)]


def test_a_header_cannot_make_another_path_of_the_request(guarded: Guarded) -> None:
    """What needs no token is decided by the path that the routes see, not by the address made of Host."""
    answer = guarded.client().get("/v1/tokens", headers={"Host": "127.0.0.1/healthz?"})

    assert answer.status_code == 401


def test_revocation_holds_at_once_here_and_within_a_second_elsewhere(guarded: Guarded) -> None:
    """The process that revokes knows; another one reads the store's keys again after a second."""
    reader, admin = guarded.client("read"), guarded.client("admin")
    assert reader.get("/v1/studies").status_code == 200

    assert admin.delete("/v1/tokens/read").status_code == 204
    here = reader.get("/v1/studies").status_code
    worker = guarded.client("work")
    assert worker.get("/v1/nothing").status_code == 403
    revoke_token(guarded.store, "work")  # as another process does
    guarded.clock.now += FRESH_SECONDS
    elsewhere = worker.get("/v1/nothing").status_code

    assert (here, elsewhere) == (401, 401)


def test_a_worker_over_http_works_with_its_scope_alone(guarded: Guarded) -> None:
    """Announcing and claiming need `work` and no more; without it the worker is told why, and does not go on trying."""
    with serving(guarded.store) as client:
        worker, reader = (HttpVerbs(str(client.base_url), guarded.tokens[scope]) for scope in ("work", "read"))
        claim = ClaimRequest(worker="w", claim_id="c", tasks=[TaskVersion(name="t", version="1")])
        worker.announce("w", Announcement(tasks=[OFFER]))
        claimed = worker.claim(claim).items
        with pytest.raises(Forbidden, match="scope work"):
            reader.claim(claim)
        worker.close()
        reader.close()

    assert claimed == []


def test_an_open_stream_ends_with_its_token(guarded: Guarded) -> None:
    """What a stream has to say after the revocation is not said; events are such a stream."""
    said: list[bytes] = []

    async def stream(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"before", "more_body": True})
        revoke_token(guarded.store, "read")
        guarded.clock.now += FRESH_SECONDS
        for body in (b"after", b"later"):
            await send({"type": "http.response.body", "body": body, "more_body": True})

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        said.append(message.get("body", b"") + (b"" if message.get("more_body", True) else b"."))

    shown = [(b"authorization", f"Bearer {guarded.tokens['read']}".encode())]
    scope = {"type": "http", "method": "GET", "path": "/x", "query_string": b"", "headers": shown}
    asyncio.run(Guard(stream, guarded.app.state.keyring, Rates(10.0))(scope, receive, send))

    assert said == [b"", b"before", b"."]


def test_while_the_store_is_away_nobody_gets_in(guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 `store_unavailable`; the process says that it lives."""
    client = guarded.client("read")
    assert client.get("/v1/schedules").status_code == 200

    def away(_store: Store) -> None:
        raise StoreUnavailable("the database is away")

    monkeypatch.setattr("service.keyring.keys_of", away)
    guarded.clock.now += FRESH_SECONDS
    answer = client.get("/v1/schedules")

    assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (503, "store_unavailable", "1")
    assert client.get("/healthz").status_code == 200


def test_the_last_use_is_seen(guarded: Guarded) -> None:
    """Of the token that was shown, and of no other."""
    guarded.client("read").get("/v1/studies")

    assert [token.name for token in list_tokens(guarded.store).items if token.last_used_at] == ["read"]


def test_tokens_are_managed_over_http(guarded: Guarded) -> None:
    """The secret comes once, with the creation, and works; lists have none; no answer may be cached."""
    admin = guarded.client("admin")

    made = admin.post("/v1/tokens", json={"name": "ci", "scopes": ["read"], "expires_in_seconds": 60})
    listed = admin.get("/v1/tokens")
    inside = admin.get("/v1/studies", headers={"Authorization": f"Bearer {made.json()['token']}"})

    assert (made.status_code, made.headers["Cache-Control"], inside.status_code) == (201, "no-store", 200)
    assert [token["name"] for token in listed.json()["items"]] == ["admin", "ci", "read", "submit", "work"]
    assert made.json()["token"] not in listed.text
    assert admin.post("/v1/tokens", json={"name": "ci", "scopes": ["read"]}).json()["code"] == "name_taken"
    assert admin.delete("/v1/tokens/none").status_code == 404


def test_the_first_token_closes_an_open_service(bare: Store) -> None:
    """Before it nothing is asked for; it has to be an admin's, and everybody needs one from then on."""
    client = TestClient(create_app(bare, Settings()), base_url=HERE)
    assert client.get("/v1/studies").status_code == 200

    reader = client.post("/v1/tokens", json={"name": "reader", "scopes": ["read"]})
    admin = client.post("/v1/tokens", json={"name": "root", "scopes": ["admin"]})

    assert (reader.status_code, reader.json()["field"], admin.status_code) == (422, "scopes", 201)
    assert client.get("/v1/studies").status_code == 401


def test_without_tokens_only_this_machine_s_names_are_answered_to(bare: Store) -> None:
    """A page whose name was made to resolve to 127.0.0.1 reads nothing."""
    client = TestClient(create_app(bare, Settings()), base_url=HERE)
    for host in ("evil.example", "127.0.0.1.evil.example", "10.0.0.7:8000", "[", ""):
        answer = client.get("/v1/studies", headers={"Host": host})

        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    for host in ("localhost:9000", "[::1]:8000", "127.0.0.1"):
        assert client.get("/v1/studies", headers={"Host": host}).status_code == 200


def test_another_site_s_page_changes_nothing(bare: Store) -> None:
    """Neither where no token is asked for nor with the cookie of a person who has logged in."""
    body = {"name": "mine", **STUDY}
    foreign = ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"})
    anyone = TestClient(create_app(bare, Settings()), base_url=HERE)
    refused = [anyone.post("/v1/studies", json=body, headers=headers).status_code for headers in foreign]
    guarded = behind_tokens(bare, Settings())
    person = guarded.client()
    log_in(person, guarded.tokens["admin"], submit="yes")
    refused += [person.post("/v1/studies", json=body, headers=headers).status_code for headers in foreign]

    assert refused == [403] * 6
    assert person.post("/v1/studies", json=body, headers={"Origin": HERE}).status_code == 201


def test_a_person_logs_in_with_a_token(guarded: Guarded) -> None:
    """A page leads to the form, the form to a cookie that scripts and other sites do not get, and back to the page."""
    person = guarded.client()
    sent = person.get("/v1/workers?x=1", headers={"Accept": "text/html"})
    form = person.get(sent.headers["Location"])
    wrong = log_in(person, "etude_wrong")
    entered = log_in(person, guarded.tokens["admin"])

    assert (sent.status_code, sent.headers["Location"]) == (303, "/login?next=/v1/workers%3Fx%3D1")
    assert 'value="/v1/workers?x=1"' in form.text
    assert (wrong.status_code, "Set-Cookie" in wrong.headers) == (401, False)
    assert (entered.status_code, entered.headers["Location"]) == (303, "/v1/workers")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(entered.headers["Set-Cookie"].split("; "))
    assert guarded.tokens["admin"] not in entered.headers["Set-Cookie"]
    assert person.get("/").status_code == 200


def test_a_session_reads_unless_more_is_asked_for_and_never_administers(guarded: Guarded) -> None:
    """Whatever the token may do; logging out ends it."""
    person = guarded.client()
    log_in(person, guarded.tokens["admin"])
    readers = [person.request(*ASKS[scope]).status_code for scope in SCOPES]
    log_in(person, guarded.tokens["admin"], submit="yes")
    submitters = [person.request(*ASKS[scope]).status_code for scope in SCOPES]
    cookie = person.cookies["etude_session"]
    person.post("/logout")

    assert readers == [200, 403, 403, 403]
    assert submitters == [200, 404, 403, 403]
    assert guarded.client().get("/v1/studies", headers={"Cookie": f"etude_session={cookie}"}).status_code == 401
    assert guarded.client().get("/v1/studies", headers={"Authorization": f"Bearer {cookie}"}).status_code == 401


def test_a_cookie_is_secure_over_https(guarded: Guarded) -> None:
    """A browser sends it back over https only."""
    entered = log_in(guarded.client(base_url="https://127.0.0.1"), guarded.tokens["read"])

    assert "Secure" in entered.headers["Set-Cookie"].split("; ")


def test_the_form_leads_nowhere_else() -> None:
    """Where to go on is a path of this host, or the start page."""
    for place in ("//evil.example", "https://evil.example", "/\\evil.example", "javascript:x", "/a%0Ab", "/a%20b"):
        form = form_of(f"token=x&next={place}".encode())

        assert form.place == "/"


def test_a_token_may_ask_so_often(bare: Store) -> None:
    """429 with the seconds to wait; another token is not held up; after the wait it goes on."""
    guarded = behind_tokens(bare, Settings(token_requests_per_second=1.0))
    rates = next(layer for layer in guarded.app.user_middleware if "rates" in layer.kwargs).kwargs["rates"]
    rates.clock = guarded.clock  # type: ignore[union-attr]
    reader = guarded.client("read")

    answers = [reader.get("/v1/schedules") for _ in range(3)]
    other = guarded.client("admin").get("/v1/schedules")
    guarded.clock.now += 1.0

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert (answers[2].json()["code"], answers[2].headers["Retry-After"]) == ("too_many_requests", "1")
    assert other.status_code == 200
    assert reader.get("/v1/schedules").status_code == 200


def test_a_token_may_submit_so_much(guarded: Guarded) -> None:
    """413 for a study with too many trials, 429 for one study under way too many; when one ends there is room."""
    client = guarded.client("submit")
    large = client.post("/v1/studies", json={"name": "large", **STUDY, "budget": {"trials": 11}})
    first = client.post("/v1/studies", json={"name": "first", **STUDY})
    again = client.patch("/v1/studies/first", json={"budget": {"trials": 11}})
    second = client.post("/v1/studies", json={"name": "second", **STUDY})
    other = guarded.client("admin").post("/v1/studies", json={"name": "other", **STUDY})
    client.patch("/v1/studies/first", json={"state": "stopped"})
    third = client.post("/v1/studies", json={"name": "second", **STUDY})

    assert [answer.status_code for answer in (large, first, again, second, other, third)] == [
        413, 201, 413, 429, 201, 201
    ]  # fmt: skip
    assert (large.json()["code"], large.json()["field"]) == ("too_large", "budget.trials")
    assert (second.json()["code"], second.headers["Retry-After"]) == ("too_many_requests", "60")


def test_a_body_may_be_so_large(bare: Store) -> None:
    """413 above the setting."""
    client = TestClient(create_app(bare, Settings(body_bytes=1024)), base_url=HERE)

    assert client.post("/v1/studies", content=b" " * 1025).status_code == 413


def test_every_answer_has_the_security_headers(bare: Store) -> None:
    """Refusals and pages too: not framed, not guessed at, not cached, and nothing runs that we did not write."""
    client = TestClient(create_app(bare, Settings()), base_url=HERE)
    for path in ("/", "/healthz", "/v1/nothing", "/docs", "/login", "/v1/studies/none/report"):
        headers = client.get(path, follow_redirects=False).headers

        assert (headers["X-Content-Type-Options"], headers["X-Frame-Options"]) == ("nosniff", "DENY")
        assert (headers["Referrer-Policy"], headers["Cache-Control"]) == ("same-origin", "no-store")
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
