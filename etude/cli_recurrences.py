"""Commands of searches that repeat: `etude recurrence ...`."""

from __future__ import annotations

from typing import IO, Any

import click
from rich.table import Table
from rich.text import Text

from search_spaces.describe import describe
from search_spaces.recurrence import RecurrenceView, RunView

from .cli_options import complete_recurrences, json_option, print_json, show, show_list
from .cli_submit import read_spec
from .client import Client

recurrence_name = click.argument("name", shell_complete=complete_recurrences)
SHOWN = 30


@click.group(short_help="Searches that repeat: submit, look, pause, run now.")
def recurrence() -> None:
    """Searches that repeat: a study template with a cron expression."""


@recurrence.command(short_help="Keep a recurrence from a file.")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@click.option("--name", help="Its name, over the file's.")
@click.option("--cron", help="Five fields, minute to day of the week, over the file's.")
@click.option("--zone", help="An IANA time zone, over the file's: Europe/Berlin.")
@json_option()
@click.pass_obj
def submit(url: str | None, /, file: IO[str], as_json: bool, **flags: Any) -> None:
    """Keep the recurrence of a YAML or JSON FILE (- is stdin); flags win. The same again changes nothing.

    \b
    name: nightly
    cron: "30 2 * * *"
    zone: Europe/Berlin
    done_by: "06:00"
    template: {task: {name: digits-mlp}, budget: {trials: 40}}
    """
    given = {key: value for key, value in flags.items() if value is not None}
    with Client(url) as client:
        _show(client.recurrences.create(read_spec(file), **given), as_json)


@recurrence.command("list", short_help="List recurrences.")
@json_option()
@click.pass_obj
def list_(url: str | None, as_json: bool) -> None:
    """List the recurrences with the next due time of each."""
    with Client(url) as client:
        rows = list(client.recurrences.list())
        show_list(as_json, rows, _recurrences_table(rows), "no recurrence yet: `etude recurrence submit` makes one")


@recurrence.command("show", short_help="Show one recurrence.")
@recurrence_name
@json_option()
@click.pass_obj
def show_(url: str | None, name: str, as_json: bool) -> None:
    """Show the recurrence NAME: when it is due, and the schedule in use."""
    with Client(url) as client:
        _show(client.recurrences.get(name), as_json)


@recurrence.command(short_help="List the nights of a recurrence.")
@recurrence_name
@json_option()
@click.pass_obj
def runs(url: str | None, name: str, as_json: bool) -> None:
    """List the nights of the recurrence NAME, latest first.

    `gain` is that of the night's finalist over the schedule in use on the same seeds, positive when better, with its
    95 % interval.
    """
    with Client(url) as client:
        rows = list(client.recurrences.runs(name))
        show_list(as_json, rows, _runs_table(rows), "no night yet")


@recurrence.command(short_help="Let it be due no more, for now.")
@recurrence_name
@json_option()
@click.pass_obj
def pause(url: str | None, name: str, as_json: bool) -> None:
    """Let the recurrence NAME be due no more; a night under way goes on."""
    with Client(url) as client:
        _show(client.recurrences.pause(name), as_json)


@recurrence.command(short_help="Let it be due again.")
@recurrence_name
@json_option()
@click.pass_obj
def resume(url: str | None, name: str, as_json: bool) -> None:
    """Let the recurrence NAME be due again, from now on."""
    with Client(url) as client:
        _show(client.recurrences.resume(name), as_json)


@recurrence.command("run-now", short_help="Begin a night now.")
@recurrence_name
@click.option("--claim-id", help="The same id gives the same night [default: a new one].")
@json_option()
@click.pass_obj
def run_now(url: str | None, name: str, claim_id: str | None, as_json: bool) -> None:
    """Begin a night of the recurrence NAME now, paused or not."""
    with Client(url) as client:
        night = client.recurrences.run_now(name, claim_id=claim_id)
        show(as_json, night, [Text(f"{night.study or name} is {_state(night)}")])


@recurrence.command(short_help="Remove a recurrence; its studies stay.")
@recurrence_name
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option('Print {"name": ..., "removed": true}.')
@click.pass_obj
def delete(url: str | None, name: str, yes: bool, as_json: bool) -> None:
    """Remove the recurrence NAME with the list of its nights; their studies stay."""
    if not yes:
        click.confirm("Remove the recurrence?", abort=True, err=True)
    with Client(url) as client:
        client.recurrences.delete(name)
    if as_json:
        print_json({"name": name, "removed": True})
    else:
        click.echo(f"{name} is removed")


def _show(view: RecurrenceView, as_json: bool) -> None:
    in_use = "not known" if view.in_use is None else describe(view.in_use)
    lines = [
        f"{view.name}: {view.template.task.name}, {view.cron} in {view.zone}; {_when(view)}",
        f"in use: {in_use}" + (f", adopted from {view.in_use_from}" if view.in_use_from else ""),
        *(f"wider: {name} {range_}" for name, range_ in view.widened.items()),
    ]
    show(as_json, view, [Text(line) for line in lines])


def _when(view: RecurrenceView) -> str:
    if view.next_due_at is None:
        return "paused" if view.paused else "at its end"
    return f"next due {view.next_due_at:%Y-%m-%d %H:%M} UTC"


def _recurrences_table(rows: list[RecurrenceView]) -> Table:
    table = Table("name", "task", "cron", "zone", "due", box=None, header_style="bold")
    for row in rows:
        table.add_row(row.name, row.template.task.name, row.cron, row.zone, _when(row))
    return table


def _runs_table(rows: list[RunView]) -> Table:
    table = Table("due (UTC)", "state", "verdict", "gain", "candidate", box=None, header_style="bold")
    for row in rows[:SHOWN]:
        gain = ""
        if row.difference is not None:
            low, high = row.difference.interval
            gain = f"{row.difference.gain:.3g} ({low:.3g} to {high:.3g})"
        due = f"{row.due_at:%Y-%m-%d %H:%M}"
        table.add_row(due, _state(row), row.verdict or "", gain, row.candidate_text or "")
    return table


def _state(row: RunView) -> str:
    return row.state + (f": {row.reason}" if row.reason else "")
