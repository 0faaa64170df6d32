"""`etude code` and `etude explain`: what they print, and with which exit status they end."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from etude import Client
from etude.cli import main
from search_spaces.imported import Explained
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


def test_explain_reads_stdin_and_says_what_looks_wrong() -> None:
    """Name, spec as JSON, curve as blocks, and each finding on a line of its own."""
    text = "CosineAnnealingLR(optimizer, T_max=100, eta_min=1e-3)"

    result = CliRunner().invoke(
        main, ["explain", "--epochs", "100", "--steps-per-epoch", "391", "--lr", "0.1"], input=text
    )

    name, spec, curve, numbers, *findings = result.output.splitlines()
    assert result.exit_code == 0
    assert name.startswith("torch.optim.lr_scheduler.CosineAnnealingLR is cosine here: cosine to 0.01")
    assert json.loads(spec) == {"kind": "cosine", "end_factor": 0.01, "cycles": 195.5}
    assert len(curve) == 60
    assert numbers.startswith("LR over 39100 steps: at first 0.1, at most 0.1")
    assert [finding.partition(":")[0] for finding in findings] == ["decay_ends_early", "epochs_or_steps", "note"]


def test_explain_reads_a_file_and_prints_json(tmp_path: Path) -> None:
    """The JSON is the model, with the curve."""
    file = tmp_path / "args.json"
    file.write_text('{"learning_rate": 0.001, "max_steps": 50, "lr_scheduler_type": "linear"}')

    result = CliRunner().invoke(main, ["explain", str(file), "--json"])

    explained = Explained.model_validate_json(result.output)
    assert (explained.schedule.kind, explained.initial_lr, explained.horizon) == ("linear", 0.001, 50)
    assert explained.lr is not None
    assert explained.lr[25] == pytest.approx(0.0005)


def test_explain_without_an_lr_draws_in_units_of_it() -> None:
    """What is not known is not made up."""
    result = CliRunner().invoke(main, ["explain"], input="CosineAnnealingLR(optimizer, T_max=10)")

    assert "LR in units of the initial one over 10 steps: at first 1" in result.output


def test_explain_of_a_plateau_says_that_it_follows_the_metric() -> None:
    """There is no curve to draw."""
    result = CliRunner().invoke(main, ["explain", "--epochs", "20"], input="ReduceLROnPlateau(optimizer)")

    assert result.exit_code == 0
    assert "follows the metric" in result.output


def test_explain_names_the_argument_that_is_wrong() -> None:
    """One sentence on stderr, exit status 1."""
    result = CliRunner().invoke(main, ["explain"], input="CosineAnnealingLR(optimizer, T_max=n)")

    assert result.exit_code == 1
    assert result.stderr.startswith("etude: T_max: ")
