"""The commands that send what was already run to a study: `etude import csv` and `etude import optuna`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from search_spaces.study import TaskSpec
from search_spaces.work import LONGEST_HORIZON

from .cli_options import complete_studies, json_option, print_json
from .client import Client
from .history import Outcome, Past, Places, import_past, read_csv, read_optuna

WORDS = {
    "history": "history: the sampler learns from it",
    "proposal": "first proposal: its candidate is tried before others",
    "left_out": "left out",
}
Decorated = TypeVar("Decorated", bound=Callable[..., Any])

OPTIONS = (
    click.option(
        "--into", "name", required=True, metavar="NAME", shell_complete=complete_studies, help="The running study."
    ),
    click.option(
        "--map",
        "mapped",
        multiple=True,
        metavar="COLUMN=PLACE,...",
        help="What a column means: optimizer, initial_lr, schedule, value, horizon_steps, state, candidate (as JSON),"
        " adamw.lr, cosine.end_factor, warmup.fraction and so on. A column that has such a name needs no entry.",
    ),
    click.option(
        "--set", "fixed", multiple=True, metavar="PLACE=VALUE,...", help="The same for all rows: --set schedule=cosine."
    ),
    click.option(
        "--rename",
        multiple=True,
        metavar="THEIRS=OURS,...",
        help="Names of optimizers and schedules: --rename SGDM=sgd.",
    ),
    click.option(
        "--horizon-steps",
        type=click.IntRange(min=1, max=LONGEST_HORIZON),
        help="Optimizer updates of each training, where no column says it.",
    ),
    click.option("--task", help="The task that they were trained on [default: the study's own]."),
    json_option('Print {"items": [{"source", "becomes", "why", "new"}]}, one for each row in order.'),
)


def _options(command: Decorated) -> Decorated:
    for option in reversed(OPTIONS):
        command = option(command)
    return command


@click.group("import", short_help="Send what was already run to a study.")
def import_() -> None:
    """Send what was already run to a running study, and say of each trial what became of it, and why.

    Trials of the study's task and horizon become history: its sampler learns from them, and they count nowhere.
    Others whose candidate lies in its space become its first proposals, up to a quarter of its budget, the best first.
    The rest is left out. Sent again, nothing is taken twice. Exit status 1 where no row could be used.
    """


@import_.command("csv", short_help="Read a CSV file.")
@click.argument("file", type=click.Path(path_type=Path))
@_options
@click.pass_obj
def import_csv(url: str | None, /, file: Path, **options: Any) -> None:
    """Read FILE, whose first line names its columns. Lengths are fractions of the horizon, steps optimizer updates.

    \b
    etude import csv results.csv --into mine --map lr=adamw.lr,wd=adamw.weight_decay,val_loss=value \\
        --set schedule=cosine,horizon_steps=3910
    """
    _import(url, lambda: read_csv(file), options)


@import_.command("optuna", short_help="Read a study of Optuna's.")
@click.argument("storage")
@click.argument("study")
@_options
@click.pass_obj
def import_optuna(url: str | None, /, storage: str, study: str, **options: Any) -> None:
    """Read the trials of STUDY from STORAGE, an Optuna URL, here and not on the service; needs Optuna.

    \b
    etude import optuna sqlite:///own.db resnet --into mine --map lr=sgd.lr,momentum=sgd.momentum \\
        --set optimizer=sgd,schedule=cosine --horizon-steps 3910
    """
    _import(url, lambda: read_optuna(storage, study), options)


def _import(url: str | None, read: Callable[[], Past], options: dict[str, Any]) -> None:
    places = Places(
        columns=_pairs("--map", options["mapped"]),
        fixed={place: _value(text) for place, text in _pairs("--set", options["fixed"]).items()},
        names=_pairs("--rename", options["rename"]),
    )
    task = None if options["task"] is None else TaskSpec(name=options["task"])
    with Client(url) as client:
        outcomes = import_past(
            client, options["name"], read(), places, horizon_steps=options["horizon_steps"], task=task
        )
    _show(outcomes, options["as_json"])
    if all(outcome.becomes == "left_out" for outcome in outcomes):
        raise click.exceptions.Exit(1)


def _pairs(option: str, given: Sequence[str]) -> dict[str, str]:
    pairs = [pair.strip() for text in given for pair in text.split(",") if pair.strip()]
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals and value):
            raise click.BadParameter(f"{pair!r} is no pair such as lr=adamw.lr", param_hint=option)
        found[name] = value
    return found


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _show(outcomes: Sequence[Outcome], as_json: bool) -> None:
    if as_json:
        fields = ("source", "becomes", "why", "new")
        print_json({"items": [{field: getattr(outcome, field) for field in fields} for outcome in outcomes]})
        return
    if not outcomes:
        click.echo("there are no rows in it")
    for becomes, words in WORDS.items():
        found = [outcome for outcome in outcomes if outcome.becomes == becomes]
        if found:
            there = sum(not outcome.new for outcome in found) if becomes != "left_out" else 0
            click.echo(f"{len(found)} {words}" + (f" ({there} of them sent before)" if there else ""))
        for why in dict.fromkeys(outcome.why for outcome in found):
            sources = ", ".join(outcome.source for outcome in found if outcome.why == why)
            click.echo(f"  {why}\n    {sources}")
