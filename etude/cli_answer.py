"""Commands that print what a study has found: best, curve, export."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any, get_args

import click

from search_spaces.points import flat
from search_spaces.problems import Unsupported
from search_spaces.results import Answer, TrialView
from search_spaces.work import Purpose

from .cli_options import json_option, out_file, plain, print_json, show, study_name, write_out
from .client import Client
from .history import DIVERGED
from .show import answer_parts, curve_line, stdout_console

updates = click.option(
    "--steps", type=click.IntRange(min=1), help="Optimizer updates of your training [default: the study's horizon]."
)


@click.command(short_help="Print a study's answer, or keep it in a file.")
@study_name
@out_file
@json_option()
@click.pass_obj
def best(url: str | None, name: str, output: Path | None, as_json: bool) -> None:
    """Print the answer of the study NAME, or as much of it as there is.

    With -o it is kept as a document with evidence, provenance and a checksum, which `etude.load` reads.

    \b
    etude best mine -o best.json
    """
    with Client(url) as client:
        answer = client.best(name)
        if output is None:
            show_answer(client, answer, as_json)
        else:
            click.echo(f"written to {answer.save(output)}", err=True)


def show_answer(client: Client, answer: Answer, as_json: bool) -> None:
    """Print an answer with its curve, or its JSON."""
    show(as_json, answer, answer_parts(answer, None if as_json else _curve(client, answer)))


def _curve(client: Client, answer: Answer) -> list[float] | None:
    try:
        return None if answer.candidate is None else client.curve(answer.study)
    except Unsupported:  # a plateau has no curve before a training has shown one
        return None


@click.command(short_help="Print the answer's learning rate, step by step.")
@study_name
@updates
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "csv", "svg"]),
    default="text",
    show_default=True,
    help="A line of blocks, `step,lr` lines, or a picture.",
)
@out_file
@json_option('Print {"lr": [...]}, the LR of each update from 0 on.')
@click.pass_obj
def curve(url: str | None, name: str, steps: int | None, form: str, output: Path | None, as_json: bool) -> None:
    """Print the LR of each optimizer update that the study NAME has found, redrawn for --steps updates.

    \b
    etude curve mine --steps 39000 --format csv > lr.csv
    """
    with Client(url) as client:
        if form == "svg" and not as_json:
            write_out(client.curve_svg(name, steps=steps), output)
            return
        lr = client.curve(name, steps=steps)
    if as_json:
        print_json({"lr": lr})
    elif form == "csv" or output is not None:
        lines = ["step,lr", *(f"{step},{value!r}" for step, value in enumerate(lr))]
        write_out("\n".join(lines) + "\n", output)
    else:
        stdout_console().print(curve_line(lr))


# Export

FIELDS = (
    "number", "state", "purpose", "origin", "value", "horizon_steps", "steps_done", "seed", "worker", "attempts",
    "worker_seconds", "claimed_at", "finished_at",
)  # fmt: skip
FORMULA_SIGNS = ("=", "+", "-", "@")
NUMBER_WORDS = ("-inf",)
PURPOSES: tuple[Purpose, ...] = get_args(Purpose)


@click.command(short_help="Write a study's trials and answer to a file.")
@study_name
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "csv"]),
    default="json",
    show_default=True,
    help="One document with everything but curves, or the search's trials, one a line.",
)
@out_file
@json_option("The same as --format json.")
@click.pass_obj
def export(url: str | None, name: str, form: str, output: Path | None, as_json: bool) -> None:
    """Write the study NAME as one document: spec, state, answer, past trials, and the trials of every purpose.

    As CSV: a line for each trial of the search, its candidate as JSON and under the names that parameters have
    everywhere. `etude import csv` reads it as it is. Times are in UTC, durations in seconds.
    """
    with Client(url) as client:
        if form == "csv" and not as_json:
            write_out(_as_csv(list(client.trials(name))), output)
            return
        document = _document(client, name)
    write_out(json.dumps(document, indent=2, ensure_ascii=False) + "\n", output)


def _document(client: Client, name: str) -> dict[str, Any]:
    trials = {purpose: [plain(one) for one in client.trials(name, purpose=purpose)] for purpose in PURPOSES}
    return {
        "study": plain(client.get(name)),
        "answer": plain(client.best(name)),
        "history": [plain(one) for one in client.history(name)],
        "trials": trials,
    }


def _as_csv(trials: list[TrialView]) -> str:
    rows = [_row(trial) for trial in trials]
    columns = dict.fromkeys([*FIELDS, *(column for row in rows for column in row)])
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({column: _as_cell(value) for column, value in row.items()} for row in rows)
    return text.getvalue()


def _as_cell(value: Any) -> Any:
    """Return a text as one line, behind an apostrophe where a spreadsheet would take it for a formula."""
    if not isinstance(value, str):
        return value
    line = " ".join(value.splitlines()).strip()
    return f"'{line}" if line.startswith(FORMULA_SIGNS) and line not in NUMBER_WORDS else line


def _row(trial: TrialView) -> dict[str, Any]:
    shown = plain(trial)
    row = {field: shown[field] for field in FIELDS}
    if trial.error == DIVERGED:
        row["value"] = "nan"
    row |= {f"metrics.{name}": value for name, value in shown["metrics"].items()}
    row |= {f"rungs.{step}": value for step, value in shown["rungs"].items()}
    if trial.candidate is not None:
        row |= flat(trial.candidate) | {"candidate": trial.candidate.model_dump_json()}
    return row
