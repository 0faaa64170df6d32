"""`etude code` and `etude explain`: what they print, and with which exit status they end."""

from __future__ import annotations

import httpx
import pytest
from click.testing import CliRunner

from etude import Client
from etude.cli import main
from search_spaces.problems import Conflict
from tests.unit.etude.answers import refuses, routes


def test_code_prints_the_text_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Framework and steps are asked for; the text can be redirected into a file."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, text="x = 1\n")

    monkeypatch.setattr(
        "etude.cli_schedules.Client", lambda _url: Client("http://service.test", transport=httpx.MockTransport(answer))
    )

    result = CliRunner().invoke(main, ["code", "mine", "--framework", "optax", "--steps", "50"])

    assert (result.exit_code, result.output) == (0, "x = 1\n")
    assert asked[0].url.path == "/v1/studies/mine/best/code"
    assert dict(asked[0].url.params) == {"framework": "optax", "steps": "50"}


def test_code_without_an_answer_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence, and exit status 1."""
    table = {"GET /v1/studies/mine/best/code": refuses(Conflict("nothing of mine is complete yet"))}
    monkeypatch.setattr(
        "etude.cli_schedules.Client", lambda _url: Client("http://service.test", transport=routes(table))
    )

    result = CliRunner().invoke(main, ["code", "mine"])

    assert result.exit_code == 1
    assert "nothing of mine is complete yet" in result.output
