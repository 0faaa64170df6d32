"""Commands about schedules as text: `code` writes one for a framework, `explain` reads one."""

from __future__ import annotations

from typing import get_args

import click

from search_spaces.export import Framework

from .client import Client


@click.command(short_help="Print a study's answer as code.")
@click.argument("name")
@click.option("--framework", type=click.Choice(get_args(Framework)), default="pytorch", show_default=True)
@click.option("--steps", type=click.IntRange(min=1), help="Updates of your training [default: the study's horizon].")
@click.pass_obj
def code(url: str | None, name: str, framework: Framework, steps: int | None) -> None:
    """Print Python text that builds the optimizer and the schedule that the study NAME has found.

    \b
    etude code mine --framework lightning > schedule.py
    """
    with Client(url) as client:
        click.echo(client.code(name, framework, steps=steps), nl=False)
