"""Commands for training scripts as they are: check and search."""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import click
import yaml

from search_spaces.problems import InvalidSpec, Problem
from search_spaces.results import Answer
from search_spaces.script_spec import ScriptSpec, metric_name_of, read_script_spec

from .checkout import NoCheckout, find_checkout
from .cli_answer import show_answer
from .cli_options import Decorated, json_option
from .cli_parts import become, end_on_signals
from .cli_submit import read_spec
from .client import spec_fields
from .http import ServiceUnreachable
from .pace import ENDED
from .parts import PartFailed
from .script_answer import keep
from .script_search import CannotBeSearched, ScriptSearch, check_study, look_at, place_of
from .settings import PartsSettings, WrongSetting

CHECK_SECONDS = 600.0
VERDICT_STATUS = {"winner": 0, "no_winner": 3, "undecided": 4}
"""Exit status by verdict; 1 is every other end, 5 that there is nothing to start a search from."""
NOTHING = r"(?!)(.)"
"""A pattern that matches nothing: the metric is looked for in what the script prints."""
EXPECTED = (Problem, PartFailed, ServiceUnreachable, CannotBeSearched, WrongSetting, TimeoutError, OSError)
OPTIONS = (
    click.option("--metric", metavar="REGEX", help="What it prints of its metric, the value in a group; with "
                 "--jsonl, --csv or --tensorboard its field or tag."),
    click.option("--minimize/--maximize", "minimize", default=True, help="Is less better?  [default: minimize]"),
    click.option("--jsonl", metavar="FILE", help="The metric is in a file of JSON lines."),
    click.option("--csv", "csv_file", metavar="FILE", help="The metric is in a column of a CSV file."),
    click.option("--tensorboard", metavar="DIR", help="The metric is in TensorBoard's event files."),
    click.option("--step-field", metavar="NAME", help="The field of the updates made, with --jsonl and --csv."),
    click.option("--flags", metavar="TEMPLATE", help="How it takes a candidate: '--lr {initial_lr}'."),
    click.option("--schedules", metavar="KIND=WORD,...", help="With --flags: the schedules that it knows."),
    click.option("--optimizers", metavar="KIND=WORD,...", help="With --flags: the optimizers that it knows."),
    click.option("--file", "by_file", is_flag=True, help="It reads its candidate from $ETUDE_TRIAL's file."),
    click.option("--initial-lr", type=click.FloatRange(min=0, min_open=True),
                 help="With --flags and --file: its own largest LR, where no torch optimizer shows it."),
    click.option("--seed-flags", metavar="TEMPLATE", help="How it takes a seed: '--seed {seed}' [default: found]."),
    click.option("--horizon-steps", type=click.IntRange(min=1), help="Updates of a training [default: counted]."),
    click.option("--script", type=click.Path(exists=True, dir_okay=False, path_type=Path),
                 help="A script file with all of this, in place of a command."),
    click.option("--check-seconds", type=float, default=CHECK_SECONDS, show_default=True,
                 help="Most that one start may take while it is looked at."),
)  # fmt: skip


DESCRIBED = (
    "metric", "minimize", "jsonl", "csv_file", "tensorboard", "step_field", "flags", "schedules", "optimizers",
    "by_file", "initial_lr", "seed_flags", "horizon_steps", "script",
)  # fmt: skip
"""What the options become."""


def script_options(command: Decorated) -> Decorated:
    """Add the options that describe a script, and its command."""
    described: Callable[..., Any] = click.argument("command", nargs=-1, type=click.UNPROCESSED)(command)
    for option in reversed(OPTIONS):
        described = option(described)
    return described  # type: ignore[return-value]


@click.command(short_help="Look whether a training script can be searched.")
@script_options
@json_option("Print what was seen, as JSON.")
def check(command: tuple[str, ...], check_seconds: float, as_json: bool, **described: Any) -> None:
    """Start a training script a few times and say whether it can be searched, and how; exit status 1 when nothing fits.

    \b
    etude check -- python train.py --epochs 3
    """
    guess = described["metric"] is None and described["script"] is None
    spec = _spec("script", command, described)
    flags = ["--spec", spec.model_dump_json(exclude_none=True), "--check-seconds", str(check_seconds)]
    become("workers.scripts.check", *flags, *(["--guess"] if guess else []), *(["--json"] if as_json else []))


@click.command(short_help="Search the schedule of a training script, unchanged.")
@script_options
@click.option("--trials", type=click.IntRange(min=1), help="Budget of the search, in trials [default: 64].")
@click.option("--study", "study_file", type=click.File("r", encoding="utf-8"), help="Any fields of a study, as YAML.")
@click.option("--name", help="Of the study [default: the script's]. With a name that is there the search goes on.")
@click.option("--slots", type=click.IntRange(min=1), help="Trainings at once [default: 1].")
@json_option("Print the answer as JSON; all the rest goes to stderr.")
@click.pass_context
def search(
    context: click.Context, /, command: tuple[str, ...], trials: int | None, study_file: IO[str] | None,
    name: str | None, slots: int | None, as_json: bool, check_seconds: float, **described: Any,
) -> None:  # fmt: skip
    """Search the learning-rate schedule of a training script as it is, from the first look to the answer.

    \b
    etude search --metric 'val_loss=(\\S+)' --minimize -- python train.py --epochs 3

    Starts a service and a worker, or with ETUDE_URL a worker for that service, and ends them. Ctrl-C loses nothing:
    the same command goes on.

    \b
    Exit status: 0 the search has a winner, 3 it has none, 4 it is undecided, 5 there is no checkout of Étude to start
    from, 1 anything else (2 for a wrong command line).
    """
    study = read_spec(study_file)
    spec = _spec(name or study.get("name"), command, described, slots)
    fields = spec_fields({"name": spec.name, **study}, **({"trials": trials} if trials is not None else {}))
    fields["name"] = name or fields["name"]
    end_on_signals()
    try:
        check_study(fields)
        context.exit(VERDICT_STATUS.get(_searched(spec, fields, check_seconds, as_json) or "", 1))
    except NoCheckout:
        raise
    except EXPECTED as error:
        _say_error(error, as_json)
        context.exit(1)


def _searched(spec: ScriptSpec, fields: dict[str, Any], check_seconds: float, as_json: bool) -> str | None:
    """Search the script and print the answer; return its verdict."""
    name, root = fields["name"], find_checkout()
    settings = place_of(PartsSettings.from_environment(os.environ), name)
    report = look_at(spec, settings, root, seconds=check_seconds)
    for line in report["words"]:
        _say(line)
    with ScriptSearch(settings, root, spec, report["version"], environ=os.environ) as parts:
        try:
            answer = _followed(parts, name, fields)
        except KeyboardInterrupt:
            _say("\nstopping: the script's processes are ended; the same command goes on where this ended")
            raise
        show_answer(parts.client, answer, as_json)
    if keep(settings.data_dir, answer, report):
        _say(f"to train with it, the script as it is: etude train {name} -- {shlex.join(spec.command)}")
    _say(f"store and outputs: {_near(settings.data_dir)}")
    return answer.verdict


def _followed(parts: ScriptSearch, name: str, fields: dict[str, Any]) -> Answer:
    """Submit the study or go on with it, and wait for its end."""
    there = parts.find(name)
    if there is None:
        _say(f"searching {name}: Ctrl-C stops, and the same command goes on")
        parts.submit(fields)
    elif there.state in ENDED:
        _say(f"{name} is {there.state} already; this is its answer. Another --name searches anew.")
        return parts.client.best(name)
    else:
        _say(f"going on with {name}, which is {there.state} ({there.counts.ended}/{there.budget.trials} trials)")
        parts.start_worker()
    return parts.wait(name)


# The script, as it is described


def script_in(file: Path) -> ScriptSpec:
    """Read a script file.

    Raises:
        UsageError: a field is wrong, which it names.
    """
    return _spec(None, (), {"script": file})


def bare_script(command: tuple[str, ...]) -> ScriptSpec:
    """Return a script of which nothing is known but its command, started in this directory.

    Raises:
        UsageError: there is no command.
    """
    return _spec(None, command, dict.fromkeys(DESCRIBED) | {"minimize": True})


def _spec(
    name: str | None, command: tuple[str, ...], described: dict[str, Any], slots: int | None = None
) -> ScriptSpec:
    """Return the script as a task.

    Raises:
        UsageError: there is no command, or a field is wrong, which it names.
    """
    file = described["script"]
    try:
        fields = _fields_of_file(file) if file is not None else _fields(command, described)
        if slots is not None:
            fields["slots"] = slots
        fields.setdefault("name", name or _name(fields["command"]))
        return read_script_spec(fields)
    except InvalidSpec as problem:
        raise click.UsageError(f"{problem.field}: {problem.detail}") from problem


def _fields_of_file(file: Path) -> dict[str, Any]:
    fields = yaml.safe_load(file.read_text(encoding="utf-8"))
    if not isinstance(fields, dict):
        raise click.UsageError(f"{file} holds no script: fields such as name, command and metric are meant")
    return {**fields, "directory": str((file.absolute().parent / fields.get("directory", ".")).resolve())}


def _fields(command: tuple[str, ...], described: dict[str, Any]) -> dict[str, Any]:
    if not command:
        raise click.UsageError("which script? Its command stands behind --, such as -- python train.py --epochs 3")
    fields: dict[str, Any] = {
        "command": list(command), "directory": str(Path.cwd()), "metric": _metric(described),
        "direction": "minimize" if described["minimize"] else "maximize",
        "mode": "file" if described["by_file"] else "flags" if described["flags"] else "inject",
        "flags": described["flags"], "horizon_steps": described["horizon_steps"],
        "initial_lr": described["initial_lr"],
        "schedules": _kinds(described["schedules"]), "optimizers": _kinds(described["optimizers"]),
        "seed": {"flags": described["seed_flags"]} if described["seed_flags"] else None,
        "metric_name": _metric_name(described),
    }  # fmt: skip
    return {key: value for key, value in fields.items() if value is not None}


def _metric(described: dict[str, Any]) -> dict[str, Any]:
    metric = described["metric"]
    for source, option in (("jsonl", "jsonl"), ("csv", "csv_file"), ("tensorboard", "tensorboard")):
        if described[option] is not None:
            if metric is None:
                raise click.UsageError(f"which field of {described[option]}? Say it with --metric")
            steps = {"step_field": described["step_field"]} if described["step_field"] else {}
            return {"source": source, "path": described[option], "field": metric, **steps}
    return {"source": "stdout", "pattern": metric or NOTHING}


def _metric_name(described: dict[str, Any]) -> str:
    metric = described["metric"] or ""
    of_file = any(described[option] for option in ("jsonl", "csv_file", "tensorboard"))
    return metric if of_file else metric_name_of(metric)


def _kinds(text: str | None) -> dict[str, str] | None:
    """Read KIND=WORD,...; a kind alone is called so by the script, too."""
    if text is None:
        return None
    pairs = (pair.partition("=") for pair in text.split(","))
    return {kind.strip(): word.strip() if equals else kind.strip() for kind, equals, word in pairs}


def _name(command: list[str] | str) -> str:
    """Name a study for the script that a command starts.

    >>> _name(["torchrun", "--nproc-per-node", "2", "my_train.py"]), _name(["python", "-m", "lab.fit"])
    ('my_train', 'lab.fit')
    """
    words = command.split() if isinstance(command, str) else command
    files = [Path(word).stem for word in words if word.endswith(".py")]
    modules = [after for word, after in itertools.pairwise(words) if word == "-m"]
    named = (files or modules or [Path(words[0]).name])[0]
    return re.sub(r"[^a-z0-9._-]+", "-", named.lower()).strip("-._") or "script"


def _say(words: str) -> None:
    click.echo(words, err=True)


def _say_error(error: Exception, as_json: bool) -> None:
    document = error.document() if isinstance(error, Problem) else {"detail": str(error)}
    _say(json.dumps(document, ensure_ascii=False) if as_json else f"etude: {error}")


def _near(path: Path) -> str:
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
