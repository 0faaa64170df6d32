"""Tokens: what a service asks its callers for, where it asks."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, get_args

from pydantic import Field

from .model import Message, Model, Name

Scope = Literal["read", "submit", "work", "admin"]
"""What a token may do: read everything but tokens; submit, change and delete studies; train; everything."""
SCOPES: tuple[Scope, ...] = get_args(Scope)
LONGEST_LIFE_SECONDS = 10 * 365 * 86_400.0


class TokenRequest(Model):
    """A token to be made."""

    name: Name
    """Whom or what it is for; never given to another token again."""
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(SCOPES))]
    """Each allows what it says and nothing else; only `admin` allows everything."""
    expires_in_seconds: Annotated[float, Field(gt=0, le=LONGEST_LIFE_SECONDS, allow_inf_nan=False)] | None = None
    """How long it holds; by default until it is revoked."""


class TokenView(Message):
    """A token as it is shown: without its secret, which is not stored."""

    name: str
    id: str
    """The first 12 hexadecimal digits of its SHA-256: whoever holds it can tell which one it is."""
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    """Within a minute; null: never."""
    revoked_at: datetime | None = None


class NewToken(TokenView):
    """A token just made: the one time that it is shown."""

    token: str
