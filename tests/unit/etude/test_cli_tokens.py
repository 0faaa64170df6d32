"""`etude token`: over the service, and on the store itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from etude import Client
from etude.errors import TooManyRequests
from search_spaces.tokens import NewToken
from store.__main__ import main as store_main
from tests.unit.etude.answers import THEN, refuses, routes, says

Etude = Callable[..., Result]
MADE = NewToken(name="ci", id="0123456789ab", scopes=["read"], created_at=THEN, token="etude_secret")
LISTED = {"items": [MADE.model_dump(mode="json", exclude={"token"})], "next_cursor": None}


def test_a_token_is_made_shown_listed_and_revoked(etude: Etude, table: dict[str, Any]) -> None:
    """The secret alone on stdout, for `$(...)`; lists have scopes and no secret."""
    asked: list[Any] = []

    def make(request: Any) -> Any:
        asked.append(json.loads(request.content))
        return says(MADE, 201)

    table |= {"POST /v1/tokens": make, "GET /v1/tokens": says(LISTED), "DELETE /v1/tokens/ci": says({}, 204)}

    made = etude("token", "create", "ci", "--scope", "read", "--scope", "work", "--days", "2")
    listed, revoked = etude("token", "list"), etude("token", "revoke", "ci")

    assert made.stdout == "etude_secret\n"
    assert asked == [{"name": "ci", "scopes": ["read", "work"], "expires_in_seconds": 172_800.0}]
    assert "0123456789ab" in listed.stdout
    assert revoked.stdout == "ci is revoked\n"


def test_a_scope_that_there_is_not_is_refused(etude: Etude) -> None:
    """With status 2 and those that there are."""
    result = etude("token", "create", "ci", "--scope", "root")

    assert result.exit_code == 2
    assert "'admin'" in result.stderr


@pytest.mark.parametrize(("wait", "asked_again"), [(1, True), (60, False)])
def test_a_client_waits_where_it_is_told_to_for_a_moment(wait: int, asked_again: bool) -> None:
    """429 with a short wait is asked again, whatever was asked, since nobody looked at it; a long one is raised."""
    seen: list[str] = []

    def answer(request: Any) -> Any:
        seen.append(request.url.path)
        refusal = refuses(TooManyRequests("too many", retry_after_seconds=wait))
        refusal.headers["Retry-After"] = str(wait)
        return says(MADE, 201) if len(seen) > 1 else refusal

    pauses: list[float] = []
    client = Client("http://service.test", transport=routes({"POST /v1/tokens": answer}))
    client._http._sleep = pauses.append
    if asked_again:
        assert client.tokens.create("ci", ["read"]).token == "etude_secret"
        assert pauses == [1.0]
    else:
        with pytest.raises(TooManyRequests):
            client.tokens.create("ci", ["read"])
    assert len(seen) == (2 if asked_again else 1)


def test_the_first_token_is_made_on_the_store(
    sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`python -m store token`, which `--on-store` becomes: no service is needed; wrong words end with 2."""
    monkeypatch.setenv("ETUDE_DATABASE_URL", f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'etude.db')}")

    refused = store_main(["token", "create", "A B", "--scope", "admin"])
    assert "name" in capsys.readouterr().err
    made = store_main(["token", "create", "root", "--scope", "admin", "--days", "1", "--json"])
    secret = json.loads(capsys.readouterr().out)["token"]
    statuses = [store_main(["token", *words]) for words in (["list"], ["revoke", "root"], ["list"], ["revoke", "none"])]
    said = capsys.readouterr()

    assert (refused, made, statuses) == (2, 0, [0, 0, 0, 1])
    assert secret.startswith("etude_")
    assert secret not in said.out
    assert "root  admin  revoked" in said.out
