"""Whom webhooks may reach, what they are sent, and how the outbox is emptied."""

from __future__ import annotations

import hashlib
import hmac
import http.server
import ipaddress
import json
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from search_spaces.problems import InvalidSpec
from search_spaces.recurrence import WebhookSpec
from service.courier import ATTEMPTS, Courier
from service.settings import Settings
from service.telling import body_of
from service.webhooks import Allowed, NotDelivered, check_webhook, post
from store import Store, open_store
from store.nights import FAILED, VERDICT
from store.outbox import tell, unsent
from store.tables import outbox, recurrences
from tests.nights import SEAL, FakeTime, moment_of, recur

SECRET = "0123456789abcdef"
NIGHT: dict[str, Any] = {
    "recurrence": "nightly",
    "study": "nightly.20300328t0130z",
    "reason": "no <trial> & ran",
    "verdict": "winner",
    "verdict_before": "no_winner",
    "sentence": "Change to *AdamW* <script>.",
    "difference": {"gain": 0.5, "interval": [0.25, 0.75], "n": 7},
    "notes": ["[wider](http://x)"],
}


class Receiver(http.server.BaseHTTPRequestHandler):
    """Notes what it is sent and answers with what is asked of it next."""

    got: list[tuple[str, dict[str, str], bytes]]
    answers: list[int]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(self.answers.pop(0) if self.answers else 204)
        self.send_header("Location", "http://127.0.0.1:1/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[type[Receiver]]:
    kind = type("Own", (Receiver,), {"got": [], "answers": []})
    server = http.server.HTTPServer(("127.0.0.1", 0), kind)
    kind.port = server.server_port  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield kind
    server.shutdown()
    thread.join()
    server.server_close()


def allowed(hosts: str, networks: str = "127.0.0.0/8") -> Allowed:
    return Allowed.by(Settings(webhook_hosts=hosts, webhook_networks=networks))


@pytest.mark.parametrize(
    ("url", "hosts", "words"),
    [
        ("https://hooks.example.com/x", "", "ETUDE_WEBHOOK_HOSTS"),
        ("https://hooks.example.com:8443/x", "hooks.example.com", "hooks.example.com:8443"),
        ("https://hooks.example.com.evil.test/x", "hooks.example.com", "ETUDE_WEBHOOK_HOSTS"),
        ("https://hooks.example.com@evil.test/x", "hooks.example.com", "no name and password"),
        ("http://hooks.example.com:99999/x", "hooks.example.com", "Port"),
    ],
)
def test_only_hosts_of_the_operators_list_are_called(url: str, hosts: str, words: str) -> None:
    """Another host, port or reading of a URL is refused with the field, before anything is looked up."""
    with pytest.raises(InvalidSpec, match=words) as refused:
        check_webhook(WebhookSpec(url=url), allowed(hosts))

    assert refused.value.field == "webhook.url"


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1", "100.64.0.1", "0.0.0.0", "224.0.0.1", "::1", "fe80::1",
     "fd00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"],
)  # fmt: skip
def test_no_address_but_a_public_one_is_reached(address: str) -> None:
    """Loopback, private, link-local, shared and multicast ones, and those that stand for them, are not."""
    assert not allowed("a.example", networks="").lets_reach(ipaddress.ip_address(address))


def test_a_network_that_the_operator_names_is_reached() -> None:
    """And the public internet, always."""
    named = allowed("a.example", networks="10.0.0.0/8")

    assert named.lets_reach(ipaddress.ip_address("10.1.2.3"))
    assert named.lets_reach(ipaddress.ip_address("93.184.215.14"))
    assert not named.lets_reach(ipaddress.ip_address("192.168.0.1"))


def test_a_name_with_one_private_address_is_not_called(
    receiver: type[Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every address of a listed name has to be allowed, not the first alone."""
    port = receiver.port  # type: ignore[attr-defined]
    rows = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (at, port)) for at in ("127.0.0.1", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: rows)

    with pytest.raises(NotDelivered, match=r"10\.0\.0\.1, which is not public"):
        post(f"http://hooks.example.com:{port}/", b"{}", {}, allowed(f"hooks.example.com:{port}"))
    assert receiver.got == []


@pytest.fixture
def store(sqlite_template: Path, tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'etude.db')}")
    yield opened
    opened.close()


def told(store: Store, receiver: type[Receiver], event: str = VERDICT, **webhook: Any) -> Courier:
    """A recurrence with a webhook that has one thing to tell, and a courier."""
    port = receiver.port  # type: ignore[attr-defined]
    hook = {"url": f"http://127.0.0.1:{port}/hook?token=a", "secret": SECRET} | webhook
    recur(store, FakeTime(moment_of("2030-03-27T12:00:00+01:00")), webhook=hook)
    with store.begin() as connection:
        row = connection.execute(select(recurrences)).one()
        tell(connection, row, event, NIGHT, store.now(connection))
    return Courier(store, allowed(f"127.0.0.1:{port}"), SEAL, wall=lambda: 1000.0)


def test_a_message_is_signed_and_sent_once(store: Store, receiver: type[Receiver]) -> None:
    """With its event, an id, and an HMAC over time and body that the receiver can make again; then there is no more."""
    courier = told(store, receiver)

    sent = [courier.round(), courier.round()]

    assert sent == [True, False]
    [(path, headers, body)] = receiver.got
    digest = hmac.new(SECRET.encode(), b"1000." + body, hashlib.sha256).hexdigest()
    assert path == "/hook?token=a"
    assert headers["x-etude-signature"] == f"t=1000,v1={digest}"
    assert (headers["x-etude-event"], headers["content-type"]) == (VERDICT, "application/json")
    assert json.loads(body)["night"] == NIGHT
    assert unsent(store) == 0


@pytest.mark.parametrize("answer", [500, 302])
def test_what_was_not_taken_is_tried_again_later(store: Store, receiver: type[Receiver], answer: int) -> None:
    """An error or a redirect is no delivery: the message waits, and comes with the same id when it is due again."""
    courier = told(store, receiver)
    receiver.answers.append(answer)

    first, too_early = courier.round(), courier.round()
    _make_due(store)
    again = courier.round()

    assert (first, too_early, again) == (True, False, True)
    assert [headers["x-etude-delivery"] for _path, headers, _body in receiver.got] == ["1", "1"]
    assert unsent(store) == 0


def _make_due(store: Store, attempts: int | None = None) -> None:
    with store.begin() as connection:
        values: dict[str, Any] = {"next_at": 0.0} | ({} if attempts is None else {"attempts": attempts})
        connection.execute(update(outbox).where(outbox.c.next_at.is_not(None)).values(values))


def test_a_courier_that_died_loses_nothing(
    store: Store, receiver: type[Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken, but not sent before its process was killed: the message is another courier's a minute later."""
    courier = told(store, receiver)

    def die(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("service.courier.post", die)
        with pytest.raises(KeyboardInterrupt):
            courier.round()
    held = courier.round()
    _make_due(store)

    assert not held
    assert courier.round()
    assert len(receiver.got) == 1


def test_a_message_is_given_up_in_the_end(store: Store, receiver: type[Receiver]) -> None:
    """After the last attempt it stays in the outbox with its error, and is not sent again."""
    courier = told(store, receiver)
    receiver.answers.append(500)
    _make_due(store, attempts=ATTEMPTS - 1)

    assert courier.round()

    with store.read() as connection:
        row = connection.execute(select(outbox)).one()
    assert (row.next_at, row.sent_at, row.error) == (None, None, "it answered with 500")
    assert unsent(store) == 1


def test_the_secret_is_never_read_back(store: Store, receiver: type[Receiver]) -> None:
    """Neither it nor the path of the URL is in what a recurrence shows."""
    from store.recurrences import get

    told(store, receiver)
    shown = get(store, "nightly").model_dump_json()

    assert SECRET not in shown
    assert "token" not in shown
    assert get(store, "nightly").webhook is not None


def test_each_format_escapes_what_it_is_given() -> None:
    """Slack's three marks and Markdown's own: text from a study stays text."""
    slack = json.loads(body_of("slack", VERDICT, NIGHT))["text"]
    markdown = body_of("markdown", VERDICT, NIGHT).decode()
    failed = json.loads(body_of("slack", FAILED, NIGHT))["text"]

    assert slack.startswith("*nightly.20300328t0130z: winner, before: no_winner*")
    assert "&lt;script&gt;" in slack
    assert "Gain over the schedule in use: 0.5 (0.25 to 0.75, 7 seeds)." in slack
    assert markdown.startswith("## nightly.20300328t0130z: winner, before: no\\_winner\n")
    assert r"\[wider\](http://x)" in markdown
    assert r"\<script\>" in markdown
    assert failed == "*nightly.20300328t0130z has failed*\nno &lt;trial&gt; &amp; ran"
