"""Commands that look at a service: status, trials, history, workers."""

from __future__ import annotations

from typing import get_args

import click

from search_spaces.results import TrialState
from search_spaces.work import Purpose

from .cli_live import EVERY_SECONDS, follow_list, follow_study
from .cli_options import complete_studies, json_option, show, show_list, study_name
from .client import Client
from .show import history_table, stdout_console, studies_table, study_parts, trials_table, workers_table


@click.command(short_help="Show one study, or all.")
@click.argument("name", required=False, shell_complete=complete_studies)
@click.option("--live", is_flag=True, help="Redraw it in place until Ctrl-C, or until NAME has ended.")
@click.option(
    "--every",
    type=click.FloatRange(min=0.2),
    default=EVERY_SECONDS,
    show_default=True,
    help="With --live: seconds between two looks.",
)
@json_option()
@click.pass_obj
def status(url: str | None, name: str | None, live: bool, every: float, as_json: bool) -> None:
    """Show the study NAME, or all studies: state, trials that have ended of the budget, best search score."""
    with Client(url) as client:
        if live:
            _refuse_without_terminal(as_json)
            follow_list(client, every) if name is None else follow_study(client, name, every)
        elif name is not None:
            view = client.get(name)
            show(as_json, view, study_parts(view))
        else:
            studies = list(client.list())
            show_list(as_json, studies, studies_table(studies), "no studies yet: `etude submit` makes one")


def _refuse_without_terminal(as_json: bool) -> None:
    if as_json or not stdout_console().is_terminal:
        raise click.UsageError("--live draws in a terminal; `etude watch NAME` writes lines, with --json JSON")


@click.command(short_help="List a study's trials.")
@study_name
@click.option("--state", type=click.Choice(get_args(TrialState)), help="Only trials in this state.")
@click.option(
    "--purpose",
    type=click.Choice(get_args(Purpose)),
    default="search",
    show_default=True,
    help="Of the search, of baselines outside its space, or of the confirmation.",
)
@json_option()
@click.pass_obj
def trials(url: str | None, name: str, state: TrialState | None, purpose: Purpose, as_json: bool) -> None:
    """List the trials of the study NAME; `steps` are optimizer updates done, of the horizon."""
    with Client(url) as client:
        rows = list(client.trials(name, state=state, purpose=purpose))
        metric = client.get(name).metric or "value"
        show_list(as_json, rows, trials_table(rows, metric), "no such trials yet")


@click.command(short_help="List the past trials that a study was sent.")
@study_name
@json_option()
@click.pass_obj
def history(url: str | None, name: str, as_json: bool) -> None:
    """List what `etude import` has sent to the study NAME.

    The origin `history` is what the sampler learns from, `imported` a candidate that the search tries first.
    """
    with Client(url) as client:
        rows = list(client.history(name))
        show_list(as_json, rows, history_table(rows), "it was sent no past trials: see `etude import`")


@click.command(short_help="List workers and the tasks they offer.")
@json_option()
@click.pass_obj
def workers(url: str | None, as_json: bool) -> None:
    """List the workers that the service knows, with the trials they hold and the tasks they offer."""
    with Client(url) as client:
        rows = list(client.workers())
        show_list(as_json, rows, workers_table(rows), "no workers yet: `etude up` or `etude worker` starts one")
