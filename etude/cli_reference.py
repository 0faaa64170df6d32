"""The page that documents the command line, made from the commands themselves.

python -m etude.cli_reference > docs/cli.md
"""

from __future__ import annotations

from collections.abc import Iterator

import click

from .cli import main

WIDTH = 100
HEAD = """# The command line

This page is what `etude COMMAND --help` prints; `python -m etude.cli_reference > docs/cli.md` writes it. Steps are
optimizer updates, lengths of schedules are fractions of the horizon, durations are seconds, times are in UTC.

Results go to stdout; progress, questions and errors go to stderr. `--json` prints one JSON document and nothing else
(`watch` prints one a line); `worker`, which prints a log, and `completion`, which prints a script, have none. In a pipe
or a file each row of a table is one line.
"""


def reference() -> str:
    """Return the whole page: what all commands have in common, then a section for each."""
    return "\n".join([HEAD, *_sections(_context("etude", main, None))])


def _sections(context: click.Context) -> Iterator[str]:
    command = context.command
    yield f"## {context.command_path}\n"
    yield f"```\n{command.get_help(context)}\n```\n"
    for name, below in command.commands.items() if isinstance(command, click.Group) else ():
        yield from _sections(_context(name, below, context))


def _context(name: str, command: click.Command, parent: click.Context | None) -> click.Context:
    settings = {"terminal_width": WIDTH, "max_content_width": WIDTH} | dict(command.context_settings)
    return click.Context(command, parent=parent, info_name=name, **settings)


if __name__ == "__main__":
    click.echo(reference(), nl=False)
