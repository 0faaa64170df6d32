"""Webhooks in the store: nothing of them that lets somebody write to a channel lies there in clear."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from search_spaces.problems import InvalidSpec
from search_spaces.recurrence import RecurrenceSpec, WebhookSpec
from service.courier import Courier
from service.due_times import next_due
from service.opening import seal_webhooks
from service.sealing import seal_of
from service.settings import Settings
from service.webhooks import Allowed
from store import Store, open_store
from store.nights import VERDICT
from store.outbox import take_message, tell
from store.recurrences import change, create, get
from store.sealing import NotOpened, Seal
from store.tables import outbox, recurrences
from tests.nights import SEAL, FakeTime, moment_of, recur, spec_of

NOW = FakeTime(moment_of("2030-03-27T12:00:00+01:00"))
SECRET = "the-secret-that-signs"
URL = "https://hooks.example.com:8443/services/T000/the-path-that-is-one?too=a"
HOOK = {"url": URL, "secret": SECRET}
HIDDEN = (SECRET, "the-path-that-is-one", "too=a")
OTHER = Seal(lambda _make: ["another key, of 32 letters and more too"])


@pytest.fixture
def embedded(sqlite_template: Path, tmp_path: Path) -> Iterator[Store]:
    """A store in a file: what is in it can be searched."""
    opened = open_store(f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'etude.db')}")
    yield opened
    opened.close()


def sent(store: Store, seal: Seal = SEAL) -> WebhookSpec | None:
    """The webhook with which the next message would be sent."""
    with store.begin() as connection:
        row = connection.execute(select(recurrences)).one()
        tell(connection, row, VERDICT, {}, 0.0)
    message = take_message(store, 60, seal)
    assert message is not None
    return message.webhook


def columns(store: Store) -> Any:
    with store.read() as connection:
        return connection.execute(select(recurrences)).one()


def test_nothing_of_a_webhook_but_its_host_is_readable(store: Store) -> None:
    """Neither in any column, on both databases, nor in what is shown; the courier has it whole."""
    shown = recur(store, NOW, webhook=HOOK)

    assert shown.webhook is not None
    assert (shown.webhook.host, shown.webhook.signed) == ("hooks.example.com", True)
    assert columns(store).spec["webhook"]["url"] == "https://hooks.example.com:8443"
    assert not any(hidden in f"{columns(store)}{shown}" for hidden in HIDDEN)
    assert sent(store) == WebhookSpec(url=URL, secret=SECRET)


def test_the_file_holds_none_of_it(embedded: Store, tmp_path: Path) -> None:
    """Not even beside the tables: it is sealed before it is sent to the database."""
    recur(embedded, NOW, webhook=HOOK)
    sent(embedded)

    written = b"".join(file.read_bytes() for file in tmp_path.iterdir())

    assert b"hooks.example.com" in written
    assert not any(hidden.encode() in written for hidden in HIDDEN)


def test_a_change_of_something_else_leaves_the_webhook(embedded: Store) -> None:
    """By another process, too, that has no key."""
    recur(embedded, NOW, webhook=HOOK)

    change(embedded, "nightly", lambda spec: spec.model_copy(update={"keep": 3}), next_due, NOW, webhook_too=False)

    assert get(embedded, "nightly").keep == 3
    assert sent(embedded) == WebhookSpec(url=URL, secret=SECRET)


@pytest.mark.parametrize(
    ("url", "secret"), [(URL, SECRET), ("https://hooks.example.com:8443/services/T000/another", None)]
)
def test_a_webhook_named_again_keeps_the_secret_of_its_url_alone(embedded: Store, url: str, secret: str | None) -> None:
    """The same URL without a secret is signed as before; another one has not been given any."""
    recur(embedded, NOW, webhook=HOOK)
    again = WebhookSpec(url=url, format="slack")

    change(embedded, "nightly", lambda spec: spec.model_copy(update={"webhook": again}), next_due, NOW, SEAL)

    assert sent(embedded) == WebhookSpec(url=url, format="slack", secret=secret)


def test_the_same_recurrence_again_is_the_same(embedded: Store) -> None:
    """Though its webhook is sealed anew: what it opens to is compared."""
    first = recur(embedded, NOW, webhook=HOOK)

    assert recur(embedded, NOW, webhook=HOOK) == first


def test_without_a_key_no_webhook_is_kept(embedded: Store) -> None:
    """422 with the field, and nothing is stored."""
    with pytest.raises(InvalidSpec) as refused:
        create(embedded, spec_of(webhook=HOOK), next_due, NOW)

    assert refused.value.field == "webhook"
    with embedded.read() as connection:
        assert connection.execute(select(recurrences)).all() == []


def in_clear(store: Store) -> None:
    """A recurrence as the version before kept it."""
    recur(store, NOW)
    spec = RecurrenceSpec.model_validate(columns(store).spec).model_dump(mode="json")
    hook = {"url": URL, "format": "json", "secret": None}
    with store.begin() as connection:
        connection.execute(update(recurrences).values(spec=spec | {"webhook": hook}, secret=SECRET))


def test_what_was_in_clear_is_sealed_when_a_service_starts(store: Store) -> None:
    """On both databases, once; it is sent as before."""
    in_clear(store)

    seal_webhooks(store, Settings(webhook_key="a key of 32 letters and more, or many".replace(" ", "_")))

    row = columns(store)
    assert row.secret is None
    assert not any(hidden in str(row) for hidden in HIDDEN)
    assert sent(store, seal_of(Settings(webhook_key="a_key_of_32_letters_and_more,_or_many"))) == WebhookSpec(**HOOK)


def test_a_service_without_a_key_does_not_start_beside_secrets_in_clear(store: Store) -> None:
    """It says which setting is missing; they are as they were."""
    in_clear(store)

    with pytest.raises(InvalidSpec, match="ETUDE_WEBHOOK_KEY_FILE"):
        seal_webhooks(store, Settings(database_url="postgresql+psycopg://127.0.0.1/none"))

    assert columns(store).secret == SECRET


def test_a_message_waits_for_a_key_that_is_not_at_hand(embedded: Store) -> None:
    """It is an attempt that failed, with its reason, and not a delivery to nobody."""
    recur(embedded, NOW, webhook=HOOK)
    with embedded.begin() as connection:
        tell(connection, connection.execute(select(recurrences)).one(), VERDICT, {}, 0.0)

    Courier(embedded, Allowed.by(Settings(webhook_hosts="hooks.example.com:8443")), OTHER).round()

    with embedded.read() as connection:
        row = connection.execute(select(outbox)).one()
    assert (row.sent_at, row.next_at is not None) == (None, True)
    assert "cannot be read" in row.error


def test_a_key_is_replaced_by_one_before_it() -> None:
    """What the old one closed is still opened, what is new is closed by the new one; alone neither opens all."""
    first, second = "f" * 32, "s" * 32
    old, both = Seal(lambda _make: [first]), Seal(lambda _make: [second, first])

    closed = both.close("text")

    assert both.open(old.close("text")) == Seal(lambda _make: [second]).open(closed) == "text"
    with pytest.raises(NotOpened):
        old.open(closed)


@pytest.mark.parametrize("key", [" ", "short", "the-first-is-long-enough-to-be-a-key second"])
def test_a_key_that_is_no_secret_is_refused(key: str) -> None:
    """As a token of the operator's own choice is."""
    with pytest.raises(InvalidSpec, match="32 letters"):
        seal_of(Settings(webhook_key=key)).close("text")


def test_an_embedded_store_has_a_key_beside_it(tmp_path: Path) -> None:
    """Made when it is first needed, for its user alone, and found by every process on that file."""
    settings = Settings(data_dir=tmp_path)
    file = tmp_path / "etude.db.key"

    with pytest.raises(NotOpened):
        seal_of(settings).open("text")
    assert not file.exists()
    closed = seal_of(settings).close("text")

    assert seal_of(Settings(database_url=f"sqlite:///{tmp_path}/etude.db")).open(closed) == "text"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [made.name for made in tmp_path.iterdir()] == ["etude.db.key"]


def test_a_key_may_be_in_a_file_of_the_operators(tmp_path: Path) -> None:
    """For a store that several machines share, which has none beside it."""
    file = tmp_path / "key"
    file.write_text("k" * 40 + "\n" + "j" * 40 + "\n")
    shared = Settings(database_url="postgresql+psycopg://127.0.0.1/none", webhook_key="")

    closed = seal_of(Settings(database_url=shared.database_url, webhook_key_file=file)).close("text")

    assert Seal(lambda _make: ["k" * 40]).open(closed) == "text"
    with pytest.raises(InvalidSpec, match="ETUDE_WEBHOOK_KEY_FILE"):
        seal_of(shared).close("text")
