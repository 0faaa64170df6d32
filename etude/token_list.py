"""The tokens of a service: `client.tokens`, for admins.

made = client.tokens.create("ci", ["read", "submit"], expires_in_seconds=90 * 86_400)
print(made.token)  # this once: the service keeps a hash only
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from .pages import Pages

if TYPE_CHECKING:
    from search_spaces.tokens import NewToken, Scope, TokenView

    from .http import Http

PATH = "/v1/tokens"


class Tokens:
    """The tokens of a service. Every method raises what the methods of `Client` do, and `Forbidden` to non-admins."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def create(self, name: str, scopes: Sequence[Scope], *, expires_in_seconds: float | None = None) -> NewToken:
        """Make a token; its secret is shown this once.

        Raises:
            NameTaken: a token has, or had, this name.
            InvalidSpec: it would be the service's first and is no admin's.
        """
        from search_spaces.tokens import NewToken

        body = {"name": name, "scopes": list(scopes), "expires_in_seconds": expires_in_seconds}
        # Sent once: a second token of the name would be refused, and the first one's secret lost.
        answer = self._http.call("POST", PATH, json=body, repeatable=False)
        return NewToken.model_validate_json(answer.content)

    def list(self) -> Pages[TokenView]:
        """Return the tokens by name, revoked and expired ones too; without their secrets."""
        from search_spaces.tokens import TokenView

        return Pages(self._http, PATH, TokenView)

    def revoke(self, name: str) -> None:
        """Let a token open nothing more.

        Raises:
            NotFound: there is none of this name.
        """
        self._http.call("DELETE", f"{PATH}/{quote(name, safe='')}")
