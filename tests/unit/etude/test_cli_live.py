"""`etude status --live`, and what shells complete."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any

import httpx
import pytest
from click.shell_completion import ShellComplete
from click.testing import Result
from rich.console import Console, RenderableType

from etude import Client
from etude.cli import main
from etude.cli_live import follow_list, follow_study, redraw
from etude.http import ServiceUnreachable
from tests.unit.etude.answers import Script, says, study_view

Etude = Callable[..., Result]


class Screen:
    """A terminal that is a text, and a clock that nobody waits for."""

    def __init__(self, interrupt_after: int = 100) -> None:
        self.file = io.StringIO()
        self.console = Console(file=self.file, force_terminal=True, width=100)
        self.left = interrupt_after

    def sleep(self, _seconds: float) -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt

    @property
    def text(self) -> str:
        return self.file.getvalue()


def looks(*steps: Any) -> Callable[[], tuple[Iterable[RenderableType], bool]]:
    left = list(steps)

    def look() -> tuple[Iterable[RenderableType], bool]:
        step = left.pop(0)
        if isinstance(step, Exception):
            raise step
        return [step], not left

    return look


def test_it_is_redrawn_until_nothing_changes_any_more() -> None:
    """The last look stays; an outage in between is said."""
    screen = Screen()

    redraw(looks("one", ServiceUnreachable("away"), "two"), 1.0, screen.console, screen.sleep)

    assert "one" in screen.text
    assert "waiting through an outage: away" in screen.text
    assert screen.text.rindex("two") > screen.text.rindex("Ctrl-C")


def test_ctrl_c_ends_the_looking() -> None:
    """Without a traceback."""
    screen = Screen(interrupt_after=1)

    redraw(looks("one", "two", "three"), 1.0, screen.console, screen.sleep)

    assert "three" not in screen.text


def test_nobody_at_the_first_look_is_an_error() -> None:
    """There is nothing to show yet."""
    screen = Screen()

    with pytest.raises(ServiceUnreachable):
        redraw(looks(ServiceUnreachable("away")), 1.0, screen.console, screen.sleep)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """What the commands draw on; nobody waits, and the third look is interrupted."""
    screen = Screen(interrupt_after=1)
    monkeypatch.setattr("etude.cli_live.stdout_console", lambda: screen.console)
    monkeypatch.setattr("etude.cli_live.redraw", _redraw_on(screen))
    return screen


def _redraw_on(screen: Screen) -> Callable[[Any, float], None]:
    return lambda look, every: redraw(look, every, screen.console, screen.sleep)


def test_one_study_is_shown_until_it_has_ended(screen: Screen) -> None:
    """The state at the end is the last that is seen."""
    script = Script(says(study_view()), says(study_view("stopped", reason="stopped by request")))

    follow_study(script.client(), "mine", 1.0)

    assert "running" in screen.text
    assert "stopped: stopped by request" in screen.text


def test_all_studies_are_shown_with_their_trials(screen: Screen) -> None:
    """And the live workers."""
    page = says({"items": [study_view(counts={"complete": 3, "leased": 2}).model_dump(mode="json")]})
    script = Script(page, says({"items": []}), page, says({"items": []}))

    follow_list(script.client(), 1.0)

    assert "mine: 3 complete, 0 pruned, 2 running" in screen.text
    assert "no live workers" in screen.text


def test_live_needs_a_terminal(etude: Etude) -> None:
    """A file would fill with tables; `watch` writes lines."""
    result = etude("status", "--live")

    assert result.exit_code == 2
    assert "etude watch" in result.stderr


# Completion


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_given_its_script(etude: Etude, shell: str) -> None:
    """The script asks the program itself, by the variable that it knows."""
    result = etude("completion", shell)

    assert result.exit_code == 0
    assert f"_ETUDE_COMPLETE={shell}_complete" in result.stdout


def completions(*arguments: str, begun: str) -> list[str]:
    shell = ShellComplete(main, {}, "etude", "_ETUDE_COMPLETE")
    return [str(item.value) for item in shell.get_completions(list(arguments), begun)]


def test_commands_and_studies_are_completed(
    etude: Etude, table: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Studies by asking the service, tasks by what its workers offer."""
    task = {"name": "digits", "version": "1", "metric": "loss", "direction": "minimize",
            "horizon": {"epochs": 1, "steps_per_epoch": 1}}  # fmt: skip
    worker = {"worker": "w1", "last_heartbeat": "2025-03-01T12:00:00Z", "live": True, "tasks": [task]}
    table |= {
        "GET /v1/studies": says({"items": [study_view().model_dump(mode="json")]}),
        "GET /v1/workers": says({"items": [worker]}),
    }

    assert completions(begun="res") == ["resume"]
    assert completions("best", begun="mi") == ["mine"]
    assert completions("best", begun="yours") == []
    assert completions("import", "csv", "a.csv", "--into", begun="m") == ["mine"]
    assert completions("submit", "--task", begun="d") == ["digits"]


def test_what_the_catalogue_has_is_completed_without_a_service() -> None:
    """Optimizers, schedules and presets."""
    assert completions("submit", "--optimizer", begun="adamw") == ["adamw"]
    assert completions("submit", "--schedule", begun="cos") == ["cosine"]
    assert completions("submit", "--preset", begun="gen") == ["general"]


def test_without_a_service_nothing_is_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing is said: the shell would print it into the command."""

    def away(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    monkeypatch.setattr(
        "etude.cli_options.Client",
        lambda _url, **_options: Client("http://service.test", transport=httpx.MockTransport(away), attempts=1),
    )

    assert completions("best", begun="mi") == []
