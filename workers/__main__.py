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
from search_spaces.problems import Problem, StoreUnavailable
from search_spaces.work import Verbs

from .log import ROOT, Log, bind, write_to_stderr
from .loop import Worker
from .settings import WorkerSettings
from .tasks import TASKS, named
from .timing import Backoff, Stop, Timing


def main(arguments: list[str] | None = None) -> int:
    """Work; 0 when asked to stop or drained, 1 when the store or the service refuses the worker."""
    flags = _parser().parse_args(arguments)
    write_to_stderr()
    torch.set_num_threads(flags.threads)
    settings = WorkerSettings()
    timing = Timing(lease=settings.lease_seconds, drain=flags.drain)
    stop = Stop(timing.grace)
    stop_on_signals(stop)
    log = bind(ROOT, worker=flags.name)
    try:
        tasks = named(flags.tasks.split(","))
        verbs = verbs_when_there(settings, stop, log)
        if verbs is not None:
            Worker(flags.name, verbs, tasks, stop=stop, timing=timing, device=flags.device).work()
    except Problem as problem:
        log.warning("refused", code=problem.code, detail=str(problem))
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m workers", description=__doc__)
    default = f"{socket.gethostname()}-{os.getpid()}"
    parser.add_argument("--name", default=default, help="how studies and logs call it (default: host and pid)")
    parser.add_argument("--tasks", default=",".join(TASKS), help="names of the tasks to offer (default: all)")
    parser.add_argument("--device", default="cpu", help="where to train, as torch names it (default: cpu)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch (default: 1)")
    parser.add_argument("--drain", type=float, metavar="SECONDS", help="end after so long without anything to do")
    return parser


def verbs_when_there(settings: WorkerSettings, stop: Stop, log: Log) -> Verbs | None:
    """Return the verbs, waiting for a store that is not there yet; None when asked to stop before."""
    pauses = Backoff(Timing.first_retry, Timing.longest_retry)
    while not stop.asked:
        try:
            return open_verbs(settings)
        except StoreUnavailable as problem:
            log.warning("store_unavailable", detail=problem.detail)
            stop.idle(pauses.pause())
    return None


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

    store = open_store(StoreSettings().url, pool_size=1, lease_seconds=settings.lease_seconds)
    return SqlVerbs(store, rest_seconds=Timing.rest)


def stop_on_signals(stop: Stop) -> None:
    """Ask for a stop on SIGTERM and Ctrl-C; the second time the process ends at once, as signals do."""

    def ask(number: int, _frame: FrameType | None) -> None:
        stop.ask()
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)


if __name__ == "__main__":
    sys.exit(main())
