"""The command that follows a study: watch."""

from __future__ import annotations

import click

from search_spaces.describe import describe
from search_spaces.results import TrialView

from .cli_options import following, json_option, study_name
from .client import Client
from .pace import ENDED
from .waiting import wait_for_end

ENDED_TRIAL = {"complete", "pruned", "failed", "stopped"}


@click.command(short_help="Follow a study until it has ended.")
@study_name
@json_option("Print each change of the study or of a trial as a line of JSON.")
@click.pass_obj
def watch(url: str | None, name: str, as_json: bool) -> None:
    """Follow the study NAME until it has ended: each trial as it ends, and how far the study is.

    Exit status 1 where the study was stopped or has failed. Ctrl-C ends the watching, not the study.
    """
    with Client(url) as client:
        state = _print_events(client, name) if as_json else _show(client, name)
    if state != "done":
        raise click.exceptions.Exit(1)


def _show(client: Client, name: str) -> str:
    with following(name):
        view = wait_for_end(client, name, progress=True, timeout=None, say_trial=_words)
    answer = f"; `etude best {name}` prints the answer" if view.state == "done" else ""
    click.echo(f"{name} is {view.state}" + (f": {view.reason}" if view.reason else "") + answer)
    return view.state


def _words(trial: TrialView) -> str | None:
    """Say how a trial has ended; nothing while it has not."""
    if trial.state not in ENDED_TRIAL:
        return None
    value = "" if trial.value is None else f" {trial.value:.4g}"
    what = f": {describe(trial.candidate)}" if trial.candidate else ""
    return f"{trial.study} {trial.number} {trial.state}{value} after {trial.steps_done} steps{what}"


def _print_events(client: Client, name: str) -> str:
    state = client.get(name).state
    for event in client.events(name):
        model = event.study or event.trial
        assert model is not None
        click.echo(f'{{"event": "{event.kind}", "data": {model.model_dump_json(exclude={"curve", "lr"})}}}')
        state = event.study.state if event.study is not None else state
    return state if state in ENDED else client.get(name).state
