"""`python -m workers`: train trials until SIGTERM or Ctrl-C, which give the trial in hand back."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
from types import FrameType

import torch

from etude.work import HttpVerbs
from search_spaces.problems import Problem
from search_spaces.work import Verbs

from .log import bind, write_to_stderr
from .loop import Worker
from .settings import WorkerSettings
from .tasks import TASKS, named
from .timing import Stop, Timing


def main(arguments: list[str] | None = None) -> int:
    """Work; 0 when asked to stop or drained, 1 when the store or the service refuses the worker."""
    flags = _parser().parse_args(arguments)
    write_to_stderr()
    torch.set_num_threads(flags.threads)
    settings = WorkerSettings()
    stop = Stop()
    stop_on_signals(stop)
    try:
        worker = Worker(
            flags.name,
            open_verbs(settings),
            named(flags.tasks.split(",")),
            stop=stop,
            timing=Timing(lease=settings.lease_seconds, drain=flags.drain),
        )
        worker.work()
    except Problem as problem:
        bind(__name__, worker=flags.name).warning("refused", code=problem.code, detail=str(problem))
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m workers", description=__doc__)
    default = f"{socket.gethostname()}-{os.getpid()}"
    parser.add_argument("--name", default=default, help="how studies and logs call it (default: host and pid)")
    parser.add_argument("--tasks", default=",".join(TASKS), help="names of the tasks to offer (default: all)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch (default: 1)")
    parser.add_argument("--drain", type=float, metavar="SECONDS", help="end after so long without anything to do")
    return parser


def open_verbs(settings: WorkerSettings) -> Verbs:
    """Return the five verbs over HTTP when a service is named, else over SQL.

    Raises:
        StoreUnavailable: the database cannot be reached.
    """
    if settings.url:
        token = settings.token.get_secret_value() if settings.token else None
        return HttpVerbs(settings.url, token)
    # A worker that speaks HTTP needs no database driver.
    from store import open_store
    from store.settings import StoreSettings
    from store.verbs import SqlVerbs

    return SqlVerbs(open_store(StoreSettings().url, pool_size=1, lease_seconds=settings.lease_seconds))


def stop_on_signals(stop: Stop) -> None:
    """Ask for a stop on SIGTERM and Ctrl-C; the second time the process ends at once, as signals do."""

    def ask(number: int, _frame: FrameType | None) -> None:
        stop.ask()
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)


if __name__ == "__main__":
    sys.exit(main())
