"""Tokens: made, listed, revoked; by admins only."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from search_spaces.model import Message
from search_spaces.tokens import NewToken, TokenRequest, TokenView
from store.tokens import create_token, list_tokens, revoke_token

from .. import deps

router = APIRouter(prefix="/v1/tokens", tags=["tokens"], responses=deps.PROBLEMS)


class TokenPage(Message):
    """One page of tokens, by name."""

    items: list[TokenView]
    next_cursor: str | None = None


@router.post("", status_code=201)
def make_token(asked: TokenRequest, response: Response, store: deps.StoreOf, keyring: deps.KeyringOf) -> NewToken:
    """Make a token and show its secret, this once: the store keeps a hash only.

    From the first one on every request needs a token; that one has to have the scope `admin`.
    """
    made = create_token(store, asked)
    keyring.forget()
    response.headers["Location"] = f"/v1/tokens/{made.name}"
    return made


@router.get("")
def show_tokens(store: deps.StoreOf, limit: deps.Limit = 50, cursor: deps.Cursor = None) -> TokenPage:
    """List tokens by name, without their secrets; revoked and expired ones, too."""
    page = list_tokens(store, limit=limit, cursor=cursor)
    return TokenPage(items=page.items, next_cursor=page.next_cursor)


@router.delete("/{name}", status_code=204)
def remove_token(
    name: Annotated[str, Path(description="Name of the token", max_length=80)],
    store: deps.StoreOf,
    keyring: deps.KeyringOf,
) -> None:
    """Revoke a token and the sessions begun with it: at once here, within a second in other processes."""
    revoke_token(store, name)
    keyring.forget()
