"""Tokens and the sessions that begin with them: made, looked up, revoked.

The store holds their SHA-256 only. A token is 32 random bytes, so its plain hash tells nobody what it is: slow hashes
are for secrets that people choose. A session is a row like any other whose `parent` is the token it began with.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from search_spaces.problems import Conflict, InvalidSpec, NameTaken, NotFound, TooManyRequests
from search_spaces.tokens import NewToken, Scope, TokenRequest, TokenView

from .engine import Store
from .states import LIVE_STUDY
from .tables import studies, tokens

PREFIX = "etude_"
"""Begins every token, so that scanners for leaked secrets can know one."""
ID_DIGITS = 12
LEAST_LETTERS = 32
"""Of a token that the environment sets."""
ENVIRONMENT = "environment"
"""Name of the token that ETUDE_ADMIN_TOKEN sets."""
MOST_TOKENS = 1000
MOST_SESSIONS = 1000
USE_SECONDS = 60.0
"""A token's last use is written no oftener."""


@dataclass(frozen=True)
class Key:
    """A token, or a session begun with one, that opens the service just now."""

    row: int
    token: str
    """Name of the token; a session's is that of the token it began with."""
    digest: bytes
    scopes: frozenset[Scope]
    is_session: bool

    def allows(self, scope: Scope) -> bool:
        """Tell whether it may do what needs `scope`."""
        return scope in self.scopes or "admin" in self.scopes


class TokenShare(NamedTuple):
    """With which token a study is submitted, and how many it may have under way."""

    name: str
    most_studies: int


class Keys(NamedTuple):
    """Everything that opens the service at one moment."""

    guarded: bool
    """Whether the store has or ever had a token: from the first one on, all requests need one."""
    by_digest: dict[bytes, Key]


class TokenPage(NamedTuple):
    """Tokens by name, and where the next page begins."""

    items: list[TokenView]
    next_cursor: str | None


def digest_of(token: str) -> bytes:
    """Return what is stored and compared in a token's place: 32 bytes."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def create_token(store: Store, request: TokenRequest) -> NewToken:
    """Make a token; this is the one time that its secret is known.

    Raises:
        NameTaken: a token has, or had, this name.
        InvalidSpec: it would be the first one and could not make another.
        Conflict: there are too many.
    """
    secret = PREFIX + secrets.token_urlsafe(32)
    try:
        with store.begin() as connection:
            _refuse_useless(connection, request)
            row = _insert(store, connection, request, secret)
    except IntegrityError as error:
        raise NameTaken(f"a token named {request.name} is or was there", field="name") from error
    return NewToken(**_view(row).model_dump(), token=secret)


def _refuse_useless(connection: Connection, request: TokenRequest) -> None:
    named = select(func.count()).select_from(tokens).where(tokens.c.parent.is_(None))
    there = connection.execute(named).scalar_one()
    if there == 0 and "admin" not in request.scopes:
        raise InvalidSpec("from the first token on every request needs one: that one has to be admin", field="scopes")
    if request.name == ENVIRONMENT:
        raise NameTaken(f"{ENVIRONMENT} is the name of the token that ETUDE_ADMIN_TOKEN sets", field="name")
    live = connection.execute(named.where(tokens.c.revoked_at.is_(None))).scalar_one()
    if live >= MOST_TOKENS:
        raise Conflict(f"there are {live} tokens: revoke some")


def _insert(store: Store, connection: Connection, request: TokenRequest, secret: str) -> Row[Any]:
    now = store.now(connection)
    life = request.expires_in_seconds
    values = {
        "name": request.name,
        "digest": digest_of(secret).hex(),
        "scopes": list(dict.fromkeys(request.scopes)),
        "created_at": now,
        "expires_at": None if life is None else now + life,
    }
    return connection.execute(insert(tokens).values(values).returning(tokens)).one()


def set_admin_token(store: Store, secret: str) -> None:
    """Make `secret` the admin token named `environment`, in place of the one that was; the same again is nothing.

    Services that start at the same moment with the same secret make it once.

    Raises:
        InvalidSpec: it is too short to be a secret.
    """
    if len(secret) < LEAST_LETTERS or not secret.isascii() or len(secret.split()) != 1:
        words = f"a token has at least {LEAST_LETTERS} letters, digits and signs, without spaces"
        raise InvalidSpec(words, field="ETUDE_ADMIN_TOKEN")
    digest = digest_of(secret).hex()
    try:
        _set_environment_token(store, digest)
    except IntegrityError:  # another process has just made the row: it is found now
        _set_environment_token(store, digest)


def _set_environment_token(store: Store, digest: str) -> None:
    with store.begin() as connection:
        mine = select(tokens.c.id, tokens.c.digest).where(tokens.c.name == ENVIRONMENT).with_for_update()
        row = connection.execute(mine).first()
        if row is not None and row.digest == digest:
            return
        now = store.now(connection)
        if row is None:
            connection.execute(insert(tokens).values(name=ENVIRONMENT, digest=digest, scopes=["admin"], created_at=now))
            return
        _end_sessions(connection, row.id, now)
        fresh = {"digest": digest, "created_at": now, "last_used_at": None, "revoked_at": None}
        connection.execute(update(tokens).where(tokens.c.id == row.id).values(fresh))


def list_tokens(store: Store, *, limit: int = 50, cursor: str | None = None) -> TokenPage:
    """Read tokens by name, revoked and expired ones too; `cursor` is the page before's `next_cursor`."""
    query = select(tokens).where(tokens.c.parent.is_(None)).order_by(tokens.c.name).limit(limit + 1)
    if cursor is not None:
        query = query.where(tokens.c.name > cursor)
    with store.read() as connection:
        rows = connection.execute(query).all()
    return TokenPage([_view(row) for row in rows[:limit]], rows[limit - 1].name if len(rows) > limit else None)


def revoke_token(store: Store, name: str) -> None:
    """Let a token and the sessions that began with it open nothing more; again is nothing.

    Raises:
        NotFound: there is no such token.
    """
    with store.begin() as connection:
        found = connection.execute(select(tokens.c.id).where(tokens.c.name == name)).scalar()
        if found is None:
            raise NotFound(f"there is no token named {name}", field="name")
        now = store.now(connection)
        _end_sessions(connection, found, now)
        connection.execute(
            update(tokens).where(tokens.c.id == found, tokens.c.revoked_at.is_(None)).values(revoked_at=now)
        )


def is_guarded(store: Store) -> bool:
    """Tell whether the store has or ever had a token."""
    with store.read() as connection:
        return connection.execute(select(tokens.c.id).limit(1)).first() is not None


def keys_of(store: Store) -> Keys:
    """Read everything that opens the service now: at most 2,000 rows."""
    parents = tokens.alias("parents")
    query = (
        select(tokens, func.coalesce(parents.c.name, tokens.c.name).label("token"), parents.c.expires_at.label("until"))
        .outerjoin(parents, tokens.c.parent == parents.c.id)
        .where(tokens.c.revoked_at.is_(None))
    )
    with store.read() as connection:
        rows = connection.execute(query).all()
        guarded = bool(rows) or connection.execute(select(tokens.c.id).limit(1)).first() is not None
        now = store.now(connection)
    live = (row for row in rows if all(end is None or end > now for end in (row.expires_at, row.until)))
    return Keys(guarded, {bytes.fromhex(row.digest): _key(row) for row in live})


def _key(row: Row[Any]) -> Key:
    digest, scopes = bytes.fromhex(row.digest), frozenset(row.scopes)
    return Key(row.parent or row.id, row.token, digest, scopes, row.parent is not None)


def note_use(store: Store, rows: Collection[int]) -> None:
    """Write that tokens were used now, where that was last written a minute ago or longer."""
    with store.begin() as connection:
        now = store.now(connection)
        stale = or_(tokens.c.last_used_at.is_(None), tokens.c.last_used_at < now - USE_SECONDS)
        connection.execute(update(tokens).where(tokens.c.id.in_(rows), stale).values(last_used_at=now))


def begin_session(store: Store, key: Key, scopes: Sequence[Scope], seconds: float) -> str:
    """Return the secret of a session of `seconds` that may do what is in `scopes` and what the token may do, too.

    Ended sessions are forgotten; of more than a thousand the oldest end.
    """
    secret = secrets.token_urlsafe(32)
    allowed = [scope for scope in scopes if key.allows(scope)]
    with store.begin() as connection:
        now = store.now(connection)
        _forget_sessions(connection, now)
        connection.execute(
            insert(tokens).values(
                name=f"session {digest_of(secret).hex()}",
                digest=digest_of(secret).hex(),
                scopes=allowed,
                parent=key.row,
                created_at=now,
                expires_at=now + seconds,
            )
        )
    return secret


def end_session(store: Store, secret: str) -> None:
    """End the session with this secret, if there is one."""
    mine = (tokens.c.digest == digest_of(secret).hex(), tokens.c.parent.is_not(None))
    with store.begin() as connection:
        connection.execute(tokens.delete().where(*mine))


def _forget_sessions(connection: Connection, now: float) -> None:
    sessions = tokens.c.parent.is_not(None)
    connection.execute(
        tokens.delete().where(sessions, or_(tokens.c.expires_at <= now, tokens.c.revoked_at.is_not(None)))
    )
    kept = select(tokens.c.id).where(sessions).order_by(tokens.c.created_at.desc()).limit(MOST_SESSIONS - 1)
    latest = connection.execute(kept).scalars().all()
    if len(latest) == MOST_SESSIONS - 1:
        connection.execute(tokens.delete().where(sessions, tokens.c.id.not_in(latest)))


def _end_sessions(connection: Connection, parent: int, now: float) -> None:
    connection.execute(update(tokens).where(tokens.c.parent == parent).values(revoked_at=now))


def refuse_more_studies(connection: Connection, token: str, most: int) -> None:
    """Refuse one more study of a token that has `most` under way; counted under a lock on the token.

    Raises:
        TooManyRequests: it has.
    """
    connection.execute(select(tokens.c.id).where(tokens.c.name == token).with_for_update()).first()
    open_ones = select(func.count()).where(studies.c.token == token, studies.c.state.in_(LIVE_STUDY))
    if connection.execute(open_ones).scalar_one() >= most:
        words = (
            f"the token {token} has {most} studies under way, and may not have more: wait for one to end, or stop it"
        )
        raise TooManyRequests(words, retry_after_seconds=60)


def _view(row: Row[Any]) -> TokenView:
    return TokenView(
        name=row.name,
        id=row.digest[:ID_DIGITS],
        scopes=row.scopes,
        created_at=datetime.fromtimestamp(row.created_at, UTC),
        expires_at=_time(row.expires_at),
        last_used_at=_time(row.last_used_at),
        revoked_at=_time(row.revoked_at),
    )


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
