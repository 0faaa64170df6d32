"""What commands have in common: names that complete, `--json`, and how results are printed."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem
from pydantic import BaseModel
from rich.console import Console, RenderableType

from search_spaces.problems import Problem

from .client import Client
from .http import ServiceUnreachable
from .settings import WrongSetting
from .show import stdout_console

AS_JSON = "etude.as_json"
"""Where a command's context notes that it was asked for JSON: an error is written as JSON then, too."""
MOST_COMPLETIONS = 100
LONGEST_LINE = 10_000
"""Columns of a table that nobody looks at in a terminal."""
Decorated = TypeVar("Decorated", bound=Callable[..., Any])
CompleteNames = Callable[[click.Context, click.Parameter, str], list[str]]


def json_option(says: str = "Print what the service answers, as JSON.") -> Callable[[Decorated], Decorated]:
    """Return the option `--json`, with its help."""
    return click.option("--json", "as_json", is_flag=True, callback=_note_json, help=says)


def _note_json(context: click.Context, _parameter: click.Parameter, value: bool) -> bool:
    context.meta[AS_JSON] = value
    return value


def _complete(context: click.Context, names: Callable[[Client], Iterable[str]], begun: str) -> list[CompletionItem]:
    """Offer names that a service knows, unless it is away: completing must neither wait nor fail."""
    found: list[CompletionItem] = []
    try:
        with Client(context.find_root().params.get("url"), timeout=1.0, attempts=1) as client:
            for name in names(client):
                if name.startswith(begun) and len(found) < MOST_COMPLETIONS:
                    found.append(CompletionItem(name))
    except (ServiceUnreachable, WrongSetting, Problem):
        return []
    return found


def complete_studies(context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Offer the studies whose names begin so."""
    return _complete(context, lambda client: (view.name for view in client.list()), begun)


def complete_recurrences(context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Offer the recurrences whose names begin so."""
    return _complete(context, lambda client: (view.name for view in client.recurrences.list()), begun)


def complete_tasks(context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Offer the tasks that workers offer."""
    return _complete(context, _tasks, begun)


def complete_from(names: Callable[[], Iterable[str]]) -> CompleteNames:
    """Return a completion by names that need no service."""
    return lambda _context, _parameter, begun: [name for name in names() if name.startswith(begun)]


def optimizer_names() -> Iterable[str]:
    """What `--optimizer` may say; the catalogue is loaded when it is asked for."""
    from search_spaces.optimizers import OPTIMIZERS

    return OPTIMIZERS


def schedule_names() -> Iterable[str]:
    """What `--schedule` may say."""
    from search_spaces.schedules import FAMILIES

    return FAMILIES


def preset_names() -> Iterable[str]:
    """What `--preset` may say."""
    from search_spaces.presets import PRESETS

    return PRESETS


def _tasks(client: Client) -> list[str]:
    return sorted({task.name for worker in client.workers() for task in worker.tasks})


study_name = click.argument("name", shell_complete=complete_studies)
out_file = click.option(
    "--output", "-o", type=click.Path(dir_okay=False, writable=True, path_type=Path), help="A file, instead of stdout."
)


def show(as_json: bool, model: BaseModel, parts: Iterable[RenderableType]) -> None:
    """Print a model as JSON, or what a person reads of it."""
    if as_json:
        click.echo(model.model_dump_json(indent=2))
        return
    console = stdout_console()
    for part in parts:
        console.print(part)


def show_list(as_json: bool, items: list[Any], table: RenderableType, nothing: str) -> None:
    """Print models as `{"items": [...]}`, or as a table; `nothing` where there are none."""
    if as_json:
        print_json({"items": [plain(item) for item in items]})
    elif items:
        print_table(table)
    else:
        click.echo(nothing)


@contextmanager
def following(name: str) -> Iterator[None]:
    """Say at Ctrl-C that the study goes on, which is only looked at here."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"\n{name} goes on: `etude watch {name}` follows it, `etude stop {name}` ends it", err=True)
        raise


def print_table(table: RenderableType) -> None:
    """Print a table; in a pipe or a file each row is one line, however long, for grep and its like."""
    console = stdout_console()
    if console.is_terminal:
        console.print(table)
        return
    text = io.StringIO()
    Console(file=text, width=LONGEST_LINE, highlight=False).print(table)
    for line in text.getvalue().splitlines():
        click.echo(line.rstrip())


def plain(model: BaseModel) -> Any:
    """Return a model as plain data. Through JSON text: only there NaN and infinities become strings."""
    return json.loads(model.model_dump_json())


def print_json(document: Any) -> None:
    """Print plain data as JSON."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def write_out(content: str | bytes, output: Path | None) -> None:
    """Write a text or a picture to a file, or to stdout as it is."""
    if output is None:
        click.echo(content, nl=False)
        return
    try:
        output.write_bytes(content if isinstance(content, bytes) else content.encode())
    except OSError as error:
        raise click.BadParameter(f"{output} cannot be written: {error.strerror}", param_hint="--output") from error
    click.echo(f"written to {output}", err=True)
