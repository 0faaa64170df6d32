"""The command that trains a script with the schedule that was found for it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import click

from search_spaces.problems import Problem
from search_spaces.script_spec import ScriptSpec

from .cli_script import bare_script, script_in
from .script_answer import ANSWER_FILE, CannotTrain, KeptSearch, read_kept
from .script_answer import train as train_script
from .script_search import place_of_answer
from .settings import PartsSettings

EXPECTED = (CannotTrain, Problem, OSError, ValueError)


@click.command(short_help="Train a script with the schedule that was found.")
@click.argument("answer")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option("--total-steps", type=click.IntRange(min=1), help="Updates of this training [default: the answer's].")
@click.option("--first-step", type=click.IntRange(min=0), default=0, help="Go on with the schedule from this update.")
@click.option(
    "--initial-lr",
    type=click.FloatRange(min=0, min_open=True),
    help="Its own largest LR, where the answer is a multiple of that.",
)
@click.option("--script", "script_file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="A script file that says how it takes its schedule [default: from outside].")  # fmt: skip
@click.pass_context
def train(
    context: click.Context, /, answer: str, command: tuple[str, ...], total_steps: int | None, first_step: int,
    initial_lr: float | None, script_file: Path | None,
) -> None:  # fmt: skip
    """Train a script as it is with ANSWER: the name of a study that `etude search` has ended here, or an answer's file.

    \b
    etude train train -- python train.py --epochs 3
    etude train best.json --total-steps 39000 -- python train.py --epochs 30

    Of a study of `etude search` the script is known; a COMMAND replaces its command. With an answer's file the learning
    rate of every update is set from outside, unless a --script file says otherwise. The exit status is the script's.
    """
    try:
        kept = _kept(answer)
        script = _script(kept, command, script_file)
        steps = total_steps or kept.answer.horizon
        if initial_lr is not None:
            kept = replace(kept, own=replace(kept.own, largest=initial_lr))
        _say(f"etude: {kept.answer.artefact.candidate_text or 'the answer'}, drawn for {steps} updates")
        context.exit(train_script(kept, script, total_steps=steps, first_step=first_step, say=_note))
    except EXPECTED as error:
        raise click.ClickException(str(error)) from error


def _kept(answer: str) -> KeptSearch:
    place = place_of_answer(PartsSettings.from_environment(os.environ), answer)
    if (place / ANSWER_FILE).is_file():
        return read_kept(place)
    if Path(answer).exists():
        return read_kept(Path(answer))
    raise CannotTrain(f"{answer} is no file, and no search of this name has ended here: there is no {place}")


def _script(kept: KeptSearch, command: tuple[str, ...], file: Path | None) -> ScriptSpec:
    """Return how the script is started and told; the metric is nobody's here."""
    known = kept.script if file is None else script_in(file)
    if known is None:
        return bare_script(command)
    here = {"command": list(command), "directory": str(Path.cwd())}
    return known.model_copy(update=here) if command else known


def _note(words: str) -> None:
    _say(f"etude: {words}")


def _say(words: str) -> None:
    click.echo(words, err=True)
