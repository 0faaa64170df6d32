"""The command that submits a study, from a file, flags, or both."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import IO, Any, TypeVar

import click
import yaml
from rich.text import Text

from search_spaces.plan import StudyPlan
from search_spaces.problems import Conflict
from search_spaces.results import StudyView

from .cli_answer import show_answer
from .cli_options import (
    complete_from,
    complete_tasks,
    following,
    json_option,
    optimizer_names,
    plain,
    preset_names,
    print_json,
    schedule_names,
    show,
)
from .client import Client, spec_fields
from .measuring import measure as measured_step
from .show_plan import plan_parts

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

PLACES = {
    "epochs": ("horizon", "epochs"),
    "steps": ("horizon", "steps"),
    "seeds": ("confirmation", "seeds"),
    "worker_seconds": ("budget", "worker_seconds"),
    "deadline": ("budget", "deadline"),
    "metric": ("objective", "metric"),
    "direction": ("objective", "direction"),
    "preset": ("space", "preset"),
    "optimizers": ("space", "optimizers"),
    "schedules": ("space", "schedules"),
}
"""Where a flag's value stands in a spec."""


SPEC_OPTIONS = (
    click.argument("file", type=click.File("r", encoding="utf-8"), required=False),
    click.option("--name", help="Name of the study [default: the task and the time]."),
    click.option(
        "--task",
        shell_complete=complete_tasks,
        help="What to search a schedule for, by the name that workers offer; `external` for loops of your own.",
    ),
    click.option(
        "--param", "params", multiple=True, metavar="NAME=JSON", help="A parameter of the task; may be repeated."
    ),
    click.option("--trials", type=int, help="Budget of the search, in trials."),
    click.option("--worker-seconds", type=float, help="Budget of the search, in seconds of worker time."),
    click.option("--deadline", metavar="TIME", help="End of it all, confirmation included: 2030-01-31T06:00:00Z."),
    click.option("--epochs", type=int, help="Horizon of one training, in epochs of the task."),
    click.option("--steps", type=int, help="Horizon of one training, in optimizer updates."),
    click.option("--preset", shell_complete=complete_from(preset_names), help="What may be tried [default: general]."),
    click.option(
        "--optimizer",
        "optimizers",
        multiple=True,
        shell_complete=complete_from(optimizer_names),
        help="Search this optimizer; may be repeated.",
    ),
    click.option(
        "--schedule",
        "schedules",
        multiple=True,
        shell_complete=complete_from(schedule_names),
        help="Search this schedule; may be repeated.",
    ),
    click.option("--metric", help="Decision metric [default: the task's]."),
    click.option(
        "--direction", type=click.Choice(["minimize", "maximize"]), help="Of the metric [default: the task's]."
    ),
    click.option(
        "--seeds", type=int, help="Fresh seeds of the confirmation, a number of trainings for each candidate."
    ),
    click.option("--seed", type=int, help="Seed of the search."),
    click.option("--priority", type=int, help="Higher ones are trained first, -1000 ... 1000."),
    click.option("--tag", "tags", multiple=True, help="A tag; may be repeated."),
)
"""What a study is said by: a file, and flags that win over it."""


def spec_options(command: Decorated) -> Decorated:
    """Give a command the file and the flags that say a study."""
    for option in reversed(SPEC_OPTIONS):
        command = option(command)
    return command


@click.command(short_help="Submit a study from a file or flags.")
@spec_options
@click.option("--dry-run", is_flag=True, help="Print what the study would do, as JSON, and submit nothing.")
@click.option("--wait", is_flag=True, help="Wait for the answer and print it; progress goes to stderr.")
@json_option()
@click.pass_obj
def submit(url: str | None, /, file: IO[str] | None, dry_run: bool, wait: bool, as_json: bool, **flags: Any) -> None:
    """Submit a study: a YAML or JSON FILE (- is stdin), flags, or both; flags win.

    \b
    etude submit study.yaml --wait
    etude submit --task digits-noisy --trials 40 --wait
    """
    spec = _with_flags(read_spec(file), flags)
    with Client(url) as client:
        if dry_run:
            print_json(plain(client.plan(spec)))
            return
        study = client.submit(spec)
        if wait:
            with following(study.name):
                answer = study.wait()
            show_answer(client, answer, as_json)
            if answer.status != "final":
                raise click.exceptions.Exit(1)
            return
        view = study.view()
        waits = f" until a worker offers {view.spec.task.name}" if view.state == "queued" else _but(view)
        show(as_json, view, [Text(f"{view.name} is {view.state}{waits}: {client.url}/v1/studies/{view.name}")])


@click.command(short_help="Say what a study would do and cost.")
@spec_options
@click.option("--measure", is_flag=True, help="Train short trials of the task on a live worker to find what it costs.")
@json_option()
@click.pass_obj
def plan(url: str | None, /, file: IO[str] | None, measure: bool, as_json: bool, **flags: Any) -> None:
    """Say what a study would train, what that costs, and how small a gain it could show; nothing is submitted.

    The study is said as `etude submit` reads it. Times go by past trials of the task; with --measure by two short
    ones, which are trained ahead of everything else and forgotten.

    \b
    etude plan study.yaml --measure
    """
    spec = _with_flags(read_spec(file), flags)
    with Client(url) as client:
        planned = client.plan(spec)
        if measure:
            planned = client.plan(spec, step_seconds=_step_seconds(client, spec, planned))
        show(as_json, planned, plan_parts(planned))


def _step_seconds(client: Client, spec: dict[str, Any], planned: StudyPlan) -> float:
    if planned.horizon_steps is None or planned.workers == 0:
        raise Conflict("no live worker offers the task, so nothing of it can be measured", field="task")
    return measured_step(client, spec, planned.horizon_steps)


def _but(view: StudyView) -> str:
    """Say that nobody trains a study that has begun."""
    return f", but {view.reason}" if view.state == "running" and view.reason else ""


class _StudyLoader(yaml.SafeLoader):
    """YAML 1.1, except that 1e-3 is a number: that version wants a dot and a sign in it, and would read text."""


_StudyLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(?:\d+(?:\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def read_spec(file: IO[str] | None) -> dict[str, Any]:
    """Read a spec that somebody has written, as YAML or JSON; no file is an empty one."""
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
    params = _named_values(given.pop("params", ()))
    merged = spec_fields(spec, **_placed(spec, given))
    if "task" not in merged:
        raise click.UsageError("what for? Give a FILE or --task; `etude workers` lists what workers offer")
    task = merged["task"]
    if params and isinstance(task, dict):
        merged["task"] = {**task, "params": {**task.get("params", {}), **params}}
    if "name" not in merged:
        named = task.get("name", "study") if isinstance(task, dict) else "study"
        merged["name"] = f"{named}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    return merged


def _placed(spec: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Put flags where they stand in a spec, beside what the file says there; the horizon has one unit only."""
    placed: dict[str, Any] = {}
    for flag, value in given.items():
        part, name = PLACES.get(flag, (None, flag))
        if part is None:
            placed[name] = value
            continue
        beside = spec.get(part) if part != "horizon" else None
        placed.setdefault(part, {**beside} if isinstance(beside, dict) else {})[name] = value
    return placed


def _named_values(pairs: Iterable[str]) -> dict[str, Any]:
    """Read NAME=JSON; what is no JSON is text."""
    values: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not (name and equals):
            raise click.BadParameter(f"{pair!r} is not NAME=JSON", param_hint="--param")
        try:
            values[name] = json.loads(text)
        except ValueError:
            values[name] = text
    return values
