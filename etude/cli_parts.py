"""Commands that start the parts: up, demo, worker."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from search_spaces.problems import Forbidden, Unauthorized

from .checkout import NoCheckout, find_checkout
from .cli_options import json_option, print_json, show
from .client import Client
from .demo import TRIALS, show_demo
from .first_token import first_token
from .pace import ENDED
from .parts import Parts
from .progress import stderr_console
from .settings import PartsSettings, WrongSetting, seconds_from

CHECK_SECONDS = 0.5
EVERYWHERE = "0.0.0.0"  # noqa: S104 - a head is for other machines; everybody shows a token


@click.command(short_help="Keep service, workers and dashboard running.")
@click.option(
    "--workers", type=click.IntRange(min=0), help="Workers to start; 2, or with --shared 1.", show_default=False
)
@click.option(
    "--shared", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help="Join the machines that were started with the same directory: one serves, all train.",
)  # fmt: skip
@click.option(
    "--drain", type=click.FloatRange(min=0), metavar="SECONDS",
    help="With --shared: end after so long without a study under way.",
)  # fmt: skip
@json_option("Print addresses and paths as one JSON document once everything runs.")
@click.argument("worker_options", nargs=-1, type=click.UNPROCESSED)
def up(
    workers: int | None, shared: Path | None, drain: float | None, as_json: bool, worker_options: tuple[str, ...]
) -> None:
    """Keep the service, workers and the Optuna dashboard running until Ctrl-C.

    Nothing is lost at the end: workers give their trials back, and the next `etude up` goes on with them. A part
    that dies ends the others with exit status 1; its log's end is shown. Where ETUDE_HOST can be reached from other
    machines and the store has no token yet, the first admin token is made and printed, this once.

    `--shared DIR` is for machines with a directory in common and no database (docs/clusters.md): whoever comes first
    serves from a disk of its own and copies its store to DIR; when it goes, another goes on. WORKER_OPTIONS, behind
    `--`, are those of `etude worker`. Commands with ETUDE_SHARED=DIR find the service there.
    """
    if shared is not None:
        if as_json:
            raise click.UsageError("--json is of `up` without --shared: the head's address is in DIR and may change")
        join(shared.absolute(), 1 if workers is None else workers, drain, worker_options)
        return
    if drain is not None or worker_options:
        raise click.UsageError("--drain and options of workers need --shared")
    workers = 2 if workers is None else workers
    settings = PartsSettings.from_environment(os.environ)
    root = find_checkout()
    end_on_signals()
    token = first_token(settings, root, os.environ)
    with Parts(settings, root) as parts:
        try:
            if token is not None:  # before anything can fail: it is known only now
                click.echo(f"token      {token}  (admin; shown this once: `ETUDE_TOKEN` takes it)", err=as_json)
            parts.start_all(workers)
            if as_json:
                print_json(_where(settings, workers))
            else:
                _say_where(settings, workers, token)
            while True:
                parts.check()
                time.sleep(CHECK_SECONDS)
        except KeyboardInterrupt:
            click.echo("\nstopping: workers give their trials back (Ctrl-C again ends them at once)", err=as_json)
    click.echo("stopped; `etude up` goes on where this ended", err=as_json)


@click.command(short_help="Search a schedule on real data, end to end.")
@click.option(
    "--trials", type=click.IntRange(min=1), default=TRIALS, show_default=True, help="Budget of the search, in trials."
)
@click.option("--workers", type=click.IntRange(min=1), default=2, show_default=True, help="Workers to start.")
@json_option("Print the answer as JSON; all the rest goes to stderr.")
def demo(trials: int, workers: int, as_json: bool) -> None:
    """Search a schedule on real data (handwritten digits), from submission to the answer."""
    settings = PartsSettings.from_environment(os.environ)
    root = find_checkout()
    end_on_signals()
    try:
        console = stderr_console() if as_json else None
        answer = show_demo(settings, root, trials=trials, workers=workers, console=console)
        show(as_json, answer, [])
    except KeyboardInterrupt:
        raise click.ClickException("interrupted; all parts are stopped") from None


@click.command(
    short_help="Start one worker here.", add_help_option=False, context_settings={"ignore_unknown_options": True}
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def worker(arguments: tuple[str, ...]) -> None:
    """Start one worker here; ARGUMENTS are those of `python -m workers`: --name, --tasks, --devices, --pack and more.

    `--devices all` starts one process for each GPU. `--pack 1` trains one trial after another; without it the worker
    measures how many trials of a task are fastest at once.
    `--script script.yaml` offers a training script as it is: its command is the worker's own, and no client's.
    `--task my_package.tasks:MyTask` offers a task of your own; packages offer theirs as entry points of `etude.tasks`.
    `--launcher ray --address ... --max-workers N` keeps up to N workers on a Ray cluster, as many as there is work for;
    `--launcher local` does so with this machine's GPUs.
    With ETUDE_URL it works over HTTP, else on the store of ETUDE_DATABASE_URL.
    """
    become("workers", *arguments)


@click.command(short_help="Bring the store's tables up to date, or check them.")
@click.argument("act", type=click.Choice(["upgrade", "check"]))
@json_option('Print {"up_to_date": true}.')
def store(act: str, as_json: bool) -> None:
    """Bring the tables of ETUDE_DATABASE_URL up to date, or say whether they are (exit status 1: they are not)."""
    become("store", act, *["--json"] * as_json)


@click.group(short_help="Look at a task of your own.")
def task() -> None:
    """Look at a task of your own."""


@task.command(
    "check",
    short_help="Run one short trial and say what is wrong.",
    context_settings={"ignore_unknown_options": True},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def check_task(arguments: tuple[str, ...]) -> None:
    """Run one short trial of the task PACKAGE.MODULE:CLASS and say in words what is wrong; then exit status 1.

    ARGUMENTS are those of `python -m workers.checking`: --params JSON, --device, --json.
    """
    become("workers.checking", *arguments)


def become(module: str, *arguments: str) -> None:
    """Run a module of the checkout in place of this process: signals and exit status are its own.

    Raises:
        NoCheckout: there is none; but what the command is for is said without one, too.
    """
    try:
        root = find_checkout()
    except NoCheckout:
        if not {"-h", "--help"} & set(arguments):
            raise
        click.echo(click.get_current_context().get_help())
        return
    data_dir = Path(os.environ.get("ETUDE_DATA_DIR") or "var").absolute()
    os.environ["ETUDE_DATA_DIR"] = str(data_dir)
    if os.environ.get("ETUDE_SHARED"):
        os.environ["ETUDE_SHARED"] = str(Path(os.environ["ETUDE_SHARED"]).absolute())
    # Tasks of one's own are found from where the command was given, as by any script there.
    os.environ["PYTHONPATH"] = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(Path.cwd())])
    os.chdir(root)
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606


def join(shared: Path, workers: int, drain: float | None, options: Sequence[str]) -> None:
    """Be one of the machines that share a directory, until drained or asked to stop."""
    from .election import TAKEOVER_SECONDS
    from .head import local_directory
    from .member import Member
    from .shared import SharedDirectory

    if os.environ.get("ETUDE_DATABASE_URL"):
        raise WrongSetting("machines that share a directory keep their store by themselves: unset ETUDE_DATABASE_URL")
    directory, root = SharedDirectory(shared), find_checkout()
    # The directory has tokens of its own.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ETUDE_ADMIN_TOKEN")}
    place = local_directory(directory, os.environ, Path(tempfile.gettempdir()))
    given = os.environ.get("ETUDE_HOST")
    settings = replace(PartsSettings.from_environment(os.environ), data_dir=place, host=given or EVERYWHERE)
    advertised = socket.gethostname() if given in (None, "", EVERYWHERE, "::") else given
    end_on_signals()
    # One process for each GPU of the machine, unless told otherwise.
    flags = [*options] if "--devices" in options or workers != 1 else ["--devices", "all", *options]
    takeover = seconds_from(os.environ, "ETUDE_TAKEOVER_SECONDS", TAKEOVER_SECONDS)
    member = Member(
        directory, settings, str(advertised), root, environ, lambda words: click.echo(words, err=False),
        worker_flags=[flags] * workers, drain=drain, takeover_seconds=takeover,
    )  # fmt: skip
    try:
        with member:
            click.echo(f"shared     {shared}; here: {workers} workers, logs in {settings.logs}")
            member.work()
    except KeyboardInterrupt:
        click.echo("stopped; trials are given back, and another machine goes on")
        return
    click.echo(f"drained; nothing was under way for {drain:g} s")


def _where(settings: PartsSettings, workers: int) -> dict[str, Any]:
    places = {"service": settings.url, "dashboard": settings.dashboard_url, "store": settings.store_url}
    return places | {"workers": workers, "logs": str(settings.logs)}


def _say_where(settings: PartsSettings, workers: int, token: str | None) -> None:
    click.echo(f"service    {settings.url}  (API: {settings.url}/docs)")
    click.echo(f"dashboard  {settings.dashboard_url}")
    click.echo(f"store      {settings.store_url}")
    click.echo(f"workers    {workers}; logs of all parts: {settings.logs}")
    # A service with tokens tells what goes on to who has one; it runs for the others all the same.
    with Client(settings.url, token) as client, contextlib.suppress(Unauthorized, Forbidden):
        for study in (study for study in client.list() if study.state not in ENDED):
            click.echo(f"goes on    {study.name} ({study.state}, {study.counts.ended}/{study.budget.trials} trials)")
    click.echo("Ctrl-C stops everything and loses nothing.")


def end_on_signals() -> None:
    """Let SIGTERM and SIGHUP end the command as Ctrl-C does; after `nohup`, SIGHUP stays ignored."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.default_int_handler)
