"""Commands that change a study: pause, resume, stop, delete."""

from __future__ import annotations

import click
from rich.text import Text

from search_spaces.results import StudyView

from .cli_options import json_option, print_json, show, study_name
from .client import Client


@click.command(short_help="Propose and lease nothing new for now.")
@study_name
@json_option()
@click.pass_obj
def pause(url: str | None, name: str, as_json: bool) -> None:
    """Propose and lease nothing new for the study NAME; trials under way go on."""
    with Client(url) as client:
        _say(client.pause(name), as_json)


@click.command(short_help="Go on with a paused study.")
@study_name
@json_option()
@click.pass_obj
def resume(url: str | None, name: str, as_json: bool) -> None:
    """Go on with the paused study NAME."""
    with Client(url) as client:
        _say(client.resume(name), as_json)


@click.command(short_help="End a study now; its results stay.")
@study_name
@json_option()
@click.pass_obj
def stop(url: str | None, name: str, as_json: bool) -> None:
    """End the study NAME now; what it has found stays."""
    with Client(url) as client:
        _say(client.stop(name), as_json)


@click.command(short_help="Remove a study with its trials.")
@study_name
@click.option("--keep-answer", is_flag=True, help="`etude best` goes on answering, and the name stays taken.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option('Print {"name": ..., "removed": true}.')
@click.pass_obj
def delete(url: str | None, name: str, keep_answer: bool, yes: bool, as_json: bool) -> None:
    """Remove the study NAME with its trials; refused while workers hold trials of it."""
    if not yes:
        click.confirm("Remove the study with all its trials?", abort=True, err=True)
    with Client(url) as client:
        client.delete(name, keep_answer=keep_answer)
    if as_json:
        print_json({"name": name, "removed": True})
    else:
        click.echo(f"{name} is removed")


def _say(view: StudyView, as_json: bool) -> None:
    show(as_json, view, [Text(f"{view.name} is {view.state}")])
