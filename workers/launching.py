"""`python -m workers --launcher ...`: a fleet instead of one worker, by the command's flags."""

from __future__ import annotations

import argparse
import os
from collections.abc import Collection, Sequence
from typing import Protocol

from search_spaces.log import Log
from search_spaces.problems import InvalidSpec

from .crew import gpus_here
from .fleet import IDLE_SECONDS, Fleet, Size
from .launchers.launcher import Launcher
from .launchers.local import LocalLauncher
from .launchers.ray import RayLauncher
from .settings import WorkerSettings
from .timing import Stop

LAUNCHERS = ("local", "ray")
AUTO_ADDRESS = "auto"


class Counting(Protocol):
    """What tells the backlog."""

    def backlog(self, tasks: Collection[str]) -> int:
        """Count the trials that studies of these tasks still want."""


def add_launcher_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of a fleet."""
    group = parser.add_argument_group("many workers", "scaled with the backlog; needs --launcher")
    group.add_argument(
        "--launcher", choices=LAUNCHERS, help="start workers as processes here, or as actors on a Ray cluster"
    )
    group.add_argument("--address", default=AUTO_ADDRESS, help="of the Ray cluster (default: auto, the one here)")
    group.add_argument("--min-workers", type=_whole, default=0, metavar="N", help="that live without work (default: 0)")
    group.add_argument(
        "--max-workers", type=_natural, metavar="N", help="at most (default: as many as this machine's GPUs allow)"
    )
    group.add_argument(
        "--gpus-per-worker", type=_share, default=1.0, metavar="N", help="0 trains on the CPU (default: 1)"
    )
    group.add_argument("--cpus-per-worker", type=_share, default=1.0, metavar="N", help="of a Ray actor (default: 1)")
    group.add_argument(
        "--trials-per-worker", type=_natural, default=1, metavar="N",
        help="of the backlog, for which there is one worker; larger where trials are packed (default: 1)",
    )  # fmt: skip
    group.add_argument(
        "--idle-seconds", type=_share, default=IDLE_SECONDS, metavar="SECONDS",
        help="after which a worker beyond --min-workers ends for lack of work (default: 30)",
    )  # fmt: skip


def launch(
    flags: argparse.Namespace, worker_flags: Sequence[str], tasks: Collection[str], verbs: Counting,
    settings: WorkerSettings, token: str | None, stop: Stop, log: Log,
) -> Fleet:  # fmt: skip
    """Return the fleet that the flags describe.

    Raises:
        InvalidSpec: the flags ask for what cannot be.
        StoreUnavailable: there is no cluster.
    """
    _check(flags)
    if flags.launcher == "ray":
        environ = worker_environment(settings, token)
        launcher: Launcher = RayLauncher(
            flags.address, worker_flags, environ, cpus=flags.cpus_per_worker, gpus=flags.gpus_per_worker, log=log
        )
        most = flags.max_workers
    else:
        local = LocalLauncher(worker_flags, _whole_gpus(flags.gpus_per_worker), gpus_here())
        bounds = [bound for bound in (flags.max_workers, local.most) if bound is not None]
        launcher, most = local, min(bounds, default=None)
    if most is None:
        raise InvalidSpec("nothing bounds the number of workers: say how many at most", field="--max-workers")
    if flags.min_workers > most:
        raise InvalidSpec(f"{flags.min_workers} workers at least and {most} at most", field="--min-workers")
    size = Size(flags.min_workers, most, flags.trials_per_worker, flags.idle_seconds)
    return Fleet(flags.name, launcher, size, lambda: verbs.backlog(tasks), stop, log, drain=flags.drain)


def worker_environment(settings: WorkerSettings, token: str | None) -> dict[str, str]:
    """Return the variables that a worker on another machine needs to find this one's store.

    Raises:
        InvalidSpec: the store is a file of this machine.
    """
    from store.settings import StoreSettings

    url = StoreSettings().url
    if settings.url is None and settings.shared is None and url.startswith("sqlite"):
        raise InvalidSpec(
            "workers on other machines cannot open an SQLite file of this one: set ETUDE_URL to the service's address",
            field="ETUDE_URL",
        )
    names = [f"ETUDE_{field}".upper() for field in WorkerSettings.model_fields if field != "pulse_file"]
    passed = {name: os.environ[name] for name in [*names, "PYTHONPATH"] if os.environ.get(name)}
    # Secrets are read here: the files that hold them are this machine's.
    found = {"ETUDE_TOKEN": token} if settings.url or settings.shared else {"ETUDE_DATABASE_URL": url}
    return passed | {name: value for name, value in found.items() if value}


def _check(flags: argparse.Namespace) -> None:
    if flags.devices is not None:
        raise InvalidSpec("a launcher gives each worker its devices: leave --devices out", field="--devices")
    if flags.launcher == "ray" and flags.max_workers is None:
        raise InvalidSpec("say how many workers at most", field="--max-workers")


def _whole_gpus(gpus: float) -> int:
    if gpus != int(gpus):
        raise InvalidSpec("only Ray divides GPUs between workers", field="--gpus-per-worker")
    return int(gpus)


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number")
    return int(text)


def _natural(text: str) -> int:
    number = _whole(text)
    if number == 0:
        raise argparse.ArgumentTypeError("it has to be 1 at least")
    return number


def _share(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0")
    return number
