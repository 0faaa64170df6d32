"""Tokens in the store: shown once, kept as hashes, revoked with their sessions, used within bounds."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from search_spaces.problems import InvalidSpec, NameTaken, NotFound
from search_spaces.tokens import NewToken, Scope, TokenRequest
from store import Store
from store.tokens import (
    Key,
    begin_session,
    create_token,
    digest_of,
    end_session,
    is_guarded,
    keys_of,
    list_tokens,
    note_use,
    revoke_token,
    set_admin_token,
)

CHOSEN = "a-secret-of-thirty-two-letters-or-more"


def made(store: Store, name: str = "root", *scopes: Scope, seconds: float | None = None) -> NewToken:
    """Make a token; by default an admin's."""
    return create_token(store, TokenRequest(name=name, scopes=list(scopes or ("admin",)), expires_in_seconds=seconds))


def key_of(store: Store, secret: str) -> Key:
    """What a secret opens the service as; KeyError where it opens nothing."""
    return keys_of(store).by_digest[digest_of(secret)]


def age(store: Store, column: str, seconds: float) -> None:
    """Put a time of every token `seconds` back."""
    with store.begin() as connection:
        connection.execute(text(f"UPDATE etude_tokens SET {column} = {column} - :by"), {"by": seconds})


def test_a_token_is_shown_once_and_stored_as_a_hash(store: Store) -> None:
    """What is listed afterwards has no secret in it, nor has any column of the table."""
    token = made(store)

    [listed] = list_tokens(store).items
    with store.read() as connection:
        row = connection.execute(text("SELECT * FROM etude_tokens")).one()

    assert token.token.startswith("etude_")
    assert len(token.token) >= 49
    assert listed.model_dump() == token.model_dump(exclude={"token"})
    assert token.token not in repr(row)
    assert row.digest == digest_of(token.token).hex()
    assert key_of(store, token.token).scopes == {"admin"}


def test_the_first_token_has_to_be_an_admin(store: Store) -> None:
    """From then on every request needs one, so one must be able to make others."""
    with pytest.raises(InvalidSpec, match="admin"):
        made(store, "reader", "read")

    assert not is_guarded(store)
    made(store)
    assert made(store, "reader", "read").scopes == ["read"]


def test_a_revoked_token_opens_nothing_and_the_store_stays_guarded(store: Store) -> None:
    """Its sessions end with it; its name is not given again; nobody gets in by revoking the last one."""
    token = made(store)
    session = begin_session(store, key_of(store, token.token), ["read"], 60.0)
    assert key_of(store, session).token == "root"

    revoke_token(store, "root")

    assert keys_of(store) == (True, {})
    with pytest.raises(NameTaken):
        made(store)
    with pytest.raises(NotFound):
        revoke_token(store, "nobody")


@pytest.mark.parametrize("what", ["token", "session"])
def test_an_expiry_ends_a_token_and_its_sessions(store: Store, what: str) -> None:
    """By the database's clock; a session lives no longer than its token."""
    token = made(store, seconds=100.0 if what == "token" else None)
    session = begin_session(store, key_of(store, token.token), ["read"], 1000.0 if what == "token" else 100.0)
    assert {key.is_session for key in keys_of(store).by_digest.values()} == {True, False}

    age(store, "expires_at", 101.0)

    opens = {name for name, secret in (("token", token.token), ("session", session))
             if digest_of(secret) in keys_of(store).by_digest}  # fmt: skip
    assert opens == (set() if what == "token" else {"token"})


def test_a_session_may_do_no_more_than_its_token(store: Store) -> None:
    """What is asked for beyond the token's scopes is not given; the end is at once."""
    made(store)
    reader = made(store, "reader", "read")
    session = begin_session(store, key_of(store, reader.token), ["read", "submit"], 60.0)

    assert key_of(store, session).scopes == {"read"}
    end_session(store, session)
    assert digest_of(session) not in keys_of(store).by_digest


def test_the_last_use_is_written_once_a_minute(store: Store) -> None:
    """However often it is noted."""
    token = made(store)
    row = key_of(store, token.token).row

    note_use(store, [row])
    first = list_tokens(store).items[0].last_used_at
    note_use(store, [row])
    again = list_tokens(store).items[0].last_used_at
    age(store, "last_used_at", 61.0)
    note_use(store, [row])
    later = list_tokens(store).items[0].last_used_at

    assert first is not None
    assert later is not None
    assert first == again <= later


def test_the_environment_s_token_is_replaced_when_it_changes(store: Store) -> None:
    """The old one opens nothing any more, nor what began with it; the same again changes nothing."""
    set_admin_token(store, CHOSEN)
    set_admin_token(store, CHOSEN)
    session = begin_session(store, key_of(store, CHOSEN), ["read"], 60.0)

    set_admin_token(store, CHOSEN.upper())

    assert set(keys_of(store).by_digest) == {digest_of(CHOSEN.upper())}
    assert digest_of(session) not in keys_of(store).by_digest
    assert [token.name for token in list_tokens(store).items] == ["environment"]
    with pytest.raises(InvalidSpec, match="32"):
        set_admin_token(store, "short")


def test_services_that_start_together_make_the_environment_s_token_once(store: Store) -> None:
    """Each finds the token or makes it; none fails because another was first."""
    together = threading.Barrier(8)

    def start(_: int) -> None:
        together.wait(30)
        set_admin_token(store, CHOSEN)

    with ThreadPoolExecutor(8) as services:
        list(services.map(start, range(8)))

    assert [token.name for token in list_tokens(store).items] == ["environment"]
