"""Commands that talk to a service: submit, status, best, trials, and what changes a study."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import IO, Any, get_args

import click
import yaml
from pydantic import BaseModel
from rich.console import RenderableType
from rich.text import Text

from search_spaces.problems import Unsupported
from search_spaces.results import Answer, TrialState
from search_spaces.work import Purpose

from .client import Client, spec_fields
from .show import answer_parts, stdout_console, studies_table, study_parts, trials_table, workers_table

as_json = click.option("--json", "as_json", is_flag=True, help="Print what the service answers, as JSON.")
study_name = click.argument("name")


@click.command(short_help="Submit a study from a file or flags.")
@click.argument("file", type=click.File("r", encoding="utf-8"), required=False)
@click.option("--name", help="Name of the study [default: the task and the time].")
@click.option("--task", help="What to search a schedule for, by the name that workers offer.")
@click.option("--trials", type=int, help="Budget of the search.")
@click.option("--epochs", type=int, help="Horizon of one training, in epochs of the task.")
@click.option("--seeds", type=int, help="Fresh seeds of the confirmation.")
@click.option("--seed", type=int, help="Seed of the search.")
@click.option("--tag", "tags", multiple=True, help="A tag; may be repeated.")
@click.option("--dry-run", is_flag=True, help="Print what the study would do, as JSON, and submit nothing.")
@click.option("--wait", is_flag=True, help="Wait for the answer and print it.")
@as_json
@click.pass_obj
def submit(url: str | None, /, file: IO[str] | None, dry_run: bool, wait: bool, as_json: bool, **flags: Any) -> None:
    """Submit a study: a YAML or JSON FILE (- is stdin), flags, or both; flags win.

    \b
    etude submit study.yaml --wait
    etude submit --task digits-noisy --trials 40 --wait
    """
    spec = _with_flags(_read_spec(file), flags)
    with Client(url) as client:
        if dry_run:
            click.echo(json.dumps(client.plan(spec), indent=2, ensure_ascii=False))
            return
        study = client.submit(spec)
        if wait:
            answer = study.wait()
            _show_answer(client, answer, as_json)
            _fail_unless_final(answer)
            return
        view = study.view()
        waits = f" until a worker offers {view.spec.task.name}" if view.state == "queued" else ""
        _show(as_json, view, [Text(f"{view.name} is {view.state}{waits}: {client.url}/v1/studies/{view.name}")])


@click.command(short_help="Show one study, or all.")
@click.argument("name", required=False)
@as_json
@click.pass_obj
def status(url: str | None, name: str | None, as_json: bool) -> None:
    """Show the study NAME, or all studies."""
    with Client(url) as client:
        if name is not None:
            view = client.view(name)
            _show(as_json, view, study_parts(view))
        else:
            studies = list(client.list())
            _show_list(as_json, studies, studies_table(studies), "no studies yet: `etude submit` makes one")


@click.command(short_help="Print a study's answer.")
@study_name
@as_json
@click.pass_obj
def best(url: str | None, name: str, as_json: bool) -> None:
    """Print the answer of the study NAME, or as much of it as there is."""
    with Client(url) as client:
        _show_answer(client, client.best(name), as_json)


@click.command(short_help="List a study's trials.")
@study_name
@click.option("--state", type=click.Choice(get_args(TrialState)), help="Only trials in this state.")
@click.option("--purpose", type=click.Choice(get_args(Purpose)), default="search", show_default=True)
@as_json
@click.pass_obj
def trials(url: str | None, name: str, state: TrialState | None, purpose: Purpose, as_json: bool) -> None:
    """List the trials of the study NAME."""
    with Client(url) as client:
        rows = list(client.trials(name, state=state, purpose=purpose))
        metric = client.view(name).metric or "value"
        _show_list(as_json, rows, trials_table(rows, metric), "no such trials yet")


@click.command(short_help="List workers and the tasks they offer.")
@as_json
@click.pass_obj
def workers(url: str | None, as_json: bool) -> None:
    """List the workers that the service knows, with the tasks they offer."""
    with Client(url) as client:
        rows = list(client.workers())
        _show_list(as_json, rows, workers_table(rows), "no workers yet: `etude up` or `etude worker` starts one")


@click.command(short_help="Propose and lease nothing new for now.")
@study_name
@click.pass_obj
def pause(url: str | None, name: str) -> None:
    """Propose and lease nothing new for the study NAME; trials under way go on."""
    with Client(url) as client:
        click.echo(f"{name} is {client.pause(name).state}")


@click.command(short_help="Go on with a paused study.")
@study_name
@click.pass_obj
def resume(url: str | None, name: str) -> None:
    """Go on with the paused study NAME."""
    with Client(url) as client:
        click.echo(f"{name} is {client.resume(name).state}")


@click.command(short_help="End a study now; its results stay.")
@study_name
@click.pass_obj
def stop(url: str | None, name: str) -> None:
    """End the study NAME now; what it has found stays."""
    with Client(url) as client:
        click.echo(f"{name} is {client.stop(name).state}")


@click.command(short_help="Remove a study with its trials.")
@study_name
@click.option("--keep-answer", is_flag=True, help="`etude best` goes on answering, and the name stays taken.")
@click.confirmation_option(prompt="Remove the study with all its trials?")
@click.pass_obj
def delete(url: str | None, name: str, keep_answer: bool) -> None:
    """Remove the study NAME with its trials."""
    with Client(url) as client:
        client.delete(name, keep_answer=keep_answer)
        click.echo(f"{name} is removed")


class _StudyLoader(yaml.SafeLoader):
    """YAML 1.1, except that 1e-3 is a number: that version wants a dot and a sign in it, and would read text."""


_StudyLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(?:\d+(?:\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def _read_spec(file: IO[str] | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        spec = yaml.load(file, _StudyLoader)  # noqa: S506 - it is a safe one
    except yaml.YAMLError as error:
        raise click.UsageError(f"{file.name} is neither YAML nor JSON: {error}") from error
    if not isinstance(spec, dict):
        raise click.UsageError(f"{file.name} holds no study: fields such as name and task are meant")
    return spec


def _with_flags(spec: dict[str, Any], flags: dict[str, Any]) -> dict[str, Any]:
    given = {key: value for key, value in flags.items() if value not in (None, ())}
    if "epochs" in given:
        given["horizon"] = {"epochs": given.pop("epochs")}
    if "seeds" in given:
        given["confirmation"] = {**(spec.get("confirmation") or {}), "seeds": given.pop("seeds")}
    merged = spec_fields(spec, **given)
    if "task" not in merged:
        raise click.UsageError("what for? Give a FILE or --task; `etude workers` lists what workers offer")
    if "name" not in merged:
        task = merged["task"].get("name", "study") if isinstance(merged["task"], dict) else "study"
        merged["name"] = f"{task}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    return merged


def _show_answer(client: Client, answer: Answer, as_json: bool) -> None:
    _show(as_json, answer, answer_parts(answer, None if as_json else _curve(client, answer)))


def _curve(client: Client, answer: Answer) -> list[float] | None:
    try:
        return None if answer.candidate is None else client.curve(answer.study)
    except Unsupported:  # a plateau has no curve before a training has shown one
        return None


def _fail_unless_final(answer: Answer) -> None:
    if answer.status != "final":
        raise click.exceptions.Exit(1)


def _show(as_json: bool, model: BaseModel, parts: Iterable[RenderableType]) -> None:
    if as_json:
        _print_json(model)
        return
    console = stdout_console()
    for part in parts:
        console.print(part)


def _show_list(as_json: bool, items: list[Any], table: RenderableType, nothing: str) -> None:
    if as_json:
        rows = [json.loads(item.model_dump_json()) for item in items]
        click.echo(json.dumps({"items": rows}, indent=2, ensure_ascii=False))
    elif items:
        stdout_console().print(table)
    else:
        click.echo(nothing)


def _print_json(model: BaseModel) -> None:
    click.echo(model.model_dump_json(indent=2))
