"""`python -m workers`: train trials until SIGTERM or Ctrl-C, which give the trials in hand back."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import torch
from pydantic import ValidationError

from etude.following import KEPT_SECONDS, FollowingVerbs
from etude.settings import WrongSetting
from etude.shared import SharedDirectory
from etude.task import Task
from etude.tokens import find_token
from etude.work import HttpVerbs
from search_spaces.log import Log, bind, write_to_stderr
from search_spaces.problems import InvalidSpec, Problem, StoreUnavailable
from search_spaces.script_spec import ScriptSpec

from .bench import Choose, alone
from .checkpoints import Checkpoints
from .crew import Crew, command_for, devices_of, stop_with_parent
from .launchers.kept import LOOK_SECONDS
from .launching import add_launcher_flags, launch
from .loop import Worker
from .metrics import WorkerMetrics
from .offered import offered
from .packing.measure import packed
from .packing.picks import Picks
from .periodic import repeating
from .pulse import nothing, pulse_of
from .scripts.check import CHECK_SECONDS
from .scripts.checking import Check
from .scripts.files import read_script_file
from .scripts.measured import Measured
from .scripts.script import scripts_of
from .settings import WorkerSettings
from .timing import Backoff, Stop, Timing

if TYPE_CHECKING:
    from store.verbs import SqlVerbs

    AnyVerbs = FollowingVerbs | HttpVerbs | SqlVerbs

ROOT = "workers"
"""The logger above all of this package's."""
AUTO = "auto"
FLEET_MARGIN_SECONDS = 5.0
MOST_SLOTS = 1024
"""As many as a worker may announce."""


def main(arguments: list[str] | None = None) -> int:
    """Work; 0 when asked to stop or drained, 1 when the store or the service refuses the worker."""
    parser = _parser()
    flags = parser.parse_args(arguments)
    settings = _settings(parser)
    if flags.metrics_port is None:
        flags.metrics_port = settings.metrics_port
    if flags.launcher and flags.metrics_port is not None:
        parser.error("--metrics-port is for one worker and its devices; of a fleet the service's /metrics tells")
    flags.metrics_host = flags.metrics_host or settings.metrics_host
    if flags.devices is None and not flags.launcher:
        flags.devices = ["cpu"]
    write_to_stderr(ROOT, settings.log_format, settings.log_level)
    timing = Timing(lease=settings.lease_seconds, drain=flags.drain)
    stop = Stop(timing.grace)
    stop_on_signals(stop)
    if flags.with_parent:
        stop_with_parent(stop.ask)
    log = bind(ROOT, worker=flags.name)
    try:
        # Who names scripts offers them alone, unless other tasks are named, too.
        scripts_alone = bool(flags.script) and flags.tasks is None and not flags.task
        tasks = {} if scripts_alone else offered(flags.tasks, flags.task, log)
        if flags.launcher:
            _keep_fleet(flags, tasks, settings, log)
        elif len(flags.devices) > 1:
            Crew(_commands(flags), stop, log).work()
        else:
            with repeating(lambda: end_if_overdue(stop, log), LOOK_SECONDS, "overdue"):
                _work(flags, tasks, settings, timing, stop, log)
    except Problem as problem:
        log.warning("refused", code=problem.code, detail=str(problem))
        return 1
    return 0


def _settings(parser: argparse.ArgumentParser) -> WorkerSettings:
    """Read the environment; a wrong value ends the process with 2 and the variable's name."""
    try:
        return WorkerSettings()
    except ValidationError as error:
        rows = [f"ETUDE_{'_'.join(map(str, row['loc'])).upper()}: {row['msg']}" for row in error.errors()]
        parser.error("; ".join(rows))


def _work(
    flags: argparse.Namespace, tasks: dict[str, type[Task]], settings: WorkerSettings, timing: Timing, stop: Stop,
    log: Log,
) -> None:  # fmt: skip
    torch.set_num_threads(flags.threads)
    # The next head goes on from a copy of the store, which knows older checkpoints.
    kept_seconds = KEPT_SECONDS if settings.shared and not settings.url else 0.0
    checkpoints = Checkpoints(
        settings.checkpoints_url, seconds=settings.checkpoint_seconds, kept_seconds=kept_seconds
    )  # fmt: skip
    pulse = pulse_of(settings.pulse_file)
    verbs = verbs_when_there(settings, stop, log, pulse)
    if verbs is None:
        return
    scripts = scripts_of(
        flags.script, settings.data_dir, tasks, partial(looked_at, stop=stop, log=log), flags.devices[0]
    )
    choose = choice_of(
        flags.pack, stop, compiles=flags.compile or settings.compile, picks=Picks(settings.data_dir / "packing")
    )
    metrics = WorkerMetrics()
    worker = Worker(
        flags.name, verbs, tasks, stop=stop, timing=timing, device=flags.devices[0], choose=choose,
        scripts=scripts, checkpoints=checkpoints, pulse=pulse, observe=metrics.observe_verb,
    )  # fmt: skip
    if flags.metrics_port is None:
        worker.work()
        return
    with metrics.served(worker.standing, flags.metrics_host, flags.metrics_port) as port:
        log.info("metrics", host=flags.metrics_host, port=port)
        worker.work()


def choice_of(pack: int | None, stop: Stop, *, compiles: bool = False, picks: Picks | None = None) -> Choose:
    """Return what decides how many trials of a task are packed: at most so many; None: as many as are fastest.

    `picks` are what earlier workers have measured.
    """
    if pack == 1:
        return alone
    return partial(packed, most=pack, compiles=compiles, interrupted=lambda: stop.asked, picks=picks)


def looked_at(spec: ScriptSpec, *, stop: Stop, log: Log) -> Measured:
    """Look at a script of which nothing is remembered.

    Raises:
        InvalidSpec: it cannot be searched; the text says why.
    """
    log.info("script_checked_first", task=spec.name)
    check = Check(
        spec, guess_metric=False, seconds=CHECK_SECONDS, say=lambda words: log.info("looking", what=words),
        interrupted=lambda: stop.asked,
    )  # fmt: skip
    report = check.report()
    if not report.fits:
        raise InvalidSpec(" ".join(report.words), field="script")
    return report.measured()


def _commands(flags: argparse.Namespace) -> dict[str, list[str]]:
    """Return the command of each device's worker, by the worker's name."""
    shared = _shared(flags)
    if flags.drain is not None:
        shared += ["--drain", str(flags.drain)]
    names = {device: f"{flags.name}-{device}" for device in flags.devices}
    return {
        name: command_for(name, device, [*shared, *_metrics_flags(flags, place)])
        for place, (device, name) in enumerate(names.items())
    }


def _metrics_flags(flags: argparse.Namespace, place: int) -> list[str]:
    """Return where the worker of the device at this place shows its metrics: the ports follow one another."""
    if flags.metrics_port is None:
        return []
    port = flags.metrics_port + place if flags.metrics_port else 0
    return ["--metrics-host", flags.metrics_host, "--metrics-port", str(port)]


def _shared(flags: argparse.Namespace) -> list[str]:
    """Return the flags that all workers of this command have in common."""
    shared = ["--threads", str(flags.threads), "--pack", str(flags.pack or AUTO)]
    shared += [word for file in flags.script for word in ("--script", str(file))]
    shared += [] if flags.tasks is None else ["--tasks", flags.tasks]
    shared += [word for reference in flags.task for word in ("--task", reference)]
    if flags.compile:
        shared += ["--compile"]
    return shared


def _keep_fleet(flags: argparse.Namespace, tasks: dict[str, type[Task]], settings: WorkerSettings, log: Log) -> None:
    # Its workers have their whole grace period before it gives up on them.
    stop = Stop(Timing.grace + FLEET_MARGIN_SECONDS)
    stop_on_signals(stop)
    verbs = verbs_when_there(settings, stop, log)
    if verbs is None:
        return
    names = [*tasks, *(read_script_file(file).name for file in flags.script)]
    try:
        fleet = launch(flags, _shared(flags), names, verbs, settings, _token(settings), stop, log)
        stop_on_signals(stop)  # again: Ray takes them for itself
        fleet.work()
    finally:
        verbs.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m workers", description=__doc__)
    default = f"{socket.gethostname()}-{os.getpid()}"
    parser.add_argument("--name", default=default, help="how studies and logs call it (default: host and pid)")
    parser.add_argument(
        "--tasks", metavar="NAME,...",
        help="names of the tasks to offer, on board or of installed packages (default: all, or those of --task alone)",
    )  # fmt: skip
    parser.add_argument(
        "--task",
        action="append",
        default=[],
        metavar="PACKAGE.MODULE:CLASS",
        help="offer a task of your own; repeatable",
    )
    parser.add_argument(
        "--script", type=Path, action="append", default=[], metavar="FILE",
        help="offer the training script of a script file (docs/scripts.md); repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--devices", type=_devices, metavar="all|cpu|cuda:0,...",
        help="where to train, one process for each device; all: every GPU, or the CPU if there is none (default: cpu)",
    )  # fmt: skip
    parser.add_argument(
        "--pack", type=_pack, metavar="N|auto",
        help="train at most N trials at once as one computation; 1: never; auto: as many as are fastest, measured "
        "(default: auto)",
    )  # fmt: skip
    parser.add_argument(
        "--compile", action="store_true",
        help="try packs by torch.compile, too: tens of seconds for each new shape (default: ETUDE_COMPILE, or not)",
    )  # fmt: skip
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch (default: 1)")
    parser.add_argument("--drain", type=float, metavar="SECONDS", help="end after so long without anything to do")
    parser.add_argument(
        "--metrics-port", type=int, metavar="PORT",
        help="serve Prometheus metrics there; of several devices the ports follow one another "
        "(default: ETUDE_METRICS_PORT, or nowhere)",
    )  # fmt: skip
    parser.add_argument("--metrics-host", help="and at this address (default: ETUDE_METRICS_HOST, or 127.0.0.1)")
    parser.add_argument("--with-parent", action="store_true", help=argparse.SUPPRESS)
    add_launcher_flags(parser)
    return parser


def _devices(text: str) -> list[str]:
    try:
        return devices_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _pack(text: str) -> int | None:
    if text == AUTO:
        return None
    if not text.isdecimal() or not 1 <= int(text) <= MOST_SLOTS:
        raise argparse.ArgumentTypeError(f"{text!r} is neither {AUTO} nor a number from 1 to {MOST_SLOTS}")
    return int(text)


def verbs_when_there(
    settings: WorkerSettings, stop: Stop, log: Log, pulse: Callable[[], None] = nothing
) -> AnyVerbs | None:
    """Return the verbs, waiting for a store that is not there yet; None when asked to stop before.

    `pulse` is called at every attempt.
    """
    pauses = Backoff(Timing.first_retry, Timing.longest_retry)
    while not stop.asked:
        pulse()
        try:
            return open_verbs(settings)
        except StoreUnavailable as problem:
            log.warning("store_unavailable", detail=problem.detail)
            stop.idle(pauses.pause())
    return None


def open_verbs(settings: WorkerSettings) -> AnyVerbs:
    """Return the five verbs over HTTP when a service is named, else over SQL.

    Raises:
        StoreUnavailable: the database cannot be reached.
    """
    if settings.url:
        return HttpVerbs(settings.url, _token(settings))
    if settings.shared:
        return FollowingVerbs(SharedDirectory(settings.shared.absolute()))
    # A worker that speaks HTTP needs no database driver.
    from store import open_store
    from store.settings import StoreSettings
    from store.verbs import SqlVerbs

    store = open_store(StoreSettings().url, pool_size=1, lease_seconds=settings.lease_seconds, keeps_plans=True)
    return SqlVerbs(store, rest_seconds=Timing.rest)


def _token(settings: WorkerSettings) -> str | None:
    try:
        return find_token(settings.token.get_secret_value() if settings.token else None, os.environ)
    except WrongSetting as error:
        raise InvalidSpec(str(error), field="ETUDE_TOKEN_FILE") from error


def stop_on_signals(stop: Stop) -> None:
    """Ask for a stop on SIGTERM and Ctrl-C; the second time the process ends at once, as signals do."""

    def ask(number: int, _frame: FrameType | None) -> None:
        stop.ask()
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)


def end_if_overdue(stop: Stop, log: Log) -> None:
    """End the process when the grace period is over: its trials are given back, whatever a step still does."""
    if stop.grace_left <= 0:
        log.warning("overdue", reason="a step or a call has outlasted the grace period")
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
